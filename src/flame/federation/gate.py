"""A site's answer under its own rules: consent, policy and withdrawals before it trains, the ledger before it sends.

Whatever carries questions and answers calls `gated_answer`; it trains for no job that a person of the site has not
approved, and no update leaves that the ledger does not hold.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from flame.errors import PolicyError
from flame.federation.checks import norm
from flame.federation.folder import encode_model
from flame.federation.job import Job, job_hash, job_text
from flame.federation.local import SiteTraining
from flame.federation.noise import RoundNoise, deviation, epsilon_after, round_noise
from flame.federation.rounds import State
from flame.federation.stages import ALONE, TRAIN, Stage
from flame.federation.steps import answer
from flame.federation.update import Update, decode, encode
from flame.site.approval import Standing, offer, read_offer, standing
from flame.site.budget import charge
from flame.site.entries import LONGEST_REASON, Carried, Denied, Received, Sent, SentArray, digest
from flame.site.history import recorded
from flame.site.identity import read_identity
from flame.site.ledger import Head, Ledger, open_ledger
from flame.site.policy import Policy, Request, refusals, refuse_update, site_policy
from flame.site.proposal import OfferedArray, Proposal
from flame.site.withdrawal import put_patients_right, withdrawn_patients

__all__ = [
    "Admission",
    "Answer",
    "House",
    "Refused",
    "admit",
    "allowed",
    "as_proposal",
    "gated_answer",
    "has_changed",
    "note_refusal",
    "record_sent",
    "site_ledger",
    "trained",
]

_FEDERATED_MODELS = 2
"""Models of all sites that may be scored after the last round: the last, and the best before it."""


@dataclass(frozen=True)
class House:
    """A site: its name, its BIDS folder, the folder of its rules and records, and who asks it."""

    site: str
    data: Path
    work: Path
    peer: str = "coordinator"


@dataclass(frozen=True)
class Admission:
    """Leave to train a round: the round as it was asked, by which rules, on which store of samples, with which noise.

    What the noise costs is in the ledger by now; `noise_seed` is None for a job without. `contents` says which samples
    the store held.
    """

    state: State
    house: House
    policy: Policy
    store: Path
    noise_seed: bytes | None = field(default=None, repr=False)
    contents: str = ""


@dataclass(frozen=True)
class Answer:
    """What leaves, as bytes, and how far the site's ledger had come when it left."""

    content: bytes
    head: Head


@dataclass(frozen=True)
class Refused:
    """Why the site's rules give no update, in words that may leave: no path, no patient."""

    reason: str


def gated_answer(state: State, house: House, now: datetime) -> Answer | Refused:
    """Train a round if the site's rules allow it, and give the update as bytes.

    Args:
        state: the running round as the site was asked it.
        house: the site.
        now: local time.

    Returns: the update; or why there is none, as `admit` and `trained`.
    Raises: as `admit`.
    """
    found = _answered(state, house, now)
    if isinstance(found, Refused):
        note_refusal(state, house, found)
    return found


def _answered(state: State, house: House, now: datetime) -> Answer | Refused:
    if state.job.privacy.secure_aggregation:
        return Refused("the job's updates leave under masks, and it was asked for one without")
    admission = admit(state, house, now)
    if isinstance(admission, Refused):
        return admission
    update = trained(admission)
    if isinstance(update, Refused):
        return update
    content = encode(update)
    return Answer(content, record_sent(admission, update, content))


def note_refusal(state: State, house: House, refused: Refused) -> None:
    """Put the reason that is about to leave into the ledger."""
    with site_ledger(house) as ledger:
        job = job_hash(state.job)
        ledger.append(Denied(job=job, round=state.round, peer=house.peer, reason=refused.reason[:LONGEST_REASON]))


def admit(state: State, house: House, now: datetime, stage: Stage = TRAIN) -> Admission | Refused:
    """Whether the site's rules allow a round to be trained; that it was asked, and its cost, go into the ledger.

    A job that the site has not seen is kept for its people to read, and refused until one of them approves it. What is
    asked after the last round (`ALONE`, `SCORE`) is held against the same rules.

    Returns: leave; or why there is none: the job is not approved, or the policy forbids it.
    Raises: errors whose messages stay at the site, for they name paths and patients:
        PolicyError: if the site's records were changed.
        DataError: if the site's data can't be used.
        EngineError: if the ledger is held by another process, or the disk is full.
    """
    number, model = job_hash(state.job), encode_model(state.arrays)
    found = _standing(state, number, house)
    if not found.is_approved:
        return Refused(f"the job {number[:8]} is {found.state} at {house.site}, not approved")
    policy = site_policy(house.work)
    store, patients = _samples(state.job, house)
    with site_ledger(house) as ledger:  # open from the looks to the entries: another process may be asked the same
        odd = _not_as_approved(state, number, digest(model), house, stage)
        if odd is not None:
            return Refused(odd)
        noise = round_noise(state.job, state.round, digest(model), store, house.work)
        reasons = refusals(policy, _request(state.job, patients, noise, house, policy), now)
        if reasons:
            return Refused(f"the policy of {house.site} forbids the job now: {'; '.join(reasons)}")
        if noise is not None:
            if noise.patients < policy.min_patients:
                return _too_few(policy)
            charge(house.work, ledger, noise.spent)
        what = {"peer": house.peer, "kind": stage.question, "digest": digest(model), "bytes": len(model)}
        ledger.append(Received.model_validate({"job": number, "round": state.round, **what}))
    return Admission(state, house, policy, store, None if noise is None else noise.seed, _contents(store))


def trained(admission: Admission) -> Update | Refused:
    """Train the round. What comes out may leave: it is what the policy covers.

    Returns: the update, which is not in the ledger yet; or why there is none that may leave.
    """
    state, house = admission.state, admission.house
    training = SiteTraining(state.job, house.site, (admission.store,), admission.noise_seed)
    update = decode(answer(training, house.site, state))
    return allowed(admission, update)


def allowed(admission: Admission, update: Update) -> Update | Refused:
    """The update, or why it may not leave: patients who changed, too few of them, or arrays that the policy stops."""
    if has_changed(admission):
        return Refused("the site's patients changed while the round was trained")
    if update.samples < admission.policy.min_patients:
        return _too_few(admission.policy)
    try:
        refuse_update(admission.policy, update.arrays)
    except PolicyError as error:
        return Refused(error.message)
    return update


def has_changed(admission: Admission) -> bool:
    """Whether the store of samples is another than when leave was given."""
    return _contents(admission.store) != admission.contents


def record_sent(admission: Admission, update: Update, content: bytes, kind: Carried = "update") -> Head:
    """Put an update that is about to leave into the ledger.

    Args:
        admission: of the round.
        update: the update.
        content: what leaves of it: the update itself, or the update under masks.
        kind: which of both.

    Returns: how far the ledger has come with it.
    """
    with site_ledger(admission.house) as ledger:
        ledger.append(_sent(admission, update, content, kind))
        return ledger.known_head


def _request(job: Job, patients: int, noise: RoundNoise | None, house: House, policy: Policy) -> Request:
    after = None if noise is None else epsilon_after(noise, house.work, policy.delta)
    asked = job.privacy
    return Request(
        job.task,
        job.model,
        job.rounds,
        patients,
        asked.secure_aggregation,
        asked.noise_multiplier,
        after,
        job.passes_models_on,
    )


def _contents(store: Path) -> str:
    """Hash of a store's index, which names the patients and the state of their files."""
    return digest((store / "index.json").read_bytes())


def _too_few(policy: Policy) -> Refused:
    return Refused(f"fewer than {policy.min_patients} patients here have what the job learns from")


def site_ledger(house: House) -> AbstractContextManager[Ledger]:
    """The site's ledger, open for writing while the block runs."""
    return open_ledger(house.work, house.site, read_identity(house.work))


def _not_as_approved(state: State, number: str, model: str, house: House, stage: Stage) -> str | None:
    """What of a question is not what people approved, or was asked before: an approval is for one model a round.

    Who may ask with any model, any number of times, can read a patient out of the answers.
    """
    if not 0 <= state.round < state.job.rounds + (stage != TRAIN):  # after the last, the number of rounds
        return f"there is no round {state.round} in a job of {state.job.rounds}"
    if as_proposal(state, house.peer) != read_offer(house.work, number):
        return "the model's arrays, or the sites that take part, are not those that were offered"
    asked = [event for event in recorded(house.work) if isinstance(event, Received) and event.job == number]
    before = {event.digest for event in asked if event.kind == stage.question} - {model}
    if stage != TRAIN:
        return _asks_too_much(state.job, len(state.sites), stage, len(before))
    if any(event.kind == "model" and event.round == state.round and event.digest != model for event in asked):
        return f"round {state.round} was asked before with another model"
    return None


def _asks_too_much(job: Job, sites: int, stage: Stage, before: int) -> str | None:
    """What the job may not ask after its last round; `before` other models were asked about already."""
    if not job.scores_at_the_end or (stage == ALONE and not job.passes_models_on):
        return f"the job asks for no {stage.answer}"
    most = 1 if stage == ALONE else _FEDERATED_MODELS + (sites if job.passes_models_on else 0)
    if before >= most:
        return f"{stage.answer}: the job has asked about as many models as it may, {most}"
    return None


def _standing(state: State, number: str, house: House) -> Standing:
    """How the job stands, after it was kept for the site's people if they had not seen it."""
    with site_ledger(house) as ledger:
        offer(house.work, ledger, as_proposal(state, house.peer))
        put_patients_right(house.work, ledger)
    return standing(house.work, number)


def as_proposal(state: State, peer: str) -> Proposal:
    """A job as a site's people are shown it."""
    arrays = tuple(OfferedArray(name=name, shape=array.shape) for name, array in state.arrays.items())
    job = state.job
    return Proposal(
        job=job_hash(job), task=job.task, peer=peer, text=job_text(job), arrays=arrays, sites=tuple(sorted(state.sites))
    )


def _samples(job: Job, house: House) -> tuple[Path, int]:
    """The store of samples without patients who withdrew, made if it is not up to date; and its number of patients."""
    from flame.learning.samples import build_stores
    from flame.records.dataset import read_site

    out, site = withdrawn_patients(house.work), read_site(house.data)
    left = replace(site, patients=tuple(one for one in site.patients if one.id not in out))
    folder = house.work / "samples" / f"{job.context}-{job.crop.spacing_mm:g}mm-{job.crop.size}"
    store = build_stores(left, {job.context: folder}, job.crop)[job.context]
    return folder, len(store.patients)


def _sent(admission: Admission, update: Update, content: bytes, kind: Carried) -> Sent:
    """What leaves, without its values."""
    parts = tuple(
        SentArray(name=name, shape=array.shape, norm=norm(replace(update, arrays={name: array})))
        for name, array in update.arrays.items()
    )
    return Sent(
        job=update.job_hash,
        round=update.round,
        peer=admission.house.peer,
        kind=kind,
        digest=digest(content),
        bytes=len(content),
        samples=update.samples,
        arrays=parts,
        scalars={} if kind == "masked update" else dict(update.scalars),  # none of them is in a masked update
        noise=deviation(admission.state.job, update.samples),
    )
