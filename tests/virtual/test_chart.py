"""A patient's record survives JSON; a damaged file is refused."""

import json
from pathlib import Path

import pytest

from flame.errors import DataError
from flame.records.patient import Course, Exam, Outcome, Patient
from flame.virtual.chart import dump_chart, load_chart

PATIENT = Patient(
    id="s1p001",
    age=61.0,
    sex="F",
    performance_status=1,
    mgmt_methylated=True,
    idh_mutant=False,
    resection="partial",
    diagnosis_day=-35,
    exams=(
        Exam(
            day=-14,
            sequences={"T1ce": Path("a/b.nii.gz")},
            label_map=Path("c.nii.gz"),
            steroid_mg=4.0,
            clinical_status="stable",
        ),
    ),
    courses=(Course("carbon", 75.0, 33, 0, 44, dose=Path("d.nii.gz"), rbe_model="constant-1.1+carbon-lq-let"),),
    outcome=Outcome(death_day=200, last_contact_day=200),
)


def test_round_trip(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"chart": dump_chart(PATIENT)}))
    assert load_chart(path) == PATIENT


@pytest.mark.parametrize("content", ["{}", '{"chart": {"id": 3}}', "[]", "not json"])
def test_refuses_what_is_no_record(tmp_path, content):
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"truth\.json"):
        load_chart(path)
