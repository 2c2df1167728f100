"""What a tumour looks like: enhancement, necrosis, oedema, cavity, and label maps by a perfect or a real reader."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.physics.anatomy import Tissue
from flame.physics.fields import smooth_field
from flame.physics.growth import State
from flame.physics.growth_step import gaussian_smooth
from flame.records.patient import LABELS

__all__ = ["ENHANCING", "Appearance", "appearance", "core_ml", "label_map", "reader_errors"]

ENHANCING = 0.40
"""Enhancement above which a reader draws enhancing tumour."""

NECROTIC = 0.45
INFILTRATED = 0.16
DEBRIS_ENHANCEMENT = 0.85
"""Leakiness of dying tissue relative to viable tumour."""

FLUID_REACH_MM = 9.0
FLUID_SCALE = 0.075

Field = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Appearance:
    """What could be seen of a state by a perfect observer, inside `box` of the patient's grid; float32 fields.

    Attributes:
        box: where the fields lie in the grid `shape`; outside there is nothing to see.
        viable: density of viable tumour.
        enhancement: leakiness of vessels: viable tumour, dying tissue and pseudoprogression.
        necrosis: density of necrosis.
        infiltration: density of tumour cells, viable or dying.
        fluid: vasogenic oedema; its edge is at 0.5.
        cavity: where tissue was resected, bool.
        inside: brain tissue without fluid spaces, bool.
    """

    shape: tuple[int, int, int]
    box: Box
    viable: Field
    enhancement: Field
    necrosis: Field
    infiltration: Field
    fluid: Field
    cavity: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def core_ml(state: State, spacing_mm: float) -> float:
    """Volume of enhancing tumour and necrosis without pseudoprogression [ml]."""
    seen = (state.viable + DEBRIS_ENHANCEMENT * state.dying > ENHANCING) | (state.necrosis > NECROTIC)
    return float(np.count_nonzero(seen)) * spacing_mm**3 / 1000


def _box(seen: NDArray[np.bool_], margin: int) -> Box:
    """The box around what is seen, with a margin; the middle voxel if nothing is."""
    out = []
    for axis, present in enumerate((seen.any((1, 2)), seen.any((0, 2)), seen.any((0, 1)))):
        where = np.flatnonzero(present)
        low, high = (int(where[0]), int(where[-1])) if len(where) else (seen.shape[axis] // 2,) * 2
        out.append(slice(max(low - margin, 0), min(high + margin + 1, seen.shape[axis])))
    return out[0], out[1], out[2]


def appearance(
    state: State,
    tissue: Tissue,
    spacing_mm: float,
    oedema: float,
    cavity: NDArray[np.bool_],
    pseudoprogression: Field | None = None,
) -> Appearance:
    """What a state looks like.

    Args:
        oedema: factor on the reach of vasogenic oedema, > 0.
        cavity: where tissue was resected, shape of the grid.
        pseudoprogression: enhancement from treatment alone, shape of the grid.
    """
    seen = (state.viable + state.dying > 0.03) | (state.necrosis > 0.1) | cavity
    if pseudoprogression is not None:
        seen |= pseudoprogression > 0.05
    box = _box(seen, int(np.ceil(20.0 / spacing_mm)))
    viable, dying, necrosis = state.viable[box], state.dying[box], state.necrosis[box]
    inside = tissue.brain[box] & (tissue.csf[box] < 0.6) & ~cavity[box]
    enhancement = viable + np.float32(DEBRIS_ENHANCEMENT) * dying
    if pseudoprogression is not None:
        enhancement = enhancement + pseudoprogression[box]
    leaking = np.where(inside, enhancement > ENHANCING, False).astype(np.float32)
    spread = gaussian_smooth(leaking, FLUID_REACH_MM * oedema / spacing_mm, truncate=2.5)
    white = gaussian_smooth(tissue.wm[box], 1.0)
    fluid = spread * (0.08 + 0.92 * white**1.5) / FLUID_SCALE
    return Appearance(
        shape=(state.viable.shape[0], state.viable.shape[1], state.viable.shape[2]),
        box=box,
        viable=viable,
        enhancement=enhancement.astype(np.float32),
        necrosis=necrosis,
        infiltration=viable + dying,
        fluid=fluid.astype(np.float32),
        cavity=cavity[box],
        inside=inside,
    )


def reader_errors(
    generator: np.random.Generator, shape: tuple[int, int, int], spacing_mm: float
) -> tuple[Field, Field, Field]:
    """How far a reader's thresholds for enhancement, necrosis and oedema are off, relative, as fields of `shape`.

    Neighbouring voxels share an error (a drawn boundary is smooth), and each exam has its own overall lean.
    """
    core, rest = (smooth_field(generator, shape, length / spacing_mm) for length in (5.0, 8.0))
    lean = generator.normal(0, (0.05, 0.05, 0.10))
    return (
        (lean[0] + 0.10 * core).astype(np.float32),
        (lean[1] - 0.10 * core).astype(np.float32),
        (lean[2] + 0.15 * rest).astype(np.float32),
    )


def label_map(seen: Appearance, errors: tuple[Field, Field, Field] | None = None) -> NDArray[np.uint8]:
    """The label map on the whole grid, uint8, shape (x, y, z).

    Args:
        errors: from `reader_errors`, on the appearance's box; None is a perfect reader.
    """
    off_enhancing, off_necrotic, off_oedema = errors if errors is not None else (np.float32(0),) * 3
    enhancing = (seen.enhancement > ENHANCING * (1 + off_enhancing)) & seen.inside
    necrotic = (seen.necrosis > NECROTIC * (1 + off_necrotic)) & seen.inside & ~enhancing
    swollen = (seen.infiltration > INFILTRATED * (1 + off_oedema)) | (seen.fluid > 0.5 * (1 + off_oedema))
    labels = np.zeros(seen.viable.shape, np.uint8)
    labels[swollen & seen.inside] = LABELS["SNFH"]
    labels[necrotic] = LABELS["NETC"]
    labels[enhancing] = LABELS["ET"]
    labels[seen.cavity] = LABELS["RC"]
    whole = np.zeros(seen.shape, np.uint8)
    whole[seen.box] = labels
    return whole
