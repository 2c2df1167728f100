"""The store: each instance once, whole, under pseudonyms only, for its owner's eyes."""

from pathlib import Path

import pytest
from pydicom import dcmread
from tests.dicom.instances import as_file, instance

from flame.dicom.arrival.store import (
    Admitted,
    Known,
    Refused,
    admit,
    instances,
    keep_refusals,
    read_instance,
    refusals,
    series_folders,
)
from flame.dicom.identity.pseudonym import Key
from flame.errors import EngineError

KEY = Key(bytes(range(32)))


def test_an_instance_lies_under_its_pseudonyms_for_its_owner_alone(tmp_path: Path) -> None:
    one = instance("mr")
    result = admit(tmp_path / "intake", one, KEY)
    names = [KEY.patient_id("4711"), *(KEY.uid(uid) for uid in (one.StudyInstanceUID, one.SeriesInstanceUID))]
    path = tmp_path.joinpath("intake", "dicom", *names, f"{KEY.uid(one.SOPInstanceUID)}.dcm")
    assert result == Admitted(path)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in list(path.parents)[:4]:
        assert folder.stat().st_mode & 0o777 == 0o700
    read = dcmread(path)
    assert read.preamble == bytes(128)
    assert read.PatientID == names[0]
    assert read.file_meta.ImplementationVersionName == "FLAME"


def test_the_same_instance_is_kept_once_and_another_under_its_name_is_refused(tmp_path: Path) -> None:
    first = admit(tmp_path, instance("mr"), KEY)
    assert isinstance(first, Admitted)
    before = first.path.read_bytes()
    assert admit(tmp_path, read_instance(as_file(instance("mr"), "1.2.840.10008.1.2")), KEY) == Known(first.path)
    assert admit(tmp_path, read_instance(first.path), KEY) == Known(first.path)
    other = instance("mr")
    other.EchoTime = 99.0
    moved = instance("mr")
    moved.SeriesInstanceUID = "1.2.3.4"
    for conflicting in (other, moved):
        assert admit(tmp_path, conflicting, KEY) == Refused("conflicting duplicate")
    assert first.path.read_bytes() == before
    assert list(instances(tmp_path)) == [first.path]


def test_series_and_instances_are_found_in_order(tmp_path: Path) -> None:
    kept = [admit(tmp_path, instance(kind, number), KEY) for kind in ("mr", "ct") for number in (1, 2, 3)]
    paths = {one.path for one in kept if isinstance(one, Admitted)}
    assert set(instances(tmp_path)) == paths
    assert len(paths) == 6
    assert list(instances(tmp_path)) == sorted(paths)
    assert series_folders(tmp_path) == tuple(sorted({path.parent for path in paths}))
    assert list(instances(tmp_path / "nowhere")) == []


def test_what_is_refused_leaves_a_count_and_nothing_else(tmp_path: Path) -> None:
    assert admit(tmp_path, instance("capture"), KEY) == Refused("secondary capture")
    assert list(tmp_path.iterdir()) == []
    assert refusals(tmp_path) == {}
    keep_refusals(tmp_path, {"secondary capture": 2, "damaged": 1})
    assert refusals(tmp_path) == {"damaged": 1, "secondary capture": 2}
    assert [path.name for path in tmp_path.rglob("*")] == ["dicom", "refused.json"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flame.files.os.fsync", full)
    with pytest.raises(EngineError, match="disk is full"):
        admit(tmp_path, instance("mr"), KEY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
