"""Measurements and response as a structured report (DICOM TID 1500): what was seen, what is predicted, and how sure.

A report refers to the segments that it measures, so that a viewer can show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highdicom.sr as sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

import flame
from flame.dicom.results.derived import RESEARCH_ONLY, Author, settled
from flame.dicom.results.source import Source
from flame.records.patient import Region

__all__ = ["Answer", "Finding", "read_report", "report"]

_RESPONSES: dict[str, Code] = {
    "CR": Code("C4870", "NCIt", "Complete Response"),
    "PR": Code("C18058", "NCIt", "Partial Response"),
    "SD": Code("C18213", "NCIt", "Stable Disease"),
    "PD": Code("C35571", "NCIt", "Progressive Disease"),
    "BL": Code("BL", "99FLAME", "Baseline"),
    "NE": Code("NE", "99FLAME", "Not evaluable"),
}
_STAGE = Code("STAGE", "99FLAME", "Stage of the call")
_STAGES: dict[str, Code] = {
    "P": Code("P", "99FLAME", "Preliminary"),
    "C": Code("C", "99FLAME", "Confirmed"),
}
_ML, _MM = Code("mL", "UCUM", "milliliter"), codes.UCUM.Millimeter
_MR_BRAIN = Code("24590-2", "LN", "MR Brain")
_USE = (Code("USE", "99FLAME", "Intended use"), Code("RESEARCH", "99FLAME", RESEARCH_ONLY))
_REGIONS: dict[Region, Code] = {
    "ET": Code("C113842", "NCIt", "Enhancing Lesion"),
    "TC": Code("TC", "99FLAME", "Tumour core: enhancing tumour and necrosis"),
    "WT": Code("WT", "99FLAME", "Whole tumour: core and oedema"),
}
_RESPONDER = Code("RESPONDER", "99FLAME", "Probability of response")


@dataclass(frozen=True)
class Finding:
    """One region that was measured.

    Attributes:
        name: what it is, in words that tell of nobody, as `photon, day 91`.
        region: of the tumour.
        volume_ml: [ml].
        long_mm, short_mm: longest diameter and the one across it [mm]; None if they were not measured.
        segment: SOP instance UID of a SEG and number of the segment that shows it; None if none does.
    """

    name: str
    region: Region
    volume_ml: float
    long_mm: float | None = None
    short_mm: float | None = None
    segment: tuple[str, int] | None = None


@dataclass(frozen=True)
class Answer:
    """What is said of the patient as a whole.

    Attributes:
        name: of what, as `exam of day 91`.
        call: CR, PR, SD, PD, BL (baseline) or NE (not evaluable), after `P-` where it is preliminary and `C-` where it
            is confirmed; None if no criteria were applied.
        criteria: by which, as `RANO 2.0`; None if none were applied.
        probability: of response, in [0, 1]; None if no model was asked.
    """

    name: str
    call: str | None = None
    criteria: str | None = None
    probability: float | None = None


def report(
    source: Source,
    findings: Sequence[Finding],
    answers: Sequence[Answer],
    segmentations: Sequence[Dataset],
    author: Author,
    number: int,
) -> sr.Comprehensive3DSR:
    """The report of one patient, on the hospital's own images.

    Args:
        segmentations: to which findings refer.
        number: of the series.

    Raises: ValueError: if there is nothing to report, or a finding names a segmentation that is not among them.
    """
    if not findings and not answers:
        raise ValueError("there is nothing to report")
    if {one.segment[0] for one in findings if one.segment} - {str(one.SOPInstanceUID) for one in segmentations}:
        raise ValueError("a finding names a segmentation that is not given")
    content = repr((findings, answers)).encode()
    groups = [_measured(one, source, author) for one in findings] + [_answered(one, author) for one in answers]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=author.uid("device"), name="FLAME", manufacturer_name="FLAME", model_name=author.algorithm[:64]
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    made = sr.Comprehensive3DSR(
        evidence=[*source.datasets, *segmentations],
        content=sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=_MR_BRAIN,
            imaging_measurements=groups,
            title=codes.DCM.ImagingMeasurementReport,
        ),
        series_instance_uid=author.uid(source.datasets[0].StudyInstanceUID, "SR"),
        series_number=number,
        sop_instance_uid=author.uid(source.datasets[0].StudyInstanceUID, "SR", content),
        instance_number=1,
        manufacturer="FLAME",
        manufacturer_model_name=author.algorithm[:64],
        software_versions=flame.__version__,
        device_serial_number=author.version[:64] or "unknown",
        series_description="FLAME measurements, research use only",
        is_complete=True,
        is_final=False,
    )
    return settled(made, author)


def read_report(dataset: Dataset) -> tuple[list[Finding], list[Answer]]:
    """What a report of `report` says; segments are given by instance and number."""
    found = sr.Comprehensive3DSR.from_dataset(dataset)
    measured = found.content.get_volumetric_roi_measurement_groups()
    others = found.content.get_image_measurement_groups()
    bare = [one for one in others if one.finding_type != codes.DCM.ResponseEvaluation]
    answers = [_answer(one) for one in others if one.finding_type == codes.DCM.ResponseEvaluation]
    return [_finding(one) for one in (*measured, *bare)], answers


def _tracked(name: str, author: Author) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=author.uid("tracked", name), identifier=name)


def _measured(
    finding: Finding, source: Source, author: Author
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    """A measured region; with its segment if there is one."""
    by = sr.AlgorithmIdentification(name=author.algorithm[:64], version=author.version[:64] or "unknown")
    measurements = [sr.Measurement(codes.SCT.Volume, finding.volume_ml, _ML, algorithm_id=by)]
    for name, value in ((codes.SCT.LongAxis, finding.long_mm), (codes.SCT.ShortAxis, finding.short_mm)):
        if value is not None:
            measurements.append(sr.Measurement(name, value, _MM))
    shared = {
        "tracking_identifier": _tracked(f"{finding.name}, {finding.region}", author),
        "finding_type": _REGIONS[finding.region],
        "finding_sites": [sr.FindingSite(codes.SCT.Brain)],
        "measurements": measurements,
        "qualitative_evaluations": [sr.QualitativeEvaluation(*_USE)],
    }
    if finding.segment is None:
        return sr.MeasurementsAndQualitativeEvaluations(**shared)
    instance, segment = finding.segment
    referenced = sr.ReferencedSegment(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        sop_instance_uid=instance,
        segment_number=segment,
        source_series=sr.SourceSeriesForSegmentation(source.datasets[0].SeriesInstanceUID),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=referenced, **shared)


def _answered(answer: Answer, author: Author) -> sr.MeasurementsAndQualitativeEvaluations:
    measurements, evaluations = [], [sr.QualitativeEvaluation(*_USE)]
    if answer.probability is not None:
        measurements.append(sr.Measurement(_RESPONDER, answer.probability, codes.UCUM.NoUnits))
    if answer.criteria is not None:
        stage, _, call = (answer.call or "NE").rpartition("-")
        evaluations.append(sr.QualitativeEvaluation(codes.DCM.CurrentResponse, _RESPONSES[call]))
        if stage:
            evaluations.append(sr.QualitativeEvaluation(_STAGE, _STAGES[stage]))
        method = Code(answer.criteria.replace(" ", "_")[:16], "99FLAME", answer.criteria)
        evaluations.append(sr.QualitativeEvaluation(codes.DCM.ResponseEvaluationMethod, method))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(answer.name, author),
        finding_type=codes.DCM.ResponseEvaluation,
        measurements=measurements or None,
        qualitative_evaluations=evaluations,
    )


def _finding(
    group: sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations,
) -> Finding:
    name, _, region = group.tracking_identifier.rpartition(", ")
    values = {one.name: one.value for one in group.get_measurements()}
    segment = getattr(group, "referenced_segment", None)
    return Finding(
        name=name,
        region=region,
        volume_ml=values[codes.SCT.Volume],
        long_mm=values.get(codes.SCT.LongAxis),
        short_mm=values.get(codes.SCT.ShortAxis),
        segment=segment and (str(segment.referenced_sop_instance_uid), int(segment.referenced_segment_numbers[0])),
    )


def _answer(group: sr.MeasurementsAndQualitativeEvaluations) -> Answer:
    values = {one.name: one.value for one in group.get_measurements()}
    coded = {one.name: one.value for one in group.get_qualitative_evaluations()}
    call = _word(_RESPONSES, coded.get(codes.DCM.CurrentResponse))
    stage = _word(_STAGES, coded.get(_STAGE))
    criteria = coded.get(codes.DCM.ResponseEvaluationMethod)
    return Answer(
        name=group.tracking_identifier,
        call=call if stage is None else f"{stage}-{call}",
        criteria=None if criteria is None else criteria.meaning,
        probability=values.get(_RESPONDER),
    )


def _word(table: Mapping[str, Code], code: Code | None) -> str | None:
    return None if code is None else next(word for word, one in table.items() if one == code)
