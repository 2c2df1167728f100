"""Keeps libraries from speaking: their warnings, logs and tracebacks quote what DICOM headers say."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_LOGGERS = ("pynetdicom", "pydicom", "dicomweb_client", "highdicom", "urllib3", "requests")
_SILENT = logging.CRITICAL + 1


@contextmanager
def quiet() -> Iterator[None]:
    """Let no library warn or log inside the block, nor a thread of theirs print how it ended.

    Warnings, loggers and hooks belong to the whole process, so a command uses this around all that it does.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    thread_hook, lost_hook = threading.excepthook, sys.unraisablehook
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(_SILENT)
        threading.excepthook = lambda _: None
        sys.unraisablehook = lambda _: None
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            threading.excepthook, sys.unraisablehook = thread_hook, lost_hook
