"""Quality figures of every step of preparation, and the traffic light of each: which values are good and why."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["GAUGES", "Gauge", "Light", "Quality", "judge", "worst"]

Light = Literal["green", "amber", "red"]

_NONE, _ANY = -math.inf, math.inf


@dataclass(frozen=True)
class Gauge:
    """Ranges of a quality figure: green inside `green`, amber inside `amber`, else red; `reason` says why these."""

    meaning: str
    unit: str
    green: tuple[float, float]
    amber: tuple[float, float]
    reason: str


GAUGES: Mapping[str, Gauge] = MappingProxyType(
    {
        "inverse_mm": Gauge(
            "alignment there and back, 95th percentile over the brain",
            "mm",
            (_NONE, 1.5),
            (_NONE, 4.0),
            "1.5 mm is below half of the usual slice; above 4 mm the two searches found different places",
        ),
        "vouched_mm": Gauge(
            "shift that alignment asks for against the common frame of reference",
            "mm",
            (_NONE, 1.5),
            (_NONE, 2.5),
            "a head moves by 1 to 2 mm between sequences; beyond 2.5 mm the frame is not believed",
        ),
        "information_gain": Gauge(
            "mutual information after alignment less that before",
            "nat",
            (-0.02, _ANY),
            (-0.1, _ANY),
            "alignment may not make images agree less than the scanner's coordinates; 0.02 is the noise of sampling",
        ),
        "information": Gauge(
            "mutual information after alignment, over the head around the brain",
            "nat",
            (0.15, _ANY),
            (0.08, _ANY),
            "sequences of one head share 0.25 and more, also with CT; a head and noise share 0.04",
        ),
        "coverage": Gauge(
            "share of the brain inside the field of view",
            "",
            (0.97, _ANY),
            (0.80, _ANY),
            "some fluid at the top or the lowest cerebellum is often cut; a fifth of the brain is not",
        ),
        "brain_ml": Gauge(
            "volume of the brain mask",
            "ml",
            (1100.0, 1900.0),
            (850.0, 2200.0),
            "adult intracranial volumes lie between 1100 and 1900 ml",
        ),
        "brain_agreement": Gauge(
            "Dice of the brain mask with the atlas laid over it",
            "",
            (0.92, _ANY),
            (0.85, _ANY),
            "an affine atlas fits an adult brain to 0.92 and better; 0.85 means that one of both is elsewhere",
        ),
        "bias_spread": Gauge(
            "bias field, 95th over 5th percentile in the brain",
            "",
            (_NONE, 2.0),
            (_NONE, 3.0),
            "coils leave 1.1 to 1.6; more means that something else was taken for a field",
        ),
        "labels_in_brain": Gauge(
            "share of the label map inside the brain mask",
            "",
            (0.95, _ANY),
            (0.80, _ANY),
            "a tumour at the surface loses a rim; more means that mask or map is misplaced",
        ),
        "enhancement": Gauge(
            "brightness of ET on T1ce less that on T1w, in deviations of the brain",
            "",
            (0.0, _ANY),
            (-0.5, _ANY),
            "enhancing tumour is brighter with contrast; if not, labels or sequences are swapped",
        ),
        "dose_in_target": Gauge(
            "share of the baseline's tumour that gets half of the prescription",
            "",
            (0.90, _ANY),
            (0.50, _ANY),
            "the tumour lies in the target volume; below one half dose and images do not belong together",
        ),
    }
)


@dataclass(frozen=True)
class Quality:
    """One figure: what it is about (`FLAIR`, `brain`, `course 1 dose`), the gauge, the value and its light."""

    about: str
    gauge: str
    value: float
    light: Light

    def content(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "about": self.about,
            "gauge": self.gauge,
            "value": round(self.value, 4),
            "unit": GAUGES[self.gauge].unit,
            "light": self.light,
        }


def judge(about: str, gauge: str, value: float) -> Quality:
    """The traffic light of a value; one that is not a number is red.

    Raises: KeyError: if there is no such gauge.
    """
    limits = GAUGES[gauge]
    light: Light = "red"
    if limits.green[0] <= value <= limits.green[1]:
        light = "green"
    elif limits.amber[0] <= value <= limits.amber[1]:
        light = "amber"
    return Quality(about, gauge, value, light)


def worst(lights: Iterable[Light]) -> Light:
    """The worst of several lights; green if there is none."""
    order: tuple[Light, ...] = ("green", "amber", "red")
    return max(lights, key=order.index, default="green")
