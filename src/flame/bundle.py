"""FLAME and all that it needs as one folder, for a hospital whose machines see no package index.

A bundle holds what runs here, version for version: pins come from the installed packages, not from a file that may be
older than they are. It is a folder and no archive: wheels are compressed already, so an archive would take the space
twice and save nothing, and a folder can be copied to a disk, or built an image from, as it is.

    wheels/            FLAME's wheel and those of its dependencies, for this platform and Python
    constraints.txt    the exact versions
    SHA256SUMS         of every other file; checked before anything is installed
    install.sh         makes a virtual environment of these wheels alone
"""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flame.errors import ConfigError, EngineError
from flame.files import write_text

__all__ = ["build_wheel", "closure", "make_bundle", "own_source"]

_INSTALL = """\
#!/bin/sh
# Install {wanted} {version} from this folder alone, without a network:  sh install.sh VENV
# VENV is a folder that does not exist yet. Another Python than the first one found: PYTHON=/path/to/python sh ...
set -eu
venv=${{1:?"name a new folder for the virtual environment"}}
case "$venv" in /*) ;; *) venv=$PWD/$venv ;; esac
cd "$(dirname "$0")"
fail() {{ echo "$1" >&2; exit 1; }}

sha256sum --check --strict --quiet SHA256SUMS || fail "The bundle is damaged or was changed; copy it again."
[ "$(ls wheels | wc -l)" -eq "$(grep -c '  wheels/' SHA256SUMS)" ] || fail "There is a file in wheels/ without a sum."

python=${{PYTHON:-python{python}}}
found=$("$python" -c 'import platform, sys
print("%d.%d" % sys.version_info[:2], platform.system(), platform.machine())') || fail "Install Python {python} first."
[ "$found" = "{python} {platform}" ] || fail "The bundle is for Python {python} {platform}; $python is $found."
[ ! -e "$venv" ] || fail "$venv exists; name a new folder."

trap 'rm -rf "$venv"' EXIT
"$python" -m venv "$venv"
# No index and no settings of this machine's: what is not in the bundle is not installed.
PIP_CONFIG_FILE=/dev/null "$venv/bin/python" -m pip --isolated install --quiet --disable-pip-version-check \\
    --no-index --find-links wheels --constraint constraints.txt '{wanted}=={version}'
"$venv/bin/python" -m pip --isolated check >/dev/null
"$venv/bin/flame" --version
trap - EXIT
echo "installed in $venv; next: $venv/bin/flame doctor KIT"
"""


def closure(requirements: Iterable[str], find: Callable[[str], Distribution] = distribution) -> dict[str, str]:
    """Installed versions of some packages and of all that they need on this platform, with the extras asked for.

    Args:
        requirements: as in a project's metadata: `flame[deploy]`, `numpy>=2.0`.
        find: an installed package by its name.

    Returns: normalised name -> version, by name.
    Raises: ConfigError: if one is not installed, or is installed in a version that is not asked for.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        found = _installed(name, find)
        if not wanted.specifier.contains(found.version, prereleases=True):
            raise ConfigError(f"{name} {found.version} is installed, not {wanted}", "Install FLAME anew.")
        pins[name] = found.version
        for extra in {"", *wanted.extras} - {known for package, known in seen if package == name}:
            seen.add((name, extra))
            needed = (Requirement(text) for text in found.requires or ())
            waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return dict(sorted(pins.items()))


def _installed(name: str, find: Callable[[str], Distribution]) -> Distribution:
    try:
        return find(name)
    except PackageNotFoundError as error:
        raise ConfigError(
            f"{name} is not installed, so it can't be bundled", "Install with: pip install 'flame[deploy]'"
        ) from error


def own_source() -> Path:
    """The source tree that FLAME is installed from.

    Raises: ConfigError: if it is installed from a wheel, of which nothing is left to bundle.
    """
    text = distribution("flame").read_text("direct_url.json") or "{}"
    origin = json.loads(text)
    folder = Path(url2pathname(urlsplit(origin.get("url", "")).path))
    if "dir_info" not in origin or not (folder / "pyproject.toml").exists():
        raise ConfigError("FLAME is not installed from a source tree", "Name its wheel: --wheel flame-....whl")
    return folder


def build_wheel(source: Path, out: Path) -> Path:
    """FLAME's wheel, made of a copy of its source, so that nothing is written there and no leftover gets in.

    Raises: EngineError: if it can't be built.
    """
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "flame"
        copy.mkdir()
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(source / name, copy / name)
        shutil.copytree(source / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        made = Path(place) / "wheel"
        _pip("wheel", "--no-deps", "--wheel-dir", str(made), str(copy))
        (wheel,) = made.glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, out / wheel.name))


def make_bundle(out: Path, wheel: Path, extras: Sequence[str] = ("deploy",)) -> str:
    """Make a bundle of FLAME's wheel and the wheels of what that asks for.

    Args:
        out: new folder.
        wheel: FLAME's own; what it says that it needs counts, not what the installed FLAME said when it was installed.
        extras: of FLAME's.

    Returns: SHA-256 of `SHA256SUMS`: who knows it knows the bundle.
    Raises:
        ConfigError: if `out` exists, `wheel` is no wheel of FLAME's, or something that it needs is not installed.
        EngineError: if a package can't be had; nothing is left behind.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already", "Name a new folder.")
    own = _read_wheel(wheel)
    unknown = sorted(set(extras) - set(own.metadata.get_all("Provides-Extra") or ()))
    if unknown:
        raise ConfigError(f"{wheel.name} has no extra {unknown[0]!r}", "Name a newer wheel.")
    wanted = f"{own.name}[{','.join(extras)}]" if extras else own.name
    pins = closure([wanted], lambda name: own if name == own.name else distribution(name))
    others = [f"{name}=={version}" for name, version in pins.items() if name != own.name]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".partial.") as place:
        made = Path(place) / out.name
        (made / "wheels").mkdir(parents=True)
        shutil.copy(wheel, made / "wheels")
        if others:
            # Every package is named, so nothing is left to resolve; what has no wheel is built into one here.
            _pip("wheel", "--no-deps", "--wheel-dir", str(made / "wheels"), *others)
        write_text(made / "constraints.txt", "\n".join([*others, f"{own.name}=={own.version}"]) + "\n")
        write_text(made / "install.sh", _install(wanted, own.version))
        (made / "install.sh").chmod(0o755)
        sums = _sums(made)
        write_text(made / "SHA256SUMS", sums)
        made.rename(out)
    return hashlib.sha256(sums.encode()).hexdigest()


def _read_wheel(wheel: Path) -> Distribution:
    """The metadata in a wheel of FLAME's. Raises ConfigError if it is none."""
    try:
        with zipfile.ZipFile(wheel) as content:
            (folder,) = {name.split("/")[0] for name in content.namelist() if name.split("/")[0].endswith(".dist-info")}
        found = PathDistribution(zipfile.Path(wheel, f"{folder}/"))
        if found.name == "flame":
            return found
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{wheel} can't be read as a wheel", "Name a file flame-....whl.") from error
    raise ConfigError(f"{wheel} is a wheel of {found.name}, not of flame", "Name a file flame-....whl.")


def _install(wanted: str, version: str) -> str:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    where = f"{platform.system()} {platform.machine()}"
    return _INSTALL.format(wanted=wanted, version=version, python=python, platform=where)


def _sums(folder: Path) -> str:
    """Lines as `sha256sum` reads them, by name."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)


def _pip(*words: str) -> None:
    """Run pip. Raises EngineError with what it says is wrong, ConfigError if there is no pip."""
    if find_spec("pip") is None:
        raise ConfigError("pip is not installed beside FLAME", f"Run: {sys.executable} -m ensurepip")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        errors = [line for line in told if line.startswith("ERROR")]
        raise EngineError(
            f"pip failed: {(errors or told)[-1]}", "Look at the network and at the index that `pip config list` names."
        )
