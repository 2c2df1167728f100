"""C-STORE to a PACS on the loopback: all arrives, and what is refused or away is said."""

import gc
import socket
import threading
import warnings
from dataclasses import replace

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, SegmentationStorage
from tests.dicom.archive import AUTHOR, SOURCE, again, masks, series

from flame.dicom.arrival.pacs import ASKING, Peer
from flame.dicom.arrival.send import send
from flame.dicom.results.maps import read_masks, segmentation
from flame.errors import EngineError

# pynetdicom leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket")


class Store:
    """A PACS that keeps what comes, and answers with `status`, but for the n-th objects of `silent_at`."""

    def __init__(self, status=0x0000, kinds=(MRImageStorage, SegmentationStorage), silent_at=()):
        self.status, self.silent_at, self.asked, self.kept = status, silent_at, 0, []
        self.ended, self.over = threading.Event(), threading.Event()
        entity = AE("PACS")
        for kind in kinds:
            entity.add_supported_context(kind)
        handlers = [(evt.EVT_C_STORE, self.take), (evt.EVT_RELEASED, lambda _: self.ended.set())]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.peer = Peer("127.0.0.1", self.server.server_address[1], "PACS")

    def take(self, event):
        self.asked += 1
        if self.asked in self.silent_at:
            assert self.over.wait(300)  # longer than anybody has patience
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.kept.append(dataset)
        return self.status


@pytest.fixture
def pacs(request):
    store = Store(**getattr(request, "param", {}))
    yield store
    store.over.set()
    store.server.shutdown()


def test_what_is_sent_arrives_the_same(pacs):
    seg = segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1)
    assert send([*series(), seg], pacs.peer) == 15
    assert pacs.ended.wait(60)
    assert [one.SOPInstanceUID for one in pacs.kept[:14]] == [one.SOPInstanceUID for one in series()]
    found = read_masks(again(pacs.kept[-1]))
    assert {region: int(volume.array.sum()) for region, volume in found.items()} == {
        region: int(mask.sum()) for region, mask in masks().items()
    }


@pytest.mark.parametrize(
    ("pacs", "said"),
    [({"status": 0xA700}, "refused with status 0xa700"), ({"kinds": (MRImageStorage,)}, "was not taken")],
    indirect=["pacs"],
    ids=["full", "kind not known"],
)
def test_a_refusal_is_said_by_number_and_kind(pacs, said):
    seg = segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1)
    objects = [seg] if "status" in said else [series()[0], seg]
    with pytest.raises(EngineError, match=said) as caught:
        send(objects, pacs.peer)
    assert "Segmentation Storage" in caught.value.message
    assert "Imaginaire" not in caught.value.message


@pytest.mark.parametrize("pacs", [{"silent_at": (3,)}], indirect=True, ids=["once"])
def test_what_is_not_answered_is_sent_once_more(pacs):
    impatient = replace(pacs.peer, quiet_s=4.0)
    assert send(series()[:5], impatient) == 5
    sent = [one.SOPInstanceUID for one in series()[:5]]
    assert {one.SOPInstanceUID for one in pacs.kept} == set(sent)
    assert pacs.asked == 6


def test_an_answer_is_left_to_who_waits_for_it(pacs):
    entity = AE("FLAME")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", pacs.peer.port, ae_title="PACS", evt_handlers=[*ASKING])
    assert association.is_established
    association.dimse.msg_queue.put((1, "an answer"))
    assert association.dimse.get_msg() == (None, None)  # as pynetdicom's own loop asks, which is for requests
    assert association.dimse.get_msg(block=True) == (1, "an answer")
    association.release()


@pytest.mark.parametrize("pacs", [{"silent_at": (1, 2)}], indirect=True, ids=["always"])
def test_who_never_answers_is_named(pacs):
    with pytest.raises(EngineError, match=r"MR Image Storage\) was not answered"):
        send(series()[:2], replace(pacs.peer, quiet_s=2.0))


def test_nobody_there_is_said():
    store = Store()
    store.server.shutdown()
    with pytest.raises(EngineError, match="cannot be reached"):
        send(series(), store.peer)


def test_of_a_connection_that_was_broken_nothing_stays_open():
    """Who hangs up on what was not read breaks the connection; the garbage collector would tell of an open socket."""
    with socket.create_server(("127.0.0.1", 0)) as door, warnings.catch_warnings(record=True) as told:

        def hang_up() -> None:
            line, _ = door.accept()
            with line:
                line.recv(1)

        gc.collect()  # of the tests before
        told.clear()
        warnings.simplefilter("always")
        rude = threading.Thread(target=hang_up)
        rude.start()
        with pytest.raises(EngineError, match="cannot be reached"):
            send(series(), Peer("127.0.0.1", door.getsockname()[1], "PACS"))
        rude.join()
        gc.collect()
    assert not [one for one in told if issubclass(one.category, ResourceWarning)]
