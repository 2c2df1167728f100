"""Instances to a PACS by C-STORE, each with its answer looked at."""

import socket
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from flame.dicom.arrival.pacs import Peer, let_go
from flame.errors import EngineError

__all__ = ["send"]

_WARNINGS = (0xB000, 0xB006, 0xB007)
_LONGEST_PDU = 1 << 18


def send(datasets: Sequence[Dataset], peer: Peer) -> int:
    """Store instances in a PACS; storing what it has already is no error to it.

    Returns: how many were stored: all.
    Raises: EngineError: if the PACS cannot be reached, does not take a kind of object, refuses one, or goes away; those
        before it are stored, and sending all again does no harm.
    """
    entity = AE(peer.own_title)
    entity.acse_timeout = entity.connection_timeout = min(peer.quiet_s, 30.0)
    entity.dimse_timeout = entity.network_timeout = peer.quiet_s
    for kind in sorted({str(one.SOPClassUID) for one in datasets}):
        entity.add_requested_context(kind, [ExplicitVRLittleEndian])
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.title,
        max_pdu=_LONGEST_PDU,
        evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay), (evt.EVT_CONN_CLOSE, let_go)],
    )
    where = f"{peer.title} at {peer.host}:{peer.port}"
    if not association.is_established:
        raise EngineError(f"{where} cannot be reached, or refused {peer.own_title}", "Check address, port and titles.")
    try:
        for number, dataset in enumerate(datasets, start=1):
            _store(association, dataset, f"{where}: object {number} of {len(datasets)}")
    finally:
        if association.is_established:
            association.release()
    return len(datasets)


def _store(association: Any, dataset: Dataset, what: str) -> None:
    kind = dataset.SOPClassUID.name
    try:
        status = association.send_c_store(dataset).get("Status")
    except (ValueError, RuntimeError) as error:  # no accepted context, or the association is gone
        raise EngineError(f"{what} ({kind}) was not taken", "See whether the PACS accepts this kind.") from error
    if status is None:
        raise EngineError(f"{what} ({kind}) was not answered", "Send again; what is stored is not doubled.")
    if status != 0x0000 and status not in _WARNINGS:
        raise EngineError(f"{what} ({kind}) was refused with status {status:#06x}", "Ask the PACS administrator.")


def _no_delay(event: Any) -> None:
    """Send small messages at once: the answer to each C-STORE would wait for the next packet otherwise."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
