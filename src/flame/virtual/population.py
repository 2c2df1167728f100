"""Who the virtual patients are: latent biology, clinical record, and how sites differ in case mix.

The priors are choices that set how hard the tasks are; `benchmarks/trial_difficulty.py` measures what they give. Of the
latents, proliferation and perfusion leave traces in the baseline images; radiosensitivity, the resistant fraction and
the change of proliferation after radiotherapy are almost invisible before treatment.
"""

from dataclasses import dataclass

import numpy as np

from flame.physics.growth import Biology
from flame.records.patient import Resection, Sex
from flame.virtual.pseudoprogression import Proneness, draw_proneness

__all__ = [
    "CaseMix",
    "Fate",
    "Person",
    "Sensitivity",
    "draw_biology",
    "draw_case_mix",
    "draw_person",
    "draw_sensitivity",
]


@dataclass(frozen=True)
class CaseMix:
    """Which patients come to a site.

    Attributes:
        age_mean: mean age [years].
        core_ml: median volume of the tumour core before surgery [ml].
        resected: probabilities of biopsy, partial and gross total resection; they add up to 1.
        frailty: shift of the latent frailty behind performance status, in standard deviations.
    """

    age_mean: float
    core_ml: float
    resected: tuple[float, float, float]
    frailty: float


@dataclass(frozen=True)
class Sensitivity:
    """How a tumour answers to treatment; latent.

    Attributes:
        alpha: linear sensitivity to photons when oxic [1/Gy].
        alpha_beta: [Gy].
        resistant_fraction: share of cells of a radioresistant clone.
        resistant_factor: its effect relative to the bulk's, at low LET.
        mosaic: standard deviation of the logarithm of the local factor on the effect.
        reoxygenation: share of hypoxia's protection that is left on average over a course, in [0, 1].
        temozolomide_sensitisation: factor on alpha during concomitant temozolomide.
        temozolomide_rate: kill rate during adjuvant temozolomide [1/day].
        rho_after: factor on rho after radiotherapy (acquired change).
    """

    alpha: float
    alpha_beta: float
    resistant_fraction: float
    resistant_factor: float
    mosaic: float
    reoxygenation: float
    temozolomide_sensitisation: float
    temozolomide_rate: float
    rho_after: float


@dataclass(frozen=True)
class Fate:
    """Draws that decide on death and loss from follow-up, the same in every arm.

    Attributes:
        endurance: cumulative hazard at which the patient dies, from an exponential distribution of mean 1.
        dropout_day: days after the start of the course at which follow-up is lost if the patient is still alive.
    """

    endurance: float
    dropout_day: float


@dataclass(frozen=True)
class Person:
    """One virtual patient before any image: the chart, which a site knows, and the latents, which nobody does."""

    age: float
    sex: Sex
    performance_status: int
    mgmt_methylated: bool
    resection: Resection
    biology: Biology
    sensitivity: Sensitivity
    oedema: float
    core_ml: float
    proneness: Proneness
    fate: Fate

    @property
    def is_frail(self) -> bool:
        """Old and frail patients receive the short course of 40.05 Gy in 15 fractions."""
        return self.age >= 70 and self.performance_status >= 2


def draw_case_mix(generator: np.random.Generator) -> CaseMix:
    """A site's case mix."""
    biopsy, partial, total = generator.dirichlet((11.0, 6.0, 3.0))
    return CaseMix(
        age_mean=float(generator.normal(62, 2.5)),
        core_ml=float(np.exp(generator.normal(np.log(26), 0.12))),
        resected=(float(biopsy), float(partial), float(total)),
        frailty=float(generator.normal(0, 0.3)),
    )


def draw_biology(generator: np.random.Generator, vigour: float, perfusion: float) -> Biology:
    """Growth parameters; vigour and perfusion are standard normal latents."""
    rho = 0.0135 * np.exp(0.40 * vigour)
    diffusion = 0.13 * np.exp(0.50 * generator.standard_normal())
    # Front width sqrt(D / rho) between 1.6 and 5 mm, so that a grid of 2 mm resolves it.
    diffusion = np.clip(diffusion, 2.6 * rho, 25 * rho)
    necrosis = 0.09 * np.exp(0.35 * vigour + 0.30 * perfusion + 0.15 * generator.standard_normal())
    return Biology(
        diffusion_white=float(diffusion),
        rho=float(rho),
        necrosis_rate=float(necrosis),
        perfusion_mm=float(3.4 * np.exp(-0.20 * perfusion - 0.10 * vigour)),
        critical_perfusion=0.42,
        debris_days=float(150 * np.exp(0.40 * generator.standard_normal())),
        necrosis_days=250.0,
    )


def draw_sensitivity(generator: np.random.Generator, perfusion: float, methylated: bool) -> Sensitivity:
    """Answer to treatment; `perfusion` is a standard normal latent, and the coupling to MGMT is weak on purpose."""
    side = 1.0 if methylated else -0.7
    draws = generator.standard_normal(5)
    return Sensitivity(
        alpha=float(0.049 * np.exp(0.23 * draws[0] - 0.10 * perfusion + 0.14 * side)),
        alpha_beta=10.0,
        resistant_fraction=float(np.clip(0.06 * np.exp(0.6 * draws[1]), 0.003, 0.3)),
        resistant_factor=0.45,
        mosaic=0.65,
        reoxygenation=0.8,
        temozolomide_sensitisation=1.16 if methylated else 1.06,
        temozolomide_rate=float((0.010 if methylated else 0.004) * np.exp(0.4 * draws[2])),
        rho_after=float(np.exp(0.05 + 0.30 * draws[3])),
    )


def draw_person(generator: np.random.Generator, mix: CaseMix) -> Person:
    """Draw one patient of a site with this case mix."""
    vigour, perfusion, general, frailty = generator.standard_normal(4)
    age = float(np.clip(round(mix.age_mean + 10.5 * (0.4 * vigour + 0.92 * general)), 22, 88))
    methylated = bool(generator.random() < 0.42)
    weakness = 0.9 * frailty + 0.035 * (age - 62) + mix.frailty
    performance = int(np.searchsorted((-0.9, 0.75, 1.9), weakness))
    resection: Resection = ("biopsy", "partial", "gross_total")[int(generator.choice(3, p=mix.resected))]
    return Person(
        age=age,
        sex="M" if generator.random() < 0.6 else "F",
        performance_status=performance,
        mgmt_methylated=methylated,
        resection=resection,
        biology=draw_biology(generator, vigour, perfusion),
        sensitivity=draw_sensitivity(generator, perfusion, methylated),
        oedema=float(np.exp(0.18 * vigour + 0.15 * perfusion + generator.normal(0.05, 0.2))),
        core_ml=float(np.clip(mix.core_ml * np.exp(generator.normal(0, 0.5)), 6, 80)),
        proneness=draw_proneness(generator),
        fate=Fate(
            endurance=float(generator.exponential()),
            dropout_day=float(generator.exponential(365 / 0.12)),
        ),
    )
