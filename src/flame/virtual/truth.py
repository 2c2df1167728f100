"""The truth of a virtual trial: potential outcomes under every simulated arm, and latents.

Layout, on the patient's grid: `truth/<site>/<patient>/<arm>_<horizon>_dseg.nii.gz` is the label map that a perfect
reader would draw under that arm at that horizon; there is none once the patient is dead under that arm.
`truth/<site>/<patient>/truth.json` holds the latents and, per arm, the day of death. Nothing that learns may read this.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.files import read_json
from flame.records.patient import Arm
from flame.records.volume import Volume, read_volume

__all__ = ["potential_outcome", "potential_outcome_path", "read_truth", "truth_folder", "truth_path"]


def truth_folder(out: Path, site: str, patient_id: str) -> Path:
    """The folder of one patient's truth in the trial folder `out`."""
    return out / "truth" / site / patient_id


def truth_path(out: Path, site: str, patient_id: str) -> Path:
    """The JSON file with a patient's latents; it is written last, so it exists when all else does."""
    return truth_folder(out, site, patient_id) / "truth.json"


def potential_outcome_path(out: Path, site: str, patient_id: str, arm: Arm, horizon: int) -> Path:
    """Where the label map under `arm` at `horizon` lies if the patient lives to see it."""
    return truth_folder(out, site, patient_id) / f"{arm}_{horizon}_dseg.nii.gz"


def read_truth(out: Path, site: str, patient_id: str) -> dict[str, Any]:
    """A patient's latents and arms. Raises DataError if there are none."""
    content: dict[str, Any] = read_json(truth_path(out, site, patient_id))
    return content


def potential_outcome(out: Path, site: str, patient_id: str, arm: Arm, horizon: int) -> NDArray[np.uint8] | None:
    """The label map under `arm` at `horizon` [days after the end of the course]; None if the patient is dead by then.

    Raises: DataError: if this arm was not simulated for this patient.
    """
    arms = read_truth(out, site, patient_id)["arms"]
    if arm not in arms:
        raise DataError(
            f"The future of {patient_id} at {site} under {arm} was not simulated; there are {sorted(arms)}",
            "Make the trial again with counterfactuals for this site.",
        )
    path = potential_outcome_path(out, site, patient_id, arm, horizon)
    if not path.exists():
        return None
    volume: Volume = read_volume(path)
    return volume.array.astype(np.uint8)
