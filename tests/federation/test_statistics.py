"""What a site answers of its patients, and what the answers of several sites say together."""

import itertools
import json
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.records.sites import GRID, SHAPE, put

from flame.errors import DataError, PolicyError
from flame.federation.disclosure import history_path, possible, read_history
from flame.federation.statistics import (
    ALL,
    FORMAT,
    HORIZONS,
    TABLES,
    SiteStatistics,
    baseline_volume_ml,
    cells_of,
    combine,
    make_answer,
    read_answer,
    rules_of,
    statistics_of,
    write_answer,
)
from flame.records.dataset import Site
from flame.records.patient import SEQUENCES, Arm, Course, Exam, Outcome, Patient

KEY = bytes(range(32))
MAP = Path("map.nii.gz")
EVERY = {name: Path(f"{name}.nii.gz") for name in SEQUENCES}


def course(arm: Arm = "proton", end: int = 42) -> Course:
    grid = Path("grid.nii.gz")
    return Course(arm, 60.0, 30, end - 42, end, dose=grid, dose_rbe=grid, letd=None if arm == "photon" else grid)


def patient(number: int = 1, arm: Arm = "proton", **known: object) -> Patient:
    exams = (Exam(-14, EVERY, MAP, steroid_mg=4.0, clinical_status="stable"), Exam(42 + 95, EVERY, MAP))
    whole = Patient(
        f"{number:03d}", 61.5, "F", 1, True, False, "gross_total", -20, exams, (course(arm),), Outcome(death_day=400)
    )
    return replace(whole, **known)  # type: ignore[arg-type]


def site_of(folder: Path, patients: list[Patient], name: str = "St Anna") -> Site:
    return Site(name, folder, tuple(patients))


def many(number: int, seed: int = 0) -> list[Patient]:
    """Patients of a mixed site."""
    random = np.random.default_rng(seed)
    return [
        patient(
            one,
            ("photon", "photon", "proton", "carbon")[random.integers(4)],
            age=float(random.normal(60, 11)),
            sex="FM"[random.integers(2)],
            mgmt_methylated=(True, False, None)[random.integers(3)],
            resection=("biopsy", "partial", "gross_total")[random.integers(3)],
            idh_mutant=None if random.random() < 0.2 else False,
        )
        for one in range(number)
    ]


def test_a_patient_counts_in_one_cell_of_each_divided_table_and_in_all_that_apply_of_others() -> None:
    assert cells_of(patient()) == {
        ALL,
        "arm/proton",
        "proton/91 days",
        *(f"sequence/{name}" for name in (*SEQUENCES, "all four")),
        "age/60 to 69",
        "sex/F",
        "mgmt/methylated",
        "resection/gross total",
    }


def test_what_is_unknown_is_counted_as_such() -> None:
    nobody = cells_of(Patient("1"))
    assert {"arm/no course", "age/unknown", "sex/unknown", "mgmt/unknown", "resection/unknown"} < nobody
    missing = {name.partition("/")[2] for name in nobody if name.startswith("missing/")}
    (table,) = [table for table in TABLES if table.name == "missing"]
    assert missing == set(table.cells) - {"dose of a course", "LETd of an ion course"}
    bare = replace(course("carbon"), dose_rbe=None, letd=None)
    lacking = cells_of(patient(courses=(bare,), performance_status=None))
    assert {"missing/performance status", "missing/dose of a course", "missing/LETd of an ion course"} < lacking
    assert not [name for name in cells_of(patient(arm="photon")) if name.startswith("missing/")]


@pytest.mark.parametrize(
    ("day", "found"),
    [(-3, []), (-2, ["28 days"]), (58, ["28 days"]), (59, []), (60, []), (61, ["91 days"]), (335, ["365 days"])],
)
def test_horizons_are_those_that_evolution_is_learnt_at(day: int, found: list[str]) -> None:
    """The window is 30 days to either side, counted from the end of the course; an exam without a label map is none."""
    exam = Exam(42 + day, EVERY, MAP)
    cells = cells_of(patient(exams=(exam,)))
    assert [name for name in HORIZONS if f"proton/{name}" in cells] == found
    unread = cells_of(patient(exams=(replace(exam, label_map=None),)))
    assert not [name for name in unread if name.startswith("proton/")]


def test_two_arms_are_several_and_two_courses_of_one_arm_are_that_arm() -> None:
    both = cells_of(patient(courses=(course("photon"), course("carbon", 442))))
    assert "arm/several" in both
    assert "several/91 days" in both
    assert "arm/photon" in cells_of(patient(courses=(course("photon"), course("photon", 442))))


def test_baseline_is_the_last_exam_not_after_the_start() -> None:
    exams = (Exam(-30, EVERY, MAP), Exam(0, {"T1ce": MAP}), Exam(5, EVERY, MAP))
    cells = cells_of(patient(exams=exams))
    assert {name for name in cells if name.startswith("sequence/")} == {"sequence/T1ce"}
    assert "missing/label map at baseline" in cells


@pytest.mark.parametrize(
    ("age", "band"),
    [(39.9, "below 40"), (40, "40 to 49"), (49.9, "40 to 49"), (79.9, "70 to 79"), (80, "80 or more")],
)
def test_age_bands_are_closed_below(age: float, band: str) -> None:
    assert f"age/{band}" in cells_of(patient(age=age))


def test_a_volume_is_that_of_the_whole_tumour_without_the_cavity(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:5, :5, :5] = 2
    labels[:5, :5, 5] = 4
    path = put(tmp_path / "map.nii.gz", labels)
    assert GRID.spacing_mm == (4.0, 4.0, 4.0)
    assert baseline_volume_ml(patient(exams=(Exam(-1, {}, path),))) == pytest.approx(125 * 0.064)
    assert baseline_volume_ml(patient(exams=(Exam(1, {}, path),))) is None
    found = make_answer(
        site_of(tmp_path, [patient(one, exams=(Exam(-1, {}, path),)) for one in range(10)]),
        tmp_path / "key",
        with_volumes=True,
    )
    assert found.statistics.tables["volume"]["below 10"] == 10  # a multiple of 5 is told as it is
    with pytest.raises(DataError, match="does not exist"):
        make_answer(site_of(tmp_path, [patient()]), tmp_path / "other", with_volumes=True)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.integers(0, 99), st.sampled_from((2, 3, 5, 10)))
def test_an_answer_holds_no_small_count_and_no_cell_can_be_computed(number: int, seed: int, min_cell: int) -> None:
    """That bounds are what an attacker can reach is shown with an integer programme in test_disclosure."""
    cells = [cells_of(one) for one in many(number, seed)]
    found = statistics_of("St Anna", cells, min_cell, KEY)
    counts = Counter(name for own in cells for name in own)
    told = found.published
    assert not [value for value in told.values() if value is not None and value < min_cell]
    rules = rules_of(found.tables)
    for name, (low, high) in possible(told, rules, min_cell).items():
        assert low <= counts[name] <= high
        assert high - low + 1 >= max(2, min_cell - 2)
    for name, (low, high) in possible(told, rules, min_cell, {ALL: number}).items():
        assert high > low or name == ALL
    assert statistics_of("St Anna", cells[::-1], min_cell, KEY) == found


def test_one_patient_more_less_or_changed_is_not_seen(tmp_path: Path) -> None:
    """The same bytes leave as before, whatever came: until as many patients have changed as the smallest cell."""
    key = tmp_path / "cohort.key"
    first = make_answer(site_of(tmp_path, many(30)), key)
    assert not first.is_again
    for others in (many(31), many(29), many(34), [patient(0, "carbon", mgmt_methylated=None), *many(30)[1:]]):
        again = make_answer(site_of(tmp_path, others), key)
        assert again.is_again
        assert again.statistics == first.statistics
    later = make_answer(site_of(tmp_path, many(35)), key)
    assert not later.is_again
    assert len(read_history(history_path(key)).releases) == 2
    assert make_answer(site_of(tmp_path, many(35)), key) == later
    assert len(read_history(history_path(key)).releases) == 2
    assert make_answer(site_of(tmp_path, many(30)), key).statistics == first.statistics


def test_repeating_a_question_gains_nothing_and_other_rules_are_refused(tmp_path: Path) -> None:
    key = tmp_path / "cohort.key"
    answers = {make_answer(site_of(tmp_path, many(23)), key).statistics.model_dump_json() for _ in range(5)}
    assert len(answers) == 1
    with pytest.raises(PolicyError, match="smallest cell of 5"):
        make_answer(site_of(tmp_path, many(23)), key, min_cell=3)


def test_what_stays_at_the_site_is_for_its_owner_and_names_no_patient(tmp_path: Path) -> None:
    key = tmp_path / ".flame" / "cohort.key"
    patients = [replace(one, id=f"P{one.id}X") for one in many(12)]
    make_answer(site_of(tmp_path, patients), key)
    for path in (key, history_path(key)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [one.id for one in patients if one.id in history_path(key).read_text()]


def test_an_empty_site_answers_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no patients"):
        make_answer(site_of(tmp_path, []), tmp_path / "cohort.key")
    with pytest.raises(DataError, match="has no patients"):
        statistics_of("St Anna", [], 5, KEY)
    assert not list(tmp_path.iterdir())


def test_an_answer_comes_back_from_its_file_with_equal_bytes(tmp_path: Path) -> None:
    found = statistics_of("St Anna", [cells_of(one) for one in many(30)], 5, KEY)
    write_answer(tmp_path / "a.json", found)
    assert read_answer(tmp_path / "a.json") == found
    write_answer(tmp_path / "b.json", read_answer(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert set(json.loads((tmp_path / "a.json").read_text())) == {"format", "site", "min_cell", "tables"}


def damaged(content: dict[str, object], **change: object) -> dict[str, object]:
    return {**json.loads(json.dumps(content)), **change}


@pytest.mark.parametrize("count", [-5, 0, 3, 7, 5.0, True, "5", 1e300])
def test_no_answer_can_hold_what_may_not_leave(count: object) -> None:
    content = statistics_of("St Anna", [cells_of(one) for one in many(30)], 5, KEY).model_dump()
    content["tables"]["sex"]["unknown"] = count
    with pytest.raises(ValidationError):
        SiteStatistics.model_validate(content)


def test_damage_and_other_formats_are_told(tmp_path: Path) -> None:
    content = statistics_of("St Anna", [cells_of(one) for one in many(30)], 5, KEY).model_dump()
    path = tmp_path / "answer.json"
    tables = content["tables"]
    for change, message in (
        ({"format": "flame-cohort/2"}, "not of the format flame-cohort/1, but 'flame-cohort/2'"),
        ({"min_cell": 1}, "min_cell"),
        ({"site": "\x1b[31m"}, "site"),
        ({"patients": ["001"]}, "patients"),
        ({"tables": {**tables, "name": {"Anna": 5}}}, "'name' is not known"),
        ({"tables": {name: cells for name, cells in tables.items() if name != "sex"}}, "'sex' is not whole"),
        ({"tables": {**tables, "sex": {"F": 5, "M": 5}}}, "'sex' is not whole"),
        ({"tables": {**tables, "sex": {"F": 5, "M": 5, "unknown": 6}}}, "sex/unknown is not a multiple of 5"),
        ({"tables": {**tables, "sex": {"F": 500, "M": 5, "unknown": None}}}, "no count of .* fits"),
    ):
        path.write_text(json.dumps(damaged(content, **change)))
        with pytest.raises(DataError, match=message):
            read_answer(path)
    for text in ("[]", "null", "{", "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=r"answer\.json"):
            read_answer(path)


def test_answers_add_up_in_any_order_and_say_what_is_certain() -> None:
    sites = {"A": many(31, 1), "B": many(47, 2), "C": many(3, 3)}
    answers = [statistics_of(name, map(cells_of, found), 5, name.encode() * 32) for name, found in sites.items()]
    together = combine(answers)
    assert together.sites == ("A", "B", "C")
    assert all(combine(order) == together for order in itertools.permutations(answers))
    counts = Counter(name for found in sites.values() for one in found for name in cells_of(one))
    for table, cells in together.tables.items():
        for cell, found in cells.items():
            if table == "horizon":
                truth = sum(counts[f"{arm}/{cell}"] for arm in ("photon", "proton", "carbon", "several"))
            else:
                truth = counts[f"{table}/{cell}"]
                told = [answer.tables[table][cell] for answer in answers]
                assert found.about == sum(count or 0 for count in told)
                assert found.hidden_by == told.count(None)
                assert found.error == pytest.approx(np.sqrt(3 * 2.5**2))
            assert found.low <= truth <= found.high
            assert found.sites == 3
    assert together.tables["patients"]["all"].hidden_by == (answers[2].tables["patients"]["all"] is None)


def test_one_site_may_not_answer_twice_and_somebody_must() -> None:
    answer = statistics_of("A", map(cells_of, many(20)), 5, KEY)
    with pytest.raises(DataError, match="Two answers are of the site 'A'"):
        combine([answer, answer])
    with pytest.raises(DataError, match="no answer"):
        combine([])


def test_a_table_that_only_some_sites_answer_says_how_many() -> None:
    read = [cells_of(one) | {"volume/below 10"} for one in many(20)]
    answers = [statistics_of("A", read, 5, KEY), statistics_of("B", map(cells_of, many(20)), 5, KEY)]
    found = combine(answers).tables["volume"]["below 10"]
    assert (found.about, found.sites) == (20, 1)


def test_over_many_keys_the_mean_is_right_and_the_scatter_as_stated() -> None:
    """A mixed site of 43 patients, all cells of all tables, 300 keys, k = 5, with the redraws that keep cells open."""
    cells = [cells_of(one) for one in many(43, 5)]
    counts = Counter(name for own in cells for name in own)
    told = [statistics_of("A", cells, 5, number.to_bytes(32)).published for number in range(300)]
    names = [name for name in told[0] if counts[name]]
    errors = np.array([[(one[name] or 0) - counts[name] for name in names] for one in told])
    assert np.abs(errors).max() <= 4
    assert abs(errors.mean()) < 0.15
    assert np.abs(errors.mean(axis=0)).max() < 0.75
    assert np.sqrt((errors**2).mean(axis=0)).max() < 2.5 * 1.15


def test_the_format_is_versioned() -> None:
    assert FORMAT == "flame-cohort/1"
    with pytest.raises(ValidationError):
        SiteStatistics(format="flame-cohort/2", site="A", min_cell=5, tables={})
