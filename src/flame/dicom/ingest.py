"""The whole way in: receive, de-identify and keep, then make a patient's record out of what is kept."""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flame import workers
from flame.dicom.arrival.admission import Admission
from flame.dicom.arrival.folder import FolderCounts, receive_folder
from flame.dicom.arrival.pacs import Peer, open_pacs
from flame.dicom.arrival.store import keep_refusals
from flame.dicom.arrival.web import Service, open_web
from flame.dicom.assemble import Assembled, assemble, make_private, patient_series
from flame.dicom.identity.pseudonym import Key
from flame.dicom.images.choice import Decision, write_series_table
from flame.dicom.images.overrides import Override, read_overrides
from flame.dicom.quiet import quiet
from flame.dicom.reading import MALFORMED
from flame.dicom.receive import Patience, Received, Wanted, receive
from flame.dicom.series import Series
from flame.errors import ConfigError, DataError, EngineError
from flame.records.finding import Finding

__all__ = ["Source", "ingest", "key_beside", "make_records", "take_in"]

Source = Path | Peer | Service
Show = Callable[[str, float, float, str], None]
"""Told stage, how much is done of how much, and a word."""

_GIVEN = ("secondary capture", "burned-in annotation", "overlay in pixel data", "colour picture")


@dataclass(frozen=True)
class _Order:
    intake: Path
    patient: str
    series: tuple[Series, ...]
    overrides: Mapping[str, Override]


def key_beside(intake: Path) -> Path:
    """Where the key lies if nothing else is said: beside the intake folder, never in it."""
    return intake.resolve().with_name(f"{intake.resolve().name}.key")


def ingest(
    source: Source,
    intake: Path,
    key_file: Path,
    wanted: Wanted,
    patience: Patience,
    processes: int = 1,
    show: Show = lambda *_: None,
) -> tuple[list[Assembled], list[Finding]]:
    """Take in all that a source has, and make the records of all patients in the intake folder.

    Args:
        source: a folder, a PACS or a DICOMweb service.
        intake: folder to fill; made if need be.
        key_file: the site's key; made if it is not there.
        wanted, patience: for archives.
        processes: how many patients are worked on at a time.
        show: progress.

    Returns: patients in order of id, and all findings.
    Raises: ConfigError: if the key lies in the intake folder, or the source is not usable. EngineError: if another
        process is at work in the folder, the archive stays away or the disk is full; the same call goes on from there.
    """
    intake, key_file = intake.resolve(), key_file.resolve()
    _refuse(source, intake, key_file)
    with quiet(), _alone(intake):
        findings = take_in(source, intake, Key.load_or_create(key_file), wanted, patience, show)
        made, more = make_records(intake, processes, show)
    return made, [*findings, *more]


@contextmanager
def _alone(intake: Path) -> Iterator[None]:
    """Keep other processes out of the folder, and remove what a killed one left half written."""
    make_private(intake)
    with (intake / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(f"Another process is at work in {intake}", "Wait until it is done, or stop it.") from None
        for partial in intake.rglob(".*.partial.*"):
            partial.unlink(missing_ok=True)
        yield


def _refuse(source: Source, intake: Path, key_file: Path) -> None:
    """Refuse what cannot be right, before anything is written."""
    if key_file.is_relative_to(intake):
        raise ConfigError(
            f"The key {key_file} lies in the intake folder", "Keep it where nobody copies it along with the data."
        )
    if not isinstance(source, Path):
        return
    if not source.is_dir():
        raise ConfigError(f"The folder {source} does not exist", "Check the path.")
    if intake.is_relative_to(source.resolve()) or source.resolve().is_relative_to(intake):
        raise ConfigError(f"{source} and {intake} lie in each other", "Choose an intake folder elsewhere.")


def take_in(
    source: Source, intake: Path, key: Key, wanted: Wanted, patience: Patience, show: Show = lambda *_: None
) -> list[Finding]:
    """Receive what is not there yet. Returns: findings about the source. Raises: as `ingest`."""
    make_private(intake)

    def progress(here: int, there: int) -> None:
        show("receive", here, max(there, 1), f"{here} of {there}")

    with Admission(intake, key) as desk:
        if isinstance(source, Path):
            findings = _about_folder(receive_folder(source, desk, progress))
        elif isinstance(source, Peer):
            with open_pacs(source) as pacs:
                findings = _about_archive(receive(pacs, wanted, desk, patience, progress))
        else:
            with open_web(source) as web:
                findings = _about_archive(receive(web, wanted, desk, patience, progress))
    reasons = desk.reasons()
    keep_refusals(intake, reasons)
    for reason, count in sorted(reasons.items()):
        severity = "note" if reason in _GIVEN else "warning"
        what = f"{count} instances were refused: {reason}"
        findings.append(Finding(severity, None, what, "See `What may not pass` in docs/hospital.md."))  # type: ignore[arg-type]
    return findings


def make_records(
    intake: Path, processes: int = 1, show: Show = lambda *_: None
) -> tuple[list[Assembled], list[Finding]]:
    """Make the records of all patients in the store, and write `series.tsv`. One bad patient never stops the rest.

    Raises: DataError: if `overrides.tsv` is malformed.
    """
    with quiet():
        known, findings = _known(intake)
        overrides = read_overrides(intake / "overrides.tsv", known, [one.patient for one in findings if one.patient])
        orders = [_Order(intake, patient, series, overrides) for patient, series in known.items()]
        made: list[Assembled] = []

        def tell(one: Assembled) -> None:
            made.append(one)
            show("records", len(made), len(orders), one.patient)

        results = workers.run(_assemble, orders, processes, tell)
        rows = [Decision((), one.rows, ()) for one in results]
        write_series_table(intake / "series.tsv", rows)
    return results, [*findings, *(finding for one in results for finding in one.findings)]


def _known(intake: Path) -> tuple[dict[str, tuple[Series, ...]], list[Finding]]:
    """Series of the store by patient; a patient whose files are damaged becomes a finding."""
    known: dict[str, tuple[Series, ...]] = {}
    findings = []
    for folder in sorted((intake / "dicom").glob("*/")):
        try:
            known[folder.name] = patient_series(intake, folder.name)
        except DataError as error:
            findings.append(Finding("error", folder.name, f"the store is damaged: {error.message}", error.hint))
    return known, findings


def _assemble(order: _Order, emit: workers.Emit) -> Assembled:
    with quiet():
        try:
            made = assemble(order.intake, order.patient, order.series, order.overrides)
        except DataError as error:
            made = _failed(order.patient, error.message, error.hint)
        except MALFORMED as error:
            # Its text may quote a header, which is de-identified but was not meant for the screen.
            made = _failed(order.patient, f"not usable ({type(error).__name__})", "Report this; the others went on.")
    emit(made)
    return made


def _failed(patient: str, what: str, hint: str) -> Assembled:
    return Assembled(patient, 0, 0, (), (Finding("error", patient, what, hint),))


def _about_folder(counts: FolderCounts) -> list[Finding]:
    findings = []
    if counts.damaged:
        what = f"{counts.damaged} DICOM files are damaged"
        findings.append(Finding("error", None, what, "Copy or send them again; the same command takes in the rest."))
    if counts.closed:
        what = f"{counts.closed} folders cannot be looked into"
        findings.append(Finding("error", None, what, "Let this account read them; the same command takes in the rest."))
    if counts.other:
        findings.append(Finding("note", None, f"{counts.other} files are no DICOM instances", "Nothing."))
    if counts.taken + counts.known == 0:
        findings.append(Finding("error", None, "the folder holds no DICOM instance", "Check the path."))
    return findings


def _about_archive(received: Received) -> list[Finding]:
    findings = [
        Finding("error", None, f"{one}", "Start the same command again; look for the series in the archive.")
        for one in _first(received.incomplete)
    ]
    if received.series == 0:
        what = "the archive has nothing of what was asked for"
        findings.append(Finding("error", None, what, "Check the list of patients, the dates and the modalities."))
    if received.missing and not received.taken + received.known:
        what = "the archive sent nothing"
        hint = "Let its administrator enter this machine's title, address and port; or fetch with --get."
        findings.append(Finding("error", None, what, hint))
    return findings


def _first(lines: Sequence[str], most: int = 20) -> list[str]:
    return [*lines[:most], f"and {len(lines) - most} more series"] if len(lines) > most else list(lines)
