"""DICOMweb against a real Orthanc that is killed and comes back."""

import signal
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydicom.dataset import Dataset
from tests.dicom.arrival.filled import ALL, filled_orthanc
from tests.dicom.desks import Counting, Striking
from tests.dicom.instances import as_file
from tests.dicom.orthanc import Orthanc, inside
from tests.dicom.scans import mr_series

from flame.dicom.arrival.web import PASSWORD, USER, Service, Web, open_web
from flame.dicom.receive import Patience, Series, Wanted, receive
from flame.errors import ConfigError, EngineError


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with filled_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def test_what_is_wanted_comes_once_and_whole(orthanc):
    desk = Counting()
    with inside(orthanc.site), open_web(Service(orthanc.web)) as web:
        first = receive(web, Wanted(patients=("4711",)), desk)
        second = receive(web, Wanted(patients=("4711",)), desk)
    assert desk.kept == ALL
    assert set(desk.came.values()) == {1}
    assert (first.series, first.taken, first.known, first.missing) == (2, 126, 0, 0)
    assert (second.series, second.taken, second.known, second.missing) == (2, 0, 126, 0)


def test_a_few_that_are_missing_are_fetched_alone(orthanc):
    desk = Counting()
    with inside(orthanc.site), open_web(Service(orthanc.web)) as web:
        receive(web, Wanted(patients=("4712",)), desk)
        lost = next(iter(desk.kept))
        del desk.kept[lost]
        received = receive(web, Wanted(patients=("4712",)), desk)
    assert (received.taken, received.known) == (1, 2)
    assert {uid for uid, times in desk.came.items() if times == 2} == {lost}


def test_a_service_that_is_killed_and_comes_back_is_asked_for_the_rest(orthanc):
    def kill() -> None:
        orthanc.signal(signal.SIGKILL)
        back.start()

    back = threading.Timer(1.5, orthanc.start)
    desk = Striking(kill)
    with inside(orthanc.site), open_web(Service(orthanc.web)) as web:
        received = receive(web, Wanted(patients=("4711",)), desk, Patience(60, 0.2))
    back.join()
    assert desk.kept == ALL
    assert (received.taken, received.missing) == (126, 0)


def test_one_that_stays_away_is_told_from_a_wrong_address(orthanc):
    with inside(orthanc.site):
        with open_web(Service("http://10.77.0.1:8043/dicom-web")) as web, pytest.raises(EngineError, match="cannot be"):
            receive(web, Wanted(), Counting(), Patience(1, 0.2))
        with open_web(Service(orthanc.web + "-not")) as web, pytest.raises(EngineError, match="status 404"):
            receive(web, Wanted(patients=("4711",)), Counting(), Patience(1, 0.2))
    with pytest.raises(ConfigError, match="not the address"), open_web(Service("pacs.example")):
        pass


def test_no_identifier_is_in_what_an_error_says(orthanc):
    with inside(orthanc.site), open_web(Service(orthanc.web + "-not")) as web, pytest.raises(EngineError) as raised:
        receive(web, Wanted(patients=("4711",)), Counting(), Patience(1, 0.2))
    assert "4711" not in f"{raised.value} {raised.value.hint}"
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


class Guarded(BaseHTTPRequestHandler):
    """Answers nobody but me:secret, and with no study at all."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Basic " + b64encode(b"me:secret").decode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/dicom+json")
        self.end_headers()
        self.wfile.write(b"[]" if allowed else b"")

    def log_message(self, *_: object) -> None:
        pass


def test_the_account_comes_from_the_environment(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/web"
        monkeypatch.setenv(USER, "me")
        monkeypatch.setenv(PASSWORD, "wrong")
        with open_web(Service(address)) as web, pytest.raises(ConfigError, match="refuses this account") as raised:
            web.series(Wanted())
        assert "wrong" not in f"{raised.value} {raised.value.hint}"
        monkeypatch.setenv(PASSWORD, "secret")
        with open_web(Service(address)) as web:
            assert web.series(Wanted()) == []
        server.shutdown()


class Streaming(BaseHTTPRequestHandler):
    """Answers every question with the same bytes; the end of the connection is the end of the answer."""

    protocol_version = "HTTP/1.0"
    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=edge')
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


def test_half_an_instance_at_the_end_of_a_stream_is_not_taken(monkeypatch):
    first, second = mr_series(1, 2)
    parts = [b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + as_file(one) for one in (first, second)]
    monkeypatch.setattr(Streaming, "answer", b"\r\n".join(parts)[:-200])
    asked = Series(str(first.StudyInstanceUID), str(first.SeriesInstanceUID), "MR")
    desk = Counting()
    with HTTPServer(("127.0.0.1", 0), Streaming) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_web(Service(f"http://127.0.0.1:{server.server_port}/web")) as web:
            monkeypatch.setattr(web, "instances", lambda _: [])
            web.fetch(asked, (), desk)
        server.shutdown()
    assert set(desk.kept) == {first.SOPInstanceUID}


def test_one_instance_that_never_comes_whole_does_not_keep_the_others_out():
    (good, bad) = mr_series(1, 2)

    class Client:
        """A service whose first instance was stored damaged."""

        def iter_series(self, *_: object) -> Iterator[Dataset]:
            raise struct.error("unpack requires a buffer")
            yield

        def retrieve_instance(self, _study: str, _series: str, uid: str, _media: object) -> Dataset:
            if uid == bad.SOPInstanceUID:
                raise IndexError
            return good

        def search_for_series(self, **_: object) -> list[object]:
            return [_answer("0020000E", good.SeriesInstanceUID) | _answer("00080060", "MR")]

        def search_for_studies(self, **words: object) -> list[object]:
            return [] if words["offset"] else [_answer("0020000D", good.StudyInstanceUID)]

        def search_for_instances(self, **_: object) -> list[object]:
            return [_answer("00080018", one.SOPInstanceUID) for one in (bad, good)]

    desk = Counting()
    received = receive(Web(Client()), Wanted(), desk, Patience(), sleep=lambda _: None)
    assert set(desk.kept) == {good.SOPInstanceUID}
    assert (received.taken, received.missing) == (1, 1)
    assert received.incomplete == ["series 1 (MR): 1 of 2 did not come"]


def _answer(tag: str, value: object) -> dict[str, object]:
    return {tag: {"Value": [str(value)]}}
