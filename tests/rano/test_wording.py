"""Calls and reasons in words."""

import ast
import inspect
import re
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from flame.rano import criteria as criteria_module
from flame.rano.criteria import assess
from flame.rano.endpoints import ENDPOINTS
from flame.rano.presets import CFB_V2, PRESETS, RANO_2, RANO_2010, Criteria, Quantity
from flame.rano.readings import Call, Reading, Reason, Status
from flame.rano.wording import call_text
from flame.rano.words import WORDS, Language, number, word

LANGUAGES: tuple[Language, ...] = ("en", "fr")
KNOWN = {
    "measurable": True,
    "new_lesion": "none",
    "non_target_worse": False,
    "clinical_worse": False,
    "steroid_mg": 0.0,
}


def told(reason: Reason, language: Language, criteria: Criteria) -> str:
    """The sentence that a call with this reason alone gives for it."""
    (call,) = assess([Reading(24, et_ml=1.0, tc_ml=1.0, spd_mm2=200.0, **KNOWN)], criteria)  # type: ignore[arg-type]
    text = call_text(replace(call, reasons=(reason,), unknowns=(), indeterminate=False), criteria, language)
    clause = re.split("\u00a0?: ", text, maxsplit=1)[1]
    return clause[:1].upper() + clause[1:]


def names(node: ast.AST) -> set[str]:
    """Rule-like strings anywhere below a node."""
    found = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {one for one in found if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", one)}


def gates() -> set[str]:
    """Names that `_gates` yields, the first of each pair."""
    tree = ast.parse(inspect.getsource(criteria_module._gates))
    pairs = [one.value for one in ast.walk(tree) if isinstance(one, ast.Yield) and isinstance(one.value, ast.Tuple)]
    return {one.elts[0].value for one in pairs if isinstance(one.elts[0], ast.Constant)}  # type: ignore[misc]


def rules() -> set[str]:
    """Every rule that the source of the criteria can produce."""
    tree = ast.parse(inspect.getsource(criteria_module))
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "Reason"]
    found: set[str] = set()
    for call in calls:
        rule = call.args[0]
        if isinstance(rule, ast.Name):  # from a variable: the strings that it may hold
            found |= assigned(tree, rule.id)
        elif isinstance(rule, ast.JoinedStr):
            found |= {f"no_{level}_{gate}" for level, gate in product(("cr", "pr"), gates())}
        else:
            found |= names(rule)
    return found


def assigned(tree: ast.AST, variable: str) -> set[str]:
    if variable == "name":  # the second of each pair of `switches`
        switches = next(
            one.value
            for one in ast.walk(tree)
            if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "switches"
        )
        assert isinstance(switches, ast.Tuple)
        return {str(pair.elts[1].value) for pair in switches.elts}  # type: ignore[attr-defined]
    found: set[str] = set()
    for one in ast.walk(tree):
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == variable:
            branches = [one.value.body, one.value.orelse] if isinstance(one.value, ast.IfExp) else [one.value]
            found |= {str(part.value) for part in branches if isinstance(part, ast.Constant)}
    return found


def test_the_rules_are_found_in_the_source() -> None:
    found = rules()
    assert found >= {"growth", "reappeared", "baseline_after_surgery", "no_pr_steroid_mg", "t2_worse", "gone", "shrunk"}
    assert gates() == {"baseline_measurable", "clinical_worse", "steroid_mg"}


def test_every_rule_of_the_criteria_has_words_in_both_languages_and_no_other_has() -> None:
    written = {key.removeprefix("rule.") for key in WORDS if key.startswith("rule.")}
    assert written == rules()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_is_a_sentence_without_open_places(preset: str, language: Language) -> None:
    for rule, value in product(rules(), (None, 12.0)):
        text = told(Reason(rule, value), language, PRESETS[preset])
        assert text[0].isupper() or text[0].isdigit() or text[0] == "?"
        assert text.endswith(".")
        assert not set("{}_") & set(text)


def test_every_code_quantity_unknown_and_endpoint_has_both_languages() -> None:
    stages = ("CR", "PR", "PD")
    codes = {*get_args(Status), *(f"{stage}-{status}" for stage in "PC" for status in stages)}
    unknowns = {"measurable", "new_lesion", "non_target_worse", "t2_worse", "surgery", *gates()}
    keys = codes | unknowns | set(get_args(Quantity)) | set(ENDPOINTS) | set(PRESETS)
    assert keys <= set(WORDS)
    assert all(all(part.strip() for part in pair) for pair in WORDS.values())


def test_both_languages_fill_places_from_the_same_numbers() -> None:
    for key, pair in WORDS.items():
        english, french = (set(re.findall(r"{(\w+)}", text)) for text in pair)
        assert english == french, key


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "Growth over the nadir of at least 40 % and 0.52 ml."),
        ("fr", "Augmentation d'au moins 40\u00a0% et 0,52 ml par rapport au nadir."),
    ],
)
def test_growth_names_the_criteria_s_threshold_as_the_language_writes_it(language: Language, expected: str) -> None:
    assert told(Reason("growth"), language, RANO_2) == expected


def test_a_reference_a_floor_and_a_region_are_those_of_the_criteria() -> None:
    assert told(Reason("growth"), "fr", CFB_V2).endswith("40\u00a0% par rapport à l'examen de référence.")
    assert told(Reason("growth"), "en", RANO_2010) == "Growth over the nadir of at least 25 %."
    assert told(Reason("growth"), "en", replace(RANO_2010, floor=100.0)).endswith("25 % and 100 mm².")
    assert told(Reason("gone"), "fr", CFB_V2) == "Disparition complète du cœur tumoral."


def test_a_value_is_a_share_a_day_or_a_dose() -> None:
    assert told(Reason("shrunk", -0.714), "en", RANO_2) == "Shrinkage from the baseline of at least 65 %."
    assert "du jour 56" in told(Reason("pseudoprogression", 56), "fr", RANO_2)
    assert told(Reason("steroids_increased", 4.5), "fr", RANO_2).startswith("4,5 mg de dexaméthasone")


@pytest.mark.parametrize(
    ("value", "decimals", "english", "french"),
    [(3.14159, 2, "3.14", "3,14"), (-12.0, 0, "−12", "−12"), (-0.2, 0, "0", "0"), (1234.5, 1, "1234.5", "1234,5")],
)
def test_numbers(value: float, decimals: int, english: str, french: str) -> None:
    assert number(value, "en", decimals) == english
    assert number(value, "fr", decimals) == french


def test_an_unknown_key_and_an_unfilled_place_are_errors() -> None:
    with pytest.raises(KeyError, match="pneumonia"):
        word("pneumonia", "en")
    with pytest.raises(KeyError, match="value"):
        word("day", "en")


def series(*volumes: tuple[int, float | None], **other: object) -> tuple[Call, ...]:
    return assess([Reading(day, et_ml=ml, **{**KNOWN, **other}) for day, ml in volumes])  # type: ignore[arg-type]


def test_a_call_says_what_why_and_by_how_much() -> None:
    *_, preliminary, confirmed = series((24, 10.0), (52, 8.0), (80, 12.0), (110, 13.2))
    assert call_text(preliminary, RANO_2, "en") == (
        "Preliminary progression (P-PD): growth over the nadir of at least 40 % and 0.52 ml. "
        "Volume of enhancing tumour: 50 % more than at the nadir (day 52), 20 % more than at the baseline (day 24)."
    )
    assert call_text(confirmed, RANO_2, "fr") == (
        "Progression confirmée (C-PD), datée du jour 80\u00a0: il confirme la progression préliminaire du jour 80"
        "\u00a0; augmentation d'au moins 40\u00a0% et 0,52 ml par rapport au nadir. Volume de la prise de contraste"
        "\u00a0: 65\u00a0% de plus qu'au nadir (jour 52), 32\u00a0% de plus qu'à l'examen de référence (jour 24)."
    )


def test_pseudoprogression_is_named() -> None:
    *_, refuted = series((24, 10.0), (52, 15.0), (82, 10.0))
    assert refuted.status == "SD"
    text = call_text(refuted, RANO_2, "en")
    assert "preliminary progression of day 52, which was pseudoprogression" in text
    assert "the same as at the baseline and nadir (day 24)" in text


def test_what_is_unknown_is_told_once() -> None:
    *_, call = series((24, 10.0), (120, None))
    assert call_text(call, RANO_2, "en") == "Not evaluable (NE): the volume of enhancing tumour is not known."
    *_, call = series((24, 10.0), (120, 3.0), surgery=None, steroid_mg=None)
    assert call_text(call, RANO_2, "en").endswith(
        "Not known, though it could matter: steroid dose, surgery since the exam before."
    )


def test_growth_from_nothing_has_no_share() -> None:
    *_, call = series((24, 10.0), (52, 0.0), (120, 4.0))
    assert call.status == "PD"
    text = call_text(call, RANO_2, "fr")
    assert "valeur nulle au nadir (jour 52), 60\u00a0% de moins qu'à l'examen de référence (jour 24)" in text
    *_, gone = series((24, 10.0), (52, 0.0), (120, 0.0))
    assert call_text(gone, RANO_2, "en") == (
        "Confirmed complete response (C-CR), dated from day 52: no enhancing tumour is left. "
        "Volume of enhancing tumour: 100 % less than at the baseline (day 24)."
    )


def test_growth_beyond_tenfold_is_told_as_a_factor() -> None:
    *_, call = series((24, 10.0), (52, 0.1), (120, 30.0))
    assert "300 times the value at the nadir (day 52), 200 % more than" in call_text(call, RANO_2, "en")
    assert "300 fois la valeur mesurée au nadir (jour 52)" in call_text(call, RANO_2, "fr")


def test_an_indeterminate_call_says_so() -> None:
    *_, call = series((24, 10.0), (120, 13.9))
    assert call.indeterminate
    assert call_text(call, RANO_2, "en").endswith(
        "Indeterminate, as the accuracy of the measurements allows another status."
    )
    assert "ndéterminé" not in call_text(replace(call, indeterminate=False), RANO_2, "fr")


def test_a_baseline_is_compared_with_nothing() -> None:
    (call,) = series((24, 10.0))
    assert call_text(call, RANO_2, "fr") == (
        "Examen de référence (BL)\u00a0: les examens suivants sont comparés à celui-ci."
    )
    (late,) = series((60, 10.0))
    assert "outside the preferred days 21 to 35" in call_text(late, RANO_2, "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_call_takes_one_to_three_sentences(language: Language) -> None:
    calls = series((-20, 30.0), (24, 10.0), (52, 15.0), (82, 10.0), (120, None), (150, 3.0), (190, 9.0), surgery=None)
    for call in calls:
        assert 1 <= len(re.findall(r"\.(?: |$)", call_text(call, RANO_2, language))) <= 3
