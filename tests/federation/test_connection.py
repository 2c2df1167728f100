"""The line to the coordinator, tried against real listeners on the loopback."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.federation.papers import NOW, Authority, held_port, listening, plain

from flame.federation.certificates import Papers
from flame.federation.connection import QUIET_S, port_condition, reach
from flame.federation.doctor import Condition


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def site(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return authority.issue(tmp_path_factory.mktemp("site") / "kit", "site-1")


@pytest.fixture
def coordinator(authority: Authority, tmp_path: Path) -> Papers:
    return authority.issue(tmp_path / "coordinator", "coordinator")


@pytest.fixture
def free_port() -> Iterator[int]:
    with held_port() as port:
        yield port


def tried(
    port: int, papers: Papers, address: str = "127.0.0.1", timeout_s: float = 60.0, quiet_s: float = QUIET_S
) -> list[Condition]:
    return list(reach(address, port, papers, "coordinator", timeout_s, quiet_s))


def test_a_coordinator_of_the_same_study_is_reached(site: Papers, coordinator: Papers) -> None:
    with listening(coordinator) as port:
        found = tried(port, site)
    assert [one.state for one in found] == ["ok", "ok"]
    assert "the other side is coordinator" in found[1].found


def test_a_closed_port_and_an_unknown_name_are_told_apart(site: Papers, free_port: int) -> None:
    (closed,) = tried(free_port, site)
    assert (closed.state, "connection refused" in closed.found) == ("error", True)
    (unknown,) = tried(free_port, site, "coordinator.invalid")
    assert unknown.state == "error"
    assert "name is not known" in unknown.what_to_do


def test_a_site_of_another_study_is_refused_by_the_coordinator(coordinator: Papers, tmp_path: Path) -> None:
    """It trusts the coordinator's root, but its own certificate is of another: TLS 1.3 says so after the handshake."""
    stranger = Authority("other").issue(tmp_path / "stranger", "site-1")
    stranger.root.write_bytes(coordinator.root.read_bytes())
    with listening(coordinator) as port:
        _, found = tried(port, stranger, quiet_s=60.0)
    assert found.state == "error"
    assert "refused" in found.found


def test_an_expired_site_is_refused_by_the_coordinator(
    authority: Authority, coordinator: Papers, tmp_path: Path
) -> None:
    days = timedelta(days=1)
    late = authority.issue(tmp_path / "late", "site-1", NOW - 100 * days, NOW - days)
    with listening(coordinator) as port:
        _, found = tried(port, late, quiet_s=60.0)
    assert found.state == "error"
    assert "EXPIRED" in found.found.upper()


def test_a_coordinator_of_another_root_or_one_that_expired_is_not_trusted(
    site: Papers, authority: Authority, tmp_path: Path
) -> None:
    days = timedelta(days=1)
    other = Authority("other").issue(tmp_path / "other", "coordinator")
    late = authority.issue(tmp_path / "late", "coordinator", NOW - 100 * days, NOW - days)
    for papers in (other, late):
        with listening(papers) as port:
            _, found = tried(port, site)
        assert found.state == "error"
        assert "does not hold" in found.found


def test_somebody_else_of_the_same_study_is_not_the_coordinator(
    site: Papers, authority: Authority, tmp_path: Path
) -> None:
    with listening(authority.issue(tmp_path / "second", "site-2")) as port:
        _, found = tried(port, site)
    assert (found.state, found.found) == ("error", "the other side is site-2, not coordinator")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_what_speaks_no_tls_is_an_error_and_no_crash(site: Papers, answer: bytes | None) -> None:
    with plain(answer) as port:
        first, second = tried(port, site, timeout_s=60.0 if answer is not None else 1.0)
    assert (first.state, second.state) == ("ok", "error")


def test_a_key_that_does_not_fit_is_an_error_and_no_crash(
    site: Papers, coordinator: Papers, authority: Authority, tmp_path: Path
) -> None:
    mixed = Papers(site.certificate, authority.issue(tmp_path / "second", "site-2").key, site.root)
    with listening(coordinator) as port:
        _, found = tried(port, mixed)
    assert found.state == "error"


def test_a_coordinators_port_is_free_its_own_or_anothers(
    coordinator: Papers, authority: Authority, tmp_path: Path, free_port: int
) -> None:
    assert port_condition(free_port, coordinator).state == "ok"
    with listening(coordinator) as port:
        own = port_condition(port, coordinator)
    assert (own.state, "this coordinator" in own.found) == ("ok", True)
    with listening(authority.issue(tmp_path / "second", "coordinator")) as port:
        assert port_condition(port, coordinator).state == "error"
    with plain(b"hello") as port:
        assert port_condition(port, coordinator).state == "error"
