"""Small prepared patients whose tumour is a ball that grows or shrinks, for tests."""

import numpy as np
from numpy.typing import NDArray

from flame.imaging.prepare import PreparedCourse, PreparedExam, PreparedPatient
from flame.records.patient import Arm, Course, Exam, Outcome, Patient
from flame.records.volume import Grid

SIZE, SPACING = 16, 5.0


def ball(radius_mm: float, size: int = SIZE) -> NDArray[np.uint8]:
    """A label map: necrosis in the middle, an enhancing rim, oedema around."""
    at = (np.indices((size, size, size)) - (size - 1) / 2) * SPACING
    distance = np.sqrt((at**2).sum(0))
    labels = np.zeros((size, size, size), np.uint8)
    labels[distance <= radius_mm + 10] = 2
    labels[distance <= radius_mm] = 3
    labels[distance <= radius_mm - 8] = 1
    return labels


def patient(
    name: str = "p1",
    radii_mm: tuple[float, ...] = (15.0, 15.0, 15.0),
    days: tuple[int, ...] = (-14, 70, 133),
    arm: Arm = "photon",
    seed: int = 0,
    death_day: int | None = None,
) -> PreparedPatient:
    """Exams on `days` with tumours of these radii; the course lasts from day 0 to day 42."""
    generator = np.random.default_rng(seed)
    course = Course(arm, 60.0, 30, 0, 42)
    grid = Grid((SIZE, SIZE, SIZE), np.diag([SPACING, SPACING, SPACING, 1.0]))
    exams = []
    for day, radius in zip(days, radii_mm, strict=True):
        labels = ball(radius)
        images = generator.normal(0, 0.1, (4, *labels.shape)).astype(np.float32) + labels
        exams.append(PreparedExam(Exam(day=day), images, labels))
    dose = np.full(grid.shape, 50.0, np.float32)
    prepared = PreparedCourse(course, dose, dose, np.zeros(grid.shape, np.float32))
    record = Patient(
        name,
        age=60.0,
        exams=tuple(exam.exam for exam in exams),
        courses=(course,),
        outcome=Outcome(death_day=death_day),
    )
    return PreparedPatient(record, grid, np.ones(grid.shape, bool), tuple(exams), (prepared,))
