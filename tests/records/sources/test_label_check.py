"""Labels that mean something else than they say: told by the images, by stated volumes, or by neither."""

import numpy as np
import pytest

from flame.errors import DataError
from flame.records.sources.label_check import (
    FEWEST_VOXELS,
    brightening,
    choose_order,
    foreground,
    relabelled,
    swap_check,
)

NETC, SNFH, ET, RC = 1, 2, 3, 4
SHAPE = (16, 16, 16)
ALL = np.ones(SHAPE, bool)


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[2:6, 2:6, 2:6] = NETC
    array[7:11, 2:6, 2:6] = ET
    array[2:6, 7:11, 2:6] = SNFH
    return array


@pytest.fixture
def images(labels):
    """Normal brain 100 ± 10 on T1w and 200 ± 20 on T1ce; enhancing tumour is 5 deviations brighter on T1ce alone."""
    random = np.random.default_rng(3)
    t1w, t1ce = random.normal(100, 10, SHAPE), random.normal(200, 20, SHAPE)
    t1ce[labels == ET] += 100
    return t1w.astype(np.float32), t1ce.astype(np.float32)


def test_enhancement_is_in_deviations_of_normal_brain(labels, images):
    rises = brightening(labels, *images, ALL)
    # 5 by construction; the median of 64 draws of a difference of two normals has a standard error of 1.25 * 1.4 / 8.
    assert rises[ET] == pytest.approx(5, abs=0.7)
    assert abs(rises[NETC]) < 0.7
    assert abs(rises[SNFH]) < 0.7
    assert RC not in rises
    assert swap_check(rises) == "fits"


def test_units_of_an_image_do_not_matter(labels, images):
    t1w, t1ce = images
    scaled = brightening(labels, t1w * 7 - 3, t1ce / 200 - 1, ALL)
    assert scaled == pytest.approx(brightening(labels, t1w, t1ce, ALL), abs=1e-3)


def test_swapped_labels_are_seen(labels, images):
    swapped = relabelled(labels, {NETC: ET, ET: NETC, SNFH: SNFH})
    assert swap_check(brightening(swapped, *images, ALL)) == "swapped"


def test_enhancing_voxels_that_do_not_brighten_are_doubtful(labels, images):
    t1w, _ = images
    darker = t1w - 20 * (labels == ET)
    assert swap_check(brightening(labels, t1w, darker, ALL)) == "doubtful"


def test_too_little_tells_nothing_unless_necrosis_enhances(labels, images):
    few = labels.copy()
    few[few == ET] = 0
    few.flat[: FEWEST_VOXELS - 1] = ET
    assert swap_check(brightening(few, *images, ALL)) == "unknown"
    all_necrosis = np.where(labels == ET, NETC, 0).astype(np.uint8)
    assert swap_check(brightening(all_necrosis, *images, ALL)) == "doubtful"


def test_without_normal_brain_or_contrast_nothing_is_said(labels, images):
    flat = np.ones(SHAPE, np.float32)
    assert brightening(labels, flat, flat, ALL) == {}
    assert brightening(labels, *images, labels > 0) == {}


def test_background_need_not_be_zero():
    image = np.full(SHAPE, -2.7, np.float32)  # a z-scored image
    image[4:12, 4:12, 4:12] = np.linspace(-1, 1, 512).reshape(8, 8, 8)
    assert foreground(image).sum() == 512


def test_a_noisy_background_is_told_by_brightness():
    image = np.random.default_rng(1).uniform(0, 1, SHAPE)
    image[4:12, 4:12, 4:12] += 100
    assert foreground(image).sum() == 512


DOCUMENTED, CONTRARY = {1: ET, 2: NETC, 3: SNFH}, {1: NETC, 2: ET, 3: SNFH}


def test_stated_volumes_decide_between_orders():
    array = np.array([1] * 40 + [2] * 10 + [3] * 5 + [0] * 9)
    documented = choose_order(array, 2.0, (DOCUMENTED, CONTRARY), {ET: 80, NETC: 20, SNFH: 10})
    assert documented.order == DOCUMENTED
    assert documented.vouched
    contrary = choose_order(array, 2.0, (DOCUMENTED, CONTRARY), {ET: 20, NETC: 80, SNFH: 10})
    assert contrary.order == CONTRARY
    assert contrary.vouched


def test_volumes_that_fit_both_orders_vouch_for_none():
    array = np.array([1] * 20 + [2] * 20)
    chosen = choose_order(array, 1.0, (DOCUMENTED, CONTRARY), {ET: 20, NETC: 20})
    assert chosen.order == DOCUMENTED
    assert not chosen.vouched


def test_volumes_of_another_map_are_refused():
    with pytest.raises(DataError, match="not those of its label map"):
        choose_order(np.array([1] * 40), 1.0, (DOCUMENTED, CONTRARY), {ET: 400, NETC: 0})


def test_values_tell_between_orders_with_and_without_four():
    three, four = {1: NETC, 2: SNFH, 3: ET}, {1: NETC, 2: SNFH, 4: ET}
    assert choose_order(np.array([0, 1, 4]), 1.0, (three, four)).order == four
    assert choose_order(np.array([0, 2, 3]), 1.0, (three, four)).order == three
    with pytest.raises(DataError, match=r"holds 3, 4; the set's labels are 1, 2, 3 or 1, 2, 4"):
        choose_order(np.array([0, 3, 4]), 1.0, (three, four))


def test_interpolated_labels_are_refused():
    with pytest.raises(DataError, match=r"holds 0\.5"):
        choose_order(np.array([0, 0.5, 1.0]), 1.0, (DOCUMENTED,))
