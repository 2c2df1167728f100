"""The desk at the hospital's door: each instance is de-identified and kept, or refused for a reason, and counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from flame.dicom.arrival.store import Admitted, Refused, admit, instances
from flame.dicom.header import text
from flame.dicom.identity.pseudonym import Key
from flame.files import read_json, write_json

__all__ = ["Admission"]

_TURNED_AWAY = "turned-away.json"
_FOR_GOOD = frozenset(
    (
        "burned-in annotation",
        "colour picture",
        "document",
        "other kind of object",
        "overlay in pixel data",
        "presentation state",
        "secondary capture",
        "structured report",
        "video",
    )
)
"""Reasons that lie in what the instance is; one that came damaged may come whole the next time."""

_KEPT_ON_DISK = 100
"""New refusals after which they are written down: an interruption costs no more than asking for so many again."""


@dataclass
class Admission:
    """Takes instances into an intake folder (`receive.Desk`). Use as a context: refusals are written at its end.

    Attributes:
        store: the intake folder.
        key: the site's.
        refused: reasons of this run, counted.
    """

    store: Path
    key: Key
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._kept = {path.stem for path in instances(self.store)}
        self._away: dict[str, str] = dict(_read(self._file)) if self._file.exists() else {}
        self._unwritten = 0

    def __enter__(self) -> "Admission":
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def knows(self, sop_uid: str) -> bool:
        """Whether an instance (by its original UID) was kept or refused before, in this run or an earlier one."""
        keyed = self.key.uid(sop_uid)
        return keyed in self._kept or keyed in self._away

    def take(self, dataset: Dataset) -> bool:
        """Keep or refuse an instance; False if it was here before or came damaged.

        Raises: EngineError: if the disk is full.
        """
        answer = admit(self.store, dataset, self.key)
        keyed = self.key.uid(text(dataset, "SOPInstanceUID"))
        if isinstance(answer, Refused):
            self.refused[answer.reason] += 1
            new = answer.reason in _FOR_GOOD and keyed not in self._away and keyed not in self._kept
            if new:
                self._away[keyed] = answer.reason
                self._unwritten += 1
            if self._unwritten >= _KEPT_ON_DISK:
                self._write()
            return new
        self._kept.add(keyed)
        self._away.pop(keyed, None)
        return isinstance(answer, Admitted)

    def reasons(self) -> Counter[str]:
        """Instances that were ever turned away for good, and those of this run that may come again, by reason."""
        again = {reason: count for reason, count in self.refused.items() if reason not in _FOR_GOOD}
        return Counter(self._away.values()) + Counter(again)

    @property
    def _file(self) -> Path:
        return self.store / "dicom" / _TURNED_AWAY

    def _write(self) -> None:
        if self._unwritten:
            write_json(self._file, dict(sorted(self._away.items())))
            self._unwritten = 0


def _read(file: Path) -> Mapping[str, str]:
    content: Mapping[str, str] = read_json(file)
    return content
