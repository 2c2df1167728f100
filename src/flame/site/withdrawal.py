"""Patients who take no part any more: a list that stays at the site, and entries that name nobody in its ledger.

    withdrawn/secret            32 random bytes, mode 600
    withdrawn/<digest>.json     one signed record for each patient, under the keyed digest of the id

The secret comes first, then the record, then the entry. A patient counts as withdrawn from the record on, whoever
signed it: in doubt a patient is left out. After a kill the next `withdraw_patient` writes the entry from the record;
from an entry no record could be written, since it does not say whom it is about. There is no way back in.
"""

import hmac
import os
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from flame.errors import ConfigError, PolicyError
from flame.files import replacing
from flame.site.entries import Event, PatientWithdrawn
from flame.site.history import recorded
from flame.site.ledger import Ledger
from flame.site.people import Person, SignedRecord, enter, key_of, read_record, refuse_unsigned, signed

__all__ = ["PatientWithdrawal", "put_patients_right", "withdraw_patient", "withdrawn_patients"]

_ID = re.compile(r"[A-Za-z0-9]+")
_RECORD = re.compile(r"[0-9a-f]{64}\.json")


class PatientWithdrawal(SignedRecord):
    """A person of the site takes a patient out, under the site's own pseudonymous id."""

    form: Literal["flame-patient-withdrawal/1"] = "flame-patient-withdrawal/1"
    patient: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+$")]


def _utc() -> datetime:
    return datetime.now(UTC)


def withdraw_patient(
    folder: Path, ledger: Ledger, patient: str, person: Person, now: Callable[[], datetime] = _utc
) -> None:
    """Exclude a patient from the next round on, in all jobs; the same patient once more changes nothing.

    Args:
        folder: of the site.
        ledger: of the site, open; it gets a keyed digest of the id, never the id.
        patient: the site's own pseudonymous id, as `withdrawn_patients` is to give it back.
        person: who decides.
        now: the clock, UTC.

    Raises:
        ConfigError: if the id is not made of letters and digits; the message does not hold it.
        PolicyError: if the person is not registered here or signs with another key, or the list was changed; nothing
            was written.
        EngineError: if the disk is full; nobody was withdrawn.
    """
    if not _ID.fullmatch(patient):
        raise ConfigError(
            "This is not the id of a patient: it must be letters and digits", "Leave out `sub-` and any spaces."
        )
    events = recorded(folder)
    key_of(folder, person.name, events)
    record = signed(PatientWithdrawal(by=person.name, at=now(), patient=patient), person)
    refuse_unsigned(folder, record, events)
    put_patients_right(folder, ledger)
    found = _records(folder, events)
    keyed = _keyed_digest(_secret(folder, make=True), patient)
    if keyed in found:
        return
    path = folder / "withdrawn" / f"{keyed}.json"
    _write_private(path, record.content())
    enter(ledger, PatientWithdrawn(keyed_digest=keyed, by=person.name), path)


def withdrawn_patients(folder: Path) -> frozenset[str]:
    """Ids of the patients who take no part, as they are on file at this moment.

    Raises: PolicyError: if a record was changed, or one that the ledger knows is missing, or the ledger was changed:
        then nobody can say who is to be left out, and nothing may be trained.
    """
    return frozenset(record.patient for record in _records(folder, recorded(folder)).values())


def put_patients_right(folder: Path, ledger: Ledger) -> None:
    """Write the ledger entries that a kill has left out.

    Raises:
        PolicyError: if the list was changed.
        EngineError: if the disk is full.
    """
    events = recorded(folder)
    known = _entered(events)
    for keyed, record in _records(folder, events).items():
        if keyed in known:
            continue
        try:
            refuse_unsigned(folder, record, events)
        except PolicyError:
            continue  # the patient stays out, but the ledger must not say that this person decided it
        ledger.append(PatientWithdrawn(keyed_digest=keyed, by=record.by))


def _records(folder: Path, events: Sequence[Event]) -> dict[str, PatientWithdrawal]:
    """Every record by its keyed digest; refuses a list that was changed."""
    paths = sorted(path for path in (folder / "withdrawn").glob("*.json") if _RECORD.fullmatch(path.name))
    secret = _secret(folder, make=False) if paths else b""
    found: dict[str, PatientWithdrawal] = {}
    for path in paths:
        record = read_record(path, PatientWithdrawal)
        if record is None or not hmac.compare_digest(_keyed_digest(secret, record.patient), path.stem):
            raise _changed(folder, f"the record {path.stem[:8]} is not as it was written")
        found[path.stem] = record
    missing = _entered(events) - found.keys()
    if missing:
        raise _changed(folder, f"{len(missing)} records are missing that the ledger knows")
    return found


def _entered(events: Sequence[Event]) -> frozenset[str]:
    return frozenset(event.keyed_digest for event in events if isinstance(event, PatientWithdrawn))


def _keyed_digest(secret: bytes, patient: str) -> str:
    return hmac.new(secret, patient.encode(), "sha256").hexdigest()


def _secret(folder: Path, make: bool) -> bytes:
    """The site's secret, 32 bytes; `make` draws one if there is none, where no list needs the old one."""
    path = folder / "withdrawn" / "secret"
    if not path.exists() and make:
        _write_private(path, secrets.token_bytes(32))
    content = path.read_bytes() if path.exists() else b""
    if len(content) != 32:
        raise _changed(folder, "its secret is missing or damaged")
    return content


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else on the machine may read, atomically, at no moment readable by others."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _changed(folder: Path, what: str) -> PolicyError:
    return PolicyError(
        f"The list of withdrawn patients in {folder / 'withdrawn'} was changed: {what}",
        "Restore the folder from a copy; nothing is trained until then.",
    )
