"""Dose grids against a dose that is linear in the patient's coordinates: each voxel must hold it where it lies."""

import numpy as np
import pytest
from tests.dicom.department import AXIAL, FRAME, rotation, rtdose, rtplan

from flame.dicom.therapy.dose import read_dose
from flame.errors import DataError

RAMP = np.array([0.11, -0.07, 0.05])
"""Gradient of the dose along LPS [Gy/mm]."""

SCALING = 2e-6


def ramp_at(points):
    """The dose at LPS positions (..., 3) [Gy]."""
    return 30 + points @ RAMP


def stored(position, orientation, spacing, heights, shape=(6, 5), dtype=np.uint32):
    """Stored numbers (frame, row, column) of the ramp; `heights` are LPS vectors from plane to first plane."""
    along, down = np.array(orientation[:3]), np.array(orientation[3:])
    rows, columns = np.meshgrid(*map(np.arange, shape), indexing="ij")
    plane = np.array(position) + columns[..., None] * spacing[1] * along + rows[..., None] * spacing[0] * down
    return np.stack([np.rint(ramp_at(plane + height) / SCALING) for height in heights]).astype(dtype)


def expected(dose):
    """The ramp at each voxel of a grid that was read."""
    shape, affine = dose.volume.grid.shape, dose.volume.grid.affine
    lattice = np.stack(np.meshgrid(*map(range, shape), indexing="ij"), axis=-1)
    return ramp_at((lattice @ affine[:3, :3].T + affine[:3, 3]) * (-1, -1, 1))


POSITION = (-31.5, 12.25, -40.0)
SPACING = (2.0, 2.5)
OBLIQUE = tuple(np.round(rotation(12, -20, 31)[:, :2].T.ravel(), 10))
FEET_UP = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


class TestGeometry:
    @pytest.mark.parametrize("offsets", [(0, 3, 6, 9), (0, -3, -6, -9)], ids=["ascending", "descending"])
    @pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE, FEET_UP], ids=["axial", "oblique", "flipped"])
    def test_offsets_from_the_first_plane_count_along_its_normal(self, orientation, offsets):
        normal = np.cross(orientation[:3], orientation[3:])
        values = stored(POSITION, orientation, SPACING, [normal * offset for offset in offsets])
        dose = read_dose(
            rtdose(
                values, scaling=SCALING, position=POSITION, orientation=orientation, spacing=SPACING, offsets=offsets
            )
        )
        assert dose.volume.grid.shape == (5, 6, 4)
        np.testing.assert_allclose(dose.volume.array, expected(dose), atol=1e-5)

    @pytest.mark.parametrize("offsets", [(-40, -37, -34), (-40, -43, -46)], ids=["ascending", "descending"])
    @pytest.mark.parametrize("orientation", [AXIAL, FEET_UP], ids=["axial", "flipped"])
    def test_offsets_that_are_positions_count_along_the_patient(self, orientation, offsets):
        heights = [np.array([0, 0, offset - POSITION[2]]) for offset in offsets]
        values = stored(POSITION, orientation, SPACING, heights)
        dose = read_dose(
            rtdose(
                values, scaling=SCALING, position=POSITION, orientation=orientation, spacing=SPACING, offsets=offsets
            )
        )
        np.testing.assert_allclose(dose.volume.array, expected(dose), atol=1e-5)
        np.testing.assert_allclose(dose.volume.grid.affine[:3, 3], (31.5, -12.25, -40.0))

    def test_a_file_reads_as_its_content(self, tmp_path):
        dataset = rtdose(np.arange(60, dtype=np.uint16).reshape(3, 4, 5))
        dataset.save_as(tmp_path / "dose.dcm", enforce_file_format=True)
        from_file, from_content = read_dose(tmp_path / "dose.dcm"), read_dose(dataset)
        np.testing.assert_array_equal(from_file.volume.array, from_content.volume.array)
        assert from_file.volume.grid.matches(from_content.volume.grid)


class TestValues:
    @pytest.mark.parametrize(("dtype", "scaling"), [(np.uint16, 1e-3), (np.uint32, 1.5e-8), (np.int32, 3e-8)])
    def test_stored_numbers_are_scaled(self, dtype, scaling):
        values = np.linspace(0, 60 / scaling, 60).astype(dtype).reshape(3, 4, 5)
        found = read_dose(rtdose(values, scaling=scaling)).volume.array
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values.transpose(2, 1, 0) * scaling, rtol=1e-7)

    def test_what_it_is_the_dose_of(self):
        dose = read_dose(
            rtdose(
                np.ones((2, 2, 2), np.uint16),
                summation="BEAM",
                kind="EFFECTIVE",
                plans=("2.25.7",),
                beams=(3, 1),
                group=2,
            )
        )
        assert (dose.summation, dose.kind, dose.plans, dose.beams) == ("BEAM", "EFFECTIVE", ("2.25.7",), (1, 3))
        assert (dose.fraction_group, dose.frame, dose.notes) == (2, FRAME, ())


CGY = np.full((2, 2, 2), 6100, np.uint16)


class TestCentigray:
    def test_values_above_any_dose_are_refused_by_name(self):
        with pytest.raises(DataError, match=r"reaches 6100 Gy.*cGy"):
            read_dose(rtdose(CGY, scaling=1.0))

    def test_so_are_values_far_above_the_prescription(self):
        fraction = rtdose(CGY // 50, scaling=1.0)
        assert read_dose(fraction, prescription_gy=60).volume.array.max() == 122
        with pytest.raises(DataError, match="cGy"):
            read_dose(fraction, prescription_gy=6)

    def test_the_sites_word_divides_and_is_noted(self):
        dose = read_dose(rtdose(CGY, scaling=1.0), prescription_gy=60, centigray=True)
        np.testing.assert_allclose(dose.volume.array, 61)
        assert "divided by 100" in dose.notes[0]

    def test_a_unit_of_cgy_is_believed_and_noted(self):
        dose = read_dose(rtdose(CGY, scaling=1.0, units="CGY"))
        np.testing.assert_allclose(dose.volume.array, 61)
        assert "divided by 100" in dose.notes[0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"units": "RELATIVE"}, "relative"),
            ({"units": ""}, "not in Gy"),
            ({"kind": "ERROR"}, "errors"),
            ({"kind": ""}, "type"),
            ({"summation": "CONTROL_POINT"}, "CONTROL_POINT"),
            ({"summation": "SMITH JOHN"}, "does not say"),
            ({"scaling": 0}, "DoseGridScaling"),
            ({"offsets": (0, 3, 7)}, "unevenly"),
            ({"offsets": (0, 3, 3)}, "unevenly"),
            ({"offsets": (0, 0, 0)}, "on one another"),
            ({"offsets": (0, 3)}, "GridFrameOffsetVector"),
            ({"offsets": (5, 8, 11)}, "neither"),
            ({"offsets": (-40, -37, -34), "position": POSITION, "orientation": OBLIQUE}, "neither"),
            ({"spacing": (2.0, 0.0)}, "impossible"),
            ({"orientation": (1, 0, 0, 1, 0, 0)}, "impossible"),
            ({"orientation": (1, 0, 0, 0.7, 0.7, 0)}, "impossible"),
        ],
    )
    def test_by_name(self, changes, reason):
        with pytest.raises(DataError, match=reason) as refusal:
            read_dose(rtdose(np.ones((3, 2, 2), np.uint16), **changes))
        assert "SMITH" not in str(refusal.value)

    def test_one_plane_only(self):
        with pytest.raises(DataError, match="one plane"):
            read_dose(rtdose(np.ones((1, 2, 2), np.uint16)))

    def test_below_zero(self):
        with pytest.raises(DataError, match="below 0"):
            read_dose(rtdose(np.full((2, 2, 2), -1, np.int16)))

    def test_another_object(self):
        with pytest.raises(DataError, match="not an RTDOSE"):
            read_dose(rtplan())

    def test_truncated_pixels(self):
        dataset = rtdose(np.ones((2, 2, 2), np.uint16))
        dataset.PixelData = dataset.PixelData[:-4]
        with pytest.raises(DataError, match="pixel data"):
            read_dose(dataset)

    def test_a_claim_of_many_voxels(self):
        dataset = rtdose(np.ones((2, 2, 2), np.uint16))
        dataset.Rows = dataset.Columns = 65535
        with pytest.raises(DataError, match="claims"):
            read_dose(dataset)

    @pytest.mark.parametrize(
        "keyword", ["DoseGridScaling", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PixelData"]
    )
    def test_a_missing_attribute(self, keyword):
        dataset = rtdose(np.ones((2, 2, 2), np.uint16))
        delattr(dataset, keyword)
        with pytest.raises(DataError, match=keyword if keyword != "PixelData" else "pixel data"):
            read_dose(dataset)

    def test_no_file(self, tmp_path):
        with pytest.raises(DataError):
            read_dose(tmp_path / "missing.dcm")
