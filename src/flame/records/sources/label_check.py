"""Whether the values of a label map mean what their source says: necrosis and enhancement are easily swapped.

Two witnesses: volumes that the source states, and the images. Contrast agent makes enhancing tumour brighter on T1ce
than on T1w, in units of each image's own normal brain; of all labels, most in the enhancing one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.records.patient import LABELS

__all__ = ["Chosen", "LabelOrder", "Verdict", "brightening", "choose_order", "foreground", "relabelled", "swap_check"]

LabelOrder = Mapping[int, int]
"""What each value of a file means: value in the file to FLAME's label. Background is 0 in both."""

Verdict = Literal["fits", "swapped", "doubtful", "unknown"]

FEWEST_VOXELS = 30
"""Below it a median says little about a label."""

MARGIN = 0.5
"""By how much another label has to brighten more than ET, in robust standard deviations of normal brain, to be called
swapped; less is doubtful."""

ENHANCING = 1.5
"""A label that brightens by as many robust standard deviations of normal brain enhances."""

VOLUME_TOLERANCE = 0.02
"""Share by which a stated volume may differ from that of the map."""

_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Chosen:
    """The order of a label map, and whether stated volumes vouch for it."""

    order: LabelOrder
    vouched: bool


def relabelled(array: NDArray[Any], order: LabelOrder) -> NDArray[np.uint8]:
    """A label map in FLAME's labels; values must be in `order`."""
    out = np.zeros(array.shape, np.uint8)
    for value, label in order.items():
        out[array == value] = label
    return out


def choose_order(
    array: NDArray[Any],
    voxel_mm3: float,
    orders: Sequence[LabelOrder],
    volumes_mm3: Mapping[int, float] | None = None,
) -> Chosen:
    """Which of a set's possible orders a label map is in.

    Args:
        array: values of the file, any shape.
        voxel_mm3: volume of a voxel.
        orders: the possible ones, the documented one first; it is taken where nothing decides.
        volumes_mm3: by FLAME's label, what the set states.

    Raises: DataError: if the map holds a value that no order knows, or no order gives the stated volumes.
    """
    values = [float(value) for value in np.unique(array) if value != 0]
    able = [order for order in orders if all(value in order for value in values)]
    if not able:
        shown = ", ".join(f"{value:g}" for value in values[:5])
        known = " or ".join(", ".join(map(str, sorted(order))) for order in orders)
        raise DataError(
            f"the label map holds {shown}; the set's labels are {known}",
            "Look at the file: it may be of another version of the set, or resampled with interpolation.",
        )
    if volumes_mm3 is None or not volumes_mm3:
        return Chosen(able[0], vouched=False)
    counts = {int(value): float((array == value).sum()) * voxel_mm3 for value in values}
    agreeing = [order for order in able if _agrees(counts, order, volumes_mm3, voxel_mm3)]
    if not agreeing:
        raise DataError(
            "the volumes that the set states are not those of its label map under any known order of labels",
            "Compare both by hand; the label map is left out.",
        )
    return Chosen(agreeing[0], vouched=len(agreeing) == 1)


def _agrees(counts: Mapping[int, float], order: LabelOrder, volumes_mm3: Mapping[int, float], voxel_mm3: float) -> bool:
    found = dict.fromkeys(volumes_mm3, 0.0)
    for value, volume in counts.items():
        if order[value] in found:
            found[order[value]] += volume
    return all(
        abs(found[label] - stated) <= max(voxel_mm3, VOLUME_TOLERANCE * stated) for label, stated in volumes_mm3.items()
    )


def foreground(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Roughly the head: all but the background of a skull-stripped image, which need not be 0; else the brighter part.

    Args:
        array: an image (x, y, z); its first voxel is taken for background.
    """
    stripped: NDArray[np.bool_] = array != array.flat[0]
    return stripped if stripped.mean() < 0.9 else array > array.mean()


def brightening(
    labels: NDArray[np.uint8], t1w: NDArray[Any], t1ce: NDArray[Any], brain: NDArray[np.bool_] | None = None
) -> dict[int, float]:
    """How much brighter each label is on T1ce than on T1w, in robust standard deviations of normal brain.

    Args:
        labels: FLAME's labels (x, y, z).
        t1w, t1ce: images on the same grid, in any unit.
        brain: where normal brain is looked for; by default what both images show.

    Returns: the median of the difference over the voxels of each label with at least `FEWEST_VOXELS`; empty if there is
        no normal brain, or it is all of one brightness.
    """
    inside = brain if brain is not None else foreground(t1w) & foreground(t1ce)
    normal = inside & (labels == 0)
    if normal.sum() < FEWEST_VOXELS:
        return {}
    change = np.zeros(labels.shape, np.float32)
    for image, sign in ((t1ce, 1.0), (t1w, -1.0)):
        middle = np.median(image[normal])
        spread = _MAD_TO_SD * float(np.median(np.abs(image[normal] - middle)))
        if spread == 0:
            return {}
        change += np.float32(sign / spread) * (image - middle).astype(np.float32)
    present = [label for label in sorted(LABELS.values()) if (labels == label).sum() >= FEWEST_VOXELS]
    return {label: float(np.median(change[labels == label])) for label in present}


def swap_check(rises: Mapping[int, float]) -> Verdict:
    """What the images say about the enhancing label, from `brightening`.

    `fits`: it brightens, and most of all. `swapped`: another one brightens clearly more. `doubtful`: neither.
    `unknown`: there is too little of it to tell, and nothing labelled necrosis enhances.
    """
    enhancing = rises.get(LABELS["ET"])
    if enhancing is None:
        return "doubtful" if rises.get(LABELS["NETC"], 0.0) > ENHANCING else "unknown"
    best = max((rise for label, rise in rises.items() if label != LABELS["ET"]), default=-np.inf)
    if best > 0 and best > enhancing + MARGIN:
        return "swapped"
    return "fits" if enhancing > 0 and enhancing >= best else "doubtful"
