"""A hospital's PACS by DICOM's own network services: C-FIND to ask, C-MOVE or C-GET to fetch, C-STORE to take.

With C-MOVE the PACS opens a connection to this machine, so it must know the title, address and port given here; with
C-GET it sends on the connection that asked. Instances come uncompressed; the PACS unpacks what it keeps compressed.
"""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom import sop_class as sop
from pynetdicom.association import Association

from flame.dicom.header import number, text
from flame.dicom.receive import Away, Desk, Series, Wanted
from flame.errors import ConfigError, EngineError, FlameError

__all__ = ["ASKING", "STORED", "Peer", "open_pacs"]

_FIND = sop.StudyRootQueryRetrieveInformationModelFind
_MOVE = sop.StudyRootQueryRetrieveInformationModelMove
_GET = sop.StudyRootQueryRetrieveInformationModelGet

STORED = (
    sop.MRImageStorage,
    sop.EnhancedMRImageStorage,
    sop.CTImageStorage,
    sop.EnhancedCTImageStorage,
    sop.RTStructureSetStorage,
    sop.RTPlanStorage,
    sop.RTIonPlanStorage,
    sop.RTDoseStorage,
    sop.RTBeamsTreatmentRecordStorage,
    sop.RTIonBeamsTreatmentRecordStorage,
    sop.RTTreatmentSummaryRecordStorage,
    sop.SpatialRegistrationStorage,
    sop.DeformableSpatialRegistrationStorage,
    sop.SegmentationStorage,
    sop.SecondaryCaptureImageStorage,  # taken so that the PACS need not fail; it is refused at the desk
    sop.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    sop.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    sop.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
"""Kinds of instances that are taken from a PACS."""

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_PENDING = (0xFF00, 0xFF01)
_UNKNOWN_DESTINATION = 0xA801
_OUT_OF_RESOURCES = 0xA700
_NOT_ASKED_FOR = 0xA900
_LONGEST_PDU = 1 << 18
_BATCH = 64
"""Instances named in one request: some archives limit the length of a request."""
_HANGING_UP_S = 1.0


@dataclass(frozen=True)
class Peer:
    """A PACS and how it sees this machine.

    Attributes:
        host, port, title: where the PACS listens, and its application entity title.
        own_title, own_port: this machine's, as entered in the PACS.
        own_address: that it listens on; empty for all that it has.
        retrieve: `move` (C-MOVE) or `get` (C-GET).
        quiet_s: how long nothing may come before the PACS counts as away [s].
    """

    host: str
    port: int
    title: str
    own_title: str = "FLAME"
    own_port: int = 11112
    own_address: str = ""
    retrieve: Literal["move", "get"] = "move"
    quiet_s: float = 60.0

    def __post_init__(self) -> None:
        for title in (self.title, self.own_title):
            if not 0 < len(title.strip()) <= 16 or not title.isascii() or "\\" in title:
                raise ConfigError(
                    f"{title!r} is not the title of an application entity",
                    "Give 1 to 16 letters, digits or signs, as the PACS has them.",
                )


@contextmanager
def open_pacs(peer: Peer) -> Iterator["Pacs"]:
    """Listen on the own port while the block runs, and yield the archive.

    Raises: ConfigError: if the own port is taken.
    """
    pacs = Pacs(peer)
    if peer.retrieve == "get":
        yield pacs
        return
    entity = AE(peer.own_title)
    entity.maximum_pdu_size = _LONGEST_PDU
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.title]
    entity.network_timeout = peer.quiet_s
    for kind in STORED:
        entity.add_supported_context(kind, _SYNTAXES)
    entity.add_supported_context(sop.Verification)
    handlers = [(evt.EVT_C_STORE, pacs.store), (evt.EVT_CONN_OPEN, no_delay), (evt.EVT_CONN_CLOSE, let_go)]
    try:
        server = entity.start_server((peer.own_address, peer.own_port), block=False, evt_handlers=handlers)
    except OSError as error:
        raise ConfigError(
            f"Port {peer.own_port} cannot be listened on: {error.strerror}",
            "Choose another one with --own-port and enter it in the PACS, or end the program that holds it.",
        ) from error
    try:
        yield pacs
    finally:
        server.shutdown()
        for association in server.active_associations:
            _hang_up(association)


def _hang_up(association: Association) -> None:
    """End a connection to the own port, in whatever state it is.

    An abort is no valid event for a connection that has only just begun or is ending by itself; the loss of the
    transport is one in every state. The thread of one that has only just begun outlives it for up to half a minute.
    """
    held = association.dul.socket
    if held and (line := held.socket):
        with suppress(OSError):  # the other end was faster
            line.shutdown(socket.SHUT_RDWR)
    association.join(_HANGING_UP_S)


class Pacs:
    """An archive (`receive.Archive`) behind a `Peer`; made by `open_pacs`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._desk: Desk | None = None
        self._asked = ""
        self._broken: FlameError | None = None
        self._heard = time.monotonic()

    def series(self, wanted: Wanted) -> list[Series]:
        """All series that match, study by study. Raises: Away."""
        found = []
        with self._associated([_FIND]) as association:
            for patient in wanted.patients or ("",):
                study = _question("STUDY", StudyDate=wanted.dates, PatientID=patient, StudyInstanceUID="")
                for answer in self._find(association, study):
                    if patient and (text(answer, "PatientID") or patient) != patient:
                        continue  # a PACS may take * and ? in an id for a pattern
                    found += self._series_of(association, answer, wanted)
        return list(dict.fromkeys(found))

    def instances(self, series: Series) -> list[str]:
        """UIDs of the instances that the PACS has of a series, each once. Raises: Away."""
        asked = _question("IMAGE", StudyInstanceUID=series.study, SeriesInstanceUID=series.uid, SOPInstanceUID="")
        with self._associated([_FIND]) as association:
            answers = self._find(association, asked)
        return list(dict.fromkeys(uid for answer in answers if (uid := text(answer, "SOPInstanceUID"))))

    def fetch(self, series: Series, instances: Sequence[str], desk: Desk) -> None:
        """Let the PACS send instances to the desk; see `receive.Archive`. Raises: Away, EngineError."""
        self._desk, self._asked, self._broken = desk, series.uid, None
        level = "IMAGE" if instances else "SERIES"
        batches = [list(instances[start : start + _BATCH]) for start in range(0, len(instances), _BATCH)] or [[]]
        with self._associated([_GET if self._peer.retrieve == "get" else _MOVE]) as association:
            for batch in batches:
                asked = _question(level, StudyInstanceUID=series.study, SeriesInstanceUID=series.uid)
                if batch:
                    asked.SOPInstanceUID = batch
                if self._peer.retrieve == "get":
                    answers = association.send_c_get(asked, _GET)
                else:
                    answers = association.send_c_move(asked, self._peer.own_title, _MOVE)
                self._follow(answers)

    def store(self, event: Any) -> int:
        """Hand an instance in as it comes; the PACS hears of success only after it is kept.

        Titles prove nothing, so only instances of the series that is being fetched are taken.
        """
        self._heard = time.monotonic()
        if self._desk is None or self._broken is not None:
            return _OUT_OF_RESOURCES
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        if text(dataset, "SeriesInstanceUID") != self._asked:
            return _NOT_ASKED_FOR
        try:
            self._desk.take(dataset)
        except FlameError as error:
            self._broken = error
            return _OUT_OF_RESOURCES
        self._heard = time.monotonic()
        return 0x0000

    def _series_of(self, association: Any, study: Dataset, wanted: Wanted) -> list[Series]:
        uid = text(study, "StudyInstanceUID")
        if not uid:
            return []  # the question would be about everybody's
        asked = _question(
            "SERIES", StudyInstanceUID=uid, SeriesInstanceUID="", Modality="", NumberOfSeriesRelatedInstances=None
        )
        return [
            Series(uid, text(answer, "SeriesInstanceUID"), text(answer, "Modality"), _count(answer))
            for answer in self._find(association, asked)
            if text(answer, "Modality") in wanted.modalities and text(answer, "SeriesInstanceUID")
        ]

    def _find(self, association: Any, asked: Dataset) -> list[Dataset]:
        """All answers to a question."""
        answers, last = [], None
        for status, answer in association.send_c_find(asked, _FIND):
            self._heard = time.monotonic()
            last = status.get("Status")
            if last in _PENDING and answer is not None:
                answers.append(answer)
        if last != 0x0000:
            raise Away("it broke off a query" if last is None else f"it answered a query with status {last:#06x}")
        return answers

    def _follow(self, answers: Iterator[tuple[Dataset, Dataset | None]]) -> None:
        """Wait until a transfer has ended."""
        last = None
        for status, _ in answers:
            self._heard = time.monotonic()
            last = status.get("Status")
            if self._broken is not None:
                raise self._broken
        if self._broken is not None:
            raise self._broken
        if last is None:
            raise Away("it broke off a transfer")
        if last == _UNKNOWN_DESTINATION:
            raise EngineError(
                f"The PACS does not know the title {self._peer.own_title}",
                "Let its administrator enter this machine's title, address and port; or fetch with --get.",
            )

    @contextmanager
    def _associated(self, models: Sequence[Any]) -> Iterator[Any]:
        """An association that is ended when the PACS keeps quiet for too long."""
        entity = AE(self._peer.own_title)
        entity.acse_timeout = entity.connection_timeout = min(self._peer.quiet_s, 30.0)
        entity.dimse_timeout = entity.network_timeout = None  # the watch below knows of instances that come elsewhere
        for model in models:
            entity.add_requested_context(model, _SYNTAXES)
        roles = []
        handlers: list[Any] = [*ASKING]
        if _GET in models:
            handlers.append((evt.EVT_C_STORE, self.store))
            for kind in STORED:
                entity.add_requested_context(kind, _SYNTAXES)
                roles.append(build_role(kind, scp_role=True))
        association = entity.associate(
            self._peer.host,
            self._peer.port,
            ae_title=self._peer.title,
            max_pdu=_LONGEST_PDU,
            ext_neg=roles or None,
            evt_handlers=handlers,
        )
        if not association.is_established:
            raise Away(self._refusal(association))
        self._heard = time.monotonic()
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(association, ended), daemon=True)
        watch.start()
        try:
            yield association
        except ValueError:  # no accepted context for the question
            raise EngineError(
                "The PACS does not offer the service that was asked for",
                "Use C-MOVE instead of --get or the other way round, or DICOMweb.",
            ) from None
        except RuntimeError:  # it was ended between two questions
            raise Away("it broke off") from None
        finally:
            ended.set()
            if association.is_established:
                association.release()
            watch.join()

    def _watch(self, association: Any, ended: threading.Event) -> None:
        while not ended.wait(0.2):
            if time.monotonic() - self._heard > self._peer.quiet_s:
                association.abort()
                association.dimse.msg_queue.put((None, None))  # what waits for an answer learns that there is none
                return

    def _refusal(self, association: Any) -> str:
        where = f"{self._peer.title} at {self._peer.host}:{self._peer.port}"
        if association.is_rejected:
            return f"{where} refused the title {self._peer.own_title}"
        return f"{where} cannot be reached"


def no_delay(event: Any) -> None:
    """Send small messages at once: the answer to each C-STORE would wait for the next packet otherwise."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def let_go(event: Any) -> None:
    """Close the line of a connection that was broken: pynetdicom leaves that to the garbage collector."""
    if line := event.assoc.dul.socket.socket:
        line.close()


def _question(level: str, **keys: str | None) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _count(answer: Dataset) -> int | None:
    count = number(answer, "NumberOfSeriesRelatedInstances")
    return None if count is None else int(count)


def leave_answers(event: Any) -> None:
    """Leave answers to who asked: pynetdicom 3's own loop would take one for a request if it wakes between two of ours.

    That loop alone looks for messages without waiting, and who only asks gets none that is not waited for.
    """
    dimse = event.assoc.dimse
    taken = dimse.get_msg
    dimse.get_msg = lambda block=False: taken(block) if block else (None, None)


ASKING = ((evt.EVT_CONN_OPEN, no_delay), (evt.EVT_CONN_OPEN, leave_answers), (evt.EVT_CONN_CLOSE, let_go))
"""What pynetdicom does at the events of a connection that this machine opens to ask something."""
