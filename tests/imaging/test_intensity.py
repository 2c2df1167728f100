import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.imaging.intensity import zscore

SHAPE = (20, 20, 20)
BRAIN = np.indices(SHAPE)[0] < 15
IMAGE = np.random.default_rng(3).normal(300, 40, SHAPE).astype(np.float32)


def test_the_middle_of_the_brain_has_mean_zero_and_deviation_one():
    found = zscore(IMAGE, BRAIN)
    inside = found[BRAIN]
    core = inside[(inside > np.percentile(inside, 5)) & (inside < np.percentile(inside, 95))]
    assert found.dtype == np.float32
    assert abs(core.mean()) < 1e-3
    assert abs(core.std() - 1) < 1e-3
    assert not found[~BRAIN].any()


@given(st.floats(0.01, 1000), st.floats(-1000, 1000))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_the_scale_of_a_scanner_does_not_matter(gain, shift):
    np.testing.assert_allclose(
        zscore(IMAGE * np.float32(gain) + np.float32(shift), BRAIN), zscore(IMAGE, BRAIN), atol=2e-2
    )


@pytest.mark.parametrize(("share", "fewer"), [(0.01, 10), (0.05, 3)])
def test_a_bright_tumour_moves_the_scale_less_than_that_of_plain_statistics(share, fewer):
    tumour = BRAIN & (np.random.default_rng(1).random(SHAPE) < share)
    bright = np.where(tumour, np.float32(780), IMAGE)
    healthy = BRAIN & ~tumour & (np.abs(IMAGE - 300) < 40)

    def plain(image):
        return (image - image[BRAIN].mean()) / image[BRAIN].std()

    moved = np.abs(zscore(bright, BRAIN) - zscore(IMAGE, BRAIN))[healthy].max()
    assert moved < np.abs(plain(bright) - plain(IMAGE))[healthy].max() / fewer


@pytest.mark.parametrize("value", [0.0, 7.3, -1e6])
def test_a_constant_image_is_zero(value):
    assert not zscore(np.full(SHAPE, value, np.float32), BRAIN).any()


def test_an_empty_brain_gives_zeros():
    assert not zscore(IMAGE, np.zeros(SHAPE, np.bool_)).any()
