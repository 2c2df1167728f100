"""Radiobiology: the linear-quadratic model, equivalent doses, RBE of protons and carbon ions, and oxygen.

Doses are physical unless a name says otherwise; LETd is the dose-averaged linear energy transfer in water.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CARBON_RBE_MODEL",
    "PROTON_RBE_MODEL",
    "bed",
    "carbon_alpha",
    "clinical_proton_dose",
    "eqd2",
    "isoeffective_dose",
    "mcnamara_rbe",
    "oer",
    "proton_alpha",
    "rbe",
    "surviving_fraction",
    "wedenberg_rbe",
]

Values = NDArray[np.float64]

PROTON_RBE_MODEL = "constant-1.1"
CARBON_RBE_MODEL = "carbon-lq-saturating-let"
ANOXIC_A, ANOXIC_B_MMHG, ANOXIC_M = 8.27e5, 2.5, 2.94


def _dose(dose_gy: ArrayLike) -> Values:
    dose = np.asarray(dose_gy, np.float64)
    wrong = ~(np.isfinite(dose) & (dose >= 0))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"dose must be finite and >= 0 Gy, got {dose[where] if dose.ndim else dose} at voxel {where}")
    return dose


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")


def surviving_fraction(dose_gy: ArrayLike, fractions: int, alpha: float, alpha_beta: float) -> Values:
    """Share of cells that survive a fractionated course (linear-quadratic model, Fowler 1989).

    Args:
        dose_gy: total physical dose per voxel [Gy], any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha: linear sensitivity [1/Gy], > 0; 0 would mean that nothing dies.
        alpha_beta: [Gy], > 0; infinity gives pure exponential kill.

    Returns: surviving fraction in [0, 1], same shape as `dose_gy`; 1 where the dose is 0.
    Raises: ValueError: if any dose is negative or not finite; the message names the first voxel.
    """
    _positive(alpha=alpha)
    return np.asarray(np.exp(-alpha * bed(dose_gy, fractions, alpha_beta)))


def bed(dose_gy: ArrayLike, fractions: int, alpha_beta: float) -> Values:
    """Biologically effective dose D (1 + d / (alpha/beta)) [Gy] (Fowler 1989).

    Args:
        dose_gy: total dose [Gy], any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha_beta: [Gy], > 0; infinity gives the dose itself.

    Raises: ValueError: if a dose is negative or not finite, or another argument out of range.
    """
    dose = _dose(dose_gy)
    _positive(fractions=fractions, alpha_beta=alpha_beta)
    return np.asarray(dose * (1 + dose / fractions / alpha_beta))


def eqd2(dose_gy: ArrayLike, fractions: int, alpha_beta: float) -> Values:
    """Total dose in fractions of 2 Gy with the same effect [Gy]: D (d + alpha/beta) / (2 + alpha/beta).

    Args:
        dose_gy: total dose [Gy], any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha_beta: [Gy], > 0.

    Raises: ValueError: if a dose is negative or not finite, or another argument out of range.
    """
    return bed(dose_gy, fractions, alpha_beta) / (1 + 2 / alpha_beta)


def rbe(dose_gy: ArrayLike, rbe_max: ArrayLike, rbe_min: ArrayLike, alpha_beta: float) -> Values:
    """RBE at a dose per fraction from its limits at low and high dose (Carabe-Fernandez 2007).

    Args:
        dose_gy: physical dose per fraction [Gy], any shape, >= 0; at 0 the limit `rbe_max` is returned.
        rbe_max: RBE as the dose goes to 0, = alpha ratio.
        rbe_min: RBE as the dose goes to infinity, = square root of the beta ratio.
        alpha_beta: of photons [Gy], > 0.
    """
    _positive(alpha_beta=alpha_beta)
    dose, low, high = _dose(dose_gy), np.asarray(rbe_max, np.float64), np.asarray(rbe_min, np.float64)
    root = np.sqrt(alpha_beta**2 + 4 * dose * alpha_beta * low + 4 * dose**2 * high**2)
    # (root - ab) / (2 d), written so that small doses keep their digits
    return np.asarray(2 * (alpha_beta * low + dose * high**2) / (root + alpha_beta))


def wedenberg_rbe(dose_gy: ArrayLike, letd: ArrayLike, alpha_beta: float) -> Values:
    """Proton RBE after Wedenberg et al. 2013: RBEmax = 1 + 0.434 LETd / (alpha/beta), RBEmin = 1.

    Args:
        dose_gy: physical dose per fraction [Gy], >= 0.
        letd: [keV/um], >= 0, broadcasts with the dose.
        alpha_beta: of photons [Gy], > 0.
    """
    _positive(alpha_beta=alpha_beta)
    return rbe(dose_gy, 1 + 0.434 * np.asarray(letd, np.float64) / alpha_beta, 1.0, alpha_beta)


def mcnamara_rbe(dose_gy: ArrayLike, letd: ArrayLike, alpha_beta: float) -> Values:
    """Proton RBE after McNamara et al. 2015.

    Args:
        dose_gy: physical dose per fraction [Gy], >= 0.
        letd: [keV/um], >= 0, broadcasts with the dose.
        alpha_beta: of photons [Gy], > 0.
    """
    _positive(alpha_beta=alpha_beta)
    let = np.asarray(letd, np.float64)
    rbe_max = 0.99064 + 0.35605 * let / alpha_beta
    rbe_min = 1.1012 - 0.0038703 * np.sqrt(alpha_beta) * let
    return rbe(dose_gy, rbe_max, rbe_min, alpha_beta)


def clinical_proton_dose(dose_gy: ArrayLike) -> Values:
    """RBE-weighted proton dose as the clinic prescribes it [Gy(RBE)]: 1.1 times the physical dose (ICRU 78)."""
    return 1.1 * _dose(dose_gy)


def proton_alpha(alpha: float, alpha_beta: float, letd: ArrayLike) -> Values:
    """Linear sensitivity to protons [1/Gy] after Wedenberg et al. 2013, from photon `alpha` [1/Gy]."""
    _positive(alpha=alpha, alpha_beta=alpha_beta)
    return np.asarray(alpha * (1 + 0.434 * np.asarray(letd, np.float64) / alpha_beta))


def carbon_alpha(alpha: float, letd: ArrayLike, reference_alpha: float = 0.058) -> Values:
    """Linear sensitivity to carbon ions [1/Gy]: it rises with LETd, peaks near 127 keV/um and falls again (overkill).

    Resistant cells gain more, as in-vitro data show. Slope, peak and exponent are assumptions of this model
    (unverified), chosen to give RBE between 2 and 4 at clinical doses.

    Args:
        alpha: photon sensitivity [1/Gy], > 0.
        letd: [keV/um], >= 0.
        reference_alpha: photon sensitivity at which the slope holds [1/Gy].
    """
    _positive(alpha=alpha, reference_alpha=reference_alpha)
    let = np.asarray(letd, np.float64)
    effective = let / (1 + (let / 160.0) ** 3)
    return np.asarray(alpha * (1 + 0.027 * effective * np.sqrt(reference_alpha / alpha)))


def isoeffective_dose(effect: ArrayLike, fractions: int, alpha: float, alpha_beta: float) -> Values:
    """Photon dose [Gy] in `fractions` fractions that has a given effect -ln(S): the inverse of the LQ model.

    Args:
        effect: -ln of the surviving fraction, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha: photon sensitivity [1/Gy], > 0.
        alpha_beta: [Gy], > 0.
    """
    _positive(fractions=fractions, alpha=alpha, alpha_beta=alpha_beta)
    share = np.asarray(effect, np.float64) / (fractions * alpha)
    return np.asarray(fractions * 2 * share / (1 + np.sqrt(1 + 4 * share / alpha_beta)))


def oer(letd: ArrayLike, oxygen_mmhg: ArrayLike) -> Values:
    """Oxygen enhancement ratio: dose needed at this oxygen pressure over the dose needed in full oxygen.

    (b (a M + L^3) / (a + L^3) + p) / (b + p) with a = 8.27e5, b = 2.5 mmHg, M = 2.94, after Wenzl & Wilkens 2011
    (unverified).

    Args:
        letd: L [keV/um], >= 0.
        oxygen_mmhg: p [mmHg], >= 0; 0 is anoxia.
    """
    cubed = np.asarray(letd, np.float64) ** 3
    oxygen = np.asarray(oxygen_mmhg, np.float64)
    anoxic = (ANOXIC_A * ANOXIC_M + cubed) / (ANOXIC_A + cubed)
    return np.asarray((ANOXIC_B_MMHG * anoxic + oxygen) / (ANOXIC_B_MMHG + oxygen))
