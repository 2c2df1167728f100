"""Outlines against analytic solids, and against a second implementation of polygon filling."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from skimage.draw import polygon
from tests.dicom.department import FRAME, OTHER_FRAME, contour, item, proton_plan, rotation, rtstruct

from flame.dicom.therapy.contours import fill
from flame.dicom.therapy.structures import draw_structures, read_structures
from flame.errors import DataError
from flame.records.volume import Grid, Volume

RAS = np.diag([-1.0, -1.0, 1.0])
CENTRE = np.array([12.3, -7.7, 21.1])
"""Of the solids, RAS [mm]."""


def grid(spacing, turned=(0, 0, 0), size_mm=64.0):
    """A grid whose middle is near CENTRE, turned about it."""
    shape = tuple(int(np.ceil(size_mm / mm)) for mm in spacing)
    affine = np.eye(4)
    affine[:3, :3] = rotation(*turned) * np.array(spacing)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1.3) / 2)
    return Grid(shape, affine)


def centres(one):
    """Positions of all voxel centres, RAS [mm], shape (x, y, z, 3)."""
    lattice = np.stack(np.meshgrid(*map(range, one.shape), indexing="ij"), axis=-1)
    return lattice @ one.affine[:3, :3].T + one.affine[:3, 3]


def sphere(one, radius):
    return np.linalg.norm(centres(one) - CENTRE, axis=-1) <= radius


def circle(height, radius, turned=(0, 0, 0), offset=(0, 0), count=180):
    """A circle, LPS points, `height` above CENTRE along the third axis of the turned frame."""
    angle = 2 * np.pi * np.arange(count) / count
    flat = np.stack(
        [offset[0] + radius * np.cos(angle), offset[1] + radius * np.sin(angle), np.full(count, height)], axis=1
    )
    return (CENTRE + flat @ rotation(*turned).T) @ RAS


def planes_of(one, axis=2):
    """Heights of the grid's slices above CENTRE, along the axis across them."""
    matrix = one.affine[:3, :3]
    direction = matrix[:, axis] / np.linalg.norm(matrix[:, axis])
    step = np.linalg.norm(matrix[:, axis])
    return (one.affine[:3, 3] - CENTRE) @ direction + step * np.arange(one.shape[axis])


def ball(heights, radius, turned=(0, 0, 0)):
    return [
        contour(circle(height, np.sqrt(radius**2 - height**2), turned))
        for height in heights
        if abs(height) < radius - 1e-3
    ]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


class TestSphere:
    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.7, 1.2), (1.0, 1.0, 3.0)])
    @pytest.mark.parametrize("turned", [(0, 0, 0), (20, -10, 5), (0, 90, 0), (-35, 25, 60)])
    def test_contours_on_the_slices_of_an_oblique_image_give_the_sphere(self, spacing, turned):
        reference = grid(spacing, turned)
        found = read_structures(rtstruct([("GTV", ball(planes_of(reference), 20, turned))]), reference)["GTV"]
        assert found.shape == reference.shape
        assert dice(found, sphere(reference, 20)) >= 0.999

    @pytest.mark.parametrize("turned", [(0, 0, 0), (20, -10, 5)])
    @pytest.mark.parametrize("every_mm", [2.0, 3.0])
    def test_slices_between_contours_take_a_shape_in_between(self, turned, every_mm):
        reference = grid((1.0, 1.0, 1.0), turned)
        heights = planes_of(reference)[0] + every_mm * np.arange(40)
        found = read_structures(rtstruct([("GTV", ball(heights, 20, turned))]), reference)["GTV"]
        assert dice(found, sphere(reference, 20)) >= 0.99

    def test_thick_slices_sample_what_fine_contours_enclose(self):
        reference = grid((0.9, 0.9, 5.0))
        heights = np.arange(-30, 30, 1.0) + 0.37
        found = read_structures(rtstruct([("GTV", ball(heights, 20))]), reference)["GTV"]
        assert dice(found, sphere(reference, 20)) >= 0.995

    @pytest.mark.parametrize("turned", [(30, 0, 0), (20, -10, 5), (12, 33, -50)])
    def test_contours_oblique_to_the_image_are_resampled(self, turned):
        reference = grid((1.0, 1.0, 1.2))
        drawn = draw_structures(rtstruct([("GTV", ball(np.arange(-30, 30, 1.0), 20, turned))]), reference)
        assert dice(drawn.masks["GTV"], sphere(reference, 20)) >= 0.995
        assert "oblique" in drawn.notes[0]

    def test_contours_in_another_frame_are_moved(self):
        reference = grid((1.0, 1.0, 1.0))
        away = np.eye(4)
        away[:3, :3], away[:3, 3] = rotation(0, 0, 30), (5, -8, 3)
        elsewhere = Grid(reference.shape, np.linalg.inv(away) @ reference.affine)
        found = read_structures(rtstruct([("GTV", ball(planes_of(reference), 20))]), elsewhere, np.linalg.inv(away))
        here = read_structures(rtstruct([("GTV", ball(planes_of(reference), 20))]), reference)
        np.testing.assert_array_equal(found["GTV"], here["GTV"])


class TestShapes:
    def test_a_contour_inside_another_is_a_hole(self):
        reference = grid((1.0, 1.0, 2.0))
        contours = [contour(circle(h, r)) for h in planes_of(reference)[8:20] for r in (20, 9)]
        found = read_structures(rtstruct([("ring", contours)]), reference)["ring"]
        radius = np.linalg.norm((centres(reference) - CENTRE)[..., :2], axis=-1)
        assert dice(found[..., 8:20], ((radius <= 20) & (radius > 9))[..., 8:20]) > 0.995
        assert not found[..., :8].any()
        assert not found[..., 20:].any()

    def test_a_keyhole_is_the_same_hole(self):
        reference = grid((1.0, 1.0, 2.0))
        height = planes_of(reference)[12]
        outer, inner = circle(height, 20), circle(height, 9)[::-1]
        keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner[:-1], inner[-1:]])
        apart = read_structures(rtstruct([("A", [contour(outer), contour(inner)])]), reference)["A"]
        joined = read_structures(rtstruct([("A", [contour(keyhole)])]), reference)["A"]
        np.testing.assert_array_equal(joined, apart)

    def test_two_islands_on_a_slice_stay_apart(self):
        reference = grid((1.0, 1.0, 2.0))
        height = planes_of(reference)[12]
        contours = [contour(circle(height, 6, offset=(side, 0))) for side in (-15, 15)]
        found = read_structures(rtstruct([("A", contours)]), reference)["A"][..., 12]
        assert found.sum() == pytest.approx(2 * np.pi * 36, rel=0.03)
        assert not found[reference.shape[0] // 2].any()

    def test_islands_far_apart_across_the_slices_are_not_bridged(self):
        reference = grid((1.0, 1.0, 1.0))
        heights = planes_of(reference)
        contours = [contour(circle(heights[z], 8)) for z in (10, 11, 12, 30, 31, 32)]
        drawn = draw_structures(rtstruct([("A", contours)]), reference)
        assert np.flatnonzero(drawn.masks["A"].any(axis=(0, 1))).tolist() == [10, 11, 12, 30, 31, 32]
        assert "far from one another" in drawn.notes[0]

    def test_one_plane_is_one_slice(self):
        reference = grid((1.0, 1.0, 3.0))
        found = read_structures(rtstruct([("A", [contour(circle(planes_of(reference)[5] + 0.9, 8))])]), reference)["A"]
        assert np.flatnonzero(found.any(axis=(0, 1))).tolist() == [5]

    def test_image_that_is_not_square_and_a_contour_that_reaches_out_of_it(self):
        affine = np.diag([1.0, 1.0, 2.0, 1.0])
        affine[:3, 3] = CENTRE - (10, 20, 10)
        reference = Volume(np.zeros((15, 60, 11)), Grid((15, 60, 11), affine))
        found = read_structures(rtstruct([("A", ball(planes_of(reference.grid), 18))]), reference)["A"]
        assert found.shape == (15, 60, 11)
        assert dice(found, sphere(reference.grid, 18)) > 0.998

    def test_sagittal_contours_are_drawn_on_sagittal_slices(self):
        reference = grid((1.5, 1.0, 1.0))
        offset = planes_of(reference, axis=0)
        contours = [
            contour((CENTRE + np.roll((circle(0, np.sqrt(400 - x**2)) @ RAS - CENTRE), 1, axis=1) + (x, 0, 0)) @ RAS)
            for x in offset
            if abs(x) < 19.9
        ]
        found = read_structures(rtstruct([("A", contours)]), reference)["A"]
        assert dice(found, sphere(reference, 20)) > 0.999


class TestFill:
    def test_agrees_with_another_implementation(self):
        random = np.random.default_rng(3)
        for _ in range(50):
            corners = random.uniform(-3, 33, size=(int(random.integers(3, 9)), 2))
            other = np.zeros((30, 24), bool)
            other[polygon(corners[:, 0], corners[:, 1], other.shape)] = True
            np.testing.assert_array_equal(fill([corners], other.shape), other)

    def test_neighbours_that_share_an_edge_cover_each_point_once(self):
        left = np.array([(2, 2), (2, 5), (8, 5), (8, 2)], float)
        right = np.array([(2, 5), (2, 9), (8, 9), (8, 5)], float)
        one, two, both = fill([left], (12, 12)), fill([right], (12, 12)), fill([left, right], (12, 12))
        assert not (one & two).any()
        np.testing.assert_array_equal(one | two, both)
        assert both.sum() == 6 * 7, "six rows of seven columns: area of the two, counted half open"


class TestWhatIsLeftOut:
    def test_open_and_point_contours_and_empty_structures_are_noted(self):
        reference = grid((2.0, 2.0, 2.0))
        height = planes_of(reference)[16]
        line = contour([(0, 0, 0), (1, 0, 0), (2, 0, 0)])
        structures = rtstruct(
            [
                ("GTV", [contour(circle(height, 10)), contour(circle(height, 5), "OPEN_PLANAR"), line]),
                ("isocentre", [contour([(0, 0, 0)], "POINT")]),
                ("empty", []),
            ]
        )
        drawn = draw_structures(structures, reference)
        assert list(drawn.masks) == ["GTV"]
        assert drawn.frames == {"GTV": FRAME}
        assert drawn.notes == (
            "GTV: 1 points or open contours are left out",
            "GTV: 1 contours without area are left out",
            "isocentre: 1 points or open contours are left out",
            "isocentre: it has no closed contour",
            "empty: it has no closed contour",
        )

    def test_a_contour_that_comes_twice_is_not_a_hole(self):
        reference = grid((2.0, 2.0, 2.0))
        once = contour(circle(planes_of(reference)[16], 10))
        drawn = draw_structures(rtstruct([("A", [once, once])]), reference)
        assert drawn.masks["A"].sum() == pytest.approx(np.pi * 25, rel=0.1)
        assert "twice" in drawn.notes[0]

    def test_contours_in_planes_that_are_not_parallel_are_refused_by_name(self):
        reference = grid((2.0, 2.0, 2.0))
        contours = [contour(circle(0, 10, turned)) for turned in ((0, 0, 0), (40, 0, 0))]
        drawn = draw_structures(rtstruct([("odd", contours), ("A", ball([0.0], 10))]), reference)
        assert list(drawn.masks) == ["A"]
        assert "odd: its contours do not lie in parallel planes" in drawn.notes

    def test_a_structure_outside_of_the_image_is_empty_and_noted(self):
        reference = grid((2.0, 2.0, 2.0))
        drawn = draw_structures(rtstruct([("A", [contour(circle(400.0, 10))])]), reference)
        assert not drawn.masks["A"].any()
        assert drawn.notes == ("A: it holds no voxel of the image",)

    def test_names_that_come_twice_get_a_number(self):
        reference = grid((2.0, 2.0, 2.0))
        found = read_structures(rtstruct([("GTV", ball([0.0], 10)), ("GTV", ball([0.0], 5))]), reference)
        assert list(found) == ["GTV", "GTV 2"]
        assert found["GTV"].sum() > found["GTV 2"].sum() > 0

    def test_the_frame_of_the_structure_is_kept(self):
        drawn = draw_structures(rtstruct([("A", ball([0.0], 10))], frame=OTHER_FRAME), grid((2.0, 2.0, 2.0)))
        assert drawn.frames == {"A": OTHER_FRAME}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_file_reads_as_its_content(tmp_path, syntax):
    reference = grid((1.0, 1.0, 3.0))
    dataset = rtstruct([("GTV", ball(planes_of(reference), 20))])
    looked_at = [len(one.ContourData) for one in dataset.ROIContourSequence[0].ContourSequence]
    assert looked_at == [540] * len(looked_at), "by now the numbers are no bytes any more"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "structures.dcm", enforce_file_format=True)
    from_file, from_content = (read_structures(one, reference)["GTV"] for one in (tmp_path / "structures.dcm", dataset))
    np.testing.assert_array_equal(from_file, from_content)
    assert from_file.any()


class TestRefusals:
    def test_nothing_drawn(self):
        with pytest.raises(DataError, match="No structure"):
            read_structures(rtstruct([("A", [])]), grid((2.0, 2.0, 2.0)))

    def test_another_object(self):
        with pytest.raises(DataError, match="not an RTSTRUCT"):
            read_structures(proton_plan(), grid((2.0, 2.0, 2.0)))

    @pytest.mark.parametrize("data", [["1", "2"], ["1", "2", "1e9"], []])
    def test_contours_that_are_not_positions(self, data):
        broken = item(ContourGeometricType="CLOSED_PLANAR", ContourData=data)
        with pytest.raises(DataError, match=r"contour|ContourData"):
            read_structures(rtstruct([("A", [broken])]), grid((2.0, 2.0, 2.0)))
