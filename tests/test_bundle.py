"""Bundles: what is pinned, and that the script refuses what was changed, added, or made for another machine."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution
from pathlib import Path

import pytest

from flame.bundle import closure, make_bundle, own_source
from flame.errors import ConfigError, EngineError


def packages(folder: Path, made: Mapping[str, Sequence[str]]) -> dict[str, Distribution]:
    """Installed packages: `name version` and what each requires."""
    found: dict[str, Distribution] = {}
    for title, requires in made.items():
        name, version = title.split()
        place = folder / f"{name}-{version}.dist-info"
        place.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (place / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n")
        found[name] = PathDistribution(place)
    return found


def pins(folder: Path, wanted: Sequence[str], made: Mapping[str, Sequence[str]]) -> dict[str, str]:
    installed = packages(folder, made)

    def find(name: str) -> Distribution:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    return closure(wanted, find)


def test_all_that_is_needed_is_pinned_as_it_runs_once_and_in_a_circle_too(tmp_path: Path) -> None:
    made = {"a 1.0": ["B_b>=2", "c"], "b-b 2.5": ["c", "a"], "c 3.0+cpu": [], "unasked 9": []}
    assert pins(tmp_path, ["a"], made) == {"a": "1.0", "b-b": "2.5", "c": "3.0+cpu"}


def test_extras_and_markers_are_followed_as_they_hold_here(tmp_path: Path) -> None:
    made = {
        "a 1": ["b[fast]; extra == 'deploy'", "absent; extra == 'dev'", "absent; sys_platform == 'nowhere'"],
        "b 2": ["c; extra == 'fast'", "d"],
        "c 3": [],
        "d 4": ["b"],
    }
    assert pins(tmp_path / "1", ["a"], made) == {"a": "1"}
    assert pins(tmp_path / "2", ["a[deploy]"], made) == {"a": "1", "b": "2", "c": "3", "d": "4"}
    made = {"a 1": ["d", "b[fast]"], "b 2": ["c; extra == 'fast'"], "c 3": [], "d 4": ["b"]}
    assert pins(tmp_path / "3", ["a"], made) == {"a": "1", "b": "2", "c": "3", "d": "4"}  # whoever asks first


def test_what_is_missing_or_too_old_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="b is not installed"):
        pins(tmp_path / "1", ["a"], {"a 1": ["b"]})
    with pytest.raises(ConfigError, match=r"b 1\.9 is installed, not b>=2"):
        pins(tmp_path / "2", ["a"], {"a 1": ["b>=2"], "b 1.9": []})


def make_wheel(folder: Path, name: str = "flame", requires: Sequence[str] = ()) -> Path:
    """A wheel with one module, whose command `flame` tells a version."""
    path = folder / f"{name}-7.0-py3-none-any.whl"
    about = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 7.0", *(f"Requires-Dist: {one}" for one in requires)]
    files = {
        f"{name}.py": "def main():\n    print('flame 7.0')\n",
        f"{name}-7.0.dist-info/METADATA": "\n".join(about) + "\n",
        f"{name}-7.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-7.0.dist-info/entry_points.txt": f"[console_scripts]\nflame = {name}:main\n",
        f"{name}-7.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as content:
        for inside, text in files.items():
            content.writestr(inside, text)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a package that needs nothing."""
    make_bundle(tmp_path / "bundle", make_wheel(tmp_path), extras=())
    return tmp_path / "bundle"


def install(bundle: Path, venv: str | Path, **changed: str) -> subprocess.CompletedProcess[str]:
    there = {**os.environ, "PYTHON": sys.executable, **changed}
    command = ["sh", str(bundle / "install.sh"), str(venv)]
    return subprocess.run(
        command, env=there, cwd=bundle.parent, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize("name", ["wheels/flame-7.0-py3-none-any.whl", "constraints.txt", "install.sh"])
def test_a_bundle_with_a_changed_byte_is_not_installed(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as file:
        file.write(b"\n")
    done = install(bundle, "venv")
    assert (done.returncode, "damaged or was changed" in done.stderr) == (1, True)
    assert not (bundle.parent / "venv").exists()


def test_a_wheel_that_was_slipped_in_is_not_installed(bundle: Path) -> None:
    content = (bundle / "wheels" / "flame-7.0-py3-none-any.whl").read_bytes()
    (bundle / "wheels" / "flame-7.0-1-py3-none-any.whl").write_bytes(content)  # pip would prefer a build number
    done = install(bundle, "venv")
    assert (done.returncode, "without a sum" in done.stderr) == (1, True)


def test_another_python_is_refused_before_anything_is_made(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 2.7 Linux x86_64\n")
    other.chmod(0o755)
    done = install(bundle, "venv", PYTHON=str(other))
    assert (done.returncode, "is 2.7 Linux" in done.stderr) == (1, True)
    assert not (bundle.parent / "venv").exists()


def test_a_folder_that_is_there_is_not_installed_into(bundle: Path) -> None:
    (bundle.parent / "venv").mkdir()
    (bundle.parent / "venv" / "mine").write_text("keep")
    done = install(bundle, "venv")
    assert (done.returncode, "exists; name a new folder" in done.stderr) == (1, True)
    assert (bundle.parent / "venv" / "mine").read_text() == "keep"


def test_what_is_no_wheel_of_flames_makes_no_bundle(tmp_path: Path, bundle: Path) -> None:
    broken = tmp_path / "flame-1-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    for out, wheel, extras, words in (
        (bundle, make_wheel(tmp_path), (), "exists already"),
        (tmp_path / "new", tmp_path / "nowhere.whl", (), "can't be read"),
        (tmp_path / "new", broken, (), "can't be read"),
        (tmp_path / "new", make_wheel(tmp_path, "other"), (), "a wheel of other"),
        (tmp_path / "new", make_wheel(tmp_path), ("deploy",), "no extra 'deploy'"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_bundle(out, wheel, extras)
    assert not (tmp_path / "new").exists()


def test_what_pip_can_not_get_is_told_in_its_own_words_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages(tmp_path / "installed", {"nosuchpackageofflame 1.0": []})
    monkeypatch.syspath_prepend(tmp_path / "installed")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    wheel = make_wheel(tmp_path, requires=["nosuchpackageofflame"])
    with pytest.raises(EngineError, match="No matching distribution found for nosuchpackageofflame"):
        make_bundle(tmp_path / "out" / "bundle", wheel, extras=())
    assert not list((tmp_path / "out").iterdir())


def test_the_source_is_the_one_that_these_tests_run() -> None:
    assert (own_source() / "src" / "flame" / "bundle.py").exists()
