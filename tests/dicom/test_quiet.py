"""While it is quiet, nothing that a library says is heard; afterwards all is as it was."""

import logging
import sys
import threading
import warnings

from flame.dicom.quiet import quiet


def speak() -> None:
    logging.getLogger("pynetdicom.association").error("Weber^Ilse")
    logging.getLogger("pydicom").warning("Weber^Ilse")
    warnings.warn("Invalid value for VR PN: Weber^Ilse", stacklevel=1)
    thread = threading.Thread(target=lambda: {}["Weber^Ilse"])
    thread.start()
    thread.join()


def test_no_word_of_a_library_is_heard(capfd, caplog):
    with quiet(), quiet():  # it nests
        speak()
    heard = capfd.readouterr()
    assert "Weber" not in heard.out + heard.err + caplog.text


def test_all_is_as_it_was_afterwards():
    def state() -> tuple[object, ...]:
        return threading.excepthook, sys.unraisablehook, warnings.filters[:], logging.getLogger("pydicom").level

    before = state()
    with quiet():
        assert state() != before
    assert state() == before
