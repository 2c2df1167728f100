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

__all__ = ["label_map_of", "labels_onto", "masks_onto", "regions_known"]

Mask = NDArray[np.bool_]
Share = NDArray[np.float32]

_CORE: tuple[Shows, ...] = ("ET", "NETC", "GTV")
_REST: tuple[Shows, ...] = ("SNFH", "WT")
_ORDER: tuple[Shows, ...] = ("ET", "NETC", "RC", "GTV", "SNFH", "WT")
_VALUES: Mapping[Shows, int] = {name: LABELS[name] for name in ("NETC", "SNFH", "ET", "RC")}
_NEAREST = 1e-3
"""Weight of the nearest voxel in a share: grids that halve each other put the edge of a mask right between voxels, and
rounding would shift it; less than any real share."""


def labels_onto(volume: Volume, grid: Grid, matrix: Matrix | None = None) -> NDArray[np.uint8]:
    """A label map on another grid; its labels are carried together, see `masks_onto`.

    Raises: DataError: if a value is not 0 to 4.
    """
    wrong = unknown_labels(volume.array)
    if wrong.size:
        raise DataError(
            f"a label map holds {wrong[0]:g}; labels are 0 to 4", "Convert it to 1 NETC, 2 SNFH, 3 ET, 4 RC."
        )
    masks: dict[Shows, Mask] = {name: volume.array == value for name, value in _VALUES.items()}
    found = np.zeros(grid.shape, np.uint8)
    for name, mask in masks_onto(masks, volume.grid, grid, matrix).items():
        found[mask] = _VALUES[name]
    return found


def masks_onto(
    masks: Mapping[Shows, Mask], source: Grid, grid: Grid, matrix: Matrix | None = None
) -> dict[Shows, Mask]:
    """Outlines that share a grid, on another grid, each voxel in one of them at most.

    Where outlines overlap, the first counts of ET, NETC, RC, GTV, SNFH, WT. What is left of each is carried linearly,
    as a share of every voxel, and shares are weighed as the regions are nested: something against nothing, cavity
    against tumour, core against the rest, and what is in the core. The larger side has the voxel, and where both are
    equal the nearest outline. So neighbours leave no gap between them, and a thin rim is not lost to two larger
    neighbours. On its own grid every outline stays itself.

    Args:
        masks: bool on `source`; any but `labels`, `brain` and `other`.
        matrix: position in `source` to position in `grid`; None where they are the same.
    """
    free = np.ones(source.shape, bool)
    shares: dict[Shows, Share] = {}
    for name in (one for one in _ORDER if one in masks):
        own = masks[name] & free
        free &= ~masks[name]
        if own.any():
            shares[name] = _share(own, source, grid, matrix)
    core, rest = _some(shares, _CORE, grid), _some(shares, _REST, grid)
    cavity = _some(shares, ("RC",), grid)
    some = core + rest + cavity > 0.5
    tumour = some & (core + rest >= cavity)
    inside = {"RC": some & ~tumour}
    for names, there in ((_CORE, tumour & (core >= rest)), (_REST, tumour & (core < rest))):
        given = [name for name in names if name in shares]
        if given:
            largest = np.argmax(np.stack([shares[name] for name in given]), axis=0)
            inside |= {name: there & (largest == at) for at, name in enumerate(given)}
    return {name: inside.get(name, np.zeros(grid.shape, bool)) for name in masks}


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
    values = {**_VALUES, "GTV": LABELS["NETC"] if "ET" in masks else LABELS["ET"], "WT": LABELS["SNFH"]}
    if labels is not None:
        found[:] = labels
    for shows in (one for one in _ORDER if one in masks):
        found[masks[shows] & (found == 0)] = values[shows]
    return found, regions_known(known if labels is not None else (), tuple(masks))


def regions_known(known: Sequence[int], shown: Sequence[Shows]) -> tuple[Region, ...] | None:
    """Which regions outlines tell apart; None if all of them."""
    core = {"GTV"} & set(shown) or {"ET", "NETC"} <= set(shown) or set(REGIONS["TC"]) <= set(known)
    whole = {"WT"} & set(shown) or (core and ({"SNFH"} & set(shown) or LABELS["SNFH"] in known))
    told: dict[Region, Any] = {"ET": "ET" in shown or LABELS["ET"] in known, "TC": core, "WT": whole}
    regions = tuple(region for region, there in told.items() if there)
    return None if len(regions) == len(REGIONS) else regions


def _share(mask: Mask, source: Grid, grid: Grid, matrix: Matrix | None) -> Share:
    volume = Volume(mask.astype(np.uint8), source)
    linear = np.asarray(onto(volume, grid, matrix, how="linear"), np.float32)
    nearest = onto(volume, grid, matrix, how="nearest").astype(np.float32)
    return np.float32(1 - _NEAREST) * linear + np.float32(_NEAREST) * nearest


def _some(shares: Mapping[Shows, Share], names: Sequence[Shows], grid: Grid) -> Share:
    return sum((shares[name] for name in names if name in shares), np.zeros(grid.shape, np.float32))
