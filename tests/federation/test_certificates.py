"""A kit's certificate, key and root: each flaw is found by itself, in files that really have it."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.federation.papers import NOW, Authority

from flame.federation.certificates import NOTICE, Papers, certificate_conditions, clock_condition
from flame.federation.doctor import Condition

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def flaws(papers: Papers, owner: str = "site-1", days: float = 0) -> list[Condition]:
    return [one for one in certificate_conditions(papers, owner, NOW + days * DAY) if one.state != "ok"]


def test_a_good_kit_has_no_flaw_and_four_things_are_said_of_it(authority: Authority, tmp_path: Path) -> None:
    papers = authority.issue(tmp_path / "kit", "site-1")
    found = list(certificate_conditions(papers, "site-1", NOW))
    assert [one.state for one in found] == ["ok"] * 4
    assert len({one.subject for one in found}) == 4


@pytest.mark.parametrize(
    ("begin", "end", "state", "words"),
    [
        (-100, -1, "error", "expired on"),
        (1, 100, "error", "not valid before"),
        (-100, NOTICE.days - 1, "warning", f"in {NOTICE.days - 1} days"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(
    authority: Authority, tmp_path: Path, begin: int, end: int, state: str, words: str
) -> None:
    (flaw,) = flaws(authority.issue(tmp_path / "kit", "site-1", NOW + begin * DAY, NOW + end * DAY))
    assert (flaw.subject, flaw.state) == ("certificate", state)
    assert words in flaw.found


def test_the_bounds_belong_to_the_side_that_is_safe(authority: Authority, tmp_path: Path) -> None:
    papers = authority.issue(tmp_path / "kit", "site-1", NOW, NOW + 100 * DAY)
    assert not flaws(papers)
    assert not flaws(papers, days=100 - NOTICE.days)
    assert [one.state for one in flaws(papers, days=100 - NOTICE.days + 0.01)] == ["warning"]
    assert [one.state for one in flaws(papers, days=100)] == ["error"]


def test_a_certificate_of_another_authority_of_the_same_name_is_told(authority: Authority, tmp_path: Path) -> None:
    papers = authority.issue(tmp_path / "kit", "site-1")
    other = Authority(authority.name).issue(tmp_path / "other", "site-1")
    papers.root.write_bytes(other.root.read_bytes())
    (flaw,) = flaws(papers)
    assert (flaw.subject, flaw.state) == ("signature of the certificate", "error")


def test_anothers_certificate_or_key_is_told(authority: Authority, tmp_path: Path) -> None:
    papers = authority.issue(tmp_path / "kit", "site-2")
    assert ["names site-2" in flaw.found for flaw in flaws(papers, "site-1")] == [True]
    papers.key.write_bytes(authority.issue(tmp_path / "other", "site-2").key.read_bytes())
    (flaw,) = flaws(papers, "site-2")
    assert (flaw.subject, flaw.found) == ("private key", "it does not belong to the certificate")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644])
def test_a_key_that_others_can_read_is_told(authority: Authority, tmp_path: Path, mode: int) -> None:
    papers = authority.issue(tmp_path / "kit", "site-1")
    papers.key.chmod(mode)
    (flaw,) = flaws(papers)
    assert flaw.state == "error"
    assert f"mode {mode:o}" in flaw.found
    assert f"chmod 600 '{papers.key}'" in flaw.what_to_do


def test_files_that_are_missing_damaged_or_locked_are_errors_and_no_crash(authority: Authority, tmp_path: Path) -> None:
    papers = authority.issue(tmp_path / "kit", "site-1")
    key = serialization.load_pem_private_key(papers.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    papers.key.write_bytes(locked)
    assert [one.subject for one in flaws(papers)] == ["private key"]
    papers.key.unlink()
    papers.certificate.write_bytes(papers.certificate.read_bytes()[:200])
    papers.root.write_text("")
    assert [one.subject for one in flaws(papers)] == ["certificate", "root certificate", "private key"]


def test_a_clock_before_the_last_signature_is_wrong_and_the_others_clock_is_not_made_up() -> None:
    assert clock_condition(NOW, NOW + DAY).state == "error"
    for earliest in (None, NOW, NOW - DAY):
        found = clock_condition(NOW, earliest)
        assert found.state == "ok"
        assert "coordinator's is not known" in found.found
