"""What `flame trial --dicom` costs: CPU seconds a patient for the DICOM part, against 3 s and against the trial itself.

    python benchmarks/trial_dicom.py [VOXEL SIZE in mm, by default 2 and 4]

Three sites, so that every maker's habits are there, with one patient each, all arms simulated, in one process. A small
trial before that fills the caches of compiled code.
"""

import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from flame.virtual.hospital import write_hospital
from flame.virtual.trial import TrialSettings, write_trial

LIMIT_S = 3.0
SITES = 3


def computing(work: Callable[[], None]) -> tuple[float, float]:
    """Time on the processor of a piece of work, and the system's share of it [s]."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    system = after.ru_stime - before.ru_stime
    return after.ru_utime - before.ru_utime + system, system


def main() -> None:
    """Write trials and their DICOM; print seconds and ratios."""
    with tempfile.TemporaryDirectory() as scratch:
        for spacing in (6.0, *(float(word) for word in sys.argv[1:] or ("4", "2"))):
            out = Path(scratch) / f"{spacing:g}"
            settings = TrialSettings(sites=SITES, patients=1, seed=7, spacing_mm=spacing, workers=1)
            trial, _ = computing(lambda out=out, settings=settings: write_trial(out, settings))
            dicom, system = computing(lambda out=out, settings=settings: write_hospital(out, settings))
            if spacing == 6.0:
                continue
            files = list((out / "dicom").rglob("*.dcm"))
            megabytes = sum(path.stat().st_size for path in files) / 1e6
            a_patient = dicom / SITES
            print(
                f"{spacing:g} mm: trial {trial / SITES:.2f} CPU s a patient, its DICOM {a_patient:.2f} s "
                f"({system / SITES:.2f} s of them in the system) for {len(files) / SITES:.0f} files, "
                f"{megabytes / SITES:.0f} MB; with DICOM {1 + dicom / trial:.2f} times without, "
                f"{a_patient / LIMIT_S:.2f} of what is asked"
            )


if __name__ == "__main__":
    main()
