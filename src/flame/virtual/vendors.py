"""How departments differ: scanners' makers, what they call a sequence, and what their planning systems leave out."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from flame.records.patient import Sequence

__all__ = ["ADC", "LOCALISER", "Department", "Plane", "Protocol", "department"]

Plane = Literal["axial", "coronal", "sagittal"]
CtFrame = Literal["registered", "same", "alone"]
"""Where the planning CT lies: in its own frame with a registration object, in the frame of the first MR, or alone."""


@dataclass(frozen=True)
class Protocol:
    """The header of one sequence. Times in ms; None is left out, as some makers do."""

    description: str
    scanning: str
    variant: str
    volumetric: bool
    tr: float
    te: float
    ti: float | None = None
    flip: float = 90.0
    train: int = 1
    plane: Plane = "axial"
    name: str | None = None
    agent: str | None = None
    options: str = ""


@dataclass(frozen=True)
class Department:
    """One hospital's equipment and habits.

    Attributes:
        rescaled: MR series carry a slope, as one maker's do.
        absolute_offsets: frame offsets of the dose count from the frame's origin, not from the first plane.
        structures: names of GTV, CTV, PTV and brain.
    """

    manufacturer: str
    model: str
    institution: str
    institution_address: str
    character_set: str
    protocols: Mapping[Sequence, Protocol]
    ct_frame: CtFrame
    rescaled: bool
    absolute_offsets: bool
    planning_maker: str
    planning_model: str
    structures: tuple[str, str, str, str]


LOCALISER = Protocol("localizer", "GR", "SP", False, 20.0, 4.0, flip=40.0)
ADC = Protocol("ep2d_diff_ADC", "EP", "SK", False, 5200.0, 82.0)

_SIEMENS: Mapping[Sequence, Protocol] = MappingProxyType(
    {
        "T1w": Protocol(
            "t1_mprage_sag_p2_iso",
            r"GR\IR",
            r"SK\SP\MP",
            True,
            1900,
            2.6,
            900,
            9,
            plane="sagittal",
            name="*tfl3d1_16ns",
        ),
        "T1ce": Protocol(
            "t1_mprage_sag_p2_iso_gd",
            r"GR\IR",
            r"SK\SP\MP",
            True,
            1900,
            2.6,
            900,
            9,
            plane="sagittal",
            name="*tfl3d1_16ns",
            agent="DOTAREM 15 ml",
        ),
        "T2w": Protocol("t2_tse_tra_p2", "SE", r"SK\SP\OSP", False, 5400, 101, None, 150, 17, name="*tse2d1_17"),
        "FLAIR": Protocol(
            "t2_tirm_tra_dark-fluid", r"SE\IR", r"SK\SP\MP\OSP", False, 9000, 88, 2500, 150, 16, name="*tir2d1_16"
        ),
    }
)
_GE: Mapping[Sequence, Protocol] = MappingProxyType(
    {
        "T1w": Protocol("Ax T1 FSPGR 3D", "GR", r"SS\SP\SK", True, 8.2, 3.2, 450, 12, options="FAST_GEMS"),
        "T1ce": Protocol("Ax T1 FSPGR 3D +C", "GR", r"SS\SP\SK", True, 8.2, 3.2, 450, 12, options="FAST_GEMS"),
        "T2w": Protocol("Ax T2 FRFSE", "SE", r"SK\OSP", False, 4300, 98, None, 111, 19, options="FAST_GEMS"),
        "FLAIR": Protocol("Ax T2 FLAIR", r"SE\IR", r"SK\OSP", False, 9502, 121, 2250, 111, 24, options="FAST_GEMS"),
    }
)
_PHILIPS: Mapping[Sequence, Protocol] = MappingProxyType(
    {
        "T1w": Protocol("sT1W_3D_TFE", "GR", "MP", True, 7.6, 3.5, 950, 8, plane="coronal"),
        "T1ce": Protocol("sT1W_3D_TFE", "GR", "MP", True, 7.6, 3.5, 950, 8, plane="coronal", agent="GADOVIST"),
        "T2w": Protocol("T2W_TSE_CLEAR", "SE", "SK", False, 3000, 80, None, 90, 15),
        "FLAIR": Protocol("FLAIR_longTR_CLEAR", "IR", "SK", False, 11000, 125, 2800, 90, 27),
    }
)

_DEPARTMENTS = (
    Department(
        "SIEMENS",
        "Prisma_fit",
        "Hopital Imaginaire Un",
        "1 place du Songe, 00001 Nulleville",
        "ISO_IR 100",
        _SIEMENS,
        "registered",
        False,
        False,
        "Varian Medical Systems",
        "ARIA RadOnc",
        ("GTV", "CTV", "PTV", "Brain"),
    ),
    Department(
        "GE MEDICAL SYSTEMS",
        "DISCOVERY MR750",
        "Clinique de l'Utopie",
        "2 place du Songe, 00002 Nulleville",
        "ISO_IR 192",
        _GE,
        "same",
        False,
        True,
        "RaySearch Laboratories",
        "RayStation",
        ("GTV_T1c", "CTV", "PTV", "Encephale"),
    ),
    Department(
        "Philips Medical Systems",
        "Achieva",
        "Institut de Nullepart",
        "3 place du Songe, 00003 Nulleville",
        "ISO_IR 192",
        _PHILIPS,
        "alone",
        True,
        False,
        "Philips Medical Systems",
        "Pinnacle3",
        ("GTV1", "CTV1", "PTV1", "BRAIN"),
    ),
)


def department(index: int) -> Department:
    """The department of the site with this index (0, 1, …): three makers in turn."""
    return _DEPARTMENTS[index % len(_DEPARTMENTS)]
