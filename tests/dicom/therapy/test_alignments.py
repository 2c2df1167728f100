"""Spatial Registration: which way a matrix maps, and what is not a rigid map."""

import numpy as np
import pytest
from pydicom.uid import DeformableSpatialRegistrationStorage
from tests.dicom.department import FRAME, OTHER_FRAME, registration, rotation, rtplan

from flame.dicom.therapy.alignments import common_frame, read_alignments
from flame.errors import DataError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def rigid(turned=(0, 0, 0), shift=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(*turned), shift
    return matrix


MATRIX = rigid((10, -20, 30), (5, -7, 11))


class TestReading:
    def test_a_known_point_goes_where_the_standard_sends_it(self):
        # A quarter turn about z takes the left (1, 0, 0) to the posterior (0, 1, 0); then 10 mm to the left and 3 up.
        (found,) = read_alignments(registration([rigid((0, 0, 90), (10, 0, 3))]))
        assert (found.source, found.target) == (OTHER_FRAME, FRAME)
        left = np.array([-1.0, 0, 0, 1])
        ten_left_one_posterior_three_up = (-10, -1, 3, 1)
        np.testing.assert_allclose(np.array(found.matrix) @ left, ten_left_one_posterior_three_up, atol=1e-9)

    def test_in_ras_it_maps_as_in_lps(self):
        (found,) = read_alignments(registration([MATRIX]))
        np.testing.assert_allclose(found.matrix, LPS_TO_RAS @ MATRIX @ LPS_TO_RAS, atol=1e-9)

    def test_rounded_decimals_become_a_rotation_again(self):
        rounded = MATRIX.copy()
        rounded[:3, :3] = np.round(MATRIX[:3, :3], 3)
        (found,) = read_alignments(registration([rounded]))
        turn = np.array(found.matrix)[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)

    def test_several_matrices_whose_order_does_not_matter(self):
        (found,) = read_alignments(registration([rigid(shift=(1, 2, 3)), rigid(shift=(4, 0, 0)), np.eye(4)]))
        np.testing.assert_allclose(np.array(found.matrix)[:3, 3], (-5, -2, 3))

    def test_a_matrix_called_affine_that_is_rigid_is_taken(self):
        (found,) = read_alignments(registration([MATRIX], kind="AFFINE"))
        np.testing.assert_allclose(found.matrix, LPS_TO_RAS @ MATRIX @ LPS_TO_RAS, atol=1e-9)


class TestRefusals:
    @pytest.mark.parametrize(
        ("matrices", "reason"),
        [
            ([np.diag([1.02, 1.02, 1.02, 1.0])], "scales"),
            ([np.diag([-1.0, 1.0, 1.0, 1.0])], "mirrors"),
            ([np.eye(4) + np.eye(4, k=1) * 0.1], "scales, shears"),
            ([np.vstack([np.eye(4)[:3], [0, 0, 0.1, 1]])], "not one of a map"),
            ([rigid((0, 0, 90)), rigid(shift=(10, 0, 0))], "order matters"),
            ([], "no matrix"),
        ],
    )
    def test_by_name(self, matrices, reason):
        with pytest.raises(DataError, match=reason):
            read_alignments(registration(matrices))

    def test_deformable(self):
        dataset = registration([MATRIX])
        dataset.SOPClassUID = DeformableSpatialRegistrationStorage
        with pytest.raises(DataError, match="deformable"):
            read_alignments(dataset)

    def test_a_frame_that_is_not_named(self):
        dataset = registration([MATRIX])
        del dataset.RegistrationSequence[1].FrameOfReferenceUID
        with pytest.raises(DataError, match="does not name"):
            read_alignments(dataset)

    def test_a_frame_that_is_moved_within_itself(self):
        with pytest.raises(DataError, match="within itself"):
            read_alignments(registration([MATRIX], source=FRAME))

    def test_another_object(self):
        with pytest.raises(DataError, match="not a Spatial Registration"):
            read_alignments(rtplan())


class TestCommonFrame:
    FIRST, SECOND = rigid((10, 0, 0), (1, 2, 3)), rigid((0, 25, -5), (-4, 5, 6))

    def chain(self):
        """Frames a -> b by FIRST and c -> b by SECOND, both in RAS."""
        first = LPS_TO_RAS @ self.FIRST @ LPS_TO_RAS
        second = LPS_TO_RAS @ self.SECOND @ LPS_TO_RAS
        return [
            *read_alignments(registration([first], source="2.25.1", target="2.25.2")),
            *read_alignments(registration([second], source="2.25.3", target="2.25.2")),
        ]

    def test_forwards_backwards_and_through_a_chain(self):
        chain = self.chain()
        backwards = np.linalg.inv(self.SECOND)
        np.testing.assert_allclose(common_frame("2.25.1", "2.25.2", chain), self.FIRST, atol=1e-8)
        np.testing.assert_allclose(common_frame("2.25.2", "2.25.3", chain), backwards, atol=1e-8)
        np.testing.assert_allclose(common_frame("2.25.1", "2.25.3", chain), backwards @ self.FIRST, atol=1e-8)

    def test_a_frame_and_itself(self):
        np.testing.assert_array_equal(common_frame("2.25.1", "2.25.1", []), np.eye(4))

    def test_frames_that_nothing_links(self):
        assert common_frame("2.25.1", "2.25.4", self.chain()) is None
