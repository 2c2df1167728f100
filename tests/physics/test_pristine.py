"""Pristine depth-dose curves against range, energy balance and LET."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from flame.physics.pristine import CARBON, DEPTH_STEP_MM, PROTON, depth_dose, proton_range_mm


def _curve(ion, range_mm):
    tables = depth_dose(ion)
    layer = int(np.abs(tables.range_mm - range_mm).argmin())
    depth = np.arange(tables.dose.shape[0]) * DEPTH_STEP_MM
    letd = tables.dose_let[:, layer] / np.maximum(tables.dose[:, layer], 1e-12)
    return depth, tables.dose[:, layer], letd, float(tables.range_mm[layer])


def test_proton_range_rule():
    assert proton_range_mm(100.0) == pytest.approx(10 * 0.0022 * 100.0**1.77)
    # PSTAR: 7.72 cm at 100 MeV and 15.77 cm at 150 MeV.
    assert proton_range_mm(100.0) == pytest.approx(77.2, rel=0.02)
    assert proton_range_mm(150.0) == pytest.approx(157.7, rel=0.02)


@pytest.mark.parametrize("ion", [PROTON, CARBON])
@pytest.mark.parametrize("range_mm", [40.0, 100.0, 160.0])
def test_distal_80_percent_lies_at_the_range(ion, range_mm):
    depth, dose, _, range_mm = _curve(ion, range_mm)
    beyond = depth[dose.argmax() :]
    falling = dose[dose.argmax() :] / dose.max()
    assert float(np.interp(0.8, falling[::-1], beyond[::-1])) == pytest.approx(range_mm, abs=1.0)


@pytest.mark.parametrize("range_mm", [40.0, 100.0, 160.0])
def test_protons_leave_their_energy_but_for_what_neutral_secondaries_carry_away(range_mm):
    depth, dose, _, range_mm = _curve(PROTON, range_mm)
    energy_mev = (range_mm / 10 / 0.0022) ** (1 / 1.77)
    absorbed = trapezoid(dose, depth)  # keV/um x mm = MeV
    lost = 0.4 * 0.012 * range_mm / 10  # 40 % of the energy of 1.2 % of the protons per cm
    assert energy_mev * (1 - 1.2 * lost) < absorbed < energy_mev


def test_let_of_protons_and_carbon_ions_rises_towards_the_peak():
    for ion, entrance, at_peak in ((PROTON, 1.0, 6.0), (CARBON, 14.0, 120.0)):
        _, dose, letd, _ = _curve(ion, 100.0)
        assert letd[0] == pytest.approx(entrance, rel=0.25)
        assert letd[dose.argmax()] == pytest.approx(at_peak, rel=0.25)


def test_only_carbon_has_a_tail_beyond_the_peak():
    depth, proton, _, _ = _curve(PROTON, 100.0)
    _, carbon, letd, range_mm = _curve(CARBON, 100.0)
    beyond = int((range_mm + 20) / DEPTH_STEP_MM)
    assert proton[beyond] / proton[0] < 1e-3
    assert 0.03 < carbon[beyond] / carbon[0] < 0.2
    assert carbon[beyond] > carbon[beyond + 40] > 0
    assert letd[beyond] == pytest.approx(12.0, rel=0.05)
    assert depth[beyond] > range_mm


def test_a_carbon_beam_has_a_sharper_peak_than_protons_without_their_ripple():
    width = {}
    for ion in (PROTON, CARBON):
        _, dose, _, _ = _curve(ion, 160.0)
        width[ion.name] = np.count_nonzero(dose > 0.8 * dose.max())
    assert width["carbon"] < width["proton"]
