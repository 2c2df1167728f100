"""What names, image types and timings of MR series mean: tables, in the words that survive de-identification.

Words are those of `names.DESCRIPTOR_WORDS`. Habits covered: Siemens (mprage, tfl3d, spc, tirm, dark-fluid), GE (BRAVO,
FSPGR, CUBE, PROPELLER, T1 FLAIR, +C), Philips (TFE, FFE, VISTA, BRAINVIEW), Canon (FE3D, FASE, MVOX), in English,
French and German. Timings [ms] are the usual ranges of brain protocols at 1.5 and 3 T, wide enough for old machines.
"""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AFTER_CONTRAST",
    "ASIDE",
    "BEFORE_CONTRAST",
    "NAMES",
    "NOT_CONTRAST",
    "NO_AGENT",
    "PULSES",
    "TIMINGS",
    "Aside",
    "Name",
    "Timing",
    "Weighting",
]

Weighting = Literal["T1", "T2", "FLAIR", "STIR", "PD", "T2*"]


@dataclass(frozen=True)
class Aside:
    """A kind of series that is kept aside: by any of these words, image types or names of a pulse sequence."""

    what: str
    words: frozenset[str]
    types: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ASIDE = (
    Aside(
        "a localiser",
        _words("localizer localiser loc scout survey topogram smartbrain aahead calibration calib"),
        _words("LOCALIZER SCOUT"),
    ),
    Aside(
        "a diffusion image or map",
        _words("adc eadc dwi dti diff diffusion trace tracew fa b0 b500 b700 b800 b1000 b2000"),
        _words("ADC EADC DIFFUSION TRACEW FA CALC_BVALUE ADC_UNSPECIFIED"),
    ),
    Aside(
        "a perfusion image or map",
        _words("perf perfusion dsc dce asl pasl pcasl cbv rcbv cbf mtt ttp ktrans"),
        _words("PERFUSION CBV RCBV CBF RCBF MTT TTP TMAX ASL KTRANS"),
    ),
    Aside("a susceptibility image", _words("swi swan swip venobold qsm"), _words("SWI MNIP QSM")),
    Aside("a T2* image", _words("t2star")),
    Aside("an angiogram", _words("tof angio mra mrv pca venous veno arterial"), _words("TOF PCA VELOCITY")),
    Aside("functional or echo-planar", _words("bold fmri epi ep2d"), _words("FMRI BOLD")),
    Aside("spectroscopy", _words("spectro mrs csi svs"), _words("SPECTROSCOPY CSI SVS")),
    Aside("a projection", _words("mip minip"), frozenset({"MIP", "MINIP", "PROJECTION IMAGE", "PROJECTION"})),
    Aside(
        "a subtraction",
        _words("sub subtraction subtracted"),
        _words("SUBTRACT SUBTRACTION SUBTRACTED SUB"),
    ),
    Aside("a map", _words("map maps"), frozenset({"MAP", "T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "B0 MAP", "B1 MAP"})),
    Aside(
        "no magnitude image",
        _words("phase"),
        frozenset({"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}),
    ),
    Aside("one of the images of MP2RAGE", _words("mp2rage")),
    Aside("a double or phase-sensitive inversion recovery", _words("dir psir")),
    Aside("a steady-state image", _words("ciss fiesta trufi bssfp")),
    Aside("not of the brain", _words("spine orbit orbits")),
    Aside("STIR, which suppresses fat and not fluid", _words("stir")),
    Aside("fat, water or opposed-phase image of a Dixon series", _words("opp inphase"), _words("OPP_PHASE FAT")),
    Aside("a picture of a page", frozenset(), frozenset({"SCREEN SAVE", "SCREENSAVE", "REPORT"})),
)


@dataclass(frozen=True)
class Name:
    """Words that say a weighting when all of them are there; the first of the table that fits counts."""

    weighting: Weighting
    words: frozenset[str]


NAMES = (
    # GE calls a T1-weighted inversion recovery "T1 FLAIR"
    Name("T1", _words("t1 flair")),
    Name("T1", _words("t1w flair")),
    *(Name("FLAIR", _words(words)) for words in ("flair", "darkfluid", "dark fluid", "t2 tirm", "t2w tirm")),
    *(Name("PD", _words(words)) for words in ("pd", "pdw")),
    *(Name("T1", _words(words)) for words in ("t1", "t1w", "t1wi", "t1c", "t1ce", "t1gd", "mprage", "bravo")),
    *(Name("T2", _words(words)) for words in ("t2", "t2w", "t2wi")),
    *(Name("T1", _words(words)) for words in ("spgr", "fspgr", "vibe", "lava", "thrive", "tfl", "fl3d", "fl2d")),
)

PULSES: tuple[tuple[str, Weighting], ...] = (
    ("tfl3d", "T1"),
    ("tfl_3d", "T1"),
    ("bravo", "T1"),
    ("efgre3d", "T1"),
    ("fspgr", "T1"),
    ("fl3d", "T1"),
    ("fl2d", "T1"),
)
"""Beginnings of a pulse sequence's name, after an asterisk, that say a weighting."""


@dataclass(frozen=True)
class Timing:
    """Ranges of repetition, echo and inversion time [ms] that say a weighting; without `ti` there is no inversion.

    `pulses` are `SE` (spin echo, also after an inversion) and `GR` (gradient echo); flip angle in degrees.
    """

    weighting: Weighting
    pulses: frozenset[str]
    tr: tuple[float, float]
    te: tuple[float, float]
    ti: tuple[float, float] | None = None
    flip: tuple[float, float] = (0.0, 181.0)


_ANY = math.inf
TIMINGS = (
    Timing("FLAIR", _words("SE"), (3500, _ANY), (60, 800), (1400, 3300)),
    Timing("STIR", _words("SE"), (1000, _ANY), (0, 800), (50, 350)),
    Timing("T1", _words("SE GR"), (3, 4000), (0, 40), (350, 1400)),
    Timing("T1", _words("SE"), (150, 1300), (0, 40)),
    Timing("T1", _words("GR"), (2, 700), (0, 11), flip=(5, 91)),
    Timing("T2*", _words("GR"), (12, _ANY), (11, 80)),
    Timing("T2", _words("SE"), (1300, _ANY), (60, 800)),
    Timing("PD", _words("SE"), (1300, _ANY), (0, 50)),
)

AFTER_CONTRAST = _words(
    "c+ gd gado gadolinium gadovist dotarem prohance clariscan contrast contraste ce km kontrast inj injection injecte "
    "injected post enhanced postcontrast postgd t1c t1ce t1gd apc"
)
BEFORE_CONTRAST = _words("pre precontrast pregd without sans ohne native nativ natif unenhanced vor")
NOT_CONTRAST = _words("rt radiotherapy radiotherapie treatment")
"""After `post` or `pre`, these words tell of radiotherapy, not contrast."""
NO_AGENT = _words("none no non sans without ohne nein n 0 nil")
