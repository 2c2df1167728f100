"""A site with two people, for tests of consent; and a way to break off whatever is being written."""

import copy
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import pytest

from flame.site.approval import offer
from flame.site.entries import digest
from flame.site.identity import Identity, make_identity, read_identity
from flame.site.ledger import Ledger, open_ledger
from flame.site.people import Person, register
from flame.site.policy import Policy
from flame.site.proposal import OfferedArray, Proposal

POLICY = Policy(tasks=("response",), models=("clinical",), min_patients=5, max_rounds=30, arrays=("head.*",))
TEXT = 'task = "response"\nmodel = "clinical"\ncontext = "pre_rt"\nseed = 3\nrounds = 30\n[training]\nepochs = 2\n'
ARRAYS = (OfferedArray(name="head.weight", shape=(3, 4)), OfferedArray(name="head.bias", shape=()))


def proposal(text: str = TEXT, peer: str = "coordinator", arrays: tuple[OfferedArray, ...] = ARRAYS) -> Proposal:
    return Proposal(job=digest(text.encode()), task="response", peer=peer, text=text, arrays=arrays)


JOB = proposal().job


class Hospital:
    """A site's folder with Ada and Grace registered, and a job on offer unless told otherwise."""

    def __init__(self, folder: Path, offered: bool = True) -> None:
        self.folder = folder / "site"
        self.identity: Identity = make_identity(self.folder)
        self.ada = Person("ada", make_identity(folder / "ada"))
        self.grace = Person("grace", make_identity(folder / "grace"))
        self.stranger = Person("mallory", make_identity(folder / "mallory"))
        with self.ledger() as ledger:
            register(self.folder, ledger, "ada", self.ada.identity.public_key)
            register(self.folder, ledger, "grace", self.grace.identity.public_key)
            if offered:
                offer(self.folder, ledger, proposal())

    def ledger(self) -> AbstractContextManager[Ledger]:
        return open_ledger(self.folder, "site-1", read_identity(self.folder))

    def do(self, action: Callable[[Path, Ledger], object]) -> object:
        """One action with the ledger open, as a command does it."""
        with self.ledger() as ledger:
            return action(self.folder, ledger)

    def copied(self, folder: Path) -> "Hospital":
        """The same site and people in another place."""
        other = copy.copy(self)
        other.folder = folder / "site"
        shutil.copytree(self.folder, other.folder)
        return other

    def decision(self, number: int, job: str = JOB) -> Path:
        return self.folder / "jobs" / job / "decisions" / f"{number:04d}.json"

    def files(self) -> dict[str, bytes]:
        """Content of every file of the site."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


def disk_full_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the disk be full once `writes` files were brought to it. Returns: tells whether it ever was full."""
    done, real, full = [0], os.fsync, [False]

    def fsync(descriptor: int) -> None:
        done[0] += 1
        if done[0] > writes:
            full[0] = True
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda: full[0]


def killed_copies(site: Hospital, folder: Path, action: Callable[[Hospital], object], steps: int) -> Iterator[Hospital]:
    """Copies of a site, in each of which `action` was killed one step of writing later than in the one before.

    A step is the moment before or after a file is brought to disk, or put in its place. The action must have as many as
    are expected, lest a kill that matters be missed.
    """
    for step in count():
        other = site.copied(folder / f"killed-{step}")
        if not _killed_at(step, lambda other=other: action(other)):
            assert step == steps
            return
        yield other


def _killed_at(step: int, action: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        left = [step]

        def stepping(real: Callable[..., None]) -> Callable[..., None]:
            def stepped(*arguments: object) -> None:
                _die_at_zero(left)
                real(*arguments)
                _die_at_zero(left)

            return stepped

        os.fsync, os.replace = stepping(os.fsync), stepping(os.replace)
        try:
            action()
        except BaseException:  # noqa: BLE001 - a child of pytest must never go on as pytest
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), code
    return code == 9


def _die_at_zero(left: list[int]) -> None:
    if left[0] == 0:
        os._exit(9)
    left[0] -= 1
