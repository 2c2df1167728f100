import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame.imaging.nyul import PERCENTILES, combine, landmarks, scale_part, standardised

BRAIN = np.ones((12, 12, 12), bool)


def _image(seed, loc=100.0, scale=10.0):
    return np.random.default_rng(seed).normal(loc, scale, BRAIN.shape).astype(np.float32)


class TestLandmarks:
    def test_they_are_percentiles_of_the_brain_alone(self):
        image = np.arange(1001, dtype=np.float32).reshape(7, 11, 13)
        brain = image >= 0
        np.testing.assert_allclose(landmarks(image, brain), np.array(PERCENTILES) * 10, atol=1e-3)
        half = image >= 500
        assert landmarks(image, half)[0] == pytest.approx(505.0)

    def test_an_image_without_contrast_is_refused(self):
        with pytest.raises(ValueError, match="constant in the brain: 3"):
            landmarks(np.full(BRAIN.shape, 3, np.float32), BRAIN)
        with pytest.raises(ValueError, match="empty"):
            landmarks(_image(1), ~BRAIN)


class TestScale:
    def test_two_sites_give_exactly_the_scale_of_pooled_images(self):
        found = [landmarks(_image(seed, 50 * seed, 3 + seed), BRAIN) for seed in range(1, 9)]
        sites = [scale_part(found[:3]), scale_part(found[3:])]
        np.testing.assert_allclose(combine(sites), combine([scale_part(found)]), rtol=1e-14)

    def test_it_runs_from_0_to_100_and_never_falls(self):
        scale = combine([scale_part([landmarks(_image(1), BRAIN)])])
        assert scale[0] == 0
        assert scale[-1] == pytest.approx(100)
        assert (np.diff(scale) >= 0).all()

    def test_a_site_without_images_counts_for_nothing(self):
        full = scale_part([landmarks(_image(1), BRAIN)])
        np.testing.assert_array_equal(combine([full, scale_part([])]), combine([full]))
        with pytest.raises(ValueError, match="no site"):
            combine([scale_part([])])


class TestStandardised:
    @given(gain=st.floats(0.1, 50), offset=st.floats(-200, 200), knee=st.floats(0.3, 3))
    def test_a_scanner_that_bends_brightness_at_a_landmark_changes_nothing(self, gain, offset, knee):
        image = _image(4)
        own = landmarks(image, BRAIN)
        scale = combine([scale_part([landmarks(_image(7, 300, 40), BRAIN)])])
        middle = own[5]
        bent = (gain * np.where(image > middle, middle + knee * (image - middle), image) + offset).astype(np.float32)
        one = standardised(image, own, scale)
        other = standardised(bent, landmarks(bent, BRAIN), scale)
        np.testing.assert_allclose(other, one, atol=0.05)

    def test_landmarks_land_on_the_scale(self):
        image = _image(4)
        own = landmarks(image, BRAIN)
        scale = combine([scale_part([landmarks(_image(7, 300, 40), BRAIN)])])
        np.testing.assert_allclose(
            landmarks(standardised(image, own, scale), BRAIN), scale, atol=0.02
        )  # between voxels

    def test_ties_do_not_divide_by_zero(self):
        image = np.repeat(np.array([0, 1, 2], np.float32), [600, 600, 528]).reshape(BRAIN.shape)
        found = standardised(image, landmarks(image, BRAIN), np.linspace(0, 100, len(PERCENTILES)))
        assert np.isfinite(found).all()
        assert (np.diff(found.ravel()) >= 0).all()
