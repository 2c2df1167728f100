"""Instances to a PACS by C-STORE, each with its answer looked at."""

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from flame.dicom.arrival.pacs import ASKING, Peer
from flame.errors import EngineError

__all__ = ["send"]

_WARNINGS = (0xB000, 0xB006, 0xB007)
_LONGEST_PDU = 1 << 18


def send(datasets: Sequence[Dataset], peer: Peer) -> int:
    """Store instances in a PACS; storing what it has already is no error to it.

    One whose answer does not come is sent once more, over a new connection.

    Returns: how many were stored: all.
    Raises: EngineError: if the PACS cannot be reached, does not take a kind of object, refuses one, or goes away; those
        before it are stored, and sending all again does no harm.
    """
    entity = AE(peer.own_title)
    entity.acse_timeout = entity.connection_timeout = min(peer.quiet_s, 30.0)
    entity.dimse_timeout = entity.network_timeout = peer.quiet_s
    for kind in sorted({str(one.SOPClassUID) for one in datasets}):
        entity.add_requested_context(kind, [ExplicitVRLittleEndian])
    where, stored = f"{peer.title} at {peer.host}:{peer.port}", 0
    while stored < len(datasets):
        answered = _answered(entity, datasets[stored:], peer, where)
        if not answered:
            what = f"{where}: an object ({datasets[stored].SOPClassUID.name})"
            raise EngineError(f"{what} was not answered", "Send again; what is stored is not doubled.")
        stored += answered
    return stored


def _answered(entity: AE, datasets: Sequence[Dataset], peer: Peer, where: str) -> int:
    """How many were stored over one connection before an answer did not come, in their order."""
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.title,
        max_pdu=_LONGEST_PDU,
        evt_handlers=[*ASKING],
    )
    if not association.is_established:
        raise EngineError(f"{where} cannot be reached, or refused {peer.own_title}", "Check address, port and titles.")
    try:
        stored = 0
        while stored < len(datasets) and _is_stored(association, datasets[stored], where):
            stored += 1
        return stored
    finally:
        if association.is_established:
            association.release()


def _is_stored(association: Any, dataset: Dataset, where: str) -> bool:
    """Store one instance; False if no answer came."""
    what = f"{where}: an object ({dataset.SOPClassUID.name})"
    try:
        status = association.send_c_store(dataset).get("Status")
    except (ValueError, RuntimeError) as error:  # no accepted context, or the association is gone
        raise EngineError(f"{what} was not taken", "See whether the PACS accepts this kind.") from error
    if status not in (None, 0x0000, *_WARNINGS):
        raise EngineError(f"{what} was refused with status {status:#06x}", "Ask the PACS administrator.")
    return status is not None
