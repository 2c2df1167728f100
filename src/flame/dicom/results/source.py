"""The hospital's own series that a result is tied to, found again by the site's key: there is no table of identities.

The intake's store knows the series by its keyed UID. An archive is asked which series it has; the one whose UID turns
into that under the key is fetched, and nothing of it touches the disk.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from flame.dicom.arrival.folder import receive_folder
from flame.dicom.arrival.pacs import Peer, open_pacs
from flame.dicom.arrival.web import Service, open_web
from flame.dicom.assemble import patient_series
from flame.dicom.geometry import affine_of
from flame.dicom.header import datasets_of, text
from flame.dicom.identity.pseudonym import Key
from flame.dicom.images.frames import frames_of
from flame.dicom.images.preference import choose
from flame.dicom.images.recognise import recognise
from flame.dicom.images.stack import stacked
from flame.dicom.receive import Archive, Desk, Patience, Wanted, receive
from flame.dicom.receive import Series as Listed
from flame.errors import DataError
from flame.records.intake import IntakeImage
from flame.records.volume import Grid

__all__ = ["Source", "SourceDesk", "fetch_source", "source_of", "stored_series"]


@dataclass(frozen=True, eq=False)
class Source:
    """A series of the hospital: its instances, and its grid of (columns, rows, slices) in RAS.

    Attributes:
        datasets: headers with the ORIGINAL identity, in the order of the slices. They are never written or shown.
    """

    datasets: tuple[Dataset, ...] = field(repr=False)
    grid: Grid

    @property
    def frame(self) -> str:
        """The original frame of reference."""
        return text(self.datasets[0], "FrameOfReferenceUID")


@dataclass
class SourceDesk:
    """A desk (`receive.Desk`) that keeps the headers of one series of one patient, by keyed UID and pseudonym.

    Pixels, other series and other patients are dropped at once.
    """

    key: Key
    patient: str
    series: str
    kept: dict[str, Dataset] = field(default_factory=dict, repr=False)

    def knows(self, sop_uid: str) -> bool:
        """Whether an instance was kept."""
        return sop_uid in self.kept

    def take(self, dataset: Dataset) -> bool:
        """Keep the header of an instance of the series; False if it was there, or is none of it."""
        uid = text(dataset, "SOPInstanceUID")
        if uid in self.kept or self.key.uid(text(dataset, "SeriesInstanceUID")) != self.series:
            return False
        if self.key.patient_id(text(dataset, "PatientID")) != self.patient:
            return False
        for name in ("PixelData", "FloatPixelData"):
            if name in dataset:
                delattr(dataset, name)
        self.kept[uid] = dataset
        return True


@dataclass(frozen=True)
class _OneSeries:
    """An archive (`receive.Archive`) that shows one series only."""

    archive: Archive
    desk: SourceDesk

    def series(self, wanted: Wanted) -> list[Listed]:
        return [one for one in self.archive.series(wanted) if self.desk.key.uid(one.uid) == self.desk.series]

    def instances(self, series: Listed) -> list[str]:
        return self.archive.instances(series)

    def fetch(self, series: Listed, instances: Sequence[str], desk: Desk) -> None:
        self.archive.fetch(series, instances, desk)


def source_of(datasets: Sequence[Dataset]) -> Source:
    """The source that one series' instances make.

    Raises: DataError: if they are no regular stack of slices.
    """
    if not datasets:
        raise DataError("The series holds no image", "Check where it should come from.")
    stack = stacked(frames_of(datasets))
    first = stack.frames[0]
    affine = affine_of(first.position, first.orientation, first.spacing, stack.step)
    ordered = dict.fromkeys(frame.instance for frame in stack.frames)
    grid = Grid((first.columns, first.rows, len(stack.frames)), affine)
    return Source(tuple(datasets[index] for index in ordered), grid)


def stored_series(intake: Path, patient: str, image: IntakeImage, grid: Grid) -> str:
    """The keyed UID of the stored series that an image of the intake was made from.

    Args:
        image: of the patient's record.
        grid: the image's own, as it was acquired.

    Returns: of the MR series in the image's frame and on its grid T1ce, if one is taken for it, else the preferred.
    Raises: DataError: if there is none.
    """
    fitting = [
        one
        for one in patient_series(intake, patient)
        if one.kind == "MR" and one.frame == image.frame and _lies_on(datasets_of(one.files, pixels=False), grid)
    ]
    if not fitting:
        raise DataError(
            f"{intake} keeps no DICOM from which {image.file} of patient {patient} was made",
            "Only what came in by flame ingest can go back; name the intake folder that the site was prepared from.",
        )
    best, _ = choose([one for one in fitting if recognise(one).sequence == "T1ce"] or fitting)
    return best.uid


def fetch_source(where: Path | Peer | Service, desk: SourceDesk, patience: Patience | None = None) -> Source:
    """Fetch the series of the desk from a folder or an archive.

    Raises:
        DataError: if it is not there, or not whole.
        ConfigError, EngineError: as `receive`.
    """
    missing = 0
    if isinstance(where, Path):
        receive_folder(where, desk)
    else:
        with ExitStack() as stack:
            archive: Archive = (
                stack.enter_context(open_pacs(where))
                if isinstance(where, Peer)
                else stack.enter_context(open_web(where))
            )
            missing = receive(_OneSeries(archive, desk), Wanted(modalities=("MR",)), desk, patience).missing
    if not desk.kept or missing:
        raise DataError(
            f"The source does not hold the whole series that patient {desk.patient} was taken in from",
            "Ask the archive that the patient came from, with the key that took the patient in.",
        )
    return source_of(list(desk.kept.values()))


def _lies_on(datasets: Sequence[Dataset], grid: Grid) -> bool:
    try:
        return source_of(datasets).grid.matches(grid)
    except DataError:
        return False  # a localiser, a mosaic, several echoes: not what a volume was made from
