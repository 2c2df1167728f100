"""DICOM bytes to a data set, for input that may be broken or hostile, without a word of it reaching a log."""

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from flame.errors import DataError

__all__ = ["LARGEST_FILE", "MALFORMED", "read_instance", "silence"]

LARGEST_FILE = 2**31
"""Bytes; nothing that a radiotherapy department has of one patient is larger."""

MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on broken data sets, from bad tags and lengths to sequences nested a thousand deep."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_lock = threading.Lock()


@contextmanager
def silence() -> Iterator[None]:
    """While it lasts, pydicom neither warns nor logs: its messages quote values, which may be a patient's name.

    Warnings and loggers are global in Python, so one thread at a time is silent. It does not nest.
    """
    logger, settings = logging.getLogger("pydicom"), config.settings
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logger.disabled, settings.reading_validation_mode, settings.writing_validation_mode
        logger.disabled = True
        settings.reading_validation_mode = settings.writing_validation_mode = config.IGNORE
        try:
            yield
        finally:
            logger.disabled, settings.reading_validation_mode, settings.writing_validation_mode = before


def read_instance(source: bytes | Path) -> Dataset:
    """Read one DICOM instance into memory; values are looked at later, one by one.

    Args:
        source: the bytes of a file, or its path. A file without preamble is taken where it begins as DICOM does.

    Returns: the data set with its `file_meta`. Nothing of it has been checked.
    Raises: DataError: if it is no DICOM instance, is damaged, deflated or too large. The message tells nothing of the
        file, not even its name: names of files hold names of patients.
    """
    problem = "is not DICOM"
    try:
        content = source if isinstance(source, bytes) else _content(source)
        if content is None:
            problem = "is too large"
        elif _DEFLATED in content[:4096]:
            problem = "is deflated"  # a few kilobytes could unfold into many gigabytes
        elif content[128:132] == b"DICM" or content[:2] in (b"\x02\x00", b"\x08\x00"):
            problem = "is damaged"
            with silence():
                return dcmread(BytesIO(content), force=True)
    except MALFORMED:
        pass  # the error would quote the file: the one that follows does not even refer to it
    raise DataError(f"A file {problem}", "It was left out. Send it again if it is an image or a radiotherapy object.")


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.stat().st_size <= LARGEST_FILE else None
