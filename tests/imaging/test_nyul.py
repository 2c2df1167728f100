import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame.errors import DataError
from flame.files import write_json
from flame.imaging.nyul import PERCENTILES, Scale, landmarks, read_scale, standardised, stretched, write_scale

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


SCALE = np.array([0, 8, 20, 33, 41, 50, 55, 61, 72, 85, 100.0])


class TestStretched:
    def test_it_runs_from_0_to_100_and_never_falls(self):
        found = stretched(landmarks(_image(1), BRAIN))
        assert found[0] == 0
        assert found[-1] == pytest.approx(100, rel=1e-15)
        assert (np.diff(found) >= 0).all()

    @given(gain=st.floats(0.1, 50), offset=st.floats(-200, 200))
    def test_gain_and_offset_are_gone(self, gain, offset):
        own = landmarks(_image(2), BRAIN)
        np.testing.assert_allclose(stretched(gain * own + offset), stretched(own), atol=1e-8)


class TestFile:
    def test_it_comes_back_as_it_was(self, tmp_path):
        scale = Scale(landmarks={"T1ce": tuple(SCALE), "FLAIR": tuple(SCALE**2 / 100)})
        write_scale(tmp_path / "scale.json", scale)
        assert read_scale(tmp_path / "scale.json") == scale

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"landmarks": {}}, "landmarks"),
            ({"landmarks": {"T1ce": [0, 50, 100]}}, "at least 11"),
            ({"landmarks": {"T1ce": [*SCALE[:-1], 99]}}, "run from 0 to 100"),
            ({"landmarks": {"T1ce": [0, 9, 8, *SCALE[3:]]}}, "never fall"),
            ({"landmarks": {"PET": [*SCALE]}}, "PET"),
            ({"percentiles": [*PERCENTILES[:-1], 98]}, "percentiles are 1, 10"),
            ({"format": "flame-scale/9"}, "format"),
        ],
    )
    def test_what_is_no_scale_is_refused(self, tmp_path, change, where):
        write_json(tmp_path / "scale.json", {"landmarks": {"T1ce": list(SCALE)}} | change)
        with pytest.raises(DataError, match=where):
            read_scale(tmp_path / "scale.json")


class TestStandardised:
    @given(gain=st.floats(0.1, 50), offset=st.floats(-200, 200), knee=st.floats(0.3, 3))
    def test_a_scanner_that_bends_brightness_at_a_landmark_changes_nothing(self, gain, offset, knee):
        image = _image(4)
        own = landmarks(image, BRAIN)
        middle = own[5]
        bent = (gain * np.where(image > middle, middle + knee * (image - middle), image) + offset).astype(np.float32)
        one = standardised(image, own, SCALE)
        other = standardised(bent, landmarks(bent, BRAIN), SCALE)
        np.testing.assert_allclose(other, one, atol=0.1)  # the median lies between two voxels

    def test_landmarks_land_on_the_scale(self):
        image = _image(4)
        own = landmarks(image, BRAIN)
        np.testing.assert_allclose(
            landmarks(standardised(image, own, SCALE), BRAIN), SCALE, atol=0.02
        )  # between voxels

    def test_ties_do_not_divide_by_zero(self):
        image = np.repeat(np.array([0, 1, 2], np.float32), [600, 600, 528]).reshape(BRAIN.shape)
        found = standardised(image, landmarks(image, BRAIN), np.linspace(0, 100, len(PERCENTILES)))
        assert np.isfinite(found).all()
        assert (np.diff(found.ravel()) >= 0).all()
