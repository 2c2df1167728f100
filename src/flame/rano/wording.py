"""Calls in words: what and why, how the quantity changed, what is unknown."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from flame.rano.words import Language, number, word

if TYPE_CHECKING:
    from flame.rano.presets import Criteria
    from flame.rano.readings import Call, Reason

__all__ = ["call_text"]

_TENFOLD = 9.0

_SAYS_UNKNOWN = frozenset({"no_baseline", "quantity_unknown", "confirmation_unknown"})
"""Rules that say by themselves that the quantity is not known."""


def call_text(call: "Call", criteria: "Criteria", language: Language) -> str:
    """A call in one to three sentences: what and why, how the quantity changed, what is unknown or indeterminate."""
    head = f"{word(call.code, language)} ({call.code})"
    if call.since != call.horizon:
        head += word("dated", language, value=number(call.since, language))
    # How much it shrank follows in the next sentence.
    plain = [replace(one, value=None) if one.rule in ("shrunk", "gone") else one for one in call.reasons]
    why = _listed([_clause(one, language, criteria) for one in plain], language)
    sentences = [_joined(head, why, language) if why else head]
    changes = ", ".join(_changes(call, criteria, language))
    if changes:
        sentences.append(_joined(word(criteria.quantity, language), changes, language))
    doubts = []
    told = {criteria.quantity} if any(one.rule in _SAYS_UNKNOWN for one in call.reasons) else set()
    names = ", ".join(word(name, language) for name in call.unknowns if name not in told)
    if names:
        doubts.append(_joined(word("not_known", language), names, language))
    if call.indeterminate:
        doubts.append(word("indeterminate", language))
    if doubts:
        sentences.append(_listed(doubts, language))
    return " ".join(map(_sentence, sentences))


def _changes(call: "Call", criteria: "Criteria", language: Language) -> Iterator[str]:
    """How the quantity changed, from the nadir first; nothing for the baseline itself."""
    if call.baseline is None or call.nadir is None or call.status == "BL":
        return
    if call.from_baseline is None:
        unknown = criteria.quantity in call.unknowns or any(one.rule in _SAYS_UNKNOWN for one in call.reasons)
        if not unknown:
            yield word("no_change", language, day=number(call.baseline, language))
        return
    if call.nadir == call.baseline:
        name = "reference.both" if criteria.nadir else "reference.baseline"
        yield _change(call.from_baseline, name, call.baseline, language)
        return
    if call.from_nadir is not None or call.from_baseline > -1:  # what stays gone has not changed since a nadir of 0
        yield _change(call.from_nadir, "reference.nadir", call.nadir, language)
    yield _change(call.from_baseline, "reference.baseline", call.baseline, language)


def _change(share: float | None, name: str, horizon: int, language: Language) -> str:
    if share is None:
        key, value = "from_nothing", ""
    elif share >= _TENFOLD:
        key, value = "times", number(1 + share, language)
    else:
        value = number(abs(100 * share), language)
        key = "same" if value == "0" else "more" if share > 0 else "less"
    return word(key, language, value=value, name=word(name, language), day=number(horizon, language))


def _clause(reason: "Reason", language: Language, criteria: "Criteria") -> str:
    """A reason without capital and full stop."""
    value = reason.value
    decimals = 1 if reason.rule == "steroids_increased" else 0
    floor = ""
    if criteria.floor:
        in_ml = criteria.quantity != "spd_mm2"
        size, unit = number(criteria.floor, language, 2 if in_ml else 0), "ml" if in_ml else "mm²"
        floor = word("floor", language, value=size, unit=unit)
    return word(
        f"rule.{reason.rule}",
        language,
        value="?" if value is None else number(value, language, decimals),
        quantity=word(criteria.quantity, language),
        region=word(f"region.{criteria.quantity}", language),
        reference=word(f"reference.{'nadir' if criteria.nadir else 'baseline'}", language),
        increase=number(100 * criteria.increase, language),
        decrease=number(100 * criteria.decrease, language),
        floor=floor,
        first=number(criteria.baseline_days[0], language),
        last=number(criteria.baseline_days[1], language),
        early_until="?" if criteria.early_until is None else number(criteria.early_until, language),
        physiological=number(criteria.physiological_mg, language, 1),
    )


def _joined(head: str, rest: str, language: Language) -> str:
    return f"{head}: {rest}" if language == "en" else f"{head}\u00a0: {rest}"


def _listed(parts: list[str], language: Language) -> str:
    return ("; " if language == "en" else "\u00a0; ").join(parts)


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:] + "."
