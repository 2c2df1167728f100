"""Whether a kit's certificate, key and root belong together and are valid now, and what that says of the clock."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from flame.federation.doctor import Condition

__all__ = ["NOTICE", "Papers", "certificate_conditions", "clock_condition"]

NOTICE = timedelta(days=30)
"""How long before its end a certificate is spoken of: new kits have to be made and carried to every site."""

_NEW_KIT = "Ask the coordinator for a new kit."


@dataclass(frozen=True)
class Papers:
    """Files with which the owner of a kit shows who they are: certificate, its private key, and the study's root."""

    certificate: Path
    key: Path
    root: Path


def certificate_conditions(papers: Papers, owner: str, now: datetime) -> Iterator[Condition]:
    """Look at the certificate of a kit, its private key, and the root that both sides trust.

    Args:
        papers: the files.
        owner: whom the certificate has to name.
        now: with a time zone.
    """
    read = {"certificate": papers.certificate, "root certificate": papers.root}
    found: dict[str, x509.Certificate] = {}
    for subject, path in read.items():
        try:
            found[subject] = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError):
            yield Condition(subject, "error", f"{path} can't be read as a certificate", "Unpack the kit again.")
            continue
        flaws = list(_validity(subject, found[subject], now))
        if subject == "certificate":
            flaws += _ownership(found[subject], owner)
        yield from flaws or [Condition(subject, "ok", f"valid until {found[subject].not_valid_after_utc:%Y-%m-%d}")]
    if len(found) == len(read):
        yield _signature(found["certificate"], found["root certificate"])
    yield from _key(papers.key, found.get("certificate"))


def _validity(subject: str, certificate: x509.Certificate, now: datetime) -> Iterator[Condition]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        said = f"not valid before {begin:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here"
        yield Condition(subject, "error", said, "Set this machine's clock right.")
    elif now >= end:
        yield Condition(subject, "error", f"expired on {end:%Y-%m-%d}", f"If the clock is right: {_NEW_KIT}")
    elif end - now < NOTICE:
        yield Condition(subject, "warning", f"expires on {end:%Y-%m-%d}, in {(end - now).days} days", _NEW_KIT)


def _ownership(certificate: x509.Certificate, owner: str) -> Iterator[Condition]:
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [owner]:
        said = f"it names {', '.join(names) or 'nobody'}; the kit is {owner}'s"
        yield Condition("certificate", "error", said, "Unpack the kit again, into an empty folder.")


def _signature(certificate: x509.Certificate, root: x509.Certificate) -> Condition:
    subject = "signature of the certificate"
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, TypeError, ValueError):
        said = "the certificate is not signed by the root in the kit"
        return Condition(subject, "error", said, "Don't mix files of two kits; unpack one into an empty folder.")
    return Condition(subject, "ok", "by the study's root")


def _key(path: Path, certificate: x509.Certificate | None) -> Iterator[Condition]:
    """Whether the key can be used, belongs to the certificate, and is seen by its owner alone."""
    subject = "private key"
    try:
        public = load_pem_private_key(path.read_bytes(), password=None).public_key()
        mode = path.stat().st_mode & 0o777
    except (OSError, ValueError, TypeError):
        yield Condition(subject, "error", f"{path} can't be read as a private key", "Unpack the kit again.")
        return
    flaws = []
    if certificate is not None and _bytes(public) != _bytes(certificate.public_key()):
        said = "it does not belong to the certificate"
        flaws.append(Condition(subject, "error", said, "Don't mix files of two kits; unpack one anew."))
    if os.name == "posix" and mode & 0o077:
        said = f"{path} can be read by others (mode {mode:o})"
        flaws.append(Condition(subject, "error", said, f"Run: chmod 600 '{path}'; ask for a new kit if others had it."))
    yield from flaws or [Condition(subject, "ok", "belongs to the certificate, and is its owner's alone")]


def _bytes(key: object) -> bytes:
    content: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return content


def clock_condition(now: datetime, earliest: datetime | None) -> Condition:
    """What can be known of the clock: it is wrong if something was signed later than now.

    TLS tells nobody the other side's time, so what differs from the coordinator's clock is for people to compare.

    Args:
        now: with a time zone.
        earliest: when something was last signed, by this machine or by the study's authority; None if nothing was.
    """
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if earliest is not None and now < earliest:
        late = f"{said}, but something was signed at {earliest:%Y-%m-%d %H:%M:%S} UTC"
        return Condition("clock", "error", late, "Set the clock right, and let it follow a time server (NTP).")
    return Condition("clock", "ok", f"{said}; the coordinator's is not known here", "Compare with `date -u` there.")
