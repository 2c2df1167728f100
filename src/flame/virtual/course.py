"""A course of radiotherapy as it happens to a virtual tumour, and the months after it, until death or the last exam.

Richer on purpose than what any model in FLAME fits: hypoxia with an oxygen enhancement ratio that falls with LET,
alpha that rises with LET, a resistant clone, a mosaic of sensitivities, temozolomide, and proliferation that changes
after treatment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flame.physics.growth import Medium, State, advance
from flame.physics.radiobiology import oer
from flame.records.patient import Arm
from flame.virtual.observation import core_ml
from flame.virtual.population import Person, Sensitivity

__all__ = ["BASELINE_DAY", "FATAL_ML", "HORIZONS", "Future", "Irradiation", "follow", "schedule", "surviving_fraction"]

BASELINE_DAY = -14
"""Day of the baseline exam; day 0 is the first fraction."""

HORIZONS = (28, 91, 182, 273, 365)
"""Exams after the end of the course [day]."""

FATAL_ML = 110.0
"""Tumour core that no patient survives: a sphere of 3 cm radius (Swanson's fatal burden, 113 ml; unverified)."""

ADJUVANT = (28, 196)
"""Adjuvant temozolomide from and to [days after the end]: six cycles of 28 days."""

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Irradiation:
    """One series of equal fractions with one particle: `dose_gy` [Gy, physical, sum], `letd` [keV/um], (x, y, z)."""

    particle: Arm
    dose_gy: Field
    letd: Field
    fractions: int


@dataclass(frozen=True, eq=False)
class Future:
    """What becomes of a tumour under one arm: states at the horizons that the patient lives to see, day of death."""

    end_day: int
    states: tuple[tuple[int, State], ...]
    death_day: int | None


def schedule(fractions: int) -> int:
    """Day of the last fraction when the first is on Monday, day 0, with five a week: 39 for 30 fractions."""
    return 7 * ((fractions - 1) // 5) + (fractions - 1) % 5


def _alpha(sensitivity: Sensitivity, irradiation: Irradiation) -> Field | float:
    """Linear sensitivity at each voxel's LET [1/Gy].

    Protons after Wedenberg et al. 2013. Carbon rises with LET to a maximum near 127 keV/um and falls again (overkill),
    more so for resistant cells, as in-vitro RBE does; slope and maximum are assumptions of the virtual trial.
    """
    alpha, letd = sensitivity.alpha, irradiation.letd
    if irradiation.particle == "proton":
        return np.asarray(alpha * (1 + 0.434 * letd / sensitivity.alpha_beta), np.float32)
    if irradiation.particle == "carbon":
        effective = letd / (1 + (letd / 160.0) ** 3)
        return np.asarray(alpha * (1 + 0.042 * effective * (0.058 / alpha) ** 0.5), np.float32)
    return alpha


def surviving_fraction(irradiation: Irradiation, sensitivity: Sensitivity, hypoxia: Field, mosaic: Field) -> Field:
    """Share of viable cells in each voxel that survives a series of fractions.

    Linear-quadratic per fraction, for the bulk and for a resistant clone. High LET evens out hypoxia, the mosaic and
    the clone's resistance.

    Args:
        hypoxia: in [0, 1], shape (x, y, z).
        mosaic: local factor on the effect, > 0, same shape.

    Returns: float32 in (0, 1], same shape.
    """
    letd = irradiation.letd if irradiation.particle != "photon" else np.zeros_like(irradiation.letd)
    protection = 1 + sensitivity.reoxygenation * hypoxia * (oer(letd, 0.0) - 1)
    fraction_gy = irradiation.dose_gy / irradiation.fractions / protection
    evening = np.clip(letd / 110.0, 0, 1) if irradiation.particle == "carbon" else np.zeros_like(letd)
    linear = _alpha(sensitivity, irradiation) * sensitivity.temozolomide_sensitisation * fraction_gy
    quadratic = sensitivity.alpha / sensitivity.alpha_beta * fraction_gy**2
    effect = mosaic ** (1 - 0.5 * evening) * irradiation.fractions * (linear + quadratic)
    clone = sensitivity.resistant_factor + (1 - sensitivity.resistant_factor) * evening
    share = sensitivity.resistant_fraction
    return np.asarray((1 - share) * np.exp(-effect) + share * np.exp(-clone * effect), np.float32)


@dataclass
class _Clock:
    """A tumour on its way through time: its state, its day, and the hazard that has added up."""

    state: State
    medium: Medium
    person: Person
    hazard: float = 0.0
    death_day: int | None = None

    def treat(self, until: float, kill_rate: Field | float = 0.0) -> None:
        """Advance to day `until` of the course. Nobody dies: the trial is of patients who completed treatment."""
        days = until - self.state.day
        self.state = advance(self.state, self.medium, self.person.biology, days, kill_rate)

    def run(self, until: float, kill_rate: float, rho_factor: float) -> None:
        """Advance to day `until`, in stretches of at most two weeks, unless the patient dies on the way."""
        while self.death_day is None and self.state.day < until - 1e-9:
            days = min(14.0, until - self.state.day)
            self.state = advance(self.state, self.medium, self.person.biology, days, kill_rate, rho_factor)
            core = core_ml(self.state, self.medium.spacing_mm)
            yearly = 0.08 * np.exp(0.35 * (self.person.performance_status - 1)) + 1.3 * (core / 60) ** 2
            self.hazard += yearly * days / 365
            if core > FATAL_ML or self.hazard > self.person.fate.endurance:
                self.death_day = round(self.state.day)


def follow(
    baseline: State,
    medium: Medium,
    person: Person,
    irradiations: Sequence[Irradiation],
    mosaic: Field,
    horizons: Sequence[int] = HORIZONS,
) -> Future:
    """Treat the tumour of the baseline exam and follow it.

    Args:
        baseline: state on `BASELINE_DAY`; its `day` is taken as that day whatever it says.
        irradiations: the parts of the course, given one after another.
        mosaic: local factor on radiation effect, shape (x, y, z).
        horizons: days after the end of the course at which a state is kept, increasing.
    """
    start = State(float(BASELINE_DAY), baseline.viable, baseline.dying, baseline.necrosis, baseline.hypoxia)
    clock = _Clock(start, medium, person)
    clock.treat(0.0)
    total = sum(part.fractions for part in irradiations)
    given = 0
    for part in irradiations:
        begin, given = clock.state.day, given + part.fractions
        until = float(schedule(given) + 1)
        survival = surviving_fraction(part, person.sensitivity, clock.state.hypoxia, mosaic)
        rate = -np.log(np.maximum(survival, np.float32(1e-12))) / np.float32(until - begin)
        clock.treat(until, rate.astype(np.float32))
    end = schedule(total)
    states: list[tuple[int, State]] = []
    stops = sorted({*horizons, *(day for day in ADJUVANT if day < horizons[-1])})
    for stop in stops:
        adjuvant = ADJUVANT[0] < stop <= ADJUVANT[1]
        kill = person.sensitivity.temozolomide_rate if adjuvant else 0.0
        clock.run(float(end + stop), kill, person.sensitivity.rho_after)
        if clock.death_day is not None:
            break
        if stop in horizons:
            states.append((stop, clock.state))
    return Future(end, tuple(states), clock.death_day)
