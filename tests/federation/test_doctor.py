"""Space, memory and versions: what is told where it is too little, or not the same."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import flame
from flame.federation.doctor import (
    available_memory,
    compare_versions,
    disk_condition,
    installed_versions,
    memory_condition,
    processor_condition,
)

STUDY = {"flame": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "nvflare": "2.9.0"}


def states(**changed: str) -> dict[str, str]:
    found = compare_versions({**STUDY, **changed}, STUDY)
    return {one.subject.removeprefix("version of "): one.state for one in found if one.state != "ok"}


def test_versions_are_those_of_what_runs() -> None:
    found = installed_versions()
    assert (found["flame"], found["torch"]) == (flame.__version__, torch.__version__)


@pytest.mark.parametrize(
    ("name", "version", "state"),
    [
        ("flame", "0.1.1", "error"),
        ("nvflare", "2.8.1", "error"),
        ("torch", "2.12.0+cpu", "warning"),
        ("python", "3.12.7", "warning"),
        ("torch", "2.13.0+cu126", None),  # the same torch, built for a GPU
        ("python", "3.11.9", None),
    ],
)
def test_another_version_is_told_by_what_it_costs(name: str, version: str, state: str | None) -> None:
    assert states(**{name: version}) == ({name: state} if state else {})


def test_what_is_not_installed_is_an_error_and_an_older_kit_a_warning() -> None:
    without = {name: version for name, version in STUDY.items() if name != "nvflare"}
    assert [one.state for one in compare_versions(without, STUDY)] == ["ok", "ok", "ok", "error"]
    assert {one.state for one in compare_versions(STUDY, {})} == {"warning"}


def test_space_is_enough_or_too_little_by_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    assert disk_condition("space", tmp_path, 3_000_000_000).state == "ok"
    found = disk_condition("space", tmp_path, 4_500_000_000)
    assert found.state == "error"
    assert "Free 1.5 GB" in found.what_to_do
    assert disk_condition("space", tmp_path / "nowhere", 1).state == "error"


def test_a_folder_that_can_not_be_written_to_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    assert "can't be written to" in disk_condition("space", tmp_path, 1).found


def test_memory_is_bounded_by_the_container(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 6000000 kB\n")
    assert available_memory(tmp_path) == (6_144_000_000, 8_192_000_000)
    bound = tmp_path / "sys" / "fs" / "cgroup" / "memory.max"
    bound.parent.mkdir(parents=True)
    bound.write_text("max\n")
    assert available_memory(tmp_path) == (6_144_000_000, 8_192_000_000)
    bound.write_text("1000000000\n")
    assert available_memory(tmp_path) == (1_000_000_000, 1_000_000_000)


def test_memory_that_can_be_freed_is_a_warning_and_memory_that_is_not_there_an_error() -> None:
    assert memory_condition(5, 6, need=5).state == "ok"
    assert memory_condition(4, 6, need=5).state == "warning"
    assert memory_condition(4, 4, need=5).state == "error"


def test_a_machine_without_gpu_says_which_jobs_it_takes() -> None:
    found = processor_condition()
    assert found.state == "ok"
    assert ("no GPU" in found.found) == (not torch.cuda.is_available())
