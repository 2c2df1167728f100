"""Was federated training worth it? An answer in plain sentences that follows from differences and their intervals.

The main comparisons are fixed before any number is known: the response model and the context of highest rank in
`_MODELS` and `_CONTEXTS`, enhancing and whole tumour at the horizon nearest to +182 days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flame.report.estimates import Estimate, Verdict
from flame.report.words import context_short, horizon_text, name, plural

__all__ = ["Answer", "MainComparison", "MainScore", "answer", "main_comparisons", "main_horizon", "main_scores"]

_CONTEXTS = ("first_post_rt", "pre_rt")
_MODELS = ("network", "clinical_volumes", "clinical")
_REGIONS = ("ET", "WT")
_HORIZON = 182

_VERBS: Mapping[Verdict, str] = {
    "better": "better than",
    "worse": "worse than",
    "undecided": "not distinguishable from",
    "unknown": "not comparable with",
}
_REFERENCES: Mapping[str, str] = {
    "local": "a single site's own model",
    "persistence": "the last map carried forward",
    "pooled": "training on pooled data",
}


@dataclass(frozen=True)
class MainComparison:
    """Federated training against one reference, on what was asked; a positive difference is in its favour."""

    subject: str
    score: str
    reference: str
    difference: Estimate


@dataclass(frozen=True)
class MainScore:
    """What each way of training ("persistence" for none) scored on a subject of the main comparisons."""

    subject: str
    score: str
    ways: Mapping[str, Estimate]


@dataclass(frozen=True)
class Answer:
    """The word the page opens with, the sentence that justifies it, and one sentence per subject."""

    word: str
    reason: str
    sentences: tuple[str, ...]


def _main_part(parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The part of a task that the answer is about: its context of highest rank; None if there is no part."""
    rank = {context: position for position, context in enumerate(_CONTEXTS)}
    return min(parts, key=lambda part: rank.get(part["context"], len(rank)), default=None)


def main_horizon(horizons: Sequence[int]) -> int | None:
    """The horizon nearest to +182 days; None if there is none."""
    return min(horizons, key=lambda horizon: (abs(horizon - _HORIZON), horizon), default=None)


def main_comparisons(comparison: Mapping[str, Any]) -> tuple[MainComparison, ...]:
    """All main comparisons of a comparison's tables, response first."""
    return _of_response(comparison.get("response") or []) + _of_evolution(comparison.get("evolution") or [])


def main_scores(comparison: Mapping[str, Any]) -> tuple[MainScore, ...]:
    """The scores behind the main comparisons, response first."""
    found = []
    if (chosen := _response_subject(comparison.get("response") or [])) is not None:
        part, model, subject = chosen
        rows = [row for row in part["rows"] if row["model"] == model]
        found.append(MainScore(subject, "AUROC", {row["trained"]: Estimate.of(row["auroc"]) for row in rows}))
    for part, region, horizon, subject in _evolution_subjects(comparison.get("evolution") or []):
        ways = {
            "persistence" if row["trained"] == "none" else row["trained"]: Estimate.of(row["dice"], row["patients"])
            for row in part["rows"]
            if _is_at(row, region, horizon) and row["method"] != "volume_trend"
        }
        found.append(MainScore(subject, "Dice", ways))
    return tuple(found)


def _response_subject(parts: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], str, str] | None:
    """The main context's part, the main model, and how to call it."""
    part = _main_part(parts)
    models = {row["model"] for row in part["differences"]} if part else set()
    model = next((model for model in _MODELS if model in models), None)
    if part is None or model is None:
        return None
    who = plural(part["patients"], "patient")
    return part, model, f"Response ({name(model)}, {context_short(part['context'])}, {who})"


def _of_response(parts: Sequence[Mapping[str, Any]]) -> tuple[MainComparison, ...]:
    if (chosen := _response_subject(parts)) is None:
        return ()
    part, model, subject = chosen
    return tuple(
        MainComparison(subject, "AUROC", row["between"].removeprefix("federated - "), Estimate.of(row["auroc"]))
        for row in part["differences"]
        if row["model"] == model
    )


def _evolution_subjects(parts: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str, int, str]]:
    """The main context's part, region, main horizon, and how to call it; one for each main region."""
    part = _main_part(parts)
    horizon = main_horizon(sorted({row["horizon"] for row in part["differences"]})) if part else None
    if part is None or horizon is None:
        return []
    found = []
    for region in _REGIONS:
        counts = [row["patients"] for row in part["differences"] if _is_at(row, region, horizon)]
        if counts:
            where = f"{horizon_text(horizon)}, {context_short(part['context'])}, {plural(max(counts), 'patient')}"
            found.append((part, region, horizon, f"Evolution of {name(region)} ({where})"))
    return found


def _is_at(row: Mapping[str, Any], region: str, horizon: int) -> bool:
    return bool(row["region"] == region and row["horizon"] == horizon)


def _of_evolution(parts: Sequence[Mapping[str, Any]]) -> tuple[MainComparison, ...]:
    return tuple(
        MainComparison(
            subject, "Dice", row["between"].removeprefix("federated - "), Estimate.of(row["dice"], row["patients"])
        )
        for part, region, horizon, subject in _evolution_subjects(parts)
        for row in part["differences"]
        if _is_at(row, region, horizon)
    )


def answer(comparison: Mapping[str, Any]) -> Answer:
    """The headline of a report.

    Federated training was worth it where it did better than what a site has without it: its own model, and for maps
    the last map carried forward. Pooling is reported beside it: it is what federated training replaces.
    """
    compared = main_comparisons(comparison)
    word, reason = _verdict([one.difference.verdict for one in compared if one.reference != "pooled"])
    subjects = dict.fromkeys(one.subject for one in compared)
    return Answer(
        word,
        reason,
        tuple(_sentence(subject, [one for one in compared if one.subject == subject]) for subject in subjects),
    )


def _verdict(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    count = {verdict: verdicts.count(verdict) for verdict in _VERBS}
    total, known = len(verdicts), len(verdicts) - count["unknown"]
    compared = plural(total, "main comparison")
    without = "what a site has without it"
    if known == 0:
        return "It cannot be said.", "There were not enough patients for any main comparison."
    if count["better"] == total:
        return (
            "Yes.",
            f"On patients from sites that the models never saw, it did better than {without} in all of {compared}.",
        )
    if count["better"] and not count["worse"]:
        rest = total - count["better"]
        return "In part.", f"It did better than {without} in {count['better']} of {compared}; {rest} stayed undecided."
    if count["better"]:
        split = f"better than {without} in {count['better']}, worse in {count['worse']} of {compared}"
        return "It depends on the question.", f"On patients from sites that the models never saw, it did {split}."
    if count["worse"]:
        return "No.", f"It did worse than {without} in {count['worse']} of {compared} and better in none."
    return "Not shown.", f"In none of {compared} with {without} does the interval exclude zero."


def _sentence(subject: str, compared: Sequence[MainComparison]) -> str:
    clauses = [_clause(one) for one in compared]
    joined = ", ".join(clauses[:-1]) + (" and " if len(clauses) > 1 else "") + clauses[-1]
    return f"{subject}: federated training was {joined}."


def _clause(one: MainComparison) -> str:
    difference, verdict = one.difference, one.difference.verdict
    beside = f"{_VERBS[verdict]} {_REFERENCES.get(one.reference, one.reference)}"
    if verdict == "unknown":
        return f"{beside} (not enough patients)"
    return f"{beside} ({one.score} {difference.signed_value()}, 95 % interval {difference.signed_interval()})"
