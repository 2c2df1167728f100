"""What is looked at before anything runs, and what came of it: a machine's space, memory and versions.

Checks are functions that give conditions, and say nothing of any patient. What looks at a kit's certificates is in
`certificates`, at the line to the coordinator in `connection`, at a hospital's own rules and data in `readiness`.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from flame import __version__

__all__ = [
    "COORDINATOR_BYTES",
    "JOB_MEMORY_BYTES",
    "KIT_BYTES",
    "PATIENT_BYTES",
    "Condition",
    "State",
    "available_memory",
    "compare_versions",
    "disk_condition",
    "installed_versions",
    "memory_condition",
    "processor_condition",
]

State = Literal["ok", "warning", "error"]
"""How something stands: fit; it works, but deserves a second look; nothing can be learnt before it is put right."""

PATIENT_BYTES = 25_000_000
"""A patient's samples: volumes of 15 and 23 channels and their halves in float16, and maps, on 64 voxels cubed."""

KIT_BYTES = 1_000_000_000
"""A site's kit holds the engine's logs, and a job's model in transfer, some megabytes each; and room to spare."""

COORDINATOR_BYTES = 5_000_000_000
"""A coordinator keeps the model of a job's every round: 100 rounds of a model of 10 MB, and five such jobs."""

JOB_MEMORY_BYTES = 2_000_000_000
"""A job's process: Python with torch takes 0.5 GB, a batch of eight patients and its gradients the rest."""


@dataclass(frozen=True)
class Condition:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at.
        state: how it stands.
        found: what was found, quoting values.
        what_to_do: what the reader can do about it; for `ok`, nothing.
    """

    subject: str
    state: State
    found: str
    what_to_do: str = "nothing"


def installed_versions() -> dict[str, str]:
    """Versions that have to agree between sites and coordinator; what is not installed is not among them."""
    found = {"flame": __version__, "python": platform.python_version()}
    for name in ("torch", "nvflare"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def compare_versions(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Condition]:
    """Hold this machine's versions against those of the machine that made the kits, one condition for each.

    FLAME and the engine must be equal. Another Python or torch may run, but no longer gives the same bytes. What stands
    behind a version's `+` (torch's builds for processors and for GPUs) does not count, nor does Python's last number.

    Args:
        mine: see `installed_versions`.
        theirs: the same from the kit; empty in a kit of an older FLAME.
    """
    for name in ("flame", "python", "torch", "nvflare"):
        subject = f"version of {name}"
        here, there = mine.get(name), theirs.get(name)
        if here is None:
            yield Condition(subject, "error", "not installed", "Run: pip install 'flame[deploy]', or use the bundle.")
        elif there is None:
            yield Condition(subject, "warning", f"{here}; the kit names none", f"Ask the coordinator for its {name}.")
        elif _essence(name, here) == _essence(name, there):
            yield Condition(subject, "ok", here)
        elif name in ("flame", "nvflare"):
            yield Condition(subject, "error", f"{here}, the study's is {there}", f"Install {name} {there}.")
        else:
            said = f"{here}, the study's is {there}: results can differ in their last digits"
            yield Condition(subject, "warning", said, f"Install {name} {there} if the bytes have to be equal.")


def _essence(name: str, full: str) -> str:
    public = full.partition("+")[0]
    return ".".join(public.split(".")[:2]) if name == "python" else public


def disk_condition(subject: str, folder: Path, need: int) -> Condition:
    """Whether a folder can be written to and has `need` bytes left; a file that can't be written ends a job."""
    if not folder.is_dir():
        return Condition(subject, "error", f"{folder} does not exist", "Check the path, or mount the disk.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Condition(subject, "error", f"{folder} can't be written to", "Let the user that runs FLAME own it.")
    free = shutil.disk_usage(folder).free
    said = f"{_gb(free)} free, {_gb(need)} wanted"
    if free >= need:
        return Condition(subject, "ok", said)
    return Condition(subject, "error", f"{said} in {folder}", f"Free {_gb(need - free)}, or choose another disk.")


def available_memory(root: Path = Path("/")) -> tuple[int, int]:
    """Memory that is free for a new process, and all that this process may ever use, in bytes.

    Args:
        root: of the system's own files; a container's bound lies there as well.
    """
    total = free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    table = root / "proc" / "meminfo"
    if table.exists():
        lines = dict(line.split(":", 1) for line in table.read_text(encoding="ascii").splitlines())
        total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    bound = root / "sys" / "fs" / "cgroup" / "memory.max"
    if bound.exists() and (text := bound.read_text(encoding="ascii").strip()) != "max":
        total, free = min(total, int(text)), min(free, int(text))
    return free, total


def memory_condition(free: int, total: int, need: int = JOB_MEMORY_BYTES) -> Condition:
    """Whether a job's process finds the memory that it needs; the system kills one that does not."""
    said = f"{_gb(free)} free of {_gb(total)}, a job needs about {_gb(need)}"
    if total < need:
        return Condition("memory", "error", said, "Use a machine, or a bound of the container, with more.")
    if free < need:
        return Condition("memory", "warning", said, "End other programs before a job starts.")
    return Condition("memory", "ok", said)


def processor_condition() -> Condition:
    """What jobs can be trained on: processors, a GPU, and whether either computes in bf16. Imports torch."""
    import torch

    from flame.learning.training import computes_bf16

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    graphics = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if graphics else "no GPU"
    narrow = "" if computes_bf16(torch.device("cuda" if graphics else "cpu")) else "out"
    said = f"{cores} processors, {name}, with{narrow} bf16"
    return Condition("processor", "ok", said if graphics else f"{said}; only jobs with device = 'cpu' run here")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
