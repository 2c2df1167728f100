"""`flame rano` on a site of the tiny virtual trial, as a user calls it."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.command import flame

from flame.rano.criteria import assess
from flame.rano.endpoints import ENDPOINTS
from flame.rano.presets import RANO_2010
from flame.rano.readings import Reading
from flame.records.dataset import read_site, write_site


@pytest.fixture
def site(trial: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trial / "sites" / "site-1", tmp_path / "site-1"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_site_gets_a_table_a_record_and_two_pictures_per_patient(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "rano"
    done = flame("rano", site, "--out", out, "--preset", "rano_2010")
    assert done.returncode == 0, done.stderr
    patients = read_site(site).patients
    assert f"{len(patients)} patients assessed, 0 left out" in done.stdout
    assert "not a medical device" in done.stdout
    cohort = {row["patient"]: row for row in rows(out / "endpoints.tsv")}
    assert list(cohort) == [patient.id for patient in patients]
    days = [int(row["overall_survival_days"]) for row in cohort.values() if row["overall_survival_event"] == "yes"]
    if len(days) > len(cohort) / 2:
        assert {row["outlives_median"] for row in cohort.values()} >= {"yes", "no"}
    for patient in patients:
        assert patient.id in done.stdout
        found = rows(out / f"sub-{patient.id}_rano.tsv")
        facts = json.loads((out / f"sub-{patient.id}_rano.json").read_text())
        assert [int(row["day"]) for row in found] == [exam.day for exam in patient.exams]
        assert [row["call"] for row in found] == [exam["call"] for exam in facts["exams"]]
        assert all(row["explanation"].endswith(".") for row in found)
        assert set(facts["endpoints"]) == set(facts["definitions"]) == set(ENDPOINTS)
        seen = [{lesion["track"] for lesion in exam["lesions"]} for exam in facts["exams"]]
        for before, exam in zip(seen, facts["exams"][1:]):
            assert set(exam["vanished"]) <= before - {lesion["track"] for lesion in exam["lesions"]}
        control = {True: "yes", False: "no", None: "n/a"}[facts["endpoints"]["disease_control"]]
        assert cohort[patient.id]["disease_control"] == control
        for name in ("course", "diameters"):
            assert (out / f"sub-{patient.id}_{name}.png").read_bytes().startswith(b"\x89PNG")
        # Volumes are those of the label maps, and the calls those of the criteria on what the table says.
        readings = []
        for exam, row in zip(patient.exams, found, strict=True):
            image = nibabel.load(exam.label_map)
            core = np.isin(np.asarray(image.dataobj), (1, 3)).sum() * np.prod(image.header.get_zooms()) / 1000
            assert float(row["tc_ml"]) == pytest.approx(core, abs=1e-3)
            readings.append(
                Reading(
                    int(row["horizon"]),
                    spd_mm2=float(row["spd_mm2"]),
                    et_ml=float(row["et_ml"]),
                    measurable=row["measurable"] == "yes",
                    target_measurable=any(
                        lesion["target"] and lesion["measurable"] for lesion in facts["exams"][len(readings)]["lesions"]
                    ),
                    new_lesion=row["new_lesion"],
                    non_target_worse=row["non_target_worse"] == "yes",
                    clinical_worse=exam.clinical_status == "worse",
                    steroid_mg=float(row["steroid_mg"]),
                    surgery=row["surgery"] == "yes",
                )
            )
        again = assess(readings, RANO_2010)
        assert [call.code for call in again] == [row["call"] for row in found]


def test_one_patient_in_french(site: Path, tmp_path: Path) -> None:
    chosen = read_site(site).patients[1].id
    done = flame("rano", site, "--out", tmp_path / "rano", "--patient", chosen, "--language", "fr")
    assert done.returncode == 0, done.stderr
    assert "meilleure" in done.stdout
    assert "évaluation de 1 patient, 0 laissé(s) de côté" in done.stdout
    assert "pas un dispositif médical" in done.stdout
    assert {path.name.split("_")[0] for path in (tmp_path / "rano").iterdir()} == {f"sub-{chosen}"}
    text = (tmp_path / "rano" / f"sub-{chosen}_rano.tsv").read_text()
    assert "examen de référence" in text


def test_a_patient_who_cannot_be_assessed_is_left_out_and_named(site: Path, tmp_path: Path) -> None:
    whole = read_site(site)
    first, second = whole.patients[:2]
    write_site(replace(whole, patients=(first, second)))
    moved = nibabel.load(second.exams[-1].label_map)
    nibabel.save(nibabel.Nifti1Image(np.asarray(moved.dataobj)[:-2], moved.affine), second.exams[-1].label_map)
    done = flame("rano", site, "--out", tmp_path / "rano", "--processes", "1")
    assert done.returncode == 0, done.stderr
    assert "1 left out" in done.stdout
    assert "another grid" in " ".join(done.stderr.split())
    names = {path.name.split("_")[0] for path in (tmp_path / "rano").iterdir()}
    assert "endpoints.tsv" in names
    assert f"sub-{first.id}" in names
    assert f"sub-{second.id}" not in names
    alone = flame("rano", site, "--out", tmp_path / "alone", "--patient", second.id)
    assert alone.returncode == 3
    assert "another grid" in " ".join(alone.stderr.split())
    assert not (tmp_path / "alone").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--preset", "recist"), "no criteria 'recist'"),
        (("--language", "de"), "'de' is not spoken"),
        (("--patient", "nobody"), "no patient 'nobody'"),
        (("--out", __file__), "is a file"),
    ],
)
def test_what_does_not_exist_is_refused(site: Path, tmp_path: Path, arguments: tuple[str, str], says: str) -> None:
    done = flame("rano", site, "--out", tmp_path / "rano", *arguments)
    assert done.returncode != 0
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "rano").exists()
