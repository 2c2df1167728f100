"""Calls for a series of exams: the state machine of response criteria.

Exams are judged in order of time, each by itself and those before it alone, so that a later exam changes no call. The
order of questions is RANO's: was there surgery, is there a baseline, progression, response, stable disease (Wen et al.
2010 and 2023; Ellingson et al. 2017). docs/rano.md lists every rule with its source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from flame.rano.presets import RANO_2, Criteria
from flame.rano.readings import Call, Reading, Reason

__all__ = ["assess"]

_ROUNDING = 1e-9
Answer = bool | None
Level = Literal["CR", "PR"]


def assess(readings: Sequence[Reading], criteria: Criteria = RANO_2) -> tuple[Call, ...]:
    """Call every exam.

    Args:
        readings: in order of time, at most one a day.
        criteria: numbers and switches, see `presets`.

    Returns: one call for each reading.
    Raises: ValueError: if readings are not in order of time.
    """
    horizons = [reading.horizon for reading in readings]
    if any(later <= earlier for earlier, later in pairwise(horizons)):
        raise ValueError(f"readings must be in order of time, one a day; horizons are {horizons}")
    calls = _called(readings, criteria)
    doubtful = _doubtful(readings, calls, criteria)
    return tuple(replace(call, indeterminate=place in doubtful) for place, call in enumerate(calls))


def _called(readings: Sequence[Reading], criteria: Criteria) -> list[Call]:
    course, calls = _Course(), []
    for reading in readings:
        call, course = _judged(reading, course, criteria)
        calls.append(call if reading.surgery is not None else replace(call, unknowns=(*call.unknowns, "surgery")))
    return calls


def _doubtful(readings: Sequence[Reading], calls: Sequence[Call], criteria: Criteria) -> set[int]:
    """Places of the calls whose status another grid could change.

    One exam is taken at an end of its range at a time, and, for its own call, all exams before it at the other end.
    """
    ends = [_ends(reading, criteria) for reading in readings]
    found = set()
    for place, (low, high, otherwise) in enumerate(ends):
        variants = [[*readings[:place], one, *readings[place + 1 :]] for one in (low, high, otherwise)]
        for variant in variants:
            found |= _changed(variant, calls, criteria) if variant[place] is not readings[place] else set()
        opposed = [[*(pair[1] for pair in ends[:place]), low], [*(pair[0] for pair in ends[:place]), high]]
        for variant in opposed:
            found |= _changed(variant, calls, criteria) & {place}
    return found


def _ends(reading: Reading, criteria: Criteria) -> tuple[Reading, Reading, Reading]:
    """A reading with the least and the most that its quantity may be, and with borderline lesions the other way."""
    interval = reading.interval(criteria.quantity, criteria.reader_spread)
    low, high, otherwise = reading, reading, reading
    if interval is not None and interval[1] < interval[2]:
        ends: list[dict[str, Any]] = [{criteria.quantity: value} for value in interval[1:]]
        low, high = (replace(reading, **end) for end in ends)
    if reading.otherwise is not None:
        otherwise = replace(reading, measurable=reading.otherwise[0], new_lesion=reading.otherwise[1])
    return low, high, otherwise


def _changed(readings: Sequence[Reading], calls: Sequence[Call], criteria: Criteria) -> set[int]:
    """Places where other readings give another status."""
    others = _called(readings, criteria)
    return {place for place, (other, call) in enumerate(zip(others, calls)) if other.status != call.status}


@dataclass(frozen=True)
class _Pending:
    """A preliminary progression that a later exam decides on: what it was compared with, and what was there."""

    exam: Reading
    nadir: Reading
    rules: frozenset[str]


@dataclass(frozen=True)
class _Course:
    """What the exams so far amount to; surgery begins a new one.

    `values` are the exams since the baseline whose quantity is known, without preliminary progressions. `cr_since` and
    `pr_since` say since when a response of at least that level has lasted, `steroid_rise` since when more steroids were
    all that changed.
    """

    operated: bool = False
    baseline: Reading | None = None
    provisional: bool = False
    values: tuple[Reading, ...] = ()
    pending: _Pending | None = None
    progressed: int | None = None
    cr_since: int | None = None
    pr_since: int | None = None
    steroid_rise: int | None = None


def _judged(reading: Reading, course: _Course, criteria: Criteria) -> tuple[Call, _Course]:
    if reading.surgery and criteria.resets:
        course = _Course(operated=reading.horizon >= 0)
    baseline = _baseline(reading, course, criteria)
    if baseline is not None:
        return baseline
    assert course.baseline is not None
    nadir = _nadir(course, criteria)
    call = _compared(Call(reading.horizon, "NE", reading.horizon), reading, course.baseline, nadir, criteria)
    if course.progressed is not None:
        return replace(call, status="PD", since=course.progressed, reasons=(Reason("after_progression"),)), course
    refuted = None
    if course.pending is not None and reading.horizon >= course.pending.exam.horizon + criteria.confirm_days:
        verdict, missing = _confirmed(reading, course.pending, criteria)
        if verdict is None:
            return replace(call, reasons=(Reason("confirmation_unknown"),), unknowns=missing), course
        since = course.pending.exam.horizon
        if verdict:
            reasons = (Reason("progression_confirmed", since), *_true(_evidence(reading, nadir, criteria)))
            confirmed = replace(call, status="PD", stage="confirmed", since=since, reasons=reasons)
            return confirmed, replace(course, pending=None, progressed=since)
        refuted, course = Reason("pseudoprogression", since), replace(course, pending=None)
        if criteria.confirmation == "further_increase":
            course = replace(course, values=())  # what was accepted as pseudoprogression is where growth begins again
    call, course = _evaluated(call, reading, course, nadir, criteria, refuted)
    return (replace(call, reasons=(refuted, *call.reasons)) if refuted else call), course


def _baseline(reading: Reading, course: _Course, criteria: Criteria) -> tuple[Call, _Course] | None:
    """The call and the course if this exam becomes the baseline, or nothing can be compared yet; else None."""
    first, last = criteria.baseline_days
    after = criteria.baseline == "post_rt"
    preferred = first <= reading.horizon <= last
    known = reading.interval(criteria.quantity) is not None
    undecided = course.progressed is None and course.pending is None
    replaces = known and (course.provisional and preferred and undecided if after else reading.horizon < 0)
    if course.baseline is not None and not replaces:
        return None
    call = Call(reading.horizon, "NE", reading.horizon)
    if after and reading.horizon < 0:
        return replace(call, reasons=(Reason("before_baseline"),)), course
    if not known or (not after and reading.horizon >= 0):
        return replace(call, reasons=(Reason("no_baseline"),), unknowns=(criteria.quantity,)), course
    rule = "baseline" if preferred or not after else "baseline_outside_window"
    rule = "baseline_after_surgery" if course.operated else rule
    provisional = after and not course.operated and reading.horizon < first
    begun = _Course(course.operated, reading, provisional, values=(reading,))
    return replace(call, status="BL", baseline=reading.horizon, reasons=(Reason(rule),)), begun


def _nadir(course: _Course, criteria: Criteria) -> Reading:
    """The smallest value so far, the judged exam left out; of equal ones the first."""
    assert course.baseline is not None
    if not criteria.nadir:
        return course.baseline
    return min(course.values, key=lambda one: _value(one, criteria))


def _value(reading: Reading, criteria: Criteria) -> float:
    value: float = getattr(reading, criteria.quantity)
    return value


def _compared(call: Call, reading: Reading, baseline: Reading, nadir: Reading, criteria: Criteria) -> Call:
    """The call with what it is compared with."""

    def change(reference: Reading) -> float | None:
        now, then = getattr(reading, criteria.quantity), _value(reference, criteria)
        return None if now is None or then == 0 else float(now / then - 1)

    return replace(
        call,
        baseline=baseline.horizon,
        nadir=nadir.horizon,
        from_baseline=change(baseline),
        from_nadir=change(nadir),
    )


Evidence = tuple[tuple[Reason, Answer], ...]


def _evidence(reading: Reading, nadir: Reading, criteria: Criteria) -> Evidence:
    """What would be progression, and whether it is there."""
    grown = _grown(reading, nadir, criteria)
    from_nothing = _value(nadir, criteria) == 0
    found: list[tuple[Reason, Answer]] = [(Reason("reappeared" if from_nothing else "growth"), grown)]
    if criteria.new_lesions:
        new = None if reading.new_lesion is None else reading.new_lesion != "none"
        outside = reading.new_lesion == "out_field"
        found.append((Reason("new_lesion_out_of_field" if outside else "new_lesion"), new))
    switches = (("non_target", "non_target_worse"), ("t2", "t2_worse"), ("clinical", "clinical_worse"))
    found += [(Reason(name), getattr(reading, name)) for switch, name in switches if getattr(criteria, switch)]
    return tuple(found)


def _true(evidence: Evidence) -> tuple[Reason, ...]:
    return tuple(reason for reason, answer in evidence if answer)


def _unknown(evidence: Evidence, criteria: Criteria) -> tuple[str, ...]:
    names = {"growth": criteria.quantity, "reappeared": "measurable", "new_lesion_out_of_field": "new_lesion"}
    return tuple(names.get(reason.rule, reason.rule) for reason, answer in evidence if answer is None)


def _grown(reading: Reading, reference: Reading, criteria: Criteria) -> Answer:
    """Growth over a reference by the share and by what can be measured; from nothing, a lesion must be measurable."""
    now = reading.interval(criteria.quantity)
    if now is None:
        return None
    then = _value(reference, criteria)
    if then == 0:
        target = reading.target_measurable if criteria.quantity == "spd_mm2" else None
        return False if now[0] == 0 else (reading.measurable if target is None else target)
    return _exceeds(now[0], then, criteria)


def _exceeds(now: float, then: float, criteria: Criteria) -> bool:
    return now - then >= (1 - _ROUNDING) * max(criteria.increase * then, criteria.floor)


def _confirmed(reading: Reading, pending: _Pending, criteria: Criteria) -> tuple[Answer, tuple[str, ...]]:
    """Whether an exam confirms a preliminary progression, and what is missing where that can't be told."""
    reference = pending.nadir if criteria.confirmation == "still_above" else pending.exam
    if reference.interval(criteria.quantity) is None:
        reference = pending.nadir
    evidence = _evidence(reading, reference, criteria)
    if _true(evidence):
        return True, ()
    asked = tuple(one for one in evidence if one is evidence[0] or _kind(one[0]) in pending.rules)
    missing = _unknown(asked, criteria)
    return (None if missing else False), missing


def _kind(reason: Reason) -> str:
    """The rule, whichever of its forms a reason has."""
    same = {"reappeared": "growth", "new_lesion_out_of_field": "new_lesion"}
    return same.get(reason.rule, reason.rule)


def _evaluated(
    call: Call, reading: Reading, course: _Course, nadir: Reading, criteria: Criteria, refuted: Reason | None
) -> tuple[Call, _Course]:
    """Progression first, then response."""
    assert course.baseline is not None
    evidence = _evidence(reading, nadir, criteria)
    reasons, unknowns = _true(evidence), _unknown(evidence, criteria)
    call = replace(call, unknowns=unknowns)
    if reasons and refuted is None:
        return _progressive(replace(call, reasons=reasons), reading, course, nadir, criteria)
    if reading.interval(criteria.quantity) is None:
        return replace(call, reasons=(Reason("quantity_unknown"),)), course
    if course.pending is not None and not _confirmed(reading, course.pending, criteria)[1]:
        course = replace(course, pending=None)  # gone before it could be confirmed
    return _responsive(call, reading, replace(course, values=(*course.values, reading)), criteria)


def _progressive(
    call: Call, reading: Reading, course: _Course, nadir: Reading, criteria: Criteria
) -> tuple[Call, _Course]:
    outside = reading.new_lesion == "out_field" and criteria.new_lesions
    early = criteria.early_until is not None and reading.horizon <= criteria.early_until and not outside
    ended = replace(course, cr_since=None, pr_since=None, steroid_rise=None)
    if early and criteria.early == "not_counted":
        if reading.interval(criteria.quantity) is None:
            return replace(call, reasons=(Reason("early_growth"), Reason("quantity_unknown"))), ended
        kept = replace(ended, values=(*course.values, reading))
        return replace(call, status="SD", reasons=(Reason("early_growth"), *call.reasons)), kept
    if early:
        rules = frozenset(_kind(reason) for reason in call.reasons)
        pending = course.pending or _Pending(reading, nadir, rules)
        return replace(call, status="PD", stage="preliminary"), replace(ended, pending=pending)
    clinical = any(reason.rule == "clinical_worse" for reason in call.reasons)
    since = course.steroid_rise if clinical and course.steroid_rise is not None else reading.horizon
    call = replace(call, status="PD", since=since)
    if not criteria.latches:
        return call, ended
    return call, replace(ended, pending=None, progressed=since)


def _responsive(call: Call, reading: Reading, course: _Course, criteria: Criteria) -> tuple[Call, _Course]:
    """Complete or partial response if it is reached and nothing stands against it, else stable disease."""
    assert course.baseline is not None
    granted = _reached(_value(reading, criteria), _value(course.baseline, criteria), reading, criteria)
    reasons: tuple[Reason, ...] = ()
    unknowns, could_be = call.unknowns, None
    while granted is not None:
        gates = tuple(_gates(granted, reading, course.baseline, criteria))
        if all(answer for _, answer in gates):
            break
        if could_be is None and all(answer is not False for _, answer in gates):
            could_be = granted
        reasons += tuple(Reason(f"no_{granted.lower()}_{name}") for name, answer in gates if answer is False)
        unknowns += tuple(name for name, answer in gates if answer is None and name not in unknowns)
        granted = "PR" if granted == "CR" else None
    cr = course.cr_since if granted == "CR" or could_be == "CR" else None
    pr = course.pr_since if granted or could_be else None
    cr = reading.horizon if granted == "CR" and cr is None else cr
    pr = reading.horizon if granted and pr is None else pr
    course = replace(course, cr_since=cr, pr_since=pr)
    call = replace(call, reasons=reasons, unknowns=unknowns, could_be=could_be)
    if granted is None:
        return _stable(call, reading, course, criteria)
    since = cr if granted == "CR" else pr
    assert since is not None
    held = reading.horizon - since >= criteria.hold_days
    stage: Literal["preliminary", "confirmed"] | None = "confirmed" if held else "preliminary"
    call = replace(
        call,
        status=granted,
        stage=stage if criteria.hold_days else None,
        since=since if held else reading.horizon,
        reasons=(Reason("gone" if granted == "CR" else "shrunk", call.from_baseline), *reasons),
    )
    return call, replace(course, steroid_rise=None)


def _stable(call: Call, reading: Reading, course: _Course, criteria: Criteria) -> tuple[Call, _Course]:
    """Stable disease, unless more steroids may be what keeps it stable: that is neither stable nor progressive."""
    assert course.baseline is not None
    before, now = course.baseline.steroid_mg, reading.steroid_mg
    if criteria.steroids and (now is None or (before is None and now > criteria.physiological_mg)):
        call = replace(call, unknowns=tuple(dict.fromkeys((*call.unknowns, "steroid_mg"))))
    if criteria.steroids and before is not None and now is not None and now > max(before, criteria.physiological_mg):
        rise = course.steroid_rise if course.steroid_rise is not None else reading.horizon
        call = replace(call, reasons=(*call.reasons, Reason("steroids_increased", now)))
        return call, replace(course, steroid_rise=rise)
    return replace(call, status="SD", reasons=(*call.reasons, Reason("stable"))), replace(course, steroid_rise=None)


def _reached(value: float, then: float, reading: Reading, criteria: Criteria) -> Level | None:
    """The response that a value of the quantity would be from the baseline's value `then`."""
    if then == 0:
        return None
    if value == 0 and not (criteria.quantity == "spd_mm2" and reading.et_ml != 0):
        return "CR"
    return "PR" if value <= (1 - criteria.decrease) * then * (1 + _ROUNDING) else None


def _gates(level: Level, reading: Reading, baseline: Reading, criteria: Criteria) -> Iterator[tuple[str, Answer]]:
    """What a response needs besides shrinkage, by name, and whether it is there."""
    yield "baseline_measurable", baseline.measurable
    if criteria.clinical:
        yield "clinical_worse", None if reading.clinical_worse is None else not reading.clinical_worse
    if criteria.steroids:
        yield "steroid_mg", _few_steroids(level, reading.steroid_mg, baseline.steroid_mg, criteria.physiological_mg)


def _few_steroids(level: Level, now: float | None, before: float | None, physiological: float) -> Answer:
    """No more steroids than the body makes, or, for a partial response, no more than at the baseline."""
    if now is None:
        return None
    if now <= physiological or level == "CR":
        return now <= physiological
    return None if before is None else now <= before
