import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.errors import DataError
from flame.records.volume import Grid, Volume, read_volume, write_volume

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
AFFINE[:3, 3] = [-98, -134, -72]
GRID = Grid((3, 4, 5), AFFINE)
RAMP = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sub-1_T1w.nii.gz"


def _nifti(array, affine=AFFINE, kind=nibabel.Nifti1Image):
    return kind(array, affine).to_bytes()


def _changed(offset, code, value):
    """A valid file with one field of the NIfTI-1 header overwritten."""
    content = bytearray(_nifti(RAMP))
    struct.pack_into(code, content, offset, value)
    return bytes(content)


class TestRoundTrip:
    @pytest.mark.parametrize("kind", [np.float32, np.uint8])
    def test_values_type_and_grid_come_back(self, path, kind):
        write_volume(path, Volume(RAMP.astype(kind), GRID))
        found = read_volume(path)
        assert found.array.dtype == kind
        np.testing.assert_array_equal(found.array, RAMP)
        assert found.grid.matches(GRID)
        assert found.grid.spacing_mm == (2.0, 3.0, 4.0)

    def test_a_mask_is_stored_as_bytes(self, path):
        write_volume(path, Volume(RAMP > 30, GRID))
        assert read_volume(path).array.dtype == np.uint8
        assert read_volume(path).array.sum() == 29

    @given(st.floats(1e-4, 10), st.lists(st.floats(-32767, 32767), min_size=60, max_size=60))
    @settings(deadline=None, derandomize=True, max_examples=50)
    def test_steps_lose_at_most_half_a_step(self, tmp_path_factory, step, multiples):
        path = tmp_path_factory.mktemp("steps") / "dose.nii.gz"
        array = (np.array(multiples).reshape(3, 4, 5) * step * 0.999).astype(np.float32)
        write_volume(path, Volume(array, GRID), step)
        rounding = np.abs(array).max() * np.finfo(np.float32).eps
        assert np.abs(read_volume(path).array - array).max() <= step / 2 * (1 + 1e-6) + 2 * rounding

    def test_another_reader_sees_the_same_values_and_codes(self, path):
        write_volume(path, Volume(RAMP, GRID), step=0.5)
        image = nibabel.load(path)
        np.testing.assert_array_equal(image.get_fdata(), RAMP)
        assert image.get_data_dtype() == np.int16
        assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 2
        np.testing.assert_allclose(image.header.get_qform(), AFFINE)
        assert image.header.get_xyzt_units()[0] == "mm"

    def test_slope_and_intercept_of_another_writer_are_applied(self, path):
        image = nibabel.Nifti1Image(RAMP.astype(np.uint8), AFFINE)
        image.header.set_slope_inter(2, -1024)
        path.write_bytes(image.to_bytes())
        np.testing.assert_array_equal(read_volume(path).array, 2 * RAMP - 1024)

    def test_nifti_2_and_big_endian_files_are_read(self, path):
        for content in (_nifti(RAMP, kind=nibabel.Nifti2Image), nibabel.Nifti1Image(RAMP, AFFINE).to_bytes()):
            path.write_bytes(content)
            np.testing.assert_array_equal(read_volume(path).array, RAMP)
        header = nibabel.Nifti1Header(endianness=">")
        header.set_data_dtype(">f4")
        path.write_bytes(nibabel.Nifti1Image(RAMP, AFFINE, header).to_bytes())
        np.testing.assert_array_equal(read_volume(path).array, RAMP)

    def test_equal_input_gives_equal_bytes(self, tmp_path):
        for name in ("a.nii.gz", "b.nii.gz"):
            write_volume(tmp_path / name, Volume(RAMP, GRID))
        assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
        assert len(list(tmp_path.iterdir())) == 2


class TestWriteRefuses:
    @pytest.mark.parametrize(
        ("array", "step", "what"),
        [
            (RAMP, 59 / 32768, "beyond 32767 steps"),
            (np.full((3, 4, 5), np.nan), None, "NaN"),
            (np.full((3, 4, 5), np.nan), 0.1, "NaN"),
            (RAMP, 0.0, "must be > 0"),
            (RAMP[:2], None, "does not fit"),
        ],
    )
    def test_and_nothing_is_written(self, path, array, step, what):
        with pytest.raises(ValueError, match=what):
            write_volume(path, Volume(array, GRID), step)
        assert not path.exists()


class TestReadRefuses:
    def _message(self, path, content):
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            read_volume(path)
        assert str(path) in raised.value.message
        assert raised.value.hint
        return raised.value.message

    def test_a_missing_file(self, path):
        with pytest.raises(DataError, match=r"T1w\.nii\.gz does not exist"):
            read_volume(path)

    def test_a_folder(self, tmp_path):
        with pytest.raises(DataError, match="is a folder"):
            read_volume(tmp_path)

    def test_every_truncation(self, path):
        whole = gzip.compress(_nifti(RAMP), mtime=0)
        for length in range(0, len(whole), 7):
            self._message(path, whole[:length])

    def test_a_truncated_file_without_compression_by_its_size(self, path):
        assert "500 bytes instead of 592" in self._message(path, _nifti(RAMP)[:500])

    def test_a_flipped_bit_by_the_checksum(self, path):
        content = bytearray(gzip.compress(_nifti(RAMP), compresslevel=0, mtime=0))
        content[400] ^= 1
        assert "CRC" in self._message(path, bytes(content))

    @pytest.mark.parametrize(
        "content",
        [b"", b"hello " * 200, gzip.compress(b"hello " * 200, mtime=0)],
        ids=["empty", "text", "gzipped text"],
    )
    def test_what_is_not_nifti(self, path, content):
        assert "is not a NIfTI file" in self._message(path, content)

    @pytest.mark.parametrize(
        ("offset", "code", "value", "what"),
        [
            (70, "<h", 9999, "not a readable NIfTI"),
            (42, "<h", 30000, "truncated"),
            (42, "<h", -3, "no voxel"),
            (280, "<f", float("nan"), "not finite"),
        ],
    )
    def test_a_damaged_header(self, path, offset, code, value, what):
        assert what in self._message(path, _changed(offset, code, value))

    def test_four_dimensions(self, path):
        assert "4 dimensions" in self._message(path, _nifti(RAMP[..., None]))

    def test_complex_voxels(self, path):
        assert "complex64" in self._message(path, _nifti(RAMP.astype(np.complex64)))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_voxels_that_are_not_finite_in_float32(self, path, value):
        array = RAMP.astype(np.float64)
        array[1, 2, 3] = value
        assert "the first at (1, 2, 3)" in self._message(path, _nifti(array))

    @pytest.mark.parametrize(
        "matrix",
        [np.diag([-2.0, 2, 2]), np.diag([2.0, 2, 2])[[1, 0, 2]], [[1.99, -0.17, 0], [0.17, 1.99, 0], [0, 0, 2]]],
        ids=["left to right", "swapped axes", "oblique by 5 degrees"],
    )
    def test_an_orientation_other_than_ras(self, path, matrix):
        affine = np.eye(4)
        affine[:3, :3] = matrix
        assert "not in RAS orientation" in self._message(path, _nifti(RAMP, affine))


class TestGrid:
    def test_matches_to_a_thousandth_of_a_millimetre(self):
        for shift, same in ((5e-4, True), (2e-3, False)):
            affine = AFFINE.copy()
            affine[0, 3] += shift
            assert Grid((3, 4, 5), affine).matches(GRID) is same
        assert not Grid((3, 4, 6), AFFINE).matches(GRID)
