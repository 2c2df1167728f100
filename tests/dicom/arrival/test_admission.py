"""The desk: what was kept or refused is known again, also by the next run."""

from pathlib import Path

from tests.dicom.scans import mr_series

from flame.dicom.arrival.admission import Admission
from flame.dicom.identity.pseudonym import Key

KEY = Key(bytes(range(32)))


def test_an_instance_is_new_once_and_known_by_its_original_uid(tmp_path):
    first, second = mr_series(1, 2)
    with Admission(tmp_path, KEY) as desk:
        assert [desk.take(first), desk.take(first)] == [True, False]
        assert [desk.knows(one.SOPInstanceUID) for one in (first, second)] == [True, False]
    with Admission(tmp_path, KEY) as later:
        assert [later.knows(one.SOPInstanceUID) for one in (first, second)] == [True, False]


def test_a_refused_instance_is_not_asked_for_again(tmp_path):
    (one,) = mr_series(1, 1)
    one.BurnedInAnnotation = "YES"
    with Admission(tmp_path, KEY) as desk:
        assert [desk.take(one), desk.take(one)] == [True, False]
        assert desk.refused == {"burned-in annotation": 2}
    with Admission(tmp_path, KEY) as later:
        assert later.knows(one.SOPInstanceUID)
        assert not later.refused
        assert later.reasons() == {"burned-in annotation": 1}


def test_nothing_original_is_in_what_is_written_about_refusals(tmp_path):
    (one,) = mr_series(1, 1)
    one.BurnedInAnnotation = "YES"
    with Admission(tmp_path, KEY) as desk:
        desk.take(one)
    (written,) = (path for path in Path(tmp_path).rglob("*") if path.is_file())
    assert one.SOPInstanceUID not in written.read_text()
    assert KEY.uid(one.SOPInstanceUID) in written.read_text()


def test_an_instance_that_came_damaged_may_come_again(tmp_path):
    (one,) = mr_series(1, 1)
    (damaged,) = mr_series(1, 1)
    damaged.PixelData = one.PixelData[:100]
    with Admission(tmp_path, KEY) as desk:
        assert not desk.take(damaged)
        assert desk.reasons() == {"pixel data cut short": 1}
        assert not desk.knows(one.SOPInstanceUID)
        assert desk.take(one)
        assert desk.knows(one.SOPInstanceUID)


def test_one_uid_with_two_contents_is_told(tmp_path):
    (one,) = mr_series(1, 1)
    (other,) = mr_series(1, 1)
    other.PixelData = bytes(len(one.PixelData))
    with Admission(tmp_path, KEY) as desk:
        assert [desk.take(one), desk.take(other)] == [True, False]
        assert desk.reasons() == {"conflicting duplicate": 1}
