"""Texts for systemd and Compose, read back by the programs that they are for where these are installed."""

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame.cli.service import compose, unit
from flame.errors import ConfigError
from flame.federation.nvflare.study import Kit, Person, Region, Site, Study

STUDY = Study(
    name="rt",
    address="flame.example.org",
    port=8443,
    sites=(Site(name="Site-1", organisation="h1"), Site(name="site-2", organisation="h2")),
    regions=(Region(name="north", organisation="n", address="n", port=9443, sites=("Site-1", "site-2")),),
    people=(Person(email="ada@c.org", organisation="c", role="coordinator_admin"),),
)


def make_kit(folder: Path, kind: str = "site", name: str = "Site-1") -> Path:
    kit = folder / "a kit $HOME %h é"
    kit.mkdir()
    content = Kit(kind=kind, name=name, organisation="h1", study=STUDY)  # type: ignore[arg-type]
    (kit / "kit.json").write_text(content.model_dump_json())
    if kind == "site":
        (kit / "flame.toml").write_text(f'data = "{folder}/data"\nwork = "{folder}/work"\n')
    return kit


def service_of(text: str, kind: str) -> dict[str, Any]:
    content = yaml.safe_load(text)
    assert set(content["services"]) == {kind}
    found: dict[str, Any] = content["services"][kind]
    return found


@pytest.mark.parametrize(("kind", "name"), [("site", "Site-1"), ("coordinator", "coordinator")])
def test_systemd_takes_the_unit_without_a_word(tmp_path: Path, kind: str, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    path = tmp_path / "flame.service"
    path.write_text(unit(make_kit(tmp_path, kind, name)))
    there = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    command = ["systemd-analyze", "verify", "--user", path]
    done = subprocess.run(command, env=there, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    path.write_text(path.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
    done = subprocess.run(command, env=there, capture_output=True, text=True, check=False, timeout=600)
    assert "ProtectSytem" in done.stderr  # it does look


def test_a_unit_may_write_to_its_own_folders_alone_and_gains_no_rights(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit(kit))
    service = parser["Service"]
    assert service["NoNewPrivileges"] == service["PrivateTmp"] == service["PrivateUsers"] == "true"
    assert (service["ProtectSystem"], service["ProtectHome"]) == ("strict", "read-only")
    assert service["Restart"] == "on-failure"
    assert "User" not in service
    written = [path.replace("%%", "%") for path in shlex.split(service["ReadWritePaths"])]
    assert written == [str(kit), f"{tmp_path}/work"]
    line = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(service["ExecStart"])]
    assert line == [sys.executable, "-P", "-m", "flame", "site", "start", str(kit)]


def test_a_site_in_compose_opens_no_port_has_no_rights_and_can_not_change_its_data(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    text = compose(kit, tmp_path / "bundle")
    site = service_of(text, "site")
    assert not {"ports", "expose", "network_mode", "privileged", "cap_add", "devices"} & set(site)
    assert site["read_only"] is True
    assert site["cap_drop"] == ["ALL"]
    assert site["security_opt"] == ["no-new-privileges:true"]
    user, group = map(int, site["user"].split(":"))
    assert user > 0
    assert group > 0
    mounts = {mount["source"].replace("$$", "$"): mount for mount in site["volumes"]}
    assert all(mount["target"] == mount["source"] for mount in mounts.values())  # flame.toml names them
    changed = {path for path, mount in mounts.items() if not mount["read_only"]}
    assert changed == {str(kit), f"{tmp_path}/work"}
    assert mounts[f"{tmp_path}/data"]["read_only"] is True
    assert site["command"][1:3] == ["site", "start"]
    assert yaml.safe_load(text)["name"] == "flame-site-1"


def test_the_image_is_made_of_the_bundle_without_a_network(tmp_path: Path) -> None:
    build = service_of(compose(make_kit(tmp_path), tmp_path / "bundle"), "site")["build"]
    assert build["context"] == str(tmp_path / "bundle")
    assert build["network"] == "none"
    first, second = build["dockerfile_inline"].strip().splitlines()
    assert first == f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim"  # the wheels are for this one
    assert "/bundle/install.sh /opt/flame" in second


def test_a_coordinator_in_compose_opens_its_one_port(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, "coordinator", "coordinator")
    coordinator = service_of(compose(kit, tmp_path), "coordinator")
    assert coordinator["ports"] == ["8443:8443"]
    assert [mount["read_only"] for mount in coordinator["volumes"]] == [False]


def test_of_a_region_the_relay_alone_opens_a_port_and_both_start_as_coordinators(tmp_path: Path) -> None:
    for kind, ports in (("region", None), ("relay", ["9443:9443"])):
        (tmp_path / kind).mkdir()
        kit = make_kit(tmp_path / kind, kind, "north" if kind == "region" else "north-relay")
        service = service_of(compose(kit, tmp_path), kind)
        assert service.get("ports") == ports
        assert service["command"][1:3] == ["coordinator", "start"]


def test_who_owns_the_kit_runs_the_container_unless_it_is_root(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    if os.geteuid() != 0:
        assert service_of(compose(kit, tmp_path), "site")["user"] == f"{os.geteuid()}:{os.getegid()}"
        return
    assert service_of(compose(kit, tmp_path), "site")["user"] == "10001:10001"
    os.chown(kit, 1234, 1235)
    assert service_of(compose(kit, tmp_path), "site")["user"] == "1234:1235"


def test_kits_that_do_not_run_get_no_text(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    (kit / "flame.toml").write_text(f'data = "{tmp_path}/da\\nUser=root"\nwork = "{tmp_path}"\n')
    with pytest.raises(ConfigError, match="can't be written"):
        unit(kit)
    (kit / "flame.toml").unlink()
    with pytest.raises(ConfigError, match="not been enrolled"):
        compose(kit, tmp_path)
    shutil.rmtree(kit)
    with pytest.raises(ConfigError, match="kit of a person"):
        unit(make_kit(tmp_path, "person"))
