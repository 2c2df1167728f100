"""The structured report: what was put in comes back out, and it points at segments that exist."""

from dataclasses import replace

import pytest
from pydicom.sr.codedict import codes
from tests.dicom.archive import AUTHOR, SOURCE, again, encoded, masks
from tests.dicom.standard import violations

from flame.dicom.results.maps import segmentation
from flame.dicom.results.report_sr import Answer, Finding, read_report, report

SEG = segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1)
FINDINGS = [
    Finding("photon, day 91", "ET", 1.234, segment=(SEG.SOPInstanceUID, 1)),
    Finding("photon, day 91", "WT", 12.5, segment=(SEG.SOPInstanceUID, 3)),
    Finding("exam of day 28, lesion 1", "ET", 3.75, long_mm=21.4, short_mm=17.9),
]
ANSWERS = [
    Answer("exam of day 28", call="P-PD", criteria="RANO 2.0"),
    Answer("exam of day 91", call="NE", criteria="rano_2"),
    Answer("early response", probability=0.625),
]


def made():
    return report(SOURCE, FINDINGS, ANSWERS, [SEG], AUTHOR, 950)


def test_values_come_back():
    findings, answers = read_report(again(made()))
    assert findings == FINDINGS
    assert answers == ANSWERS


def test_it_is_a_valid_report_about_the_patient():
    one = made()
    assert violations(one) == []
    assert one.StudyInstanceUID == SOURCE.datasets[0].StudyInstanceUID
    assert one.PatientID == SOURCE.datasets[0].PatientID
    assert one.ConceptNameCodeSequence[0].CodeValue == codes.DCM.ImagingMeasurementReport.value
    assert one.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    evidence = [
        instance.ReferencedSOPInstanceUID
        for study in one.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    assert SEG.SOPInstanceUID in evidence


def test_two_reports_are_the_same_bytes():
    assert encoded(made()) == encoded(made())


def test_a_segment_that_is_not_given_is_refused():
    wrong = [replace(FINDINGS[0], segment=("2.25.1", 1))]
    with pytest.raises(ValueError, match="not given"):
        report(SOURCE, wrong, [], [SEG], AUTHOR, 950)
    with pytest.raises(ValueError, match="nothing to report"):
        report(SOURCE, [], [], [SEG], AUTHOR, 950)
