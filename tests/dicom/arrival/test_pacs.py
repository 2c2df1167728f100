"""C-FIND, C-MOVE and C-GET against a real Orthanc that is killed, stopped and cut off."""

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from tests.dicom.arrival.filled import ALL, filled_orthanc
from tests.dicom.desks import Counting, Striking
from tests.dicom.orthanc import DICOM_PORT, OWN_PORT, Orthanc, inside
from tests.dicom.scans import mr_series

from flame.dicom.arrival.pacs import Peer, open_pacs
from flame.dicom.receive import Away, Patience, Wanted, receive
from flame.errors import ConfigError, EngineError

# pynetdicom leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with filled_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def peer(orthanc: Orthanc, **changed: object) -> Peer:
    return replace(Peer(orthanc.host.address, DICOM_PORT, "PACS"), **changed)


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_what_is_wanted_comes_once_and_whole(orthanc, retrieve):
    desk = Counting()
    with inside(orthanc.site), open_pacs(peer(orthanc, retrieve=retrieve)) as pacs:
        first = receive(pacs, Wanted(patients=("4711",)), desk)
        second = receive(pacs, Wanted(patients=("4711",)), desk)
    assert desk.kept == ALL
    assert set(desk.came.values()) == {1}
    assert (first.series, first.taken, first.known, first.missing) == (2, 126, 0, 0)
    assert (second.series, second.taken, second.known, second.missing) == (2, 0, 126, 0)


def test_dates_and_patients_choose(orthanc):
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs:
        counts = {
            name: [series.count for series in pacs.series(wanted)]
            for name, wanted in {
                "everybody": Wanted(),
                "one patient": Wanted(patients=("4712",)),
                "a pattern is not an id": Wanted(patients=("47*",)),
                "the day": Wanted(since=date(2024, 3, 5), until=date(2024, 3, 5)),
                "later": Wanted(since=date(2024, 3, 6)),
                "other modalities": Wanted(modalities=("CT",)),
            }.items()
        }
    assert {name: sorted(found) for name, found in counts.items()} == {
        "everybody": [3, 63, 63],
        "one patient": [3],
        "a pattern is not an id": [],
        "the day": [3, 63, 63],
        "later": [],
        "other modalities": [],
    }


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_a_pacs_that_is_killed_and_comes_back_is_asked_for_the_rest(orthanc, retrieve):
    def kill() -> None:
        orthanc.signal(signal.SIGKILL)
        back.start()

    back = threading.Timer(1.5, orthanc.start)
    desk = Striking(kill)
    with inside(orthanc.site), open_pacs(peer(orthanc, retrieve=retrieve)) as pacs:
        received = receive(pacs, Wanted(patients=("4711",)), desk, Patience(60, 0.2))
    back.join()
    assert desk.kept == ALL
    assert (received.taken, received.missing) == (126, 0)
    assert set(desk.came.values()) == {1}


def test_a_pacs_that_hangs_counts_as_away_until_it_goes_on(orthanc):
    def stop() -> None:
        orthanc.signal(signal.SIGSTOP)
        on.start()

    on = threading.Timer(4, orthanc.signal, (signal.SIGCONT,))
    desk = Striking(stop)
    with inside(orthanc.site), open_pacs(peer(orthanc, quiet_s=1.5)) as pacs:
        receive(pacs, Wanted(patients=("4711",)), desk, Patience(60, 0.2))
    on.join()
    assert desk.kept == ALL


def test_a_pacs_that_hangs_up_between_two_questions_counts_as_away(orthanc, monkeypatch):
    ask = Association.send_c_find

    def ask_too_late(association, *question):
        association.abort()
        return ask(association, *question)

    monkeypatch.setattr(Association, "send_c_find", ask_too_late)
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs, pytest.raises(Away):
        pacs.series(Wanted())


def test_what_was_taken_before_the_pacs_went_for_good_is_not_asked_for_again(orthanc):
    desk = Striking(lambda: orthanc.signal(signal.SIGKILL))
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs, pytest.raises(EngineError) as raised:
        receive(pacs, Wanted(patients=("4711",)), desk, Patience(2, 0.2))
    assert "goes on from there" in raised.value.hint
    assert 30 <= len(desk.kept) < 126
    orthanc.start()
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs:
        received = receive(pacs, Wanted(patients=("4711",)), desk)
    assert desk.kept == ALL
    assert set(desk.came.values()) == {1}
    assert received.taken + received.known == 126


def test_half_a_study_is_completed_when_the_rest_has_arrived(orthanc):
    series = mr_series(3, 5, patient="4713")
    orthanc.fill(series[:2])
    desk = Counting()
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs:
        receive(pacs, Wanted(patients=("4713",)), desk)
        assert len(desk.kept) == 2
        orthanc.fill(series)  # two of them a second time
        received = receive(pacs, Wanted(patients=("4713",)), desk)
    assert (received.taken, received.known) == (3, 2)
    assert desk.came == Counter(str(one.SOPInstanceUID) for one in series)


def test_what_a_pacs_does_not_send_is_told_and_does_not_stop_the_rest(orthanc):
    with inside(orthanc.site), open_pacs(peer(orthanc, own_title="OTHER")) as pacs:  # to whom it cannot send
        received = receive(pacs, Wanted(patients=("4711", "4712")), Counting(), Patience(20, 0.05))
    assert (received.series, received.taken, received.missing) == (3, 0, 129)
    assert sorted(one.partition(": ")[2] for one in received.incomplete) == [
        "3 of 3 did not come",
        "63 of 63 did not come",
        "63 of 63 did not come",
    ]


def test_a_wrong_title_or_address_is_named(orthanc):
    with inside(orthanc.site):
        for wrong, what in (({"title": "WRONG"}, "refused the title FLAME"), ({"port": 4243}, "cannot be reached")):
            with open_pacs(peer(orthanc, **wrong)) as pacs, pytest.raises(EngineError, match=what):
                receive(pacs, Wanted(), Counting(), Patience(1, 0.2))


def test_nobody_but_the_pacs_may_send(orthanc):
    entity = AE("STRANGER")
    entity.add_requested_context(MRImageStorage)
    with inside(orthanc.site), open_pacs(peer(orthanc)):
        association = entity.associate("127.0.0.1", OWN_PORT, ae_title="FLAME")
        assert association.is_rejected


def test_a_connection_is_ended_in_whatever_state_it_is(orthanc):
    entity = AE("PACS")
    entity.add_requested_context(MRImageStorage)
    with inside(orthanc.site):
        with open_pacs(peer(orthanc)):
            silent = socket.create_connection(("127.0.0.1", OWN_PORT))
            association = entity.associate("127.0.0.1", OWN_PORT, ae_title="FLAME")
            assert association.is_established
        association.join(60)
        assert association.is_aborted
        assert silent.recv(1) == b""
        silent.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", OWN_PORT))


def test_what_nobody_asked_for_is_not_taken_even_from_one_who_has_the_title(orthanc):
    (one,) = mr_series(9, 1, patient="4799")
    entity = AE("PACS")
    entity.add_requested_context(MRImageStorage)
    desk = Striking(lambda: answers.append(pushed()))
    answers: list[int] = []

    def pushed() -> int:
        association = entity.associate("127.0.0.1", OWN_PORT, ae_title="FLAME")
        status = association.send_c_store(one).Status
        association.release()
        return status

    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs:
        answers.append(pushed())  # before anything was asked for
        receive(pacs, Wanted(patients=("4711",)), desk)  # and while the PACS is sending
    assert answers == [0xA700, 0xA900]
    assert desk.kept == ALL


def test_a_port_that_is_taken_is_refused(orthanc):
    with (
        inside(orthanc.site),
        open_pacs(peer(orthanc)),
        pytest.raises(ConfigError, match="Port 11112 cannot be listened on"),
        open_pacs(peer(orthanc)),
    ):
        pass


def test_a_full_disk_ends_it_with_its_own_words(orthanc):
    def full() -> None:
        raise EngineError("The disk is full", "Free some space.")

    desk = Striking(full)
    with inside(orthanc.site), open_pacs(peer(orthanc)) as pacs, pytest.raises(EngineError, match="The disk is full"):
        receive(pacs, Wanted(patients=("4711",)), desk, Patience(5, 0.2))


@pytest.mark.parametrize("title", ["", "SEVENTEEN_LETTERS", "BACK\\SLASH", "Münster"])
def test_a_title_is_checked(title):
    with pytest.raises(ConfigError, match="not the title"):
        Peer("10.0.0.1", 104, title)
