"""What is guaranteed: a site whose disk is full sends nothing and says what to do; its ledger is whole at every amount
of free space; and when there is space the same job gets the same update, to the byte.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from tests.records.sites import make_site
from tests.scenarios.disks import PAGE, fill, small_disk

from flame.errors import EngineError
from flame.federation.gate import Answer, House, Refused, gated_answer
from flame.federation.job import Crop, Job, TrainingSettings, job_hash
from flame.federation.local import initial_arrays
from flame.federation.rounds import State, first_state
from flame.records.dataset import write_site
from flame.site.approval import approve
from flame.site.audit import audit
from flame.site.entries import Sent
from flame.site.identity import make_identity, read_identity
from flame.site.ledger import open_ledger
from flame.site.people import Person, register
from flame.site.policy import read_policy

JOB = Job(
    task="evolution",
    model="unet",
    context="pre_rt",
    seed=1,
    rounds=1,
    training=TrainingSettings(batch_size=2),
    crop=Crop(spacing_mm=4.0, size=16),
)
POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'


def open_house(folder: Path, work: Path) -> House:
    """A site of two patients whose rules and records lie in `work`, and a person who decides."""
    write_site(make_site(folder / "data"))
    make_identity(work)
    make_identity(folder / "ada")
    (work / "policy.toml").write_text(POLICY)
    with open_ledger(work, "site-1", read_identity(work)) as ledger:
        register(work, ledger, "ada", read_identity(folder / "ada").public_key)
    return House("site-1", folder / "data", work)


def state() -> State:
    return first_state(JOB, ("site-1",), initial_arrays(JOB))


def ask(house: House) -> Answer | Refused:
    return gated_answer(state(), house, datetime(2026, 3, 1, 12, 0))


def allow(house: House) -> None:
    with open_ledger(house.work, house.site, read_identity(house.work)) as ledger:
        person = Person("ada", read_identity(house.data.parent / "ada"))
        approve(house.work, ledger, job_hash(JOB), person, read_policy(house.work / "policy.toml"), patients=2)


def with_ever_more_space(house: House, action: Callable[[House], object]) -> tuple[int, object]:
    """Fill the disk, and try again with a page more each time; returns how often it was too little, and the result."""
    filler = fill(house.work)
    failures = 0
    while True:
        try:
            found = action(house)
        except EngineError as error:
            if "space" not in error.hint:
                raise
            failures += 1
            size = filler.stat().st_size
            assert size >= PAGE, "never enough"
            os.truncate(filler, max(0, size - PAGE * (1 if failures < 12 else 8)))
        else:
            filler.unlink()
            return failures, found
        finally:
            found_flaws = audit(house.work, read_identity(house.work).public_key).flaws
            assert not found_flaws
            assert not list(house.work.rglob("*.partial.*"))


def test_nothing_is_lost_and_nothing_leaves_while_a_sites_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "roomy").mkdir()
    undisturbed = open_house(tmp_path / "roomy", tmp_path / "roomy" / "work")
    assert isinstance(ask(undisturbed), Refused)
    allow(undisturbed)
    expected = ask(undisturbed)
    assert isinstance(expected, Answer)

    (tmp_path / "tight").mkdir()
    with small_disk(tmp_path / "tight" / "work", 4_000_000) as work:
        house = open_house(tmp_path / "tight", work)
        offered, refusal = with_ever_more_space(house, ask)
        assert isinstance(refusal, Refused)
        assert "is offered at site-1, not approved" in refusal.reason
        allowed, _ = with_ever_more_space(house, allow)
        trained, answer = with_ever_more_space(house, ask)
        assert min(offered, allowed, trained) >= 1
        assert trained >= 15  # samples are written as well, which takes more than a few pages
        assert isinstance(answer, Answer)
        assert answer.content == expected.content
        entries = [entry.what for entry in audit(work, read_identity(work).public_key).entries]
        assert sum(isinstance(what, Sent) for what in entries) == 1


def test_the_error_names_what_to_do(tmp_path: Path) -> None:
    with small_disk(tmp_path / "work", 1_000_000) as work:
        house = open_house(tmp_path, work)
        fill(work)
        with pytest.raises(EngineError) as full:
            ask(house)
        assert "Free some space" in full.value.hint
