import errno
import os

import pytest

from flame.errors import DataError, EngineError
from flame.files import read_json, replacing, write_bytes, write_json, write_text


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _write_and_fail(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


class TestReplacing:
    def test_the_old_file_stays_until_the_new_one_is_whole(self, tmp_path):
        path = tmp_path / "map.nii.gz"
        path.write_text("old")
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
            assert temporary.name.endswith(".nii.gz")
            assert temporary.parent == path.parent
        assert path.read_text() == "new"
        assert _names(tmp_path) == ["map.nii.gz"]

    def test_a_failure_leaves_everything_as_it_was(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            _write_and_fail(path, KeyboardInterrupt())
        assert path.read_text() == "old"
        assert _names(tmp_path) == ["a.json"]

    def test_a_failure_before_anything_was_written(self, tmp_path):
        with pytest.raises(RuntimeError), replacing(tmp_path / "a"):
            raise RuntimeError
        assert _names(tmp_path) == []

    def test_missing_folders_are_made(self, tmp_path):
        write_text(tmp_path / "a" / "b" / "c.txt", "x")
        assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_is_said_plainly(self, tmp_path, code):
        with pytest.raises(EngineError, match=r"disk is full: a\.bin could not be written") as raised:
            _write_and_fail(tmp_path / "a.bin", OSError(code, os.strerror(code)))
        assert "Free some space" in raised.value.hint
        assert _names(tmp_path) == []

    def test_other_troubles_of_the_system_keep_their_name(self, tmp_path):
        with pytest.raises(PermissionError), replacing(tmp_path / "a.bin"):
            raise PermissionError(errno.EACCES, "no")


class TestJson:
    def test_what_is_written_comes_back(self, tmp_path):
        content = {"name": "Hôpital", "days": [-14, 70], "age": None, "share": 0.1}
        write_json(tmp_path / "a.json", content)
        assert read_json(tmp_path / "a.json") == content
        assert "Hôpital" in (tmp_path / "a.json").read_text(encoding="utf-8")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_json_has_no_word_for_is_refused_before_writing(self, tmp_path, value):
        with pytest.raises(ValueError):
            write_json(tmp_path / "a.json", {"score": value})
        assert _names(tmp_path) == []

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DataError, match=r"a\.json does not exist"):
            read_json(tmp_path / "a.json")

    @pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
    def test_a_damaged_file(self, tmp_path, content):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.json is not valid JSON"):
            read_json(tmp_path / "a.json")


def test_bytes_are_replaced_as_a_whole(tmp_path):
    write_bytes(tmp_path / "a", b"long content")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
