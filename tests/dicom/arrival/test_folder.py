"""Folders as they come from a CD, a colleague or a PACS export."""

import os

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from tests.dicom.desks import Counting
from tests.dicom.scans import mr_series

from flame.dicom.arrival.folder import FolderCounts, receive_folder
from flame.errors import ConfigError


def save(one, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)


def test_names_and_nesting_do_not_matter_and_a_copy_counts_once(tmp_path):
    first, second, third = mr_series(1, 3)
    save(first, tmp_path / "a" / "b" / "IM000001")
    save(second, tmp_path / "scan.txt")
    save(third, tmp_path / ".hidden")
    save(third, tmp_path / "copy" / "of it")
    desk = Counting()
    assert receive_folder(tmp_path, desk) == FolderCounts(files=4, taken=3, known=1)
    assert set(desk.kept) == {one.SOPInstanceUID for one in (first, second, third)}


def test_what_came_twice_is_handed_in_twice_but_not_what_was_known_before(tmp_path):
    first, second = mr_series(1, 2)
    for name, one in (("a", first), ("b", first), ("c", second)):
        save(one, tmp_path / name)
    desk = Counting({second.SOPInstanceUID: second.PixelData})
    assert receive_folder(tmp_path, desk) == FolderCounts(files=3, taken=1, known=2)
    assert desk.came == {first.SOPInstanceUID: 2}  # the desk can tell whether they differ


def test_what_is_no_instance_is_counted_and_passed_by(tmp_path):
    (one,) = mr_series(1, 1)
    save(one, tmp_path / "one")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "damaged.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    save(directory, tmp_path / "DICOMDIR")
    assert receive_folder(tmp_path, Counting()) == FolderCounts(files=5, taken=1, other=3, damaged=1)


def test_links_in_a_circle_end_and_broken_ones_are_passed_by(tmp_path):
    (one,) = mr_series(1, 1)
    save(one, tmp_path / "a" / "one")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert receive_folder(tmp_path, Counting()) == FolderCounts(files=1, taken=1)


def test_a_folder_elsewhere_is_followed_into(tmp_path):
    (one,) = mr_series(1, 1)
    save(one, tmp_path / "elsewhere" / "one")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "disk").symlink_to(tmp_path / "elsewhere")
    assert receive_folder(tmp_path / "inbox", Counting()).taken == 1


def test_a_folder_that_cannot_be_looked_into_is_counted_and_its_name_told_to_nobody(tmp_path, monkeypatch):
    (one,) = mr_series(1, 1)
    for name in ("open", "Weber"):
        save(one, tmp_path / name / "one")
    for call in ("scandir", "stat"):
        there = getattr(os, call)

        def refuse(path, *args, there=there, **words):
            if "Weber" in str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return there(path, *args, **words)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, refuse)
            assert receive_folder(tmp_path, Counting()) == FolderCounts(files=1, taken=1, closed=1)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        receive_folder(tmp_path / "none", Counting())
