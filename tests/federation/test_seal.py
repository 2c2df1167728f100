"""Seals: an answer counts for the site whose identity signed it, for one question, and for nobody else."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from tests.federation.passports import NOW, passports

from flame.errors import UpdateRejected
from flame.federation.seal import check_seal, make_seal
from flame.site.identity import Identity, make_identity

QUESTION, ANSWER = b"round 3", b"an update"
PASSPORTS = passports(["site-1", "site-2", "coordinator"])
AUTHORITY = PASSPORTS["site-1"].authority


@dataclass(frozen=True)
class Sealed:
    """A seal and what it was made for."""

    seal: bytes
    identity: Identity


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    identity = make_identity(tmp_path / "site-1")
    return Sealed(make_seal("site-1", identity, PASSPORTS["site-1"], QUESTION, ANSWER), identity)


def test_an_answer_counts_for_the_site_that_sealed_it(sealed: Sealed) -> None:
    check_seal(sealed.seal, "site-1", AUTHORITY, NOW, QUESTION, ANSWER)


@pytest.mark.parametrize(("question", "answer"), [(b"round 4", ANSWER), (QUESTION, b"another"), (ANSWER, QUESTION)])
def test_it_is_of_one_answer_to_one_question(sealed: Sealed, question: bytes, answer: bytes) -> None:
    with pytest.raises(UpdateRejected, match="did not sign this answer to this question"):
        check_seal(sealed.seal, "site-1", AUTHORITY, NOW, question, answer)


def test_nobody_speaks_for_another_site(sealed: Sealed, tmp_path: Path) -> None:
    with pytest.raises(UpdateRejected, match="'site-2' shows the certificate of somebody else"):
        check_seal(sealed.seal, "site-2", AUTHORITY, NOW, QUESTION, ANSWER)
    own = make_seal("site-2", make_identity(tmp_path / "site-2"), PASSPORTS["site-2"], QUESTION, ANSWER)
    with pytest.raises(UpdateRejected, match="'site-1' shows the certificate of somebody else"):
        check_seal(own, "site-1", AUTHORITY, NOW, QUESTION, ANSWER)
    parts = json.loads(own)
    mixed = json.dumps({**parts, "credential": json.loads(sealed.seal)["credential"]}).encode()
    with pytest.raises(UpdateRejected, match="did not sign this answer"):
        check_seal(mixed, "site-1", AUTHORITY, NOW, QUESTION, ANSWER)


def test_a_certificate_of_another_study_or_an_old_one_seals_nothing(sealed: Sealed) -> None:
    other = passports(["site-1"], authority="another study")["site-1"]
    foreign = make_seal("site-1", sealed.identity, other, QUESTION, ANSWER)
    with pytest.raises(UpdateRejected, match="has no certificate of this study"):
        check_seal(foreign, "site-1", AUTHORITY, NOW, QUESTION, ANSWER)
    with pytest.raises(UpdateRejected, match="valid until"):
        check_seal(sealed.seal, "site-1", AUTHORITY, NOW + timedelta(days=400), QUESTION, ANSWER)


@pytest.mark.parametrize("seal", [b"", b"{}", b"rubbish"])
def test_bytes_that_are_no_seal_are_refused(seal: bytes) -> None:
    with pytest.raises(UpdateRejected, match="no Seal"):
        check_seal(seal, "site-1", AUTHORITY, NOW, QUESTION, ANSWER)
