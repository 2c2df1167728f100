"""From a study to start-up kits: certificates of one authority, and settings that let in no code from outside."""

import contextlib
import io
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from flame.errors import ConfigError
from flame.federation.doctor import installed_versions
from flame.federation.nvflare.study import COORDINATOR, Kind, Kit, Region, Role, Study
from flame.files import read_json, write_json, write_text

__all__ = ["provision"]

_ROLES: Mapping[Role, str] = {
    "coordinator_admin": "project_admin",
    "site_admin": "org_admin",
    "researcher": "lead",
    "auditor": "member",
}
"""Our roles as the engine calls them."""

_STREAMING = {
    "streaming_window_size": 2097152,
    "streaming_chunk_size": 262144,
    "streaming_ack_interval": 524288,
    "streaming_reliable": True,
    "streaming_retry_wait": 10,
    "streaming_retry_timeout": 600,
    "streaming_read_timeout": 20,
}
"""For lines of 20 Mbit/s; the engine's own values are for 25 Gbit/s, and a model of 80 MB never arrives with them.

Lines are cut as well: what was lost on its way to the coordinator is sent again after the retry's wait, and what stops
coming is given up after the read's, and asked for again.
"""

_PATIENCE_S = 20.0
"""How long a site waits for a message of which nothing more comes, before it asks again [s]."""

_HEARTBEAT_S = 120

_LAUNCHER = "flame.federation.nvflare.launcher.TolerantLauncher"

_CLASSES = {
    "coordinator": "flame.federation.nvflare.controller.RoundController",
    "region": "flame.federation.nvflare.region.RegionExecutor",
    "site": "flame.federation.nvflare.executor.SiteExecutor",
}
"""All that a job may name. The engine calls whatever it finds under a name, so a package would be too much: with
`flame.` alone a job could run the command line, and approve itself."""


def provision(study: Study, out: Path) -> dict[str, Path]:
    """Make the kits of a study, each a folder below `out/kits`, and keep the authority's key in `out/authority`.

    Whoever holds `out/authority` can make new identities: it stays with the coordinator's administrator.

    Returns: owner's name -> folder of the kit.
    Raises: ConfigError: if `out` holds kits already.
    """
    if (out / "kits").exists():
        raise ConfigError(f"{out} holds kits already", "Choose another folder, or hand out those.")
    description = _description(study)
    project = prepare_project(description)
    workspace = out / "authority"
    workspace.mkdir(parents=True, exist_ok=True)
    workspace.chmod(0o700)
    with _quiet():
        context = Provisioner(str(workspace), prepare_builders(description)).provision(project)
    made = Path(context["current_prod_dir"])
    kits = {kit.name: kit for kit in _kits(study)}
    partial = out / ".partial.kits"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, kit in kits.items():
        shutil.move(made / name, partial / name)
        _finish(partial / name, kit)
    partial.rename(out / "kits")
    return {name: out / "kits" / name for name in kits}


def _kits(study: Study) -> list[Kit]:
    owners: list[tuple[Kind, str, str]] = [
        ("coordinator", COORDINATOR, study.organisation),
        *(("relay", one.relay, one.organisation) for one in study.regions),
        *(("region", one.name, one.organisation) for one in study.regions),
        *(("site", one.name, one.organisation) for one in study.sites),
        *(("person", one.email, one.organisation) for one in study.people),
    ]
    versions = installed_versions()
    return [
        Kit(kind=kind, name=name, organisation=organisation, study=study, versions=versions)
        for kind, name, organisation in owners
    ]


def _description(study: Study) -> dict[str, Any]:
    """The study as the engine's project file describes one."""
    coordinator = {
        "name": COORDINATOR,
        "type": "server",
        "org": study.organisation,
        "fed_learn_port": study.port,
        "admin_port": study.port,
        "default_host": study.address,
        "host_names": [study.address],
    }
    sites = [
        {"name": one.name, "type": "client", "org": one.organisation, **_way_up(study.region_of(one.name))}
        for one in study.sites
    ]
    people = [
        {"name": one.email, "type": "admin", "org": one.organisation, "role": _ROLES[one.role]} for one in study.people
    ]
    return {
        "api_version": 3,
        "name": study.name,
        "description": study.name,
        "participants": [coordinator, *_region_ends(study), *sites, *people],
        "builders": [
            {
                "path": "nvflare.lighter.impl.workspace.WorkspaceBuilder",
                "args": {"template_file": ["master_template.yml"]},
            },
            {
                "path": "nvflare.lighter.impl.static_file.StaticFileBuilder",
                "args": {"config_folder": "config", "scheme": "tcp", "require_signed_jobs": True},
            },
            {"path": "nvflare.lighter.impl.cert.CertBuilder", "args": {"root_valid_days": 3650}},
            {"path": "nvflare.lighter.impl.signature.SignatureBuilder"},
        ],
    }


def _way_up(region: Region | None) -> dict[str, Any]:
    """To whom a site connects, and from whom it takes questions."""
    return {} if region is None else {"connect_to": {"name": region.relay}, "parent": region.name}


def _region_ends(study: Study) -> Iterator[dict[str, Any]]:
    """Each region's end of its sites' connections, and its coordinator, which is reached through that too."""
    for one in study.regions:
        listens = {"scheme": "tcp", "default_host": one.address, "port": one.port, "connection_security": "mtls"}
        up = {"name": COORDINATOR, "connection_security": "mtls"}
        yield {
            "name": one.relay,
            "type": "relay",
            "org": one.organisation,
            "listening_host": listens,
            "connect_to": up,
        }
        yield {"name": one.name, "type": "client", "org": one.organisation, "connect_to": {"name": one.relay}}


def _finish(folder: Path, kit: Kit) -> None:
    """Write who the kit belongs to, and settings in the place of the engine's own."""
    write_text(folder / "kit.json", kit.model_dump_json(indent=1) + "\n")
    for secret in folder.glob("startup/*.key"):
        secret.chmod(0o600)
    if kit.kind == "person":
        return
    _tune(folder)
    if kit.kind == "relay":
        return
    local = folder / "local"
    resources = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
    write_json(local / "resources.json", _hardened(resources, kit))
    permissions = json.loads((local / "authorization.json.default").read_text(encoding="utf-8"))
    write_json(local / "authorization.json", _authorised(permissions))


def _tune(folder: Path) -> None:
    """Add the settings for lines to what the engine wrote about connections, if it wrote anything."""
    path = folder / "local" / "comm_config.json"
    write_json(path, {**(read_json(path) if path.exists() else {}), **_STREAMING})


def _hardened(resources: dict[str, Any], kit: Kit) -> dict[str, Any]:
    """One class of the installed FLAME only, one job at a time, and no log of a site's for anybody else."""
    components = [one for one in resources["components"] if one["id"] != "site_log_streamer"]
    changed = {
        **resources,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": [_CLASSES[kit.kind]],
        "allow_log_streaming": False,
        "components": components,
    }
    if kit.kind != "coordinator":
        next(one for one in components if one["id"] == "process_launcher")["path"] = _LAUNCHER
        changed["client"] = {**resources["client"], "communication_timeout": _PATIENCE_S}
    else:
        changed["servers"] = [
            {**resources["servers"][0], "heart_beat_timeout": _HEARTBEAT_S},
            *resources["servers"][1:],
        ]
        next(one for one in components if one["id"] == "job_scheduler")["args"]["max_jobs"] = 1
    return changed


def _authorised(authorization: dict[str, Any]) -> dict[str, Any]:
    """Nobody brings code or opens a shell anywhere; who hands jobs in looks after those alone."""
    rights = ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "app_command")
    nothing = {"shell_commands": "none", "byoc": "none"}
    permissions = authorization["permissions"]
    return {
        **authorization,
        "permissions": {
            "project_admin": {**dict.fromkeys(rights, "any"), **nothing},
            "org_admin": {**permissions["org_admin"], **nothing},
            "lead": {**permissions["lead"], **nothing, "operate": "none", "app_command": "n:submitter"},
            "member": {"view": "any"},
        },
    }


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the engine's own chatter off the screen."""
    with contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.INFO)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
