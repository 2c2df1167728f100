"""Spatial Registration objects: how a hospital laid one frame of reference over another."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from flame.dicom.geometry import LPS_TO_RAS
from flame.dicom.therapy.objects import Source, decimals, items, opened, text
from flame.errors import DataError
from flame.records.intake import Alignment

__all__ = ["common_frame", "read_alignments"]

_TOLERANCE = 2e-3
"""How far a rigid matrix, written in decimals, may be from one."""

_HINT = "Export a rigid registration; FLAME aligns the images itself where there is none."


def read_alignments(source: Source) -> tuple[Alignment, ...]:
    """Read a Spatial Registration object.

    A matrix of DICOM maps a position in the frame of its item to one in the frame of the object (PS3.3 C.20.2.1.1); so
    does an Alignment, in RAS. Its rotation is the nearest one to what is written, so that nothing is ever scaled.

    Returns: one alignment for each frame that is laid over another; a frame that is laid over itself has none.
    Raises: DataError: another kind of object; a deformable or scaling registration, or a mirror; a frame that is not
        named; several matrices whose order matters.
    """
    kinds = (SpatialRegistrationStorage, DeformableSpatialRegistrationStorage)
    dataset = opened(source, kinds, "a Spatial Registration object")
    if text(dataset, "SOPClassUID") == DeformableSpatialRegistrationStorage:
        raise DataError("The registration is deformable", _HINT)
    target = text(dataset, "FrameOfReferenceUID")
    found = []
    for one in items(dataset, "RegistrationSequence"):
        frame = text(one, "FrameOfReferenceUID")
        matrix = _product([_rigid(part) for part in _parts(one)])
        if not target or not frame:
            raise DataError("The registration does not name its frames of reference", _HINT)
        if frame != target:
            rows = (LPS_TO_RAS @ matrix @ LPS_TO_RAS).tolist()
            found.append(Alignment(source=frame, target=target, matrix=rows))
        elif np.abs(matrix - np.eye(4)).max() > _TOLERANCE:
            raise DataError("The registration moves a frame of reference within itself", _HINT)
    return tuple(found)


def common_frame(source: str, target: str, alignments: Sequence[Alignment]) -> NDArray[np.float64] | None:
    """The map from one frame to another through any number of alignments, in either direction.

    Args:
        source, target: UIDs of frames of reference.
        alignments: the chain with the fewest of them is taken; among equals the first that is given.

    Returns: (4, 4) from position in `source` to position in `target`, RAS [mm]; None if nothing links them.
    """
    reached: dict[str, NDArray[np.float64]] = {source: np.eye(4)}
    waiting = deque([source])
    while waiting and target not in reached:
        frame = waiting.popleft()
        for one in alignments:
            matrix = np.array(one.matrix, float)
            for start, end, step in ((one.source, one.target, matrix), (one.target, one.source, np.linalg.inv(matrix))):
                if start == frame and end not in reached:
                    reached[end] = np.asarray(step @ reached[frame], np.float64)
                    waiting.append(end)
    return reached.get(target)


def _parts(one: Dataset) -> list[Dataset]:
    parts = [part for each in items(one, "MatrixRegistrationSequence") for part in items(each, "MatrixSequence")]
    if not parts:
        raise DataError("The registration has no matrix", _HINT)
    return parts


def _rigid(part: Dataset) -> NDArray[np.float64]:
    """A matrix (4, 4), LPS [mm], that turns and shifts and does no more."""
    matrix = np.array(decimals(part, "FrameOfReferenceTransformationMatrix", 16)).reshape(4, 4)
    turn = matrix[:3, :3]
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > _TOLERANCE:
        raise DataError("The registration's matrix is not one of a map in space", _HINT)
    if np.abs(turn.T @ turn - np.eye(3)).max() > _TOLERANCE or np.linalg.det(turn) < 0:
        raise DataError("The registration scales, shears or mirrors", _HINT)
    left, _, right = np.linalg.svd(turn)
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = left @ right, matrix[:3, 3]
    return rigid


def _product(matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All matrices in one. Software disagrees on which comes first, so their order must not matter."""
    forward = backward = np.eye(4)
    for matrix in matrices:
        forward, backward = forward @ matrix, matrix @ backward
    if np.abs(forward - backward).max() > _TOLERANCE:
        raise DataError(
            f"The registration consists of {len(matrices)} matrices whose order matters",
            "Export it as one matrix.",
        )
    return forward
