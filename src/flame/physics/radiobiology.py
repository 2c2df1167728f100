"""Radiobiology: linear-quadratic survival, biologically effective dose, RBE of protons and carbon ions, oxygen.

Symbols: D total dose [Gy], n fractions, d = D / n, alpha [1/Gy] and beta [1/Gy^2] of the linear-quadratic model,
LETd dose-averaged linear energy transfer in water [keV/um], RBE relative biological effectiveness against photons.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flame.records.patient import Arm

__all__ = [
    "CLINICAL_RBE_MODEL",
    "RBE_MODELS",
    "REFERENCE_ALPHA",
    "bed",
    "carbon_rbe",
    "carbon_rbe_max",
    "clinical_proton_rbe",
    "dose_rbe",
    "effect",
    "eqd2",
    "isoeffective_dose",
    "lq_rbe",
    "mcnamara_rbe",
    "oer",
    "surviving_fraction",
    "wedenberg_rbe",
]

Values = NDArray[np.floating[Any]]

REFERENCE_ALPHA = 0.058
"""Linear photon sensitivity of the tissue for which carbon doses are prescribed [1/Gy]; near 0.06 of Qi et al. 2006
(unverified)."""


def effect(dose_gy: ArrayLike, fractions: int, alpha: float, alpha_beta: float) -> Values:
    """Biological effect -ln S of a fractionated course: alpha D + beta D^2 / n (linear-quadratic, Fowler 1989).

    Args:
        dose_gy: total physical dose [Gy], any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha: linear sensitivity [1/Gy], >= 0.
        alpha_beta: [Gy], > 0; infinity gives pure exponential kill.

    Returns: effect, >= 0, same shape as `dose_gy`.
    Raises: ValueError: if any dose is negative or not finite (the first is named), or a parameter is out of range.
    """
    _check(fractions, alpha_beta)
    if not alpha >= 0:
        raise ValueError(f"alpha must be >= 0 per Gy, got {alpha}")
    dose = _dose(dose_gy)
    return np.asarray(alpha * dose * (1 + dose / (fractions * alpha_beta)))


def surviving_fraction(dose_gy: ArrayLike, fractions: int, alpha: float, alpha_beta: float) -> Values:
    """Share of cells that survive a fractionated course, exp(-effect); arguments and errors as for `effect`.

    Returns: in (0, 1], same shape as `dose_gy`; 1 where there is no dose.
    """
    return np.exp(-effect(dose_gy, fractions, alpha, alpha_beta))


def bed(dose_gy: ArrayLike, fractions: int, alpha_beta: float) -> Values:
    """Biologically effective dose D (1 + d / (alpha/beta)) [Gy] (Fowler 1989); arguments as for `eqd2`."""
    _check(fractions, alpha_beta)
    dose = _dose(dose_gy)
    return np.asarray(dose * (1 + dose / (fractions * alpha_beta)))


def eqd2(dose_gy: ArrayLike, fractions: int, alpha_beta: float) -> Values:
    """Dose in fractions of 2 Gy with the same effect: D (d + alpha/beta) / (2 + alpha/beta) [Gy].

    Args:
        dose_gy: total dose [Gy], any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha_beta: [Gy], > 0, finite.

    Raises: ValueError: if any dose is negative or not finite, or a parameter is out of range.
    """
    return np.asarray(bed(dose_gy, fractions, alpha_beta) / (1 + 2 / alpha_beta))


def isoeffective_dose(effect: ArrayLike, fractions: int, alpha: float, alpha_beta: float) -> Values:
    """Total photon dose [Gy] in `fractions` that has this effect: the inverse of `effect` in its dose.

    Args:
        effect: -ln S, any shape, >= 0.
        fractions: number of equal fractions, >= 1.
        alpha: linear sensitivity to photons [1/Gy], > 0.
        alpha_beta: [Gy], > 0, finite.
    """
    _check(fractions, alpha_beta)
    if not alpha > 0:
        raise ValueError(f"alpha must be > 0 per Gy, got {alpha}")
    per_fraction = np.asarray(effect) / (fractions * alpha)
    # Equal to alpha_beta / 2 (sqrt(1 + 4 e / alpha_beta) - 1), without its cancellation at small effects.
    return np.asarray(fractions * 2 * per_fraction / (1 + np.sqrt(1 + 4 * per_fraction / alpha_beta)))


def lq_rbe(dose_gy_per_fraction: ArrayLike, alpha_beta: float, rbe_max: ArrayLike, rbe_min: ArrayLike = 1.0) -> Values:
    """RBE at a dose per fraction from its limits at low dose (`rbe_max`) and at high dose (`rbe_min`).

    (sqrt((a/b)^2 + 4 d (a/b) RBEmax + 4 d^2 RBEmin^2) - a/b) / (2 d), Carabe-Fernandez et al. 2007; RBEmax at d = 0.

    Args:
        dose_gy_per_fraction: physical dose of the ion [Gy], >= 0.
        alpha_beta: of photons [Gy], > 0, finite.
    """
    _check(1, alpha_beta)
    dose = _dose(dose_gy_per_fraction)
    high, low = np.asarray(rbe_max, dose.dtype), np.asarray(rbe_min, dose.dtype)
    root = np.sqrt(alpha_beta**2 + 4 * dose * alpha_beta * high + 4 * dose**2 * low**2)
    # The published form times (root + a/b) / (root + a/b): no 0 / 0 at d = 0.
    return np.asarray(2 * (alpha_beta * high + dose * low**2) / (root + alpha_beta))


def clinical_proton_rbe(dose_gy_per_fraction: ArrayLike) -> Values:
    """The constant proton RBE of clinical practice, 1.1 (ICRU Report 78), in the shape of the dose."""
    dose = _dose(dose_gy_per_fraction)
    return np.full(dose.shape, 1.1, dose.dtype)


def wedenberg_rbe(dose_gy_per_fraction: ArrayLike, letd: ArrayLike, alpha_beta: float) -> Values:
    """Proton RBE of Wedenberg et al. 2013: RBEmax = 1 + 0.434 LETd / (alpha/beta), RBEmin = 1.

    Args:
        dose_gy_per_fraction: physical dose [Gy], >= 0.
        letd: [keV/um], >= 0, broadcastable with the dose.
        alpha_beta: of photons [Gy], > 0.
    """
    return lq_rbe(dose_gy_per_fraction, alpha_beta, 1 + 0.434 / alpha_beta * np.asarray(letd))


def mcnamara_rbe(dose_gy_per_fraction: ArrayLike, letd: ArrayLike, alpha_beta: float) -> Values:
    """Proton RBE of McNamara et al. 2015; arguments as for `wedenberg_rbe`.

    RBEmax = 0.99064 + 0.35605 LETd / (alpha/beta), RBEmin = 1.1012 - 0.0038703 sqrt(alpha/beta) LETd.
    """
    let = np.asarray(letd)
    high = 0.99064 + 0.35605 / alpha_beta * let
    low = 1.1012 - 0.0038703 * alpha_beta**0.5 * let
    return lq_rbe(dose_gy_per_fraction, alpha_beta, high, low)


def carbon_rbe_max(letd: ArrayLike, alpha: float = REFERENCE_ALPHA) -> Values:
    """Ratio of carbon's alpha to photons' alpha at a LETd: a rise, then overkill.

    1 + 0.030 L / (1 + L^3 / (2 * 100^3)) * sqrt(0.058 / alpha). The maximum lies at 100 keV/um, where RBE10 of glioma
    lines peaks (85 to 100 keV/um); its height of 3 for the reference tissue and the stronger rise for resistant tumours
    are assumptions that stay inside the range of 2 to 5 reported in vitro.

    Args:
        letd: [keV/um], >= 0.
        alpha: photon sensitivity of the tumour [1/Gy], > 0.
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be > 0 per Gy, got {alpha}")
    let = np.asarray(letd)
    return np.asarray(1 + 0.030 * (REFERENCE_ALPHA / alpha) ** 0.5 * let / (1 + 0.5 * (let / 100) ** 3))


def carbon_rbe(
    dose_gy_per_fraction: ArrayLike, letd: ArrayLike, alpha_beta: float, alpha: float = REFERENCE_ALPHA
) -> Values:
    """Carbon RBE at a dose per fraction: `lq_rbe` with `carbon_rbe_max` and an unchanged beta (RBEmin = 1)."""
    return lq_rbe(dose_gy_per_fraction, alpha_beta, carbon_rbe_max(letd, alpha))


def oer(letd: ArrayLike, oxygen_mmhg: ArrayLike) -> Values:
    """Oxygen enhancement ratio against full oxygenation (after Scifoni et al. 2013; form and constants unverified).

    (b (a M + L^3) / (a + L^3) + p) / (b + p) with a = 8.27e5, b = 2.5 mmHg, M = 2.94: how many times more dose the same
    effect needs. It falls from 2.94 (anoxic, low LET) to 1 (well oxygenated, or very high LET).

    Args:
        letd: [keV/um], >= 0.
        oxygen_mmhg: partial pressure of oxygen [mmHg], >= 0, broadcastable with `letd`.
    """
    cube, pressure = np.asarray(letd) ** 3, np.asarray(oxygen_mmhg)
    a, b, most = 8.27e5, 2.5, 2.94
    return np.asarray((b * (a * most + cube) / (a + cube) + pressure) / (b + pressure))


def _unity(dose: Values, letd: ArrayLike, alpha_beta: float) -> Values:  # noqa: ARG001
    return np.ones_like(dose)


def _clinical(dose: Values, letd: ArrayLike, alpha_beta: float) -> Values:  # noqa: ARG001
    return clinical_proton_rbe(dose)


RBE_MODELS: Mapping[str, Callable[[Values, ArrayLike, float], Values]] = MappingProxyType(
    {
        "constant-1.0": _unity,
        "constant-1.1": _clinical,
        "wedenberg-2013": wedenberg_rbe,
        "mcnamara-2015": mcnamara_rbe,
        "carbon-lq-let": carbon_rbe,
    }
)
"""RBE of a dose per fraction [Gy], LETd [keV/um] and alpha/beta [Gy], by the name that is stored with a dose."""

CLINICAL_RBE_MODEL: Mapping[Arm, str] = MappingProxyType(
    {"photon": "constant-1.0", "proton": "constant-1.1", "carbon": "carbon-lq-let"}
)
"""The RBE model with which each particle is prescribed here."""


def dose_rbe(dose_gy: ArrayLike, letd: ArrayLike, fractions: int, rbe_model: str, alpha_beta: float = 10.0) -> Values:
    """RBE-weighted dose of a course [Gy(RBE)]: physical dose times the RBE at its dose per fraction.

    Args:
        dose_gy: total physical dose [Gy], any shape, >= 0.
        letd: [keV/um], broadcastable with the dose.
        fractions: number of equal fractions, >= 1.
        rbe_model: a name in `RBE_MODELS`.
        alpha_beta: of photons [Gy], > 0; 10 for glioblastoma.

    Raises: ValueError: if the model's name is unknown, or an argument is out of range.
    """
    if rbe_model not in RBE_MODELS:
        raise ValueError(f"unknown RBE model {rbe_model!r}, expected one of {', '.join(RBE_MODELS)}")
    _check(fractions, alpha_beta)
    dose = _dose(dose_gy)
    return np.asarray(dose * RBE_MODELS[rbe_model](dose / fractions, letd, alpha_beta))


def _check(fractions: int, alpha_beta: float) -> None:
    if fractions < 1:
        raise ValueError(f"a course has at least one fraction, got {fractions}")
    if not alpha_beta > 0:
        raise ValueError(f"alpha/beta must be > 0 Gy, got {alpha_beta}")


def _dose(dose_gy: ArrayLike) -> Values:
    """The dose as a floating array; refuses negative and non-finite values and names the first."""
    dose = np.asarray(dose_gy)
    if not np.issubdtype(dose.dtype, np.floating):
        dose = dose.astype(np.float64)
    bad = ~((dose >= 0) & (dose < np.inf))
    if bad.any():
        where = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"dose must be finite and >= 0 Gy, got {dose[where]} at {where}")
    return dose
