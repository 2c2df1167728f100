"""One label map from what was outlined, and which regions it tells apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.errors import DataError
from flame.imaging.itk import Matrix, onto
from flame.records.intake import Shows
from flame.records.labels import unknown_labels
from flame.records.patient import LABELS, REGIONS, Region
from flame.records.volume import Grid, Volume

__all__ = ["label_map_of", "labels_onto", "mask_onto", "regions_known"]

Mask = NDArray[np.bool_]


def labels_onto(volume: Volume, grid: Grid, matrix: Matrix | None = None) -> NDArray[np.uint8]:
    """A label map on another grid: each label is carried as a mask, linearly, and the largest share wins.

    Shapes come out smoother than by the nearest voxel, and thick slices leave no steps.

    Raises: DataError: if a value is not 0 to 4.
    """
    wrong = unknown_labels(volume.array)
    if wrong.size:
        raise DataError(
            f"a label map holds {wrong[0]:g}; labels are 0 to 4", "Convert it to 1 NETC, 2 SNFH, 3 ET, 4 RC."
        )
    values = [value for value in LABELS.values() if (volume.array == value).any()]
    shares = [_share(volume.array == value, volume.grid, grid, matrix) for value in values]
    found = np.zeros(grid.shape, np.uint8)
    best = 1 - sum(shares, np.zeros(grid.shape, np.float32))
    for value, share in zip(values, shares):
        wins = share > best
        found[wins] = value
        best = np.where(wins, share, best)
    return found


def mask_onto(volume: Volume, grid: Grid, matrix: Matrix | None = None) -> Mask:
    """A mask on another grid, carried linearly and cut at one half."""
    inside: Mask = _share(volume.array > 0.5, volume.grid, grid, matrix) > 0.5
    return inside


def label_map_of(
    labels: NDArray[np.uint8] | None, known: Sequence[int], masks: Mapping[Shows, Mask]
) -> tuple[NDArray[np.uint8], tuple[Region, ...] | None]:
    """Put outlines of one exam together.

    A label map is taken as it is; masks are added where it has nothing. Of masks, ET beats NETC beats RC beats SNFH.
    What only GTV holds is NETC where ET was outlined too, else ET: then TC is right and ET is not known, and a tumour
    is rather measured with its necrosis than not at all. What only WT holds is SNFH.

    Args:
        labels: uint8, or None; `known` are the values that its author told apart.
        masks: what else was outlined, all on one grid.

    Returns: the label map, and the regions that it tells apart; None if all.
    Raises: ValueError: if nothing was outlined.
    """
    given = [array for array in (labels, *masks.values()) if array is not None]
    if not given:
        raise ValueError("nothing was outlined")
    found = np.zeros(given[0].shape, np.uint8)
    rest: Sequence[tuple[Shows, int]] = (
        ("ET", LABELS["ET"]),
        ("NETC", LABELS["NETC"]),
        ("RC", LABELS["RC"]),
        ("GTV", LABELS["NETC"] if "ET" in masks else LABELS["ET"]),
        ("SNFH", LABELS["SNFH"]),
        ("WT", LABELS["SNFH"]),
    )
    if labels is not None:
        found[:] = labels
    for shows, value in rest:
        if shows in masks:
            found[masks[shows] & (found == 0)] = value
    return found, regions_known(known if labels is not None else (), tuple(masks))


def regions_known(known: Sequence[int], shown: Sequence[Shows]) -> tuple[Region, ...] | None:
    """Which regions outlines tell apart; None if all of them."""
    core = {"GTV"} & set(shown) or {"ET", "NETC"} <= set(shown) or set(REGIONS["TC"]) <= set(known)
    whole = {"WT"} & set(shown) or (core and ({"SNFH"} & set(shown) or LABELS["SNFH"] in known))
    told: dict[Region, Any] = {"ET": "ET" in shown or LABELS["ET"] in known, "TC": core, "WT": whole}
    regions = tuple(region for region, there in told.items() if there)
    return None if len(regions) == len(REGIONS) else regions


def _share(mask: Mask, source: Grid, grid: Grid, matrix: Matrix | None) -> NDArray[np.float32]:
    return np.asarray(onto(Volume(mask.astype(np.float32), source), grid, matrix, how="linear"), np.float32)
