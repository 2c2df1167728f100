"""Kits as the engine makes them, looked at before they run, and a listener with the coordinator's own certificate."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.federation.nvflare.test_provision import IN_REGIONS
from tests.federation.papers import held_port, listening
from tests.records.sites import make_site
from tests.site.consents import Hospital

from flame.errors import ConfigError
from flame.federation.doctor import Condition
from flame.federation.nvflare.checkup import examine_kit, kit_papers
from flame.federation.nvflare.provision import provision
from flame.federation.nvflare.study import Person, Region, Site, Study, enrol, read_kit
from flame.records.dataset import write_site

POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'
SOON = timedelta(minutes=1)
"""The engine's certificates begin at the second in which they are made."""


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with held_port() as port:
        study = Study(
            name="rt",
            address="127.0.0.1",
            port=port,
            sites=(Site(name="site-1", organisation="h1"), Site(name="site-2", organisation="h2")),
            people=(Person(email="ada@c.org", organisation="c", role="coordinator_admin"),),
        )
        yield provision(study, tmp_path_factory.mktemp("study"))


@pytest.fixture
def port(kits: dict[str, Path]) -> int:
    return read_kit(kits["coordinator"]).study.port


@pytest.fixture
def enrolled(kits: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a site's kit with data, rules and people."""
    kit = Path(shutil.copytree(kits["site-1"], tmp_path / "kit"))
    write_site(make_site(tmp_path / "data"))
    hospital = Hospital(tmp_path, offered=False)
    (hospital.folder / "policy.toml").write_text(POLICY)
    enrol(kit, tmp_path / "data", hospital.folder)
    return kit


def look(kit: Path, now: datetime | None = None) -> dict[str, Condition]:
    return {one.subject: one for one in examine_kit(kit, now or datetime.now(UTC) + SOON)}


def errors(found: dict[str, Condition]) -> list[str]:
    return [subject for subject, one in found.items() if one.state == "error"]


def test_a_site_with_everything_in_its_place_has_no_error(kits: dict[str, Path], enrolled: Path, port: int) -> None:
    with listening(kit_papers(kits["coordinator"]), port):
        found = look(enrolled)
    assert not errors(found), found
    assert found["TLS with the coordinator"].found.endswith("the other side is coordinator")
    assert found["people who may decide"].found == "ada, grace"
    assert found["data"].found.startswith("2 patients, 0 errors")
    assert found["one batch, rehearsed"].state == "ok"
    assert not any("001" in one.found or "001" in one.what_to_do for one in found.values())


def test_a_site_that_was_not_enrolled_is_told_so_and_looked_at_as_far_as_it_goes(kits: dict[str, Path]) -> None:
    found = look(kits["site-2"])
    assert errors(found) == ["coordinator's port", "enrolment"]
    assert "flame site enrol" in found["enrolment"].what_to_do
    assert "data" not in found


def test_each_thing_that_is_wrong_is_found(kits: dict[str, Path], enrolled: Path, port: int, tmp_path: Path) -> None:
    (enrolled / "startup" / "client.key").chmod(0o644)
    (tmp_path / "site" / "policy.toml").unlink()
    shutil.rmtree(tmp_path / "site" / "people")
    with listening(kit_papers(kits["coordinator"]), port):
        assert errors(look(enrolled)) == ["private key", "people who may decide", "policy"]


def test_a_kit_with_anothers_files_is_told(kits: dict[str, Path], tmp_path: Path) -> None:
    kit = Path(shutil.copytree(kits["site-1"], tmp_path / "kit"))
    shutil.copy(kits["site-2"] / "startup" / "client.key", kit / "startup")
    assert "private key" in errors(look(kit))
    shutil.copy(kits["site-2"] / "startup" / "client.crt", kit / "startup")
    assert "certificate" in errors(look(kit))


def test_a_year_later_the_certificate_has_expired_and_a_day_before_the_clock_was_wrong(kits: dict[str, Path]) -> None:
    now = datetime.now(UTC)
    assert "certificate" in errors(look(kits["coordinator"], now + timedelta(days=400)))
    assert {"certificate", "clock"} < set(errors(look(kits["coordinator"], now - timedelta(days=1))))


def test_a_coordinator_is_ready_before_it_runs_and_while_it_runs(kits: dict[str, Path], port: int) -> None:
    kit = kits["coordinator"]
    found = look(kit)
    assert not errors(found), found
    assert found["own port"].found == f"{port} is free"
    with listening(kit_papers(kit), port):
        found = look(kit)
    assert not errors(found)
    assert "it runs" in found["own port"].found
    with listening(kit_papers(kits["site-1"]), port):
        assert errors(look(kit)) == ["own port"]


def test_a_persons_kit_has_nothing_to_look_at(kits: dict[str, Path], tmp_path: Path) -> None:
    for folder, words in ((kits["ada@c.org"], "kit of a person"), (tmp_path, "no start-up kit")):
        with pytest.raises(ConfigError, match=words):
            look(folder)


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    with held_port() as one, held_port() as other:
        yield one, other


def test_in_a_region_a_site_tries_its_relay_and_the_relay_the_coordinator(
    ports: tuple[int, int], tmp_path: Path
) -> None:
    north = Region(name="north", organisation="n", address="127.0.0.1", port=ports[1], sites=("site-1", "site-2"))
    study = IN_REGIONS.model_copy(update={"sites": IN_REGIONS.sites[:2], "regions": (north,), "port": ports[0]})
    made = provision(study, tmp_path / "study")
    relay = kit_papers(made["north-relay"])
    with listening(kit_papers(made["coordinator"]), ports[0]):
        found = look(made["north-relay"])
    assert not errors(found), found
    assert found["own port"].found == f"{ports[1]} is free"
    assert found["TLS with the coordinator"].found.endswith("the other side is coordinator")
    with listening(relay, ports[1]):
        region, site = look(made["north"]), look(made["site-1"])
    assert not errors(region), region
    assert errors(site) == ["enrolment"]
    for one in (region, site):
        assert one["TLS with the coordinator"].found.endswith("the other side is north-relay")
