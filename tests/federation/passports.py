"""Certificates as a study's start-up kits hold them, made on the spot."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from flame.federation.credentials import Passport

__all__ = ["NOW", "passports"]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def passports(sites: Iterable[str], authority: str = "study", days: int = 365) -> dict[str, Passport]:
    """Site -> its passport by an authority; valid from the day before `NOW` on."""
    root, _ = _certificate(authority, authority, days)
    made = {site: _certificate(site, authority, days) for site in sites}
    return {site: Passport(_pem(certificate), _key_pem(key), _pem(root)) for site, (certificate, key) in made.items()}


@cache
def _certificate(name: str, authority: str, days: int) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    issuer_key = key if name == authority else _certificate(authority, authority, days)[1]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
    )
    return builder.sign(issuer_key, SHA256()), key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
