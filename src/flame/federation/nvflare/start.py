"""How a kit's process is started: the engine's own module, in the kit's folder, with the Python that FLAME runs in."""

import sys
from pathlib import Path
from typing import Any

from flame.errors import ConfigError
from flame.federation.nvflare.study import read_folders, read_kit
from flame.files import read_json, write_json

__all__ = ["command", "settle"]

_CLIENT = ("nvflare.private.fed.app.client.client_train", "fed_client.json")
_MODULES = {
    "coordinator": ("nvflare.private.fed.app.server.server_train", "fed_server.json"),
    "region": _CLIENT,
    "relay": ("nvflare.private.fed.app.relay.relay", "fed_relay.json"),
    "site": _CLIENT,
}


def settle(kit: Path) -> None:
    """Let a coordinator keep the engine's files in its kit, wherever that was unpacked; others need nothing.

    The engine takes absolute paths only, and would use the system's temporary folder.
    """
    if read_kit(kit).kind != "coordinator":
        return
    path, storage = kit / "local" / "resources.json", kit.resolve() / "storage"
    resources: dict[str, Any] = read_json(path)
    jobs = next(one for one in resources["components"] if one["id"] == "job_manager")
    jobs["args"]["uri_root"] = str(storage / "jobs")
    resources["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = str(storage / "snapshots")
    for folder in ("jobs", "snapshots"):
        (storage / folder).mkdir(parents=True, exist_ok=True)
    write_json(path, resources)


def command(kit: Path) -> list[str]:
    """The command line of a coordinator, of either process of a region, or of a site; run it in the kit's folder.

    Raises: ConfigError: if the kit is a person's, or a site's that has not been enrolled.
    """
    found = read_kit(kit)
    if found.kind == "person":
        raise ConfigError(f"{kit} is the kit of a person, who has nothing to start", "Name a coordinator's or site's.")
    module, settings = _MODULES[found.kind]
    values = ["secure_train=true", f"org={found.organisation}", "config_folder=config"]
    if found.kind == "site":
        read_folders(kit)
    if found.kind in ("region", "site"):
        values.append(f"uid={found.name}")
    # -P: Python must not take modules from the folder that it starts in, which is somebody else's kit.
    return [sys.executable, "-u", "-P", "-m", module, "-m", str(kit.resolve()), "-s", settings, "--set", *values]
