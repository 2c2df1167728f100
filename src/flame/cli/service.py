"""`flame service`: a kit as a service, as text for systemd or for Compose that a hospital reads, changes and keeps."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.federation.nvflare.study import Kit

__all__ = ["Kind", "compose", "service", "unit"]

_NOBODY = 10001
"""A user of no machine's; in a container nothing runs as root, even where root owns the kit."""

_UNIT = """\
# FLAME: {title}. Runs as you, without root, and may write to its own folders alone.
#   flame service {kit} --kind systemd > ~/.config/systemd/user/{name}.service
#   systemctl --user daemon-reload && systemctl --user enable --now {name}
#   loginctl enable-linger          so that it runs while you are logged out
[Unit]
Description=FLAME, {title}
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=30
# 4: a kit or setting is wrong, and stays wrong however often it is tried.
RestartPreventExitStatus=4
UMask=0077
Environment=NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
NoNewPrivileges=true
PrivateUsers=true
PrivateTmp=true
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=true
RestrictSUIDSGID=true

[Install]
WantedBy=default.target
"""

_COMPOSE = """\
# FLAME: {title}. Needs Compose 2.17 or newer:  docker compose --file THIS_FILE up --detach
# The image is built of the bundle (flame bundle), without a package index. Paths are the same inside as outside.
# Runs as user {user}, who has to own: {owned}
name: {name}
services:
  {service}:
    build:
      context: {bundle}
      network: none
      dockerfile_inline: |
        FROM python:{python}-slim
        RUN --mount=type=bind,target=/bundle sh /bundle/install.sh /opt/flame
    command: [{command}]
    user: "{user}"
    environment: {{HOME: /tmp, MPLCONFIGDIR: /tmp, NUMBA_CACHE_DIR: /tmp}}
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    init: true
    restart: on-failure
    volumes:
{volumes}
"""


class Kind(StrEnum):
    """What the text is for."""

    systemd = "systemd"
    compose = "compose"


def service(
    kit: Annotated[Path, typer.Argument(help="Folder of a start-up kit; not a person's.")],
    kind: Annotated[Kind, typer.Option(help="What the text is for.")],
    bundle: Annotated[Path, typer.Option(help="For compose: the bundle that the image is built of.")] = Path("bundle"),
) -> None:
    """Print a systemd user unit or a Compose file that runs a kit with no more rights than it needs."""
    typer.echo(unit(kit) if kind is Kind.systemd else compose(kit, bundle), nl=False)


def unit(kit: Path) -> str:
    """A unit for systemd's user instance that runs a kit with the Python that runs now.

    Raises: ConfigError: if the kit is a person's or a site's that has not been enrolled, or a path can't be written.
    """
    import shlex

    found, writable, _ = _read(kit)
    folder = kit.resolve()
    line = [sys.executable, "-P", "-m", "flame", _group(found), "start", str(folder)]
    return _UNIT.format(
        title=_title(found),
        name=f"flame-{found.name}",
        kit=shlex.quote(str(folder)),
        command=" ".join(_quoted(word).replace("$", "$$") for word in line),
        writable=" ".join(_quoted(str(path)) for path in writable),
    )


def compose(kit: Path, bundle: Path) -> str:
    """A Compose file that runs a kit in an image made of a bundle.

    Raises: ConfigError: as for `unit`.
    """
    found, writable, readable = _read(kit)
    owner = kit.stat()
    user = f"{owner.st_uid}:{owner.st_gid}" if owner.st_uid else f"{_NOBODY}:{_NOBODY}"
    volumes = [line for path in writable for line in _mount(path, read_only=False)]
    volumes += [line for path in readable for line in _mount(path, read_only=True)]
    ports = [one.port for one in found.study.regions if one.relay == found.name]
    for port in [found.study.port] if found.kind == "coordinator" else ports:
        volumes.append(f'    ports: ["{port}:{port}"]')
    return _COMPOSE.format(
        title=_title(found),
        name=f"flame-{found.name}".lower(),
        service=found.kind,
        bundle=_yaml(str(bundle.resolve())),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        command=", ".join(map(_yaml, ["/opt/flame/bin/flame", _group(found), "start", str(kit.resolve())])),
        user=user,
        owned=", ".join(map(str, writable)),
        volumes="\n".join(volumes),
    )


def _read(kit: Path) -> "tuple[Kit, list[Path], list[Path]]":
    """What the kit is, the folders that its process writes to, and those that it only reads."""
    from flame.errors import ConfigError
    from flame.federation.nvflare.study import read_folders, read_kit

    found, folder = read_kit(kit), kit.resolve()
    if found.kind == "person":
        raise ConfigError(f"{kit} is the kit of a person, who has nothing to start", "Name a coordinator's or site's.")
    writable, readable = [folder], []
    if found.kind == "site":
        folders = read_folders(kit)
        writable, readable = [folder, folders.work], [folders.data]
    odd = [path for path in (*writable, *readable) if not str(path).isprintable()]
    if odd:
        raise ConfigError(f"{str(odd[0])!r} can't be written into a service's file", "Rename the folder.")
    return found, writable, readable


def _group(found: "Kit") -> str:
    """The group of commands that starts this kit."""
    return "site" if found.kind == "site" else "coordinator"


def _title(found: "Kit") -> str:
    return f"{found.kind} {found.name} of the study {found.study.name}"


def _quoted(word: str) -> str:
    """A word as systemd reads it: no specifier, no escape."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _yaml(word: str) -> str:
    """A string of JSON is one of YAML too; Compose takes `$` for a variable unless it is there twice."""
    import json

    return json.dumps(word.replace("$", "$$"), ensure_ascii=False)


def _mount(path: Path, read_only: bool) -> Iterator[str]:
    place = _yaml(str(path))
    yield f"      - {{type: bind, source: {place}, target: {place}, read_only: {str(read_only).lower()}}}"
