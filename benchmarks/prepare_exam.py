"""How long `flame prepare` takes for one exam at 1 mm, against the limit of 90 s on two cores.

    python benchmarks/prepare_exam.py [FOLDER with t1, t1c, t2 and flair.nii.gz]

Without a folder the exam is a made-up head of 1 mm with four sequences in four positions.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from flame.imaging.intake import Preparation, prepare_one
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient, write_intake
from flame.records.volume import write_volume

LIMIT_S = 90.0
NAMES = {"T1w": "t1", "T1ce": "t1c", "T2w": "t2", "FLAIR": "flair"}


def made_up(folder: Path) -> None:
    """Four sequences of one head, each moved by some degrees and millimetres."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.imaging.heads import head, moved, rigid

    for at, name in enumerate(NAMES.values()):
        volume = head("FLAIR" if name in ("t2", "flair") else "T1w", at, 1.0)
        write_volume(folder / f"{name}.nii.gz", moved(volume, rigid((2.0 * at, at, -3.0 * at), (at, 2.0 * at, at))))


def main() -> None:
    """Prepare the exam once and print seconds and the share of the limit."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "intake" / "P1"
        home.mkdir(parents=True)
        if len(sys.argv) > 1:
            for name in NAMES.values():
                shutil.copyfile(Path(sys.argv[1]) / f"{name}.nii.gz", home / f"{name}.nii.gz")
        else:
            made_up(home)
        images = {sequence: IntakeImage(file=f"{name}.nii.gz") for sequence, name in NAMES.items()}
        exam = IntakeExam.model_validate({"day": 0, "images": images})
        write_intake(home.parent, IntakePatient(id="P1", source="nifti", exams=(exam,)))
        wall, cpu = time.perf_counter(), time.process_time()
        result = prepare_one(home.parent, Path(scratch) / "site", "P1", Preparation(brain="atlas"))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    lights = [one["light"] for one in (result.record or {"exams": [{"quality": []}]})["exams"][0]["quality"]]
    counts = {light: lights.count(light) for light in np.unique(lights).tolist()}
    print(f"one exam, four sequences, 1 mm: {wall:.0f} s, {cpu:.0f} s of one core; lights {counts}")
    print(f"share of the limit of {LIMIT_S:.0f} s: {wall / LIMIT_S:.2f}")


if __name__ == "__main__":
    main()
