"""A small site for tests: two patients, two exams and a proton course each, on an 8-voxel grid of 4 mm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.records.dataset import Site
from flame.records.layout import brain_mask_path, dose_path, label_map_path, sequence_path
from flame.records.patient import LABELS, SEQUENCES, Course, Exam, Outcome, Patient
from flame.records.volume import Grid, Volume, write_volume

__all__ = ["GRID", "SHAPE", "make_site", "put", "with_patient"]

SHAPE = (8, 9, 10)
GRID = Grid(SHAPE, np.diag([4.0, 4.0, 4.0, 1.0]))


def put(path: Path, array: NDArray[Any], grid: Grid = GRID) -> Path:
    """Write a volume and give its path back."""
    write_volume(path, Volume(array, grid))
    return path


def make_site(folder: Path) -> Site:
    """Write the images of patients 001 and 002 and return their records; no table is written."""
    return Site("St Anna", folder, (_patient(folder, "001", 1), _patient(folder, "002", 2)))


def with_patient(site: Site, change: Callable[[Patient], Patient]) -> Site:
    """The site with its first patient changed."""
    return replace(site, patients=(change(site.patients[0]), *site.patients[1:]))


def _patient(folder: Path, identity: str, seed: int) -> Patient:
    random = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:5, 3:6, 4:6] = LABELS["ET"]
    exams = tuple(
        Exam(
            day=day,
            sequences={
                name: put(sequence_path(folder, identity, day, name), random.normal(100, 9, SHAPE).astype(np.float32))
                for name in SEQUENCES
            },
            label_map=put(label_map_path(folder, identity, day), labels),
            brain_mask=put(brain_mask_path(folder, identity, day), np.ones(SHAPE, np.uint8)),
            steroid_mg=4.0,
            clinical_status="stable",
        )
        for day in (-14, 70)
    )
    course = Course(
        arm="proton",
        prescription_gy=60.0,
        fractions=30,
        start_day=0,
        end_day=42,
        dose=put(dose_path(folder, identity, 1, "dose"), np.full(SHAPE, 60 / 1.1, np.float32)),
        dose_rbe=put(dose_path(folder, identity, 1, "dose_rbe"), np.full(SHAPE, 60, np.float32)),
        letd=put(dose_path(folder, identity, 1, "letd"), np.full(SHAPE, 2.5, np.float32)),
        rbe_model="constant 1.1",
    )
    return Patient(
        id=identity,
        age=61.5,
        sex="F",
        performance_status=1,
        mgmt_methylated=True,
        idh_mutant=None,
        resection="partial",
        diagnosis_day=-20,
        exams=exams,
        courses=(course,),
        outcome=Outcome(death_day=400),
    )
