"""Where the frames of reference of a patient lie: known maps between them, followed from one to the next."""

from collections.abc import Iterable

import numpy as np

from flame.errors import DataError
from flame.imaging.itk import Matrix, rigid_error
from flame.records.intake import Alignment

__all__ = ["Frames"]

_RIGID = 1e-3


class Frames:
    """Maps from frames of reference to the patient's reference image; grows as images are aligned.

    Raises: DataError: if a map that the hospital made is not rigid.
    """

    def __init__(self, alignments: Iterable[Alignment] = ()) -> None:
        self._edges: list[tuple[str, str, Matrix]] = []
        self._known: dict[str, Matrix] = {}
        for one in alignments:
            matrix = np.array(one.matrix, dtype=np.float64)
            if rigid_error(matrix) > _RIGID:
                raise DataError(
                    "A registration object holds a map that is not rigid: it would change volumes",
                    "Make a rigid registration, or leave the object out: images are then aligned anew.",
                )
            self._edges.append((one.source, one.target, matrix))
            self._edges.append((one.target, one.source, np.linalg.inv(matrix)))

    def learn(self, frame: str | None, matrix: Matrix) -> None:
        """Keep the first map that is found of a frame."""
        if frame is not None:
            self._known.setdefault(frame, matrix)

    def to_reference(self, frame: str | None) -> Matrix | None:
        """Position in `frame` to position in the reference image, over as few maps as possible; None if unknown."""
        if frame is None:
            return None
        waiting, seen = [(frame, np.eye(4))], {frame}
        while waiting:
            place, so_far = waiting.pop(0)
            if place in self._known:
                return np.asarray(self._known[place] @ so_far)
            for source, target, matrix in self._edges:
                if source == place and target not in seen:
                    seen.add(target)
                    waiting.append((target, matrix @ so_far))
        return None
