"""A patient's prediction as DICOM objects on the hospital's own images: masks, probabilities and a report.

The objects carry the ORIGINAL patient's identity and belong into that patient's record at the hospital. They are made
in memory; they go to a folder or PACS that the user names and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from flame.dicom.identity.pseudonym import Key
from flame.dicom.results.derived import Author
from flame.dicom.results.maps import on_source, probability_map, segmentation
from flame.dicom.results.report_sr import Answer, Finding, report
from flame.dicom.results.source import Source
from flame.errors import DataError
from flame.files import read_json, write_bytes
from flame.imaging.itk import Matrix
from flame.imaging.prepared import prepared_path
from flame.records.intake import IntakeImage, read_intake
from flame.records.patient import REGIONS, Patient, Region
from flame.records.patient import Sequence as MrSequence
from flame.records.volume import Grid, read_native, read_volume

__all__ = ["Anchor", "Prediction", "anchor_of", "export", "read_prediction", "write_objects"]

_LEADING: tuple[MrSequence, ...] = ("T1ce", "T1w", "FLAIR", "T2w")
_SEG, _PM, _SR = 9001, 9101, 9200
"""Numbers of the first series of each kind."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What `flame predict` wrote: its summary, the folder of its maps, and when."""

    folder: Path
    facts: Mapping[str, Any]
    made: datetime

    def author(self, key: Key) -> Author:
        """Whose result it is."""
        model = self.facts["model"]
        return Author(key, self.made, f"flame {model['name']}", f"{model['flame']} {self.facts['training']}")

    def map_path(self, arm: str, horizon: int, region: Region) -> Path:
        """The file of a probability map."""
        name = f"sub-{self.facts['patient']}_arm-{arm}_day-{horizon}_{region}_probseg.nii.gz"
        return self.folder / name


@dataclass(frozen=True, eq=False)
class Anchor:
    """The image of the intake that a prediction is tied to: the leading one of the last exam that the model saw.

    Attributes:
        image: of the patient's record.
        grid: the image's own.
        to_source: position on the prepared grid to position in the image, RAS [mm].
    """

    image: IntakeImage
    grid: Grid
    to_source: Matrix


def read_prediction(folder: Path) -> Prediction:
    """Read what `flame predict` wrote to a folder.

    Raises: DataError: if it holds no prediction, or an older one.
    """
    path = folder / "summary.json"
    facts = read_json(path)
    needed = {"patient", "model", "training", "horizons", "observed", "arms"}
    if not isinstance(facts, dict) or not needed <= facts.keys():
        raise DataError(f"{path} is not the summary of a prediction", "Make it by flame predict.")
    made = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    return Prediction(folder, facts, made)


def anchor_of(prediction: Prediction, site: Path, patient: Patient, intake: Path) -> Anchor:
    """Where a prediction lies in what the hospital sent.

    Args:
        site: the site's folder, from `flame prepare`.
        intake: the intake folder that it was prepared from.

    Raises: DataError: if the exam was not prepared from this intake.
    """
    if prediction.facts["patient"] != patient.id:
        raise DataError(
            f"{prediction.folder} is about patient {prediction.facts['patient']}, not {patient.id}",
            "Name the patient that was predicted.",
        )
    day = _last_day(prediction, patient)
    path = prepared_path(site, patient.id, day, "prepared.json")
    if not path.exists():
        raise DataError(
            f"{path} does not exist: nobody knows where the exam of day {day} came from",
            "Only a site that was made by flame ingest and flame prepare can send back.",
        )
    placed = read_json(path)["images"]
    exam = next((one for one in read_intake(intake, patient.id).exams if one.day == day), None)
    name = next((one for one in _LEADING if one in placed and exam is not None and one in exam.images), None)
    if exam is None or name is None:
        raise DataError(
            f"The intake {intake} has no image of the exam of day {day} of patient {patient.id}",
            "Name the intake folder that the site was prepared from.",
        )
    image = exam.images[name]
    grid = read_native(intake / patient.id / image.file).grid
    return Anchor(image, grid, np.linalg.inv(np.array(placed[name]["matrix"], np.float64)))


def export(
    prediction: Prediction, source: Source, to_source: Matrix, key: Key, response: Mapping[str, Any] | None = None
) -> list[Dataset]:
    """All objects of a prediction; the same prediction, source and key give the same objects with the same UIDs.

    For each arm and horizon a SEG of the regions where the probability is at least one half, and a parametric map per
    region; then one TID 1500 report with volumes, and the response if one is given. What is empty is left out.

    Args:
        to_source: position on the prepared grid to position in the source, RAS [mm].
        response: what `flame rano` wrote of the patient (`*_rano.json`).

    Raises: DataError: if a map is missing or cannot be read, or nothing is predicted anywhere.
    """
    author = prediction.author(key)
    objects: list[Dataset] = []
    masks: list[Dataset] = []
    findings: list[Finding] = []
    for at, (arm, facts) in enumerate(prediction.facts["arms"].items()):
        for step, horizon in enumerate(prediction.facts["horizons"]):
            values = {
                region: on_source(read_volume(prediction.map_path(arm, horizon, region)), source, to_source)
                for region in REGIONS
            }
            drawn = {region: value >= 0.5 for region, value in values.items()}
            made = None
            if any(mask.any() for mask in drawn.values()):
                label = f"FLAME predicted tumour, {arm}, research use only"
                made = segmentation(source, drawn, author, (label, _SEG + at), step + 1)
                masks.append(made)
            for number, (region, value) in enumerate(values.items(), start=len(REGIONS) * step + 1):
                if value.any():
                    label = f"FLAME probability, {arm}, research use only"
                    objects.append(probability_map(source, value, region, author, (label, _PM + at), number))
                segment = (str(made.SOPInstanceUID), number - len(REGIONS) * step) if made is not None else None
                shown = segment if drawn[region].any() else None
                volume = float(facts["predicted_ml"][region][step])
                findings.append(Finding(f"{arm}, predicted for day {horizon}", region, volume, segment=shown))
    found, answers = _response(prediction.facts, response)
    made_report = report(source, [*findings, *found], answers, masks, author, _SR)
    return [*masks, *objects, made_report]


def write_objects(folder: Path, objects: Sequence[Dataset]) -> list[Path]:
    """Write objects to a folder, named by number and kind: the names tell of nobody, but the content does."""
    written = []
    for number, one in enumerate(objects, start=1):
        path = folder / f"{number:03d}_{one.Modality}.dcm"
        content = BytesIO()
        one.save_as(content)
        write_bytes(path, content.getvalue())
        written.append(path)
    return written


def _last_day(prediction: Prediction, patient: Patient) -> int:
    """Day of the last exam that the model looked at."""
    days = [exam.day for exam in patient.exams]
    if not patient.courses:
        return days[-1]
    day = patient.courses[0].end_day + int(prediction.facts["observed"]["horizons"][-1])
    if day not in days:
        raise DataError(
            f"{prediction.folder} looked at an exam of day {day}, which patient {patient.id} has not",
            "Make the prediction again: the site has changed since.",
        )
    return day


def _response(facts: Mapping[str, Any], rano: Mapping[str, Any] | None) -> tuple[list[Finding], list[Answer]]:
    """What was seen, by the criteria, and what a response model says."""
    findings: list[Finding] = []
    answers: list[Answer] = []
    predicted = facts.get("response")
    if isinstance(predicted, Mapping) and predicted.get("probability") is not None:
        answers.append(Answer("early response", probability=float(predicted["probability"])))
    if rano is not None:
        if rano["patient"] != facts["patient"]:
            raise DataError(f"The response is that of patient {rano['patient']}", "Name the file of this patient.")
        for exam in rano["exams"]:
            name = f"exam of day {exam['horizon']}"
            answers.append(Answer(name, call=exam["call"], criteria=rano["criteria"]["name"]))
            for number, lesion in enumerate(exam["lesions"], start=1):
                findings.append(
                    Finding(
                        f"{name}, lesion {number}",
                        "ET",
                        round(lesion["volume_ml"], 3),
                        round(lesion["long_mm"], 2),
                        round(lesion["perpendicular_mm"], 2),
                    )
                )
    return findings, answers
