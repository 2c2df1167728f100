"""Studies and kits: what may be said, and what a wrong kit is told."""

import json
from pathlib import Path

import pytest
from tests.records.sites import make_site

from flame.errors import ConfigError, DataError
from flame.federation.nvflare.start import command
from flame.federation.nvflare.study import Kit, Study, enrol, read_folders, read_kit, read_study
from flame.records.dataset import write_site

TEXT = """
name = "rt"
address = "flame.example.org"
sites = [{ name = "site-1", organisation = "h1" }, { name = "site-2", organisation = "h2" }]
people = [{ email = "ada@c.org", organisation = "c", role = "coordinator_admin" }]
"""


def study(tmp_path: Path, text: str = TEXT) -> Study:
    (tmp_path / "study.toml").write_text(text)
    return read_study(tmp_path / "study.toml")


def kit(tmp_path: Path, kind: str = "site") -> Path:
    folder = tmp_path / "kit"
    folder.mkdir()
    content = Kit(kind=kind, name="site-1", organisation="h1", study=study(tmp_path))  # type: ignore[arg-type]
    (folder / "kit.json").write_text(content.model_dump_json())
    return folder


def test_a_study_is_read(tmp_path: Path) -> None:
    found = study(tmp_path)
    assert found.port == 8443
    assert [site.name for site in found.sites] == ["site-1", "site-2"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"site-2"', '"site-1"', "'site-1' is there twice"),
        ('"site-2"', '"coordinator"', "'coordinator' can't be the name of a site"),
        ("coordinator_admin", "researcher", "nobody has the role coordinator_admin"),
        ("coordinator_admin", "king", "role"),
        ('"site-2"', '"site 2"', "sites.1.name"),
        ("flame.example.org", "flame example", "address"),
        (', { name = "site-2", organisation = "h2" }', "", "sites"),
    ],
)
def test_a_study_that_can_not_be_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(tmp_path, TEXT.replace(old, new))


REGION = '[[regions]]\nname = "north"\norganisation = "n"\naddress = "n.example.org"\nsites = '


def test_sites_of_a_region_connect_to_it_and_others_to_the_coordinator(tmp_path: Path) -> None:
    found = study(tmp_path, TEXT + REGION + '["site-2", "site-1"]\n')
    assert found.entrance("site-1") == found.entrance("north") == ("north-relay", "n.example.org", 8443)
    assert found.entrance("north-relay") == ("coordinator", "flame.example.org", 8443)
    assert study(tmp_path).entrance("site-1") == ("coordinator", "flame.example.org", 8443)
    assert found.members(["site-1"]) == {"north": ("site-1",)}
    assert found.members([]) == study(tmp_path).members(["site-1"]) == {}


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ('["site-1"]', "don't hold every site once: 'site-2'"),
        ('["site-1", "site-2", "site-2"]', "don't hold every site once: 'site-2'"),
        ('["site-1", "site-2", "site-3"]', "don't hold every site once: 'site-3'"),
        ("[]", "regions.0.sites"),
    ],
)
def test_regions_hold_every_site_once(tmp_path: Path, sites: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(tmp_path, TEXT + REGION + sites + "\n")


@pytest.mark.parametrize("name", ["site-1", "coordinator"])
def test_a_region_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        study(tmp_path, TEXT + REGION.replace("north", name) + '["site-1", "site-2"]\n')


def test_a_folder_that_is_no_kit_and_one_that_is_damaged_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no start-up kit"):
        read_kit(tmp_path)
    (tmp_path / "kit.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        read_kit(tmp_path)


def test_a_kit_of_an_older_flame_names_no_versions_and_is_read(tmp_path: Path) -> None:
    folder = kit(tmp_path)
    content = json.loads((folder / "kit.json").read_text())
    del content["versions"]
    (folder / "kit.json").write_text(json.dumps(content))
    assert read_kit(folder).versions == {}


def test_a_site_enrols_with_its_folders_and_is_then_ready_to_start(tmp_path: Path) -> None:
    folder, data, work = kit(tmp_path), tmp_path / 'a "b" é', tmp_path / "work"
    with pytest.raises(ConfigError, match="has not been enrolled"):
        command(folder)
    with pytest.raises(DataError):
        enrol(folder, data, work)
    assert not (folder / "flame.toml").exists()
    write_site(make_site(data))
    enrol(folder, data, work)
    found = read_folders(folder)
    assert (found.data, found.work) == (data, work)
    assert work.is_dir()
    line = command(folder)
    assert "uid=site-1" in line
    assert str(folder) in line


@pytest.mark.parametrize("kind", ["coordinator", "person"])
def test_only_a_site_enrols(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"kit of a {kind}"):
        enrol(kit(tmp_path, kind), tmp_path, tmp_path)


def test_a_person_has_nothing_to_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to start"):
        command(kit(tmp_path, "person"))
