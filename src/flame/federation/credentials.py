"""How a site proves to other sites whose its identity is: by the study's certificate of its start-up kit.

A certificate names the site and is signed by the study's authority, which every kit holds; its private key signs the
public key of the identity that the site made for itself. The coordinator carries this and can't forge it, unless it
is also the one who keeps the authority's key.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from pydantic import with_config

from flame.errors import ConfigError
from flame.federation.messages import WIRE
from flame.federation.roster import canonical, rejected

__all__ = ["NOT_SITES", "Credential", "Passport", "check_credential", "make_credential"]

NOT_SITES = ("coordinator",)
"""Names that the study's authority certifies too, and whose owners must not sit among sites."""

_PADDING = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)


@dataclass(frozen=True)
class Passport:
    """What a start-up kit holds: the site's certificate and its private key, and the authority's certificate; PEM."""

    certificate: bytes
    private_key: bytes = field(repr=False)
    authority: bytes


@with_config(WIRE)
@dataclass(frozen=True)
class Credential:
    """That an identity is a site's.

    Args:
        public_key: of the identity (Ed25519), 32 bytes.
        certificate: the site's, PEM.
        signature: of the site's name and the public key, by the certificate's key (RSA-PSS, SHA-256).
    """

    public_key: bytes
    certificate: bytes
    signature: bytes


def make_credential(site: str, public_key: bytes, passport: Passport) -> Credential:
    """Sign a site's public key, 32 bytes, with the key of its kit.

    Raises: ConfigError: if the kit's key is none that can sign.
    """
    try:
        key = load_pem_private_key(passport.private_key, password=None)
    except (TypeError, ValueError) as error:
        raise ConfigError("The kit's private key can't be read", "Unpack the kit again.") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError("The kit's private key is not an RSA key", "Unpack the kit again.")
    signature = key.sign(_signed(site, public_key), _PADDING, SHA256())
    return Credential(public_key, passport.certificate, signature)


def check_credential(credential: Credential, site: str, authority: bytes, now: datetime) -> bytes:
    """The public key of the site's identity, if the credential proves it.

    Args:
        credential: as received.
        site: whose it is said to be.
        authority: certificate of the study's authority, PEM.
        now: with a time zone.

    Raises: UpdateRejected: names the site and what is wrong.
    """
    if site in NOT_SITES:
        raise rejected(site, "is no site, and has no part in a sum of sites")
    root = x509.load_pem_x509_certificate(authority)
    try:
        certificate = x509.load_pem_x509_certificate(credential.certificate)
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise rejected(site, "has no certificate of this study") from error
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise rejected(site, f"has a certificate that is valid until {certificate.not_valid_after_utc:%Y-%m-%d} only")
    if [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] != [site]:
        raise rejected(site, "shows the certificate of somebody else")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or len(credential.public_key) != 32:
        raise rejected(site, "shows a key of another kind")
    try:
        key.verify(credential.signature, _signed(site, credential.public_key), _PADDING, SHA256())
    except InvalidSignature as error:
        raise rejected(site, "did not sign its identity with the key of its certificate") from error
    return credential.public_key


def _signed(site: str, public_key: bytes) -> bytes:
    return canonical("flame-identity/1", [site, public_key.hex()])
