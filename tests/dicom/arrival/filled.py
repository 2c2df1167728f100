"""A PACS that holds two patients: 126 instances of 4711 in two series, and 3 of 4712."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.dicom.orthanc import Orthanc, orthanc_and_site
from tests.dicom.scans import mr_series

__all__ = ["ALL", "filled_orthanc"]

_STUDY = [one for series in (1, 2) for one in mr_series(1, 63, 128, series=series)]
ALL = {str(one.SOPInstanceUID): one.PixelData for one in _STUDY}
"""The pixel data of 4711, by instance."""


@contextmanager
def filled_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Such a PACS while the block runs, and beside it the host of a site."""
    with orthanc_and_site(folder) as running:
        running.fill([*_STUDY, *mr_series(2, 3, patient="4712")])
        yield running
