"""FLAME's own wheel in a bundle, installed where there is no index; with few of its dependencies, as most are large."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from flame import __version__
from flame.bundle import build_wheel, make_bundle, own_source

FEW = ("pydantic", "rich", "typer")
"""What the front of the command line needs; torch and the like would be 400 MB."""


def with_few_dependencies(source: Path, copy: Path) -> Path:
    """FLAME's source whose project asks for a few packages alone."""
    shutil.copytree(source / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(source / "README.md", copy)
    project = (source / "pyproject.toml").read_text()
    listed = "".join(f"    {line}\n" for line in re.findall(r'^ {4}("(?:' + "|".join(FEW) + r")>=.*)$", project, re.M))
    fewer, found = re.subn(r"^dependencies = \[\n.*?^\]", f"dependencies = [\n{listed}]", project, flags=re.M | re.S)
    assert (found, listed.count("\n")) == (1, len(FEW))
    (copy / "pyproject.toml").write_text(fewer)
    return copy


def install(bundle: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    """Install on a machine whose settings of pip name an index that is not to be asked."""
    settings = {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_NO_COMPILE": "1", "PYTHON": sys.executable}
    command = ["sh", bundle / "install.sh", venv]
    return subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=1800
    )


def test_a_bundle_is_built_and_installed_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_COMPILE", "1")  # what builds the wheel is needed once
    wheel = build_wheel(with_few_dependencies(own_source(), tmp_path / "source"), tmp_path)
    total = make_bundle(tmp_path / "bundle", wheel, extras=())
    bundle = (tmp_path / "bundle").rename(tmp_path / "another place")
    assert total == hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    pinned = dict(line.split("==") for line in (bundle / "constraints.txt").read_text().split())
    assert {*FEW, "flame", "pydantic-core"} <= set(pinned)  # and what they need
    assert "torch" not in pinned
    assert len(list((bundle / "wheels").iterdir())) == len(pinned)
    done = install(bundle, tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    assert f"flame {__version__}" in done.stdout
    command = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "list", "--format=json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = {canonicalize_name(one["name"]): one["version"] for one in listed}
    assert {name: found[name] for name in pinned} == pinned
    assert set(found) - set(pinned) <= {"pip", "setuptools"}

    # A bundle that lacks something is not made good from elsewhere, and leaves nothing behind.
    (gone,) = (bundle / "wheels").glob("rich-*.whl")
    gone.unlink()
    sums = [line for line in (bundle / "SHA256SUMS").read_text().splitlines() if gone.name not in line]
    (bundle / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    done = install(bundle, tmp_path / "second")
    assert done.returncode != 0
    assert "ERROR" in done.stderr
    assert not (tmp_path / "second").exists()
