"""Scanners differ by site and always acquire T1ce."""

import numpy as np

from flame.virtual.scanner import SLICE_MM, draw_scanner


def test_field_and_slices_alternate_by_site():
    scanners = [draw_scanner(np.random.default_rng(index), index) for index in range(6)]
    assert [s.field_t for s in scanners] == [3.0, 1.5, 3.0, 1.5, 3.0, 1.5]
    assert [s.slice_mm for s in scanners] == [*SLICE_MM, SLICE_MM[0]]
    assert all(s.missing[1] == 0 for s in scanners)


def test_low_field_is_noisier_on_average():
    high = [draw_scanner(np.random.default_rng(seed), 0).noise for seed in range(50)]
    low = [draw_scanner(np.random.default_rng(seed), 1).noise for seed in range(50)]
    assert np.mean(low) > 1.6 * np.mean(high)
