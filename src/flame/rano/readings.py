"""What goes into an assessment and what comes out: a reading of each exam, and a call for each."""

import math
from dataclasses import dataclass, field
from typing import Literal

from flame.rano.measure import VolumeEstimate
from flame.rano.presets import Quantity

__all__ = ["Call", "NewLesion", "Reading", "Reason", "Status"]

Status = Literal["BL", "CR", "PR", "SD", "PD", "NE"]
"""Baseline, complete and partial response, stable and progressive disease, not evaluable."""

NewLesion = Literal["none", "in_field", "out_field", "side_unknown"]


@dataclass(frozen=True)
class Reading:
    """What one exam shows. Unknown is None, and never taken for "no".

    Attributes:
        horizon: days since the end of radiotherapy, below 0 before it.
        et_ml, tc_ml: volumes of enhancing tumour and tumour core [ml].
        spd_mm2: sum of the products of the target lesions' perpendicular diameters [mm2].
        measurable: whether any lesion is measurable.
        target_measurable: whether any target is; what was gone counts as back by it where products are compared.
        new_lesion: whether there is a measurable lesion that the baseline did not show, and where.
        otherwise: `measurable` and `new_lesion` as another grid could have them, because diameters are borderline; None
            if any grid would have them as they are.
        non_target_worse, t2_worse: unequivocal growth of lesions that are no targets, or of T2/FLAIR changes.
        clinical_worse: decline that the tumour caused.
        steroid_mg: dexamethasone-equivalent dose [mg/day].
        surgery: whether there was surgery of the tumour since the exam before; unknown counts as none, and is told.
    """

    horizon: int
    et_ml: float | None = None
    tc_ml: float | None = None
    spd_mm2: float | None = None
    measurable: bool | None = None
    target_measurable: bool | None = None
    new_lesion: NewLesion | None = None
    otherwise: tuple[bool, NewLesion] | None = None
    non_target_worse: bool | None = None
    t2_worse: bool | None = None
    clinical_worse: bool | None = None
    steroid_mg: float | None = None
    surgery: bool | None = False

    def __post_init__(self) -> None:
        for name in ("et_ml", "tc_ml", "spd_mm2", "steroid_mg"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} is >= 0 or None, got {value} at horizon {self.horizon}")

    def interval(self, quantity: Quantity, reader_spread: float = 0.0) -> tuple[float, float, float] | None:
        """A quantity with the range of `VolumeEstimate`: value, low, high; None if it is not known.

        That of a sum of products follows from the volume's: its logarithm spreads two thirds as wide.
        """
        value: float | None = getattr(self, quantity)
        if value is None:
            return None
        ml = self.et_ml if quantity == "spd_mm2" else value
        if not ml:
            return value, value, value
        estimate = VolumeEstimate(ml, reader_spread)
        power = 2 / 3 if quantity == "spd_mm2" else 1.0
        return value, value * (estimate.low_ml / ml) ** power, value * (estimate.high_ml / ml) ** power


@dataclass(frozen=True)
class Reason:
    """Why a call is what it is: a rule's name and the number that it rests on, if any; `wording` says it in words."""

    rule: str
    value: float | None = None


@dataclass(frozen=True)
class Call:
    """The verdict on one exam; it rests on exams up to that one only.

    Attributes:
        horizon: of the exam [days since the end of radiotherapy].
        status: the verdict.
        stage: `preliminary` until a later exam confirms it, `confirmed` if this exam does, else None.
        since: horizon that a confirmed status is dated back to; the exam's own otherwise.
        baseline, nadir: horizons of the exams that it was compared with.
        from_baseline, from_nadir: relative change of the quantity; -1 is gone.
        reasons: rules that decided.
        could_be: the response that it would be if all that is unknown were in its favour; None if none.
        unknowns: what was not known and could have changed the call.
        indeterminate: whether the ranges of the volumes up to this exam, or borderline diameters, allow another status.
    """

    horizon: int
    status: Status
    since: int
    stage: Literal["preliminary", "confirmed"] | None = None
    baseline: int | None = None
    nadir: int | None = None
    from_baseline: float | None = None
    from_nadir: float | None = None
    reasons: tuple[Reason, ...] = ()
    could_be: Status | None = None
    unknowns: tuple[str, ...] = field(default=())
    indeterminate: bool = False

    @property
    def code(self) -> str:
        """The status with its stage, as in P-PD or C-PR."""
        prefix = {"preliminary": "P-", "confirmed": "C-", None: ""}[self.stage]
        return prefix + self.status
