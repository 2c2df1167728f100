"""A site's seal on an answer that another party carries: that it is this site's, and answers this question.

The coordinator's own connections say who sends. Where a region stands between, whoever is in the study could speak for
a site of the region, so each answer is signed by the site's identity, which the certificate of its kit vouches for.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import with_config

from flame.federation.credentials import Credential, Passport, check_credential, make_credential
from flame.federation.messages import WIRE, decode_message, encode_message
from flame.federation.roster import canonical, rejected
from flame.site.entries import digest
from flame.site.identity import Identity, is_signed_by

__all__ = ["check_seal", "make_seal"]


@with_config(WIRE)
@dataclass(frozen=True)
class Seal:
    """Whose identity it is, and its signature of question and answer (Ed25519, 64 bytes)."""

    credential: Credential
    signature: bytes


def make_seal(site: str, identity: Identity, passport: Passport, question: bytes, answer: bytes) -> bytes:
    """Seal what a site answers to a question, be it an update or the reason why there is none.

    Args:
        site: name of the site.
        identity: of the site.
        passport: of its start-up kit.
        question: as it came in.
        answer: as it leaves.

    Raises: ConfigError: if the kit's key is none that can sign.
    """
    credential = make_credential(site, identity.public_key, passport)
    return encode_message(Seal(credential, identity.sign(_sealed(site, question, answer))))


def check_seal(seal: bytes, site: str, authority: bytes, now: datetime, question: bytes, answer: bytes) -> None:
    """Refuse an answer that the site did not give to this question.

    Args:
        seal: as received.
        site: whose answer it is said to be.
        authority: certificate of the study's authority, PEM.
        now: with a time zone.
        question: as it was asked.
        answer: as received.

    Raises: UpdateRejected: names the site and what is wrong.
    """
    found = decode_message(Seal, seal)
    public_key = check_credential(found.credential, site, authority, now)
    if not is_signed_by(public_key, found.signature, _sealed(site, question, answer)):
        raise rejected(site, "did not sign this answer to this question")


def _sealed(site: str, question: bytes, answer: bytes) -> bytes:
    return canonical("flame-answer/1", [site, digest(question), digest(answer)])
