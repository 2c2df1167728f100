"""Bytes become a data set or an error that says nothing of them."""

import logging
import threading
import warnings
from pathlib import Path

import pytest
from pydicom.sequence import Sequence
from tests.dicom.instances import as_file, instance, item

from flame.dicom import reading
from flame.dicom.arrival.store import Admitted, Refused, admit
from flame.dicom.identity.pseudonym import Key
from flame.dicom.reading import read_instance, silence
from flame.errors import DataError


def _message(source: bytes | Path) -> str:
    with pytest.raises(DataError) as caught:
        read_instance(source)
    assert caught.value.__context__ is None
    return str(caught.value)


def test_a_file_is_read_with_or_without_preamble(tmp_path: Path) -> None:
    content = as_file(instance("mr"))
    (tmp_path / "one").write_bytes(content)
    assert read_instance(tmp_path / "one").PatientID == "4711"
    assert read_instance(content[132:]).PatientID == "4711"


def test_what_is_no_dicom_is_refused_without_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "Weber_Ilse.txt"
    named.write_text("Frau Weber")
    content = as_file(instance("mr"))
    assert _message(named) == _message(b"") == _message(tmp_path / "missing") == "A file is not DICOM"
    assert _message(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0")) == "A file is deflated"
    monkeypatch.setattr(reading, "LARGEST_FILE", 5)
    assert _message(named) == "A file is too large"


def test_a_sequence_a_thousand_deep_is_refused() -> None:
    bomb = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    content = as_file(instance("mr"))
    at = content.index(b"\x08\x00\x60\x00CS")
    assert _message(content[:at] + bomb + content[at:]) == "A file is damaged"


def test_a_length_of_four_gigabytes_does_no_harm(tmp_path: Path) -> None:
    content = as_file(instance("mr"))
    (tmp_path / "one").write_bytes(content.replace(b"OW\0\0\x80\0\0\0", b"OW\0\0\xf0\xff\xff\xff"))
    result = admit(tmp_path / "intake", read_instance(tmp_path / "one"), Key(bytes(32)))
    assert isinstance(result, Admitted)  # all pixels are there
    assert result.path.stat().st_size < len(content) + 500
    swallowed = content.replace(b"PN\x0a\x00Weber", b"PN\xff\xffWeber")
    assert admit(tmp_path, read_instance(swallowed), Key(bytes(32))) == Refused("identifier missing")


def test_silence_hides_what_pydicom_says_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    one = instance("mr")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with silence():
            one.PatientBirthDate = "Weber was born in March"
            logging.getLogger("pydicom").warning("Weber")
        assert not warned
        assert "Weber" not in caplog.text
        logging.getLogger("pydicom").warning("heard again")
        one.PatientBirthDate = "March"
        assert warned
    assert "heard again" in caplog.text


def test_two_threads_at_once_are_both_silent(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as pytest runs; a warning in a thread would end it without a result
        results: list[object] = []

        def work(number: int) -> None:
            for turn in range(10):
                one = instance("mr", number=100 * number + turn)
                one.ReferencedImageSequence = Sequence([item(ReferencedSOPInstanceUID="1.2")])
                content = as_file(one).replace(b"20240305", b"Weber305")
                results.append(admit(tmp_path, read_instance(content), Key(bytes(32))))

        threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 20
    assert all(isinstance(one, Admitted) for one in results)
