"""The headline follows from intervals, and from nothing else."""

from typing import Any

import pytest

from flame.report.answer import answer, main_comparisons, main_horizon, main_scores

BETTER, WORSE, UNDECIDED, UNKNOWN = (0.05, 0.01, 0.09), (-0.05, -0.09, -0.01), (0.02, -0.02, 0.06), (None, None, None)


def interval(values: tuple[float | None, ...]) -> dict[str, float | None]:
    return dict(zip(("estimate", "low", "high"), values))


def response(local: tuple[float | None, ...], pooled: tuple[float | None, ...] = UNDECIDED) -> dict[str, Any]:
    differences = [
        {"model": "network", "between": f"federated - {other}", "auroc": interval(values)}
        for other, values in (("local", local), ("pooled", pooled))
    ]
    return {"context": "first_post_rt", "patients": 9, "differences": differences, "rows": []}


def evolution(**differences: tuple[float | None, ...]) -> dict[str, Any]:
    rows = [
        {"between": f"federated - {other}", "region": "WT", "horizon": 182, "patients": 9, "dice": interval(values)}
        for other, values in differences.items()
    ]
    return {"context": "first_post_rt", "differences": rows, "rows": []}


@pytest.mark.parametrize(
    ("values", "word", "phrase"),
    [
        (BETTER, "Yes.", "better than a single site's own model (AUROC +0.050, 95 % interval +0.010 to +0.090)"),
        (WORSE, "No.", "worse than a single site's own model (AUROC −0.050, 95 % interval −0.090 to −0.010)"),
        (UNDECIDED, "Not shown.", "not distinguishable from a single site's own model (AUROC +0.020"),
        (UNKNOWN, "It cannot be said.", "not comparable with a single site's own model (not enough patients)"),
        ((0.05, 0.0, 0.1), "Not shown.", "not distinguishable"),
        ((-0.05, -0.1, 0.0), "Not shown.", "not distinguishable"),
    ],
)
def test_one_comparison_is_worded_by_its_interval(values: tuple[float | None, ...], word: str, phrase: str) -> None:
    found = answer({"response": [response(values)]})
    assert found.word == word
    assert phrase in found.sentences[0]


@pytest.mark.parametrize(
    ("local", "persistence", "word", "reason"),
    [
        (BETTER, BETTER, "Yes.", "in all of 2 main comparisons"),
        (BETTER, UNDECIDED, "In part.", "in 1 of 2 main comparisons; 1 stayed undecided"),
        (BETTER, WORSE, "It depends on the question.", "better than what a site has without it in 1, worse in 1 of 2"),
        (
            UNDECIDED,
            WORSE,
            "No.",
            "worse than what a site has without it in 1 of 2 main comparisons and better in none",
        ),
        (UNDECIDED, UNDECIDED, "Not shown.", "In none of 2 main comparisons"),
        (UNDECIDED, UNKNOWN, "Not shown.", "In none of 2 main comparisons"),
        (UNKNOWN, UNKNOWN, "It cannot be said.", "not enough patients"),
    ],
)
def test_several_comparisons_are_weighed(
    local: tuple[float | None, ...], persistence: tuple[float | None, ...], word: str, reason: str
) -> None:
    found = answer({"evolution": [evolution(local=local, persistence=persistence)]})
    assert found.word == word
    assert reason in found.reason


def test_falling_behind_pooling_does_not_make_it_worthless_but_is_said() -> None:
    found = answer({"response": [response(BETTER, pooled=WORSE)]})
    assert found.word == "Yes."
    assert "and worse than training on pooled data (AUROC −0.050" in found.sentences[0]


def test_one_patient_decides_nothing_and_their_number_is_said() -> None:
    part = evolution(local=BETTER)
    (sentence,) = answer({"evolution": [part]}).sentences
    assert sentence.startswith("Evolution of whole tumour (+182 days, after radiotherapy, 9 patients): ")
    part["differences"][0]["patients"] = 1
    found = answer({"evolution": [part]})
    assert found.word == "It cannot be said."
    assert "1 patient)" in found.sentences[0]


def test_the_main_comparison_is_chosen_by_name_not_by_result() -> None:
    early = response(BETTER) | {"context": "pre_rt"}
    late = response(WORSE)
    late["differences"] += [
        {"model": "clinical", "between": "federated - local", "auroc": interval(BETTER)},
    ]
    assert answer({"response": [early, late]}).word == "No."


def test_main_scores_stand_beside_the_main_comparisons(comparison: dict[str, Any]) -> None:
    subjects = list(dict.fromkeys(one.subject for one in main_comparisons(comparison)))
    scores = main_scores(comparison)
    assert [one.subject for one in scores] == subjects
    row = next(
        row
        for row in comparison["evolution"][0]["rows"]
        if (row["region"], row["horizon"], row["trained"]) == ("WT", 182, "federated")
    )
    assert scores[-1].ways["federated"].value == row["dice"]["estimate"]
    assert set(scores[-1].ways) == {"persistence", "local", "federated", "pooled"}


@pytest.mark.parametrize(("horizons", "expected"), [((91, 182, 365), 182), ((91, 365), 91), ((273,), 273), ((), None)])
def test_the_main_horizon_is_the_nearest_to_half_a_year(horizons: tuple[int, ...], expected: int | None) -> None:
    assert main_horizon(horizons) == expected
