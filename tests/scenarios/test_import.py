"""`flame import` as a user calls it; and the RANO table of CFB-GBM against FLAME's `cfb_v2`."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.command import flame
from tests.records.sources.layouts import patients, put, shots, volume_ml, write_cfb_exam, write_cfb_tables

from flame.evaluation.assessment import assess_patient, exam_rows
from flame.rano.criteria import assess
from flame.rano.presets import CFB_V2
from flame.rano.readings import Reading
from flame.records.dataset import Site, read_site, write_site
from flame.records.intake import intake_patients, read_intake
from flame.records.layout import brain_mask_path, label_map_path, sequence_path
from flame.records.patient import LABELS, Course, Exam, Outcome, Patient
from flame.records.volume import Volume, read_native

WORDS = {"CR": "Complete Response", "PR": "Partial Response", "SD": "Stable Disease", "PD": "Progressive Disease"}
MEASURABLE_ML = 5.0
"""What a response is counted from has to be measurable, on the trial's coarse grid too."""

PAIRS = (("t0", "t1"), ("t0", "t2"), ("t1", "t2"))


def published(before: float, after: float) -> tuple[float, str]:
    """What the set's table says of two sizes: 1 - GTVj / GTVi, called at 65 % less and 40 % more; written anew here."""
    rate = round(1 - after / before, 9)  # 1 - 1.4 is a hair above -0.4 in floating point
    if after == 0:
        return rate, "CR"
    return rate, "PR" if rate >= 0.65 else "PD" if rate <= -0.40 else "SD"


@pytest.fixture(scope="module")
def cfb(trial, tmp_path_factory):
    """Patients in the set's layout, with its RANO table by `published`; of each, three exams that make calls differ."""
    root = tmp_path_factory.mktemp("cfb")
    first, third = ([shots(one) for one in patients(trial, site)] for site in ("site-1", "site-3"))
    triples = [its[:3] for its in (*first, *third) if len(its) >= 3]
    triples += [[its[-3], its[-2], its[-1]] for its in third]  # growth after shrinkage
    triples += [[its[0], its[-1], its[1]] for its in third]
    triples = [its for its in triples if min(volume_ml(shot.mask(1, 3)) for shot in its[:2]) > MEASURABLE_ML]
    tables: dict[str, list[tuple[object, ...]]] = {}
    for number, triple in enumerate(triples, start=1):
        sizes = {}
        for name, shot, weeks in zip(("t0", "t1", "t2"), triple, (0, 16, 26)):
            write_cfb_exam(root / "CFB-GBM" / f"{number:03d}", str(number), name, shot)
            sizes[name] = volume_ml(shot.mask(1, 3))
            tables.setdefault("mri_availability", []).append((number, name, weeks, 1, 1, 0, 1, 1, 0, 0))
            image = (number, name, 1, "humanSegmentation", 0, "TOMO1", "PRECISION")
            tables.setdefault("treatment_imaging_availability", []).append(image)
        tables.setdefault("treatment_data", []).append((number, 1, 60, 30))
        tables.setdefault("clinical_data", []).append((number, 90, 66, 1, "M"))
        line: list[object] = [number, *sizes.values()]
        for before, after in PAIRS:
            rate, call = published(sizes[before], sizes[after])
            line += [rate, WORDS[call]]
        tables.setdefault("rano_criteria", []).append(tuple(line))
    write_cfb_tables(root, **tables)
    return root


@pytest.fixture(scope="module")
def intake(cfb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "intake"
    done = flame("import", "cfb-gbm", cfb, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rano_table(intake: Path) -> list[dict[str, str]]:
    with (intake / "rano.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def as_site(intake: Path, folder: Path) -> Site:
    """The intake as a site without resampling: images of the set lie on one grid. A GTV is labelled ET, TC is known."""
    everyone = []
    for identity in intake_patients(intake):
        one = read_intake(intake, identity)
        exams = []
        for exam in one.exams:
            files = {outline.shows: read_native(intake / identity / outline.file) for outline in exam.outlines}
            gtv = files["GTV"]
            labels = Volume((gtv.array * LABELS["ET"]).astype(np.uint8), gtv.grid)
            image = read_native(intake / identity / exam.images["T1ce"].file)
            exams.append(
                Exam(
                    day=exam.day,
                    sequences={"T1ce": put(sequence_path(folder, identity, exam.day, "T1ce"), image)},
                    label_map=put(label_map_path(folder, identity, exam.day), labels),
                    brain_mask=put(brain_mask_path(folder, identity, exam.day), files["brain"]),
                    regions=("TC",),
                    day_tolerance=exam.day_tolerance,
                )
            )
        courses = tuple(
            Course(one.arm, one.prescription_gy, one.fractions, one.start_day, one.end_day) for one in one.courses
        )
        everyone.append(Patient(identity, exams=tuple(exams), courses=courses, outcome=Outcome(one.death_day)))
    site = Site("Caen", folder, tuple(everyone))
    write_site(site)
    return site


def test_the_published_table_is_what_flame_calls_by_cfb_v2(intake, tmp_path):
    as_site(intake, tmp_path / "site")
    site = read_site(
        tmp_path / "site"
    )  # as `flame rano SITE --preset cfb_v2` reads and judges it, without its pictures
    called = {(one.id, exam["day"]): exam for one in site.patients for exam in exam_rows(assess_patient(one, CFB_V2))}
    rows = [row for row in rano_table(intake) if row["reference"] == "t0"]
    assert len(rows) >= 14
    assert {row["rano"] for row in rows} >= {"PR", "SD", "PD"}
    for row in rows:
        exam = called[row["patient"], int(row["day"])]
        assert exam["call"] == row["rano"], row
        assert -exam["from_baseline"] == pytest.approx(float(row["reduction"]), abs=1e-4)
        assert exam["tc_ml"] == pytest.approx(float(row["volume_ml"]), abs=1e-3)


def test_the_command_calls_the_same(intake, tmp_path):
    first = as_site(intake, tmp_path / "site").patients[0].id
    done = flame("rano", tmp_path / "site", "--preset", "cfb_v2", "--out", tmp_path / "rano", "--patient", first)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "rano" / f"sub-{first}_rano.tsv").open() as file:
        calls = {exam["day"]: exam["call"] for exam in csv.DictReader(file, delimiter="\t")}
    rows = [row for row in rano_table(intake) if (row["patient"], row["reference"]) == (first, "t0")]
    assert {row["day"]: row["rano"] for row in rows}.items() <= calls.items()


def test_from_t1_on_the_same_rule_gives_the_published_calls(intake):
    """The set compares t2 with t1 too: the same criteria with t1 as the exam before."""
    rows = [row for row in rano_table(intake) if row["reference"] == "t1"]
    assert {row["rano"] for row in rows} >= {"PR", "SD", "PD"}
    for row in rows:
        volumes = (float(row["reference_ml"]), float(row["volume_ml"]))
        readings = [
            Reading(horizon, tc_ml=ml, et_ml=ml, measurable=True, surgery=False)
            for horizon, ml in zip((-1, 1), volumes)
        ]
        call = assess(readings, CFB_V2)[-1]
        assert call.status == row["rano"]
        assert call.from_baseline == pytest.approx(-float(row["reduction"]))


@pytest.mark.parametrize(
    ("before", "after", "call"),
    [(100, 35, "PR"), (100, 35.1, "SD"), (100, 140, "PD"), (100, 139.9, "SD"), (100, 0, "CR"), (0.1, 0.14, "PD")],
)
def test_bounds_are_included_in_both(before, after, call):
    readings = [
        Reading(horizon, tc_ml=ml, et_ml=ml, measurable=True, surgery=False)
        for horizon, ml in zip((-1, 1), (before, after))
    ]
    assert assess(readings, CFB_V2)[-1].status == call
    assert published(before, after)[1] == call


def test_started_again_it_goes_on_and_says_the_same(cfb, intake):
    before = {path: path.lstat().st_mtime_ns for path in intake.rglob("patient.json")}
    again = flame("import", "cfb-gbm", cfb, intake)
    assert again.returncode == 0
    assert {path: path.lstat().st_mtime_ns for path in intake.rglob("patient.json")} == before
    assert f"{len(before)} of {len(before)} patients" in " ".join(again.stdout.split())


def test_a_bad_patient_ends_in_exit_code_3_and_the_others_are_there(cfb, tmp_path):
    (tmp_path / "CFB-GBM").mkdir()
    for number in ("001", "002"):
        (tmp_path / "CFB-GBM" / number).symlink_to(cfb / "CFB-GBM" / number)
    mri = [(one, name, weeks, 1) for one in (1, 2) for name, weeks in (("t0", 0), ("t1", 16))]
    rows = [(1, "one", 60, 30), (2, 1, 60, 30)]
    write_cfb_tables(tmp_path, treatment_data=rows, mri_availability=mri)
    done = flame("import", "cfb-gbm", tmp_path, tmp_path / "intake")
    assert done.returncode == 3
    said = " ".join(done.stdout.split())
    assert "1 of 2 patients" in said
    assert "1 errors" in said
    assert intake_patients(tmp_path / "intake") == ("CFB002",)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("brats-2030", ".", "in"), 4, "there is no set 'brats-2030'"),
        (("cfb-gbm", "nowhere", "in"), 3, "nowhere does not exist"),
        (("cfb-gbm", ".", __file__), 4, "is a file"),
    ],
    ids=["set", "source", "intake"],
)
def test_what_does_not_exist_is_refused(arguments, code, says):
    done = flame("import", *arguments)
    assert done.returncode == code
    assert says in " ".join(done.stderr.split())


def test_a_course_for_nobody_is_refused(cfb, tmp_path):
    (tmp_path / "courses.tsv").write_text(
        "patient\tarm\tprescription_gy\tfractions\tstart_day\nX1\tphoton\t60\t30\t0\n"
    )
    done = flame("import", "cfb-gbm", cfb, tmp_path / "in", "--courses", tmp_path / "courses.tsv")
    assert done.returncode == 4
    assert "there is no patient 'X1'" in " ".join(done.stderr.split())
    assert not (tmp_path / "in").exists()
