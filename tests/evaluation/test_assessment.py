"""What response criteria measure has to be outlined."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.records.sites import make_site

from flame.errors import DataError
from flame.evaluation.assessment import assess_patient
from flame.rano.presets import CFB_V2, RANO_2


def test_a_core_alone_is_not_measured_as_enhancing_tumour(tmp_path: Path) -> None:
    patient = make_site(tmp_path).patients[0]
    known = replace(patient, exams=tuple(replace(exam, regions=("TC",)) for exam in patient.exams))
    with pytest.raises(DataError, match="does not show ET, which rano_2 measures"):
        assess_patient(known, RANO_2)
    assert len(assess_patient(known, CFB_V2).exams) == len(assess_patient(patient, RANO_2).exams)
    whole = replace(patient, exams=tuple(replace(exam, regions=("WT",)) for exam in patient.exams))
    with pytest.raises(DataError, match="does not show TC, which cfb_v2 measures"):
        assess_patient(whole, CFB_V2)
