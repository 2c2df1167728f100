"""Ion fields in water: flatness, LET, tail, range and set-up errors."""

import numpy as np
import pytest
from tests.physics.phantoms import water

from flame.physics import ions
from flame.physics.pristine import CARBON, PROTON
from flame.physics.radiobiology import dose_rbe

SPACING = np.full(3, 2.5)
DEEP = slice(32, 56)
"""The target of 60 mm reaches from 80 to 140 mm."""


def _proton(dose, letd):  # noqa: ARG001
    return np.float32(1.1) * dose


def _carbon(dose, letd):
    return dose_rbe(dose, letd, 3, "carbon-lq-let").astype(np.float32)


def _target():
    target = np.zeros((96, 60, 60), bool)
    target[DEEP, 20:40, 20:40] = True
    return target


def _irradiate(ion, weighting, prescription, **errors):
    settings = ions.IonSettings(angles=((0.0, 0.0),))
    return ions.irradiate(water(), _target(), SPACING, ion, prescription, weighting, settings=settings, **errors)


@pytest.mark.parametrize(
    ("ion", "weighting", "prescription", "letd", "entrance"),
    [(PROTON, _proton, 60.0, (1.6, 3.7), (0.6, 0.8)), (CARBON, _carbon, 15.0, (34.0, 76.0), (0.45, 0.65))],
)
def test_spread_out_peak_is_flat_and_its_let_rises(ion, weighting, prescription, letd, entrance):
    given = _irradiate(ion, weighting, prescription)
    axis = weighting(given.dose_gy, given.letd)[:, 30, 30] / prescription
    assert axis[DEEP][1:-1] == pytest.approx(1.0, abs=0.02)
    assert given.letd[DEEP, 30, 30][[0, -1]] == pytest.approx(letd, rel=0.12)
    assert (np.diff(given.letd[DEEP, 30, 30]) > 0).all()
    assert entrance[0] < axis[2] < entrance[1]


def test_beyond_the_target_protons_stop_and_carbon_fragments_go_on():
    proton = _irradiate(PROTON, _proton, 60.0).dose_gy[:, 30, 30]
    carbon = _irradiate(CARBON, _carbon, 15.0).dose_gy[:, 30, 30]
    # 35 mm beyond the target, well past the range margin of 3.5 % + 3 mm and the fall-off.
    assert proton[70] < 1e-3 * proton[48]
    assert 0.02 < carbon[70] / carbon[48] < 0.15
    assert carbon[70] > carbon[80] > 0


def test_range_error_pulls_the_distal_edge_back():
    planned = _irradiate(PROTON, _proton, 60.0).dose_gy[:, 30, 30]
    delivered = _irradiate(PROTON, _proton, 60.0, range_error=0.03).dose_gy[:, 30, 30]

    def edge(curve):
        beyond = curve[50:70]
        return float(np.interp(-30.0 / 1.1, -beyond, np.arange(50, 70) * 2.5))

    # The edge lies near 148 mm of water; 3 % more stopping power brings it 3 / 103 nearer.
    assert edge(planned) - edge(delivered) == pytest.approx(edge(planned) * 0.03 / 1.03, abs=0.5)


def test_a_set_up_error_moves_the_dose():
    planned = _irradiate(PROTON, _proton, 60.0).dose_gy
    moved = _irradiate(PROTON, _proton, 60.0, shift_mm=(0.0, 5.0, 0.0)).dose_gy
    assert moved[:, 2:] == pytest.approx(planned[:, :-2], abs=1e-3)


def test_scattering_grows_with_depth_and_is_less_for_carbon():
    depth = np.array([0.0, 50.0, 100.0], np.float32)
    proton, carbon = (ions.scattering_mm(depth, 100.0, ion) for ion in (PROTON, CARBON))
    assert proton[0] == 0
    # Multiple scattering spreads a proton beam by 2 to 2.5 % of its range at the end.
    assert 2.0 < proton[2] < 3.6
    assert (np.diff(proton) > 0).all()
    assert carbon * 3.6 == pytest.approx(proton)
