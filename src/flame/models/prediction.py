"""The face of every model, baseline or network: predict for a patient, a course and a horizon."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flame.imaging.prepare import Context, PreparedCourse, PreparedPatient

__all__ = ["EvolutionModel", "Maps", "ResponseModel"]

Maps = NDArray[np.float32]


class ResponseModel(Protocol):
    """Predicts whether a patient responds (disease control half a year after radiotherapy)."""

    @property
    def context(self) -> Context:
        """The exams that the model may look at."""

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> float:
        """Probability of being a responder at `horizon` [days since the end of the course], in [0, 1].

        Raises: DataError: if an exam that the context needs is missing.
        """


class EvolutionModel(Protocol):
    """Predicts where the tumour will be."""

    @property
    def context(self) -> Context:
        """The exams that the model may look at."""

    def predict(self, patient: PreparedPatient, course: PreparedCourse, horizon: int) -> Maps:
        """Probability of each region at `horizon` [days since the end of the course], float32 (3, x, y, z).

        Regions are in the order of REGIONS, on the patient's grid.

        Raises: DataError: if an exam that the context needs is missing.
        """

    def predict_many(self, patient: PreparedPatient, course: PreparedCourse, horizons: Sequence[int]) -> list[Maps]:
        """`predict` at several horizons, looking at the patient once."""
