"""Whether a hospital is ready: its rules, its people, its ledger, its data, and one batch of them learnt from.

What is told names no patient: messages of errors about data may, so they are not passed on.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from flame.errors import DataError, FlameError
from flame.federation.doctor import Condition
from flame.federation.job import Crop, Job, TrainingSettings
from flame.records.check import check_site
from flame.records.dataset import Site, read_site
from flame.records.patient import Patient
from flame.site.audit import audit
from flame.site.entries import Registered
from flame.site.history import recorded
from flame.site.identity import read_identity, read_public_key
from flame.site.ledger import ledger_path
from flame.site.people import key_of
from flame.site.policy import Policy, site_policy
from flame.site.withdrawal import withdrawn_patients

__all__ = [
    "data_condition",
    "last_signed",
    "ledger_condition",
    "people_condition",
    "policy_condition",
    "rehearsal_condition",
    "taking_part",
]

BATCH, TRIED = 2, 20
"""Patients of a rehearsal's batch, and how many are tried to find them."""

_CROP = Crop(spacing_mm=6.0, size=16)
"""The whole head at 6 mm: a batch takes a second and shows the same mistakes as a job's own grid."""


def ledger_condition(folder: Path) -> Condition:
    """Whether the ledger in a folder is whole and can be written on by the identity that lies there."""
    if not ledger_path(folder).exists():
        return Condition("ledger", "ok", "not begun")
    try:
        if read_public_key(folder / "identity.pub") != read_identity(folder).public_key:
            said = f"identity.key and identity.pub in {folder} do not belong together"
            return Condition("ledger", "error", said, "Restore both from a copy.")
        found = audit(folder, read_identity(folder).public_key)
    except FlameError as error:
        return Condition("ledger", "error", error.message, error.hint)
    if found.flaws:
        return Condition("ledger", "error", found.flaws[0].what, f"Find out by whom: flame verify {folder}")
    return Condition("ledger", "ok", f"{len(found.entries)} entries, whole")


def last_signed(folder: Path) -> datetime | None:
    """When the last entry of the ledger in a folder was written; None if there is none, or it can't be read."""
    if not ledger_path(folder).exists():
        return None
    try:
        return max(
            (entry.at for entry in audit(folder, read_public_key(folder / "identity.pub")).entries), default=None
        )
    except FlameError:
        return None


def policy_condition(work: Path, patients: int | None) -> Condition:
    """What a site's policy allows; a site that allows nothing takes no part.

    Args:
        work: folder of the site's rules and records.
        patients: who can take part; None if not known.
    """
    path = work / "policy.toml"
    if not path.exists():
        return Condition("policy", "error", "there is none, so nothing is allowed", f"Write {path}: tasks, models, ...")
    try:
        policy = site_policy(work)
    except FlameError as error:
        return Condition("policy", "error", error.message, error.hint)
    lists = {"tasks": policy.tasks, "models": policy.models, "arrays": policy.arrays}
    empty = [name for name, names in lists.items() if not names]
    if empty:
        said = f"{', '.join(empty)}: nothing is allowed"
        return Condition("policy", "error", said, f"Name what may be asked for in {path}.")
    if not _known(policy):
        said = f"this FLAME has no model {', '.join(policy.models)} for {', '.join(policy.tasks)}"
        return Condition("policy", "error", said, f"Look at the names in {path}.")
    if patients is not None and patients < policy.min_patients:
        said = f"min_patients is {policy.min_patients}, so every job is refused: fewer take part here"
        return Condition("policy", "error", said, f"Add patients, or lower min_patients in {path}.")
    return Condition("policy", "ok", _allowed(policy))


def _known(policy: Policy) -> bool:
    from flame.models.networks import NETWORKS

    return any(name in policy.models for task, names in NETWORKS.items() if task in policy.tasks for name in names)


def _allowed(policy: Policy) -> str:
    hours = ", ".join(f"{one.begin:%H:%M} to {one.end:%H:%M}" for one in policy.hours) or "any time"
    return (
        f"allows {', '.join(policy.tasks)} with {', '.join(policy.models)}; arrays {', '.join(policy.arrays)}; "
        f"{policy.min_patients} patients or more; up to {policy.max_rounds} rounds; {hours}"
    )


def people_condition(work: Path) -> Condition:
    """Whether somebody is registered who may decide on jobs."""
    subject, register = "people who may decide", f"Run: flame site register {work} NAME KEY/identity.pub --site SITE"
    try:
        events = recorded(work)
    except FlameError as error:
        return Condition(subject, "error", error.message, error.hint)
    names = list(dict.fromkeys(event.person for event in events if isinstance(event, Registered)))
    able, unable = [], []
    for name in names:
        try:
            key_of(work, name, events)
            able.append(name)
        except FlameError as error:
            unable.append(error.message)
    if not able:
        return Condition(subject, "error", "; ".join(unable) or "nobody, so no job can be approved", register)
    return Condition(subject, "ok", ", ".join(able))


def data_condition(data: Path) -> tuple[Condition, Site | None]:
    """What `flame check` finds in a site's folder, in numbers; and the site, unless its records can't be read."""
    see = f"Run: flame check {data}"
    try:
        site = read_site(data)
    except DataError:
        return Condition("data", "error", "the records can't be read", see), None
    found = Counter(finding.severity for finding in check_site(site))
    said = f"{len(site.patients)} patients, {found['error']} errors, {found['warning']} warnings"
    if found["error"]:
        return Condition("data", "error", said, see), site
    if found["warning"]:
        return Condition("data", "warning", said, see), site
    return Condition("data", "ok", said), site


def taking_part(site: Site, work: Path) -> Site:
    """The site without patients who withdrew.

    Raises: PolicyError: if the list of them was changed.
    """
    out = withdrawn_patients(work)
    return replace(site, patients=tuple(one for one in site.patients if one.id not in out))


def rehearsal_condition(site: Site, work: Path) -> Condition:
    """Prepare a few patients coarsely and take one step of the evolution network; all is deleted afterwards.

    The samples lie in the work folder meanwhile, where a job's would lie as well, and nowhere else.

    Args:
        site: with the patients who take part.
        work: folder of the site.
    """
    subject, tried = "one batch, rehearsed", _likely(site.patients)[:TRIED]
    try:
        for first in range(0, len(tried), BATCH):
            group = replace(site, patients=tuple(tried[first : first + BATCH]))
            for job in _jobs():
                took = _rehearse(group, work, job)
                if took is not None:
                    said = f"{took[0]:.1f} s to prepare, {took[1]:.1f} s for a step on {job.training.device}"
                    return Condition(subject, "ok", said)
    except OSError as error:
        said = f"files can't be used ({type(error).__name__})"
        return Condition(subject, "error", said, f"Look at space and rights of {work} and of the data.")
    except (RuntimeError, ValueError, FlameError) as error:
        said = f"it failed ({type(error).__name__})"
        return Condition(subject, "error", said, "Install FLAME anew, try again, and report it if it stays so.")
    said = f"none of {len(tried)} patients tried has images, a course and a later exam that can be used"
    return Condition(subject, "error", said, f"Run: flame check {site.folder}")


def _likely(patients: Sequence[Patient]) -> list[Patient]:
    """Those with a course and two label maps: there may be something to learn from them."""
    return [one for one in patients if one.courses and sum(exam.label_map is not None for exam in one.exams) > 1]


def _jobs() -> Iterator[Job]:
    import torch

    training = TrainingSettings(batch_size=BATCH, device="cuda" if torch.cuda.is_available() else "cpu")
    blank = Job(task="evolution", model="unet", context="pre_rt", seed=0, rounds=1, training=training, crop=_CROP)
    yield from (blank, blank.model_copy(update={"context": "first_post_rt"}))


def _rehearse(site: Site, work: Path, job: Job) -> tuple[float, float] | None:
    """Seconds to prepare and to take a step; None if these patients give nothing to learn from."""
    from flame.federation.local import SiteTraining, initial_arrays
    from flame.learning.samples import build_stores

    arrays, begin = initial_arrays(job), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=work, prefix=".rehearsal.") as place:
        try:
            build_stores(site, {job.context: Path(place)}, job.crop)
            ready = time.perf_counter()
            SiteTraining(job, "rehearsal", (Path(place),))(arrays, 0)
        except DataError:
            return None
        return ready - begin, time.perf_counter() - ready
