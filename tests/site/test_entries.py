"""Kinds of entries: each is read back as what it was, and none has room for a patient."""

import pytest
from pydantic import ValidationError

from flame.site.entries import Approved, Declined, Entry, PatientWithdrawn, Registered, Spent, Withdrawn, digest
from flame.site.ledger import BEGINNING, parse

SOME = digest(b"some")
AT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "event",
    [
        Registered(person="ada", public_key=SOME),
        PatientWithdrawn(keyed_digest=SOME, by="ada"),
        Approved(job=SOME, by="ada", record=SOME),
        Declined(job=SOME, by="this site's policy", reason="too many rounds"),
        Withdrawn(job=SOME, by="ada", record=SOME),
        Spent(job=SOME, round=3, occasion=SOME, noise_multiplier=1, sample_rate=0.4, steps=3),
    ],
)
def test_it_is_read_back_as_what_it_was(
    event: Registered | PatientWithdrawn | Approved | Declined | Withdrawn | Spent,
) -> None:
    entry = Entry(number=1, at=AT, what=event, previous=BEGINNING)
    assert parse(entry.line()) == entry
    assert f'"event":"{event.event}"'.encode() in entry.line()


def test_a_withdrawn_patient_has_room_for_a_digest_and_no_name() -> None:
    assert set(PatientWithdrawn.model_fields) == {"event", "keyed_digest", "by"}
    for wrong in ("P042", SOME[:-1], SOME.upper(), ""):
        with pytest.raises(ValidationError):
            PatientWithdrawn(keyed_digest=wrong, by="ada")
    with pytest.raises(ValidationError):
        PatientWithdrawn(keyed_digest=SOME, by="ada", patient="P042")
