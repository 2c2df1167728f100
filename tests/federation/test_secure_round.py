"""Rounds under masks from end to end, both sides by their own rules, with a transport that drops what a test says."""

import functools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.federation.passports import NOW, passports
from tests.federation.test_gate import JOB as PLAIN
from tests.federation.test_gate import NOON, POLICY
from tests.records.sites import SHAPE, make_site, put

from flame.errors import EngineError, UpdateRejected
from flame.federation import embedded
from flame.federation import folder as files
from flame.federation.credentials import check_credential, make_credential
from flame.federation.folder import RoundReport
from flame.federation.gate import House, Refused, as_proposal, gated_answer
from flame.federation.job import Limits, Privacy, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.nvflare.waiting import Waiting
from flame.federation.rounds import State, first_state
from flame.federation.seat import Seat
from flame.federation.secure_round import secure_round
from flame.federation.stages import KEYS, SHARES, UNMASK, UPDATE, Keep, Stage, question
from flame.federation.steps import begin
from flame.learning.samples import build_stores
from flame.records.dataset import read_site, write_site
from flame.records.layout import sequence_path
from flame.site.approval import approve, offer
from flame.site.audit import audit
from flame.site.entries import Denied, Sent, Unmasked
from flame.site.identity import make_identity, read_identity
from flame.site.ledger import open_ledger
from flame.site.people import Person, register
from flame.site.policy import read_policy

SITES = ("site-1", "site-2", "site-3")
JOB = PLAIN.model_copy(
    update={
        "rounds": 2,
        "limits": Limits(quorum=2, max_update_norm=10.0),
        "privacy": Privacy(secure_aggregation=True, max_samples=64),
    }
)


@dataclass
class Sites:
    """Sites as the coordinator reaches them; `silent` names the stages at which a site's answer is lost."""

    folder: Path
    seats: dict[str, Seat]
    silent: set[tuple[Stage, str]] = field(default_factory=set)
    forged: dict[tuple[Stage, str], bytes] = field(default_factory=dict)
    asked: list[tuple[Stage, str]] = field(default_factory=list)
    carried: list[bytes] = field(default_factory=list)

    def __call__(self, state: State, stage: Stage, messages: Any, keep: Keep, limits: Limits, *_: object) -> None:
        waiting, valid, awaited = Waiting(limits, 0.0), 0, len(messages)
        for site, message in messages.items():
            if waiting.is_over(0.0, valid, awaited):
                return
            self.asked.append((stage, site))
            found = self.seats[site].answer(stage, message, NOON)
            if (stage, site) in self.silent:
                continue
            awaited -= 1
            if isinstance(found, Refused):
                files.save_refusal(self.folder / "run", state.round, site, found.reason)
            else:
                content = self.forged.get((stage, site), found.content)
                self.carried.append(content)
                valid += keep(site, content) is None

    def house(self, site: str) -> House:
        return House(site, self.folder / site / "data", self.folder / site / "work")

    def round(self, state: State | None = None) -> tuple[State, RoundReport]:
        """One round from where the run folder stands."""
        run = self.folder / "run"
        files.load_state(run, JOB)
        begun = begin(run, state or first())
        return secure_round(begun, run, passports(SITES)["site-1"].authority, self, lambda: 1.0)

    def restart(self, site: str) -> None:
        """A new process of a site: it has its folders and nothing else."""
        self.seats[site] = Seat(self.house(site), passports(SITES)[site], SITES)

    def events(self, site: str) -> list[Any]:
        work = self.house(site).work
        found = audit(work, read_identity(work).public_key)
        assert not found.flaws
        return [entry.what for entry in found.entries]


@functools.cache
def first() -> State:
    """Where the job begins."""
    return first_state(JOB, SITES, initial_arrays(JOB))


def store_of(house: House) -> Path:
    """Where a site keeps its samples of the job."""
    return house.work / "samples" / f"{JOB.context}-{JOB.crop.spacing_mm:g}mm-{JOB.crop.size}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Sites that have approved the job and have its samples, to be copied: no round is asked of these."""
    found = Sites(tmp_path_factory.mktemp("made"), {})
    for site in SITES:
        house = found.house(site)
        write_site(make_site(house.data))
        make_identity(house.work)
        person = Person("ada", make_identity(found.folder / "people" / site))
        (house.work / "policy.toml").write_text(POLICY + "masked = true\n")
        with open_ledger(house.work, site, read_identity(house.work)) as ledger:
            register(house.work, ledger, "ada", person.identity.public_key)
            offer(house.work, ledger, as_proposal(first(), "coordinator"))
            approve(house.work, ledger, job_hash(JOB), person, read_policy(house.work / "policy.toml"), patients=2)
        build_stores(read_site(house.data), {JOB.context: store_of(house)}, JOB.crop)
    return found


@pytest.fixture
def sites(made: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sites:
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    found = Sites(tmp_path, {})
    for site in SITES:
        found.restart(site)
    clock = type("Clock", (), {"now": staticmethod(lambda _: NOW)})
    monkeypatch.setattr("flame.federation.secure_round.datetime", clock)
    return found


@pytest.fixture(scope="module")
def on_one_machine(made: Sites, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model after some rounds of the embedded engine, of those sites that answer."""

    @functools.cache
    def arrays(silent: str | None = None, rounds: int = 1) -> dict[str, np.ndarray]:
        participants: dict[str, Any] = {site: SiteTraining(JOB, site, (store_of(made.house(site)),)) for site in SITES}
        if silent is not None:
            participants[silent] = _absent
        run = tmp_path_factory.mktemp(f"embedded-{silent}")
        reports = embedded.run(JOB, participants, run, initial_arrays(JOB))
        for _ in range(rounds):
            next(reports)
        reports.close()  # type: ignore[attr-defined]
        return dict(files.read_state(run, rounds).arrays)

    return arrays


def _absent(*_: object) -> Any:
    raise EngineError("It is not there", "Wait.")


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_rounds_under_masks_end_with_the_bytes_of_the_embedded_engine(sites: Sites, on_one_machine: Any) -> None:
    state, report = sites.round()
    assert report.samples == dict.fromkeys(SITES)
    assert report.scalars == {"all": {"samples": 6.0}}
    state, _ = sites.round(state)
    assert state.round == 2
    assert same(state.arrays, on_one_machine(rounds=2))


def test_what_leaves_a_site_is_in_its_ledger_and_holds_no_update(sites: Sites) -> None:
    sites.round()
    sent = [what for what in sites.events("site-1") if isinstance(what, Sent)]
    assert [what.kind for what in sent] == ["keys", "shares", "masked update", "unmasking"]
    assert all(not what.scalars for what in sent)
    assert sent[2].arrays  # names, shapes and norms of what is under the mask
    plain = [answer for answer in sites.carried if b"flame-update/1" in answer]
    assert not plain


def test_a_site_that_drops_out_with_its_mask_made_costs_itself_alone(sites: Sites, on_one_machine: Any) -> None:
    sites.silent = {(UPDATE, "site-2")}
    state, report = sites.round()
    assert set(report.samples) == {"site-1", "site-3"}
    assert same(state.arrays, on_one_machine(silent="site-2"))


def test_a_site_that_drops_out_before_its_shares_are_there_is_left_out_and_the_others_begin_again(
    sites: Sites, on_one_machine: Any
) -> None:
    sites.silent = {(SHARES, "site-3")}
    state, report = sites.round()
    assert set(report.samples) == {"site-1", "site-2"}
    assert [site for stage, site in sites.asked if stage == KEYS] == [*SITES, "site-1", "site-2"]
    assert same(state.arrays, on_one_machine(silent="site-3"))


def test_too_few_sites_end_the_job_with_their_reasons_and_it_goes_on_when_they_are_back(sites: Sites) -> None:
    for site in SITES[1:]:
        (sites.house(site).work / "policy.toml").rename(sites.folder / site / "kept.toml")
    with pytest.raises(EngineError, match=r"keys of 1 sites, the threshold is 2.*site-2: the policy of site-2 forbids"):
        sites.round()
    for site in SITES[1:]:
        (sites.folder / site / "kept.toml").rename(sites.house(site).work / "policy.toml")
    assert sites.round()[0].round == 1


def killed_before_unmasking(sites: Sites) -> None:
    """The coordinator asks for the sum of sites 1 and 2, gets one answer, and is gone; so are the sites' processes."""
    sites.silent = {(UPDATE, "site-3"), (UNMASK, "site-2")}
    with pytest.raises(EngineError, match="answers of 1 sites, the threshold is 2"):
        sites.round()
    assert files.read_survivors(sites.folder / "run", 0) == ("site-1", "site-2")
    sites.silent, sites.asked = set(), []
    for site in SITES:
        sites.restart(site)


def test_a_round_that_was_killed_while_it_was_unmasked_goes_on_with_the_same_sites(
    sites: Sites, on_one_machine: Any
) -> None:
    killed_before_unmasking(sites)
    state, report = sites.round()
    assert set(report.samples) == {"site-1", "site-2"}
    assert {site for _, site in sites.asked} == {"site-1", "site-2"}
    assert same(state.arrays, on_one_machine(silent="site-3"))


def test_no_site_helps_to_unmask_a_second_sum_of_a_round(sites: Sites) -> None:
    """The coordinator forgets, or lies: with sums over two lists it would have the update of one site."""
    killed_before_unmasking(sites)
    (sites.folder / "run" / "rounds" / "0000" / "survivors.json").unlink()
    with pytest.raises(EngineError, match="answers of 0 sites, the threshold is 2") as ended:
        sites.round()
    for site in SITES[:2]:
        told = f"{site}: Site {site!r} refuses to unmask round 0: the request is a second one with another list"
        assert told in ended.value.message
    assert len([what for what in sites.events("site-1") if isinstance(what, Unmasked)]) == 1


def test_a_site_whose_data_changed_does_not_unmask_the_round_again(sites: Sites) -> None:
    killed_before_unmasking(sites)
    image = np.random.default_rng(9).normal(50, 20, SHAPE).astype(np.float32)
    put(sequence_path(sites.house("site-1").data, "001", -14, "T1w"), image)
    with pytest.raises(EngineError, match="which site-1, site-2 did not come back") as ended:
        sites.round()
    assert "another update of this site; its data have changed" in ended.value.message


def test_a_site_that_lost_its_secrets_says_so_and_is_out_of_the_round(sites: Sites) -> None:
    seat = sites.seats["site-1"]
    answer = seat.answer(UNMASK, b"{}", NOON)
    assert answer == Refused("site-1 has no secrets of this round: its process was started anew")


def test_a_site_asked_for_keys_of_a_job_without_masks_refuses(sites: Sites) -> None:
    answer = sites.seats["site-1"].answer(KEYS, question(first_state(PLAIN, SITES, initial_arrays(PLAIN))), NOON)
    assert answer == Refused("the job asks for no secure aggregation, and was asked as if it did")


def test_a_job_under_masks_is_asked_for_no_update_without(sites: Sites) -> None:
    answer = gated_answer(first(), sites.house("site-1"), NOON)
    assert answer == Refused("the job's updates leave under masks, and it was asked for one without")
    assert not [what for what in sites.events("site-1") if isinstance(what, Sent)]


def test_keys_with_the_certificate_of_another_site_are_refused_and_named(sites: Sites) -> None:
    sites.seats["site-2"] = Seat(sites.house("site-2"), passports(SITES)["site-3"], SITES)
    _, report = sites.round()
    assert report.refused == {"site-2": "site 'site-2' shows the certificate of somebody else"}
    assert set(report.samples) == {"site-1", "site-3"}


def test_a_site_with_rubbish_in_its_letters_costs_itself_alone_even_if_it_answers_first(
    sites: Sites, on_one_machine: Any
) -> None:
    sites.forged = {(SHARES, "site-1"): b"{}"}
    state, report = sites.round()
    assert set(report.samples) == {"site-2", "site-3"}
    assert same(state.arrays, on_one_machine(silent="site-1"))


def test_the_coordinator_has_no_seat_among_sites(sites: Sites) -> None:
    """Its certificate is the study's too: with it, it would have the update of the only other site."""
    crowd = ("coordinator", "nobody", "site-1")
    answer = sites.seats["site-1"].answer(KEYS, question(first_state(JOB, crowd, initial_arrays(JOB))), NOON)
    assert answer == Refused(
        "the sum would be of coordinator, nobody, site-1, not of sites of this study with this one"
    )
    credential = make_credential("coordinator", bytes(32), passports(["coordinator"])["coordinator"])
    with pytest.raises(UpdateRejected, match="'coordinator' is no site"):
        check_credential(credential, "coordinator", passports(SITES)["site-1"].authority, NOW)


def test_other_sites_than_those_that_were_approved_are_refused(sites: Sites) -> None:
    fewer = question(first_state(JOB, SITES[:2], initial_arrays(JOB)))
    answer = sites.seats["site-1"].answer(KEYS, fewer, NOON)
    assert answer == Refused("the model's arrays, or the sites that take part, are not those that were offered")


def test_two_processes_of_a_site_do_not_unmask_two_sums_of_a_round(sites: Sites) -> None:
    """Both have masked their update before either is asked to unmask: the ledger decides, not what each remembers."""
    twins = [Seat(sites.house("site-1"), passports(SITES)["site-1"], SITES) for _ in range(2)]
    survivors = [("site-1", "site-2", "site-3"), ("site-1", "site-2")]
    asked = []
    for seat, kept in zip(twins, survivors, strict=True):
        sites.seats["site-1"], sites.silent = seat, {(UPDATE, site) for site in SITES if site not in kept}
        sites.silent |= {(UNMASK, site) for site in SITES}
        for other in SITES[1:]:
            sites.restart(other)
        held = sites.seats["site-1"]
        sites.seats["site-1"] = _Held(held, asked)
        with pytest.raises(EngineError, match="answers of 0 sites"):
            sites.round()
        (sites.folder / "run" / "rounds" / "0000" / "survivors.json").unlink()
    first, second = (seat.answer(UNMASK, message, NOON) for seat, message in asked)
    assert not isinstance(first, Refused)
    assert second == Refused("another sum of this round was unmasked before")


@dataclass
class _Held:
    """A seat whose request to unmask is kept back."""

    seat: Seat
    kept: list[tuple[Seat, bytes]]

    def answer(self, stage: Stage, content: bytes, now: Any) -> Any:
        if stage != UNMASK:
            return self.seat.answer(stage, content, now)
        self.kept.append((self.seat, content))
        return Refused("later")


def test_why_an_update_under_masks_is_kept_back_is_told_to_nobody(sites: Sites) -> None:
    work = sites.house("site-1").work
    (work / "policy.toml").write_text(POLICY + "masked = true\nmax_update_norm = 1e-9\n")
    _, report = sites.round()
    assert report.refused == {
        "site-1": "its update is not within the job's bounds or its own rules; the site's own log says more"
    }
    denied = [what for what in sites.events("site-1") if isinstance(what, Denied)]
    assert [what.reason for what in denied] == list(report.refused.values())
