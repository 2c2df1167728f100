"""Slices kept for the report's pictures: the montage of a trial, and predicted beside true maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.files import replacing, write_json
from flame.imaging.prepare import PreparedCourse, PreparedExam, PreparedPatient
from flame.records.patient import ARMS, LABELS, SEQUENCES, Arm

__all__ = ["Outcomes", "axial_slice", "evolution_arrays", "keep_evolution", "keep_montage"]

Maps = NDArray[np.float32]
Outcomes = Mapping[tuple[Arm, int], NDArray[np.uint8]]
"""(arm, horizon) -> label map (x, y, z) on the patient's grid, where it is known."""

_CORE = (LABELS["NETC"], LABELS["ET"])


def axial_slice(patient: PreparedPatient) -> int:
    """The axial slice with most tumour core over all exams, or with most of any label where there is no core."""
    maps = [exam.label_map for exam in patient.exams if exam.label_map is not None]
    core = np.sum([np.isin(labels, _CORE).sum((0, 1)) for labels in maps], axis=0)
    if core.any():
        return int(core.argmax())
    return int(np.sum([(labels > 0).sum((0, 1)) for labels in maps], axis=0).argmax())


def keep_montage(
    folder: Path,
    site: str,
    patient: PreparedPatient,
    course: PreparedCourse,
    responder: bool | None,
    outcomes: Outcomes,
) -> None:
    """Keep one slice of every exam, sequence and simulated arm of a patient."""
    at = axial_slice(patient)
    arrays: dict[str, NDArray[Any]] = {"dose": course.dose_rbe_gy[:, :, at]}
    for number, exam in enumerate(patient.exams):
        for sequence, image in zip(SEQUENCES, exam.images, strict=True):
            if sequence in exam.exam.sequences:
                arrays[f"image_{number}_{sequence}"] = image[:, :, at]
        if exam.label_map is not None:
            arrays[f"labels_{number}"] = exam.label_map[:, :, at]
    for (arm, horizon), labels in outcomes.items():
        arrays[f"arm_{arm}_{horizon}"] = labels[:, :, at]
    days = [exam.exam.day for exam in patient.exams]
    content = {
        "patient": patient.patient.id,
        "site": site,
        "arm": course.course.arm,
        "exam_days": days,
        "horizons": [day - course.course.end_day if day > course.course.end_day else None for day in days],
        "responder": responder,
        "arms": {arm: sorted(h for a, h in outcomes if a == arm) for arm in ARMS if any(a == arm for a, _ in outcomes)},
    }
    _keep(folder, "montage", site, patient, arrays, content)


def evolution_arrays(
    patient: PreparedPatient, last: PreparedExam, predictions: Mapping[Arm, Mapping[int, Maps]], truths: Outcomes
) -> dict[str, NDArray[Any]]:
    """One slice of a patient's predicted and true maps under every arm, by name as docs/run-folder.md says.

    Args:
        patient: whose fullest slice is taken.
        last: the last exam that the model saw, the background.
        predictions: arm -> horizon -> probabilities (3, x, y, z).
        truths: label maps that are known.
    """
    at = axial_slice(patient)
    background = last.images[SEQUENCES.index("T1ce")]
    if not background.any():
        background = last.images[SEQUENCES.index("FLAIR")]
    arrays: dict[str, NDArray[Any]] = {"background": background[:, :, at]}
    if last.label_map is not None:
        arrays["last"] = last.label_map[:, :, at]
    for arm, horizons in predictions.items():
        for horizon, maps in horizons.items():
            arrays[f"predicted_{arm}_{horizon}"] = maps[:, :, :, at]
    for (arm, horizon), labels in truths.items():
        arrays[f"true_{arm}_{horizon}"] = labels[:, :, at]
    return arrays


def keep_evolution(
    folder: Path, site: str, patient: PreparedPatient, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Keep `evolution_arrays` and what the JSON beside them says."""
    _keep(folder, "evolution", site, patient, arrays, facts)


def _keep(
    folder: Path,
    kind: str,
    site: str,
    patient: PreparedPatient,
    arrays: Mapping[str, NDArray[Any]],
    content: Mapping[str, Any],
) -> None:
    name = f"{site}_sub-{patient.patient.id}"
    with replacing(folder / f"{kind}-{name}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    write_json(folder / f"{kind}-{name}.json", content)
