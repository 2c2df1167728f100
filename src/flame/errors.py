"""Errors for people: what happened and where, and what to do about it.

No message may hold a patient's name, an identifier from DICOM or pixel data; a site's own pseudonymous patient id is
allowed, for it is what the person at the site needs to find the folder.
"""

__all__ = ["ConfigError", "DataError", "EngineError", "FlameError", "PolicyError", "UpdateRejected"]


class FlameError(Exception):
    """Base of all errors that FLAME raises on purpose.

    Args:
        message: what happened and where, quoting the offending value.
        hint: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class DataError(FlameError):
    """A site's data are missing, damaged or contradict themselves."""

    exit_code = 3


class ConfigError(FlameError):
    """A setting, a job file or a command line is not usable."""

    exit_code = 4


class PolicyError(FlameError):
    """A site's policy forbids what was asked."""

    exit_code = 5


class UpdateRejected(FlameError):
    """An update from a site may not be aggregated."""

    exit_code = 6


class EngineError(FlameError):
    """A job could not go on: too few sites, a dead process, a full disk."""

    exit_code = 7
