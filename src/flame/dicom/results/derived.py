"""What all objects that FLAME gives back to a hospital have in common: who made them, their UIDs, and no clock.

Each carries the ORIGINAL patient's identity, for it belongs into that patient's record at the hospital and nowhere
else. UIDs follow from the site's key and the content, so that exporting twice stores once.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import flame
from flame.dicom.identity.pseudonym import Key

__all__ = ["RESEARCH_ONLY", "Author", "content_of", "settled"]

Made = TypeVar("Made", bound=Dataset)

RESEARCH_ONLY = "Research use only: not for decisions about treatment"


@dataclass(frozen=True)
class Author:
    """Who writes, and when the result was made.

    Attributes:
        key: the site's, for UIDs.
        made: when the result was made; the content date of every object.
        algorithm: name of the model.
        version: what tells this training of it from others.
    """

    key: Key
    made: datetime
    algorithm: str
    version: str

    def uid(self, *names: str | int | bytes) -> str:
        """A UID that depends on the names, the author and the time alone."""
        digest = sha256()
        for name in (self.algorithm, self.version, self.made.isoformat(), *names):
            digest.update((name if isinstance(name, bytes) else str(name).encode()) + b"\0")
        return self.key.uid(f"flame export {digest.hexdigest()}")

    def equipment(self) -> dict[str, str]:
        """Arguments of highdicom's constructors that name the equipment."""
        return {
            "manufacturer": "FLAME",
            "manufacturer_model_name": self.algorithm[:64],
            "software_versions": flame.__version__,
            "device_serial_number": self.version[:64] or "unknown",
        }


def content_of(array: NDArray[Any], affine: NDArray[np.float64]) -> bytes:
    """A digest of voxels and where they lie."""
    digest = sha256(np.ascontiguousarray(array).tobytes())
    digest.update(affine.round(6).tobytes())
    return digest.digest()


def settled(dataset: Made, author: Author) -> Made:
    """Put the time of the result and keyed UIDs where highdicom put the clock and random ones. Changes `dataset`."""
    day, time = author.made.strftime("%Y%m%d"), author.made.strftime("%H%M%S")
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(dataset, keyword, day)
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(dataset, keyword, time)
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = day + time
    known: dict[str, str] = {}
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, []):
            old = str(item.DimensionOrganizationUID)
            fresh = author.uid(str(dataset.SOPInstanceUID), "dimensions", len(known))
            item.DimensionOrganizationUID = known.setdefault(old, fresh)
    return dataset
