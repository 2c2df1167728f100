"""Responder or not: every definition in use, by name, from the calls of a series of exams; and times to events.

No definition is better than the others for all questions, so none is hidden; `disease_control` is the default. All
times are horizons: days since the end of radiotherapy. What can't be known yet is None.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flame.rano.readings import Call, Status

__all__ = [
    "ENDPOINTS",
    "WINDOW_DAYS",
    "Definition",
    "Duration",
    "FollowUp",
    "best_response",
    "disease_control",
    "objective_response",
    "outlives_median",
    "overall_survival",
    "progression_free_survival",
    "status_at",
    "time_to_progression",
]

HALF_A_YEAR = 182

WINDOW_DAYS = 30
"""How far from the day asked for an exam may lie and still answer for that day."""

_BEST_FIRST: tuple[Status, ...] = ("CR", "PR", "SD", "PD")


@dataclass(frozen=True)
class FollowUp:
    """Calls in order of time, and how follow-up ended: death, or the day when last known alive; None if unknown."""

    calls: tuple[Call, ...]
    death_horizon: int | None = None
    contact_horizon: int | None = None


@dataclass(frozen=True)
class Duration:
    """Days from the end of radiotherapy to an event, or, if `event` is false, to when it was last known not to be."""

    days: int
    event: bool


def status_at(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> Status | None:
    """The status at a day, with what later exams say about it.

    Progression counts from the exam that it is dated back to, and for good; death counts as progression. Otherwise the
    exam nearest to the day within the window answers; of two equally near ones the earlier. A response that later exams
    do not confirm is stable disease.

    Returns: `CR`, `PR`, `SD` or `PD`; None if no exam answers, or what it shows is not decided (yet): progression or
        response that waits for confirmation, an exam that can't be evaluated, the baseline itself.
    """
    if follow_up.death_horizon is not None and follow_up.death_horizon <= at_day:
        return "PD"
    answer = _answering(follow_up.calls, at_day)
    last = at_day - WINDOW_DAYS if answer is None else answer.horizon
    progression = _progression(follow_up.calls)
    if progression is not None and progression <= last:
        return "PD"
    if answer is None or answer.status in ("NE", "BL") or _is_open(follow_up.calls, last):
        return None
    if answer.could_be is not None:
        return None
    if answer.status in ("CR", "PR"):
        return _held(answer, follow_up.calls)
    return "SD"


def _answering(calls: Sequence[Call], at_day: int) -> Call | None:
    """The call nearest to a day; one that says something goes before one that does not."""
    near = [call for call in calls if abs(call.horizon - at_day) <= WINDOW_DAYS]
    return min(near, key=lambda call: (call.status == "NE", abs(call.horizon - at_day), call.horizon), default=None)


def _progression(calls: Sequence[Call]) -> int | None:
    """The horizon that the first progression is dated to; preliminary ones do not count."""
    return next((call.since for call in calls if call.status == "PD" and call.stage != "preliminary"), None)


def _is_open(calls: Sequence[Call], last: int) -> bool:
    """Whether a preliminary progression up to `last` was neither confirmed nor refuted by a later exam."""
    return (opened := _opened(calls)) is not None and opened <= last


def _opened(calls: Sequence[Call]) -> int | None:
    """The horizon of the preliminary progression that is not decided at the end; surgery leaves it so for good."""
    opened = None
    for call in calls:
        if call.status == "PD" and call.stage == "preliminary":
            opened = call.horizon if opened is None else opened
        elif call.status == "BL" and opened is not None:
            return opened
        elif call.status not in ("NE", "BL"):
            opened = None
    return opened


def _held(answer: Call, calls: Sequence[Call]) -> Status | None:
    """The best response that an exam shows and later exams confirm; None while nothing has decided."""
    if answer.stage != "preliminary":
        return answer.status
    later = [call for call in calls if call.horizon > answer.horizon and call.status != "NE"]
    levels: tuple[Status, ...] = ("CR", "PR") if answer.status == "CR" else ("PR",)
    for level in levels:
        for call in later:
            reached = call.status == level or (level == "PR" and call.status == "CR")
            if reached and call.stage == "confirmed":
                return level
            if not reached:
                break
        else:
            return None
    return "SD"


def disease_control(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> bool | None:
    """Whether the patient lives without progression at a day: CR, PR or SD (RANO's "non-PD").

    A response that still waits for confirmation is control: whatever comes of it, it is no progression.
    """
    status = status_at(follow_up, at_day)
    if status is not None:
        return status != "PD"
    answer = _answering(follow_up.calls, at_day)
    if answer is None or _is_open(follow_up.calls, answer.horizon):
        return None
    return True if answer.status in ("CR", "PR") or answer.could_be is not None else None


def objective_response(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> bool | None:
    """Whether the patient is in complete or partial response at a day (RANO's objective response)."""
    status = status_at(follow_up, at_day)
    return None if status is None else status in ("CR", "PR")


def three_classes(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> str | None:
    """`response`, `stable` or `progression` at a day."""
    status = status_at(follow_up, at_day)
    return None if status is None else {"PD": "progression", "SD": "stable"}.get(status, "response")


def progression_free(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> bool | None:
    """Whether the patient is alive and free of progression at a day, by time to event: a patient whose exams end
    before that day is not known (progression-free survival at 6 months, PFS-6, for day 182)."""
    if _is_open(follow_up.calls, at_day):
        return None
    return _survives(progression_free_survival(follow_up), at_day)


def progression_free_from_baseline(follow_up: FollowUp, days: int) -> bool | None:
    """Whether there was no progression within some days of the baseline exam, the landmark."""
    judged = (call.baseline for call in follow_up.calls if call.status not in ("NE", "BL"))
    landmark = next(judged, next((call.horizon for call in reversed(follow_up.calls) if call.status == "BL"), None))
    found = time_to_progression(follow_up)
    if landmark is None or found is None:
        return None
    return _survives(found, landmark + days)


def alive(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> bool | None:
    """Whether the patient lives at a day."""
    return _survives(overall_survival(follow_up), at_day)


def true_progression(follow_up: FollowUp, at_day: int = HALF_A_YEAR) -> bool | None:
    """Whether early growth was progression that a later exam confirmed (True) or pseudoprogression (False).

    Returns: None for patients without early growth, and where no exam up to the end has decided. `at_day` is of no
        account.
    """
    _ = at_day
    for call in follow_up.calls:
        rules = {reason.rule for reason in call.reasons}
        if rules & {"progression_confirmed", "pseudoprogression"}:
            return "progression_confirmed" in rules
    return None


def _survives(duration: Duration | None, at_day: int) -> bool | None:
    if duration is None or (not duration.event and duration.days < at_day):
        return None
    return not duration.event or duration.days > at_day


def progression_free_survival(follow_up: FollowUp) -> Duration | None:
    """Time to progression or death, whichever is first; censored at the last exam that was free of progression.

    Returns: None if there is no baseline and no death: nothing was ever compared.
    """
    progression, death = _progression(follow_up.calls), follow_up.death_horizon
    events = [horizon for horizon in (progression, death) if horizon is not None]
    if events:
        return Duration(min(events), event=True)
    return _censored(follow_up)


def time_to_progression(follow_up: FollowUp) -> Duration | None:
    """Time to progression; death without it censors, at the last exam that was free of progression.

    Returns: None if there is no baseline: nothing was ever compared.
    """
    progression = _progression(follow_up.calls)
    return _censored(follow_up) if progression is None else Duration(progression, event=True)


def _censored(follow_up: FollowUp) -> Duration | None:
    opened = _opened(follow_up.calls)
    known = [call for call in follow_up.calls if opened is None or call.horizon < opened]
    free = [call.horizon for call in known if call.status not in ("NE", "PD")]
    return Duration(max(free), event=False) if free else None


def overall_survival(follow_up: FollowUp) -> Duration | None:
    """Time to death, censored when last known alive; an exam shows that a patient was alive."""
    if follow_up.death_horizon is not None:
        return Duration(follow_up.death_horizon, event=True)
    seen = [call.horizon for call in follow_up.calls]
    seen += [] if follow_up.contact_horizon is None else [follow_up.contact_horizon]
    return Duration(max(seen), event=False) if seen else None


def best_response(follow_up: FollowUp) -> Status | None:
    """The best status of all exams after the baseline; a response that was not confirmed counts as stable disease.

    Returns: None if no exam after a baseline could be judged.
    """
    found: set[Status] = set()
    for call in follow_up.calls:
        waits = call.stage == "preliminary"
        if call.status in ("CR", "PR"):
            found.add("SD" if waits else call.status)
        elif call.status == "SD" or (call.status == "PD" and not waits):
            found.add(call.status)
        if call.status == "PD" and not waits:
            break
    return next((status for status in _BEST_FIRST if status in found), None)


def outlives_median(follow_ups: Sequence[FollowUp]) -> tuple[bool | None, ...]:
    """Whether each patient of a cohort lives longer than its median survival (Kaplan and Meier 1958).

    Returns: None for all if the median is not reached, and for patients last seen alive before it.
    """
    durations = [overall_survival(one) for one in follow_ups]
    median = _median([one for one in durations if one is not None])
    return tuple(None if median is None else _survives(one, median) for one in durations)


def _median(durations: Sequence[Duration]) -> int | None:
    surviving = 1.0
    for day in sorted({one.days for one in durations if one.event}):
        at_risk = sum(one.days >= day for one in durations)
        surviving *= 1 - sum(one.event and one.days == day for one in durations) / at_risk
        if surviving <= 0.5:
            return day
    return None


@dataclass(frozen=True)
class Definition:
    """A definition of responder: what it says in words, where it is in use, and how it is decided.

    `decide` gives True for a responder, a class for endpoints of several classes, None if it can't be known (yet).
    """

    says: str
    source: str
    decide: Callable[[FollowUp], bool | str | None]


ENDPOINTS: Mapping[str, Definition] = MappingProxyType(
    {
        "disease_control": Definition("CR, PR or SD at 6 months", "RANO non-PD; users of CFB-GBM", disease_control),
        "objective_response": Definition("CR or PR at 6 months", "RANO objective response rate", objective_response),
        "three_classes": Definition("response, stable, progression at 6 months", "LUMIERE, Burdenko", three_classes),
        "four_classes": Definition("CR, PR, SD, PD at 6 months", "BraTS progression challenge", status_at),
        "pfs_6": Definition("alive without confirmed PD at 6 months", "trials (unverified)", progression_free),
        "progression_free_120": Definition(
            "no PD within 120 days of the baseline exam",
            "MU-Glioma-Post",
            lambda one: progression_free_from_baseline(one, 120),
        ),
        "progression_free_180": Definition(
            "no PD within 180 days of the baseline exam",
            "MU-Glioma-Post",
            lambda one: progression_free_from_baseline(one, 180),
        ),
        "alive_6_months": Definition("alive at 6 months", "Swiss cohort of 1152", alive),
        "true_progression": Definition(
            "early growth was confirmed; False is pseudoprogression", "FLAME, on CFB-GBM", true_progression
        ),
    }
)
"""Endpoints by name, from the end of radiotherapy unless they say otherwise."""
