"""A desk that keeps what is handed in by UID, and counts how often it came."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

__all__ = ["Counting", "Striking"]


@dataclass
class Counting:
    """Keeps a digest of the pixels of each instance, not the instance."""

    kept: dict[str, bytes] = field(default_factory=dict)
    came: Counter[str] = field(default_factory=Counter)

    def knows(self, sop_uid: str) -> bool:
        return sop_uid in self.kept

    def take(self, dataset: Dataset) -> bool:
        uid = str(dataset.SOPInstanceUID)
        self.came[uid] += 1
        new = uid not in self.kept
        self.kept[uid] = bytes(dataset.PixelData)
        return new


class Striking(Counting):
    """Does something to the archive when 30 instances were taken."""

    def __init__(self, strike: Callable[[], None]) -> None:
        super().__init__()
        self.strike = strike

    def take(self, dataset: Dataset) -> bool:
        new = super().take(dataset)
        if len(self.kept) == 30 and new:
            self.strike()
        return new
