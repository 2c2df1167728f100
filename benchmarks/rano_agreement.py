"""How far calls from measured masks agree with calls from a virtual trial's exact volumes, exam by exam.

    flame trial trial && python benchmarks/rano_agreement.py trial

Two kinds of mask are measured: the exact outline on thick slices that begin half a voxel off, which is what the ranges
behind "indeterminate" stand for, and the outline that the site's reader drew. Those are called twice, without and with
the readers' spread as `Criteria.reader_spread`: the 10th to 90th percentile of drawn over exact volume in this trial.
All are called by volume, RANO 2.0, images alone. The exact outline is that of the arm that was delivered; exams before
radiotherapy do not count.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flame.evaluation.comparison import find_sites
from flame.imaging.cube import resample
from flame.learning.endpoint import IMAGING_ONLY, scan
from flame.rano.criteria import assess
from flame.rano.endpoints import FollowUp, disease_control
from flame.rano.measure import volumes
from flame.rano.presets import Criteria
from flame.rano.readings import Call
from flame.rano.series import read
from flame.records.dataset import read_site
from flame.records.patient import Patient
from flame.records.volume import Grid, Volume, read_volume
from flame.virtual.truth import potential_outcome

THICK_MM = (1.0, 1.0, 5.0)


def exact_outlines(trial: Path, site: str, patient: Patient) -> list[Volume | None]:
    """The exact outlines of a patient's exams; before radiotherapy the reader's."""
    course, found = patient.courses[0], []
    for exam in patient.exams:
        assert exam.label_map is not None
        drawn = read_volume(exam.label_map)
        if exam.day > course.end_day:
            exact = potential_outcome(trial, site, patient.id, course.arm, exam.day - course.end_day)
            found.append(None if exact is None else Volume(exact, drawn.grid))
        else:
            found.append(drawn)
    return found


def on_thick_slices(outline: Volume) -> Volume:
    """An outline as it is on thick slices, half a voxel off."""
    spacing = np.array(THICK_MM)
    shape = np.floor(np.array(outline.grid.shape) * outline.grid.spacing_mm / spacing).astype(int) - 1
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = outline.grid.affine[:3, 3] + spacing / 2
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    return Volume(resample(outline, grid, nearest=True), grid)


def calls(patient: Patient, outlines: Sequence[Volume | None], criteria: Criteria = IMAGING_ONLY) -> tuple[Call, ...]:
    """Calls of a patient's exams with these outlines."""
    end = patient.courses[0].end_day
    spacing = next(one.grid.spacing_mm for one in outlines if one is not None)
    pairs = zip(patient.exams, outlines, strict=True)
    scans = [scan(exam, end, None if outline is None else outline.array) for exam, outline in pairs]
    return assess([one.reading for one in read(scans, spacing, criteria)], criteria)


def ratios(drawn: Sequence[Volume | None], exact: Sequence[Volume | None]) -> list[float]:
    """Drawn over exact volume of enhancing tumour, where there is at least half a millilitre."""
    found = []
    for mine, true in zip(drawn, exact, strict=True):
        if mine is not None and true is not None and mine is not true:
            ours, theirs = (volumes(one.array, one.grid.spacing_mm).et.ml for one in (mine, true))
            found += [ours / theirs] if theirs >= 0.5 else []
    return found


@dataclass
class Tally:
    """Exams by whether calls agree and whether the measured one is indeterminate; patients by their endpoint."""

    exams: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    endpoints: Counter[bool] = field(default_factory=Counter)

    def add(self, measured: tuple[Call, ...], exact: tuple[Call, ...]) -> None:
        """Count a patient."""
        for mine, true in zip(measured, exact, strict=True):
            if mine.horizon > 0:
                agree = mine.status == true.status
                self.exams[agree, mine.indeterminate] += 1
                if not agree:
                    self.pairs[true.code, mine.code] += 1
        self.endpoints[disease_control(FollowUp(measured)) == disease_control(FollowUp(exact))] += 1

    def report(self, name: str) -> None:
        """Print what was counted."""
        total, apart = self.exams.total(), self.exams[False, True] + self.exams[False, False]
        unsure = self.exams[True, True] + self.exams[False, True]
        print(
            f"{name}: {1 - apart / total:.1%} of {total} exams agree; {apart} do not, {self.exams[False, True]} of "
            f"them indeterminate ({unsure / total:.1%} of all are)"
        )
        print(f"  disease control agrees in {self.endpoints[True] / self.endpoints.total():.1%} of patients")
        for (true, mine), count in self.pairs.most_common(6):
            print(f"  exact {true:5} measured {mine:5} {count}")


def main() -> None:
    """Compare, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", type=Path)
    arguments = parser.parse_args()
    sites = [
        (folder.name, patient) for folder in find_sites([arguments.trial]) for patient in read_site(folder).patients
    ]
    exact = {patient.id: exact_outlines(arguments.trial, site, patient) for site, patient in sites}
    drawn = {
        patient.id: [None if exam.label_map is None else read_volume(exam.label_map) for exam in patient.exams]
        for _, patient in sites
    }
    low, middle, high = np.quantile(
        [one for name in drawn for one in ratios(drawn[name], exact[name])], [0.1, 0.5, 0.9]
    )
    print(f"drawn over exact volume: median {middle:.2f}, 10th to 90th percentile {low:.2f} to {high:.2f}")
    thick, reader, known = Tally(), Tally(), Tally()
    spread = replace(IMAGING_ONLY, reader_spread=float(high - low))
    for _, patient in sites:
        true = calls(patient, exact[patient.id])
        thick.add(calls(patient, [None if one is None else on_thick_slices(one) for one in exact[patient.id]]), true)
        reader.add(calls(patient, drawn[patient.id]), true)
        known.add(calls(patient, drawn[patient.id], spread), true)
    thick.report(f"on slices of {THICK_MM[2]:g} mm")
    reader.report("drawn by the sites' readers")
    known.report("drawn by the sites' readers, whose spread is known")


if __name__ == "__main__":
    main()
