"""Response criteria as data: numbers and switches, and the published sets of them by name.

Where sources disagree or were not checked, the value is an argument of `Criteria` and marked "(unverified)".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CFB_V2", "MRANO_2017", "PRESETS", "RANO_2", "RANO_2010", "Criteria", "Quantity"]

Quantity = Literal["et_ml", "tc_ml", "spd_mm2"]


@dataclass(frozen=True)
class Criteria:
    """Numbers and switches of a set of response criteria; shares are of the reference, bounds are included.

    Args:
        name: of the set.
        quantity: what is compared: volume of enhancing tumour or tumour core [ml], or the sum of products [mm2].
        increase: growth over the nadir from which on there is progression.
        decrease: shrinkage from the baseline from which on there is a partial response.
        floor: growth that a reader could measure, in the quantity's unit; less is never progression.
        baseline: `post_rt` is the first exam after radiotherapy, `pre_rt` the last one before its end.
        baseline_days: horizons in which the exam after radiotherapy is preferred as the baseline.
        resets: whether surgery makes the next exam the baseline.
        latches: whether progression, once established, stays.
        nadir: whether growth is measured from the smallest value since the baseline; else from the baseline.
        max_targets: lesions in the sum of products.
        early_until: last horizon at which growth within the field may be pseudoprogression; None if none may.
        early: what growth is until then: `preliminary` until a later exam decides, or `not_counted` at all.
        confirmation: what a later exam has to show: `still_above` the same threshold, or a `further_increase` by the
            same share over the preliminary exam.
        confirm_days: least time until an exam can confirm progression [days].
        hold_days: least time that a response has to hold [days]; 0 where it counts at once.
        new_lesions, non_target, t2, clinical, steroids: whether these take part.
        reader_spread: range of volumes that outlines of other readers span, as a share; calls that it could change are
            indeterminate. 0 counts resampling alone; measure it at the site.
        physiological_mg: steroid dose that counts as none [mg dexamethasone a day] (unverified).
    """

    name: str
    quantity: Quantity
    increase: float
    decrease: float
    floor: float
    baseline: Literal["post_rt", "pre_rt"] = "post_rt"
    baseline_days: tuple[int, int] = (21, 35)
    resets: bool = True
    latches: bool = True
    nadir: bool = True
    max_targets: int = 3
    early_until: int | None = 84
    early: Literal["preliminary", "not_counted"] = "preliminary"
    confirmation: Literal["still_above", "further_increase"] = "still_above"
    confirm_days: int = 28
    hold_days: int = 28
    new_lesions: bool = True
    non_target: bool = True
    t2: bool = False
    clinical: bool = True
    steroids: bool = True
    reader_spread: float = 0.0
    physiological_mg: float = 1.5

    def __post_init__(self) -> None:
        if not (self.increase > 0 and 0 < self.decrease < 1 and self.floor >= 0 and self.reader_spread >= 0):
            raise ValueError(
                f"{self.name}: increase must be > 0, decrease between 0 and 1, floor and reader_spread >= 0; got "
                f"{self.increase}, {self.decrease}, {self.floor}, {self.reader_spread}"
            )


RANO_2010 = Criteria(
    "rano_2010",
    "spd_mm2",
    increase=0.25,
    decrease=0.50,
    floor=0.0,
    baseline_days=(0, 84),
    max_targets=5,
    early="not_counted",
    t2=True,
)
"""Wen et al., J Clin Oncol 2010;28:1963; in the first 12 weeks nothing within the field is progression."""

MRANO_2017 = Criteria(
    "mrano_2017", "et_ml", increase=0.40, decrease=0.65, floor=0.52, confirmation="further_increase", non_target=False
)
"""Ellingson et al., Neurotherapeutics 2017;14:307, by volume; a preliminary progression has to grow again."""

RANO_2 = Criteria("rano_2", "et_ml", increase=0.40, decrease=0.65, floor=0.52)
"""Wen et al., J Clin Oncol 2023;41:5187, by volume. The floor, a sphere of 10 mm, is FLAME's."""

CFB_V2 = Criteria(
    "cfb_v2",
    "tc_ml",
    increase=0.40,
    decrease=0.65,
    floor=0.0,
    baseline="pre_rt",
    resets=False,
    latches=False,
    nadir=False,
    early_until=None,
    hold_days=0,
    new_lesions=False,
    non_target=False,
    clinical=False,
    steroids=False,
)
"""The volumetric convention of the CFB-GBM set: 1 - GTVj / GTVi from the exam before radiotherapy, no more."""

PRESETS: Mapping[str, Criteria] = MappingProxyType({one.name: one for one in (RANO_2010, MRANO_2017, RANO_2, CFB_V2)})
"""Criteria by name."""
