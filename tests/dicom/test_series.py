"""Recognition: what each vendor writes is read as what it is; what contradicts itself is not guessed."""

import datetime
import re

import numpy as np
import pytest
from tests.dicom.scanner import (
    AXIAL,
    CORONAL,
    FLAIR_2D,
    MPRAGE,
    SAGITTAL,
    T1_SE,
    T2_TSE,
    enhanced,
    save,
    series,
    turned,
)

from flame.dicom.identity.names import DESCRIPTOR_WORDS, descriptor
from flame.dicom.images.recognise import finding, recognise
from flame.dicom.images.sequences import AFTER_CONTRAST, ASIDE, BEFORE_CONTRAST, NAMES, NOT_CONTRAST
from flame.dicom.series import series_of

EMPTY = np.ones((10, 4, 4), int)


def timing(kind, tr, te, ti=None, flip=None, three_d=False):
    header = {"ScanningSequence": kind.split(), "RepetitionTime": tr, "EchoTime": te}
    if ti is not None:
        header["InversionTime"] = ti
    if flip is not None:
        header["FlipAngle"] = flip
    return header | ({"MRAcquisitionType": "3D"} if three_d else {})


SPACE_FLAIR = timing("SE IR", 5000, 387, 1800, 120, True) | {"SequenceName": "*spcir_242"}
CUBE_FLAIR = timing("SE IR", 7600, 119, 2050, 90, True)
VISTA_FLAIR = timing("SE IR", 4800, 290, 1650, 90, True)
BRAVO = timing("GR", 8.2, 3.2, 450, 12, True)
TFE = timing("GR", 8.1, 3.7, None, 8, True)
T1_FLAIR = timing("SE IR", 2500, 24, 860, 111)
FLASH_2D = timing("GR", 250, 2.5, None, 70)
STIR = timing("SE IR", 4000, 60, 160, 150)
PD = timing("SE", 3000, 14, None, 150)
GRE_T2STAR = timing("GR", 650, 20, None, 20)

HABITS = {
    # Siemens
    "t1_mprage_sag_p2_iso": (MPRAGE, "T1w"),
    "t1_mpr_ns_sag_p2_iso_Gd": (MPRAGE, "T1ce"),
    "t1_tfl3d_tra nativ": (MPRAGE, "T1w"),
    "t1_se_tra KM": (T1_SE, "T1ce"),
    "t1_se_tra nach KM": (T1_SE, "T1ce"),
    "t1_se_tra ohne KM": (T1_SE, "T1w"),
    "t1_fl2d_tra": (FLASH_2D, "T1w"),
    "t1_vibe_fs_tra +KM": (timing("GR", 6, 2.4, None, 10, True), "T1ce"),
    "t1_spc_sag_iso post": (timing("SE", 600, 11, None, 120, True), "T1ce"),
    "t2_tse_tra_512": (T2_TSE, "T2w"),
    "t2_blade_tra": (T2_TSE, "T2w"),
    "t2_spc_sag_p2_iso": (timing("SE", 3200, 408, None, 120, True), "T2w"),
    "t2_tirm_tra_dark-fluid": (FLAIR_2D, "FLAIR"),
    "t2_tirm_tra": (FLAIR_2D, "FLAIR"),
    "t2_spc_da-fl_irprep_sag_p2_iso": (SPACE_FLAIR, "FLAIR"),
    "t2_spc_ir_sag": (SPACE_FLAIR, "FLAIR"),
    # GE
    "Ax T1 FSE": (T1_SE, "T1w"),
    "Ax T1 FSE +C": (T1_SE, "T1ce"),
    "AX T1 POST": (T1_SE, "T1ce"),
    "SAG T1 BRAVO": (BRAVO, "T1w"),
    "Ax BRAVO +C": (BRAVO, "T1ce"),
    "Ax 3D FSPGR IR PREP GD": (BRAVO, "T1ce"),
    "Ax T1 FLAIR": (T1_FLAIR, "T1w"),
    "Ax T1 FLAIR GD": (T1_FLAIR, "T1ce"),
    "Ax T2 FLAIR": (timing("SE IR", 8800, 120, 2250), "FLAIR"),
    "AX T2 PROPELLER": (timing("RM", 5000, 105), "T2w"),
    "Sag CUBE FLAIR": (CUBE_FLAIR, "FLAIR"),
    "Sag CUBE T2 FLAIR POST": (CUBE_FLAIR, "FLAIR"),
    "Ax T2 FRFSE": (T2_TSE, "T2w"),
    # Philips
    "T1W_3D_TFE": (TFE, "T1w"),
    "sT1W_3D_TFE_GADO": (TFE, "T1ce"),
    "T1W_SE": (T1_SE, "T1w"),
    "T2W_TSE": (timing("SE", 3000, 80, None, 90), "T2w"),
    "3D_BRAINVIEW_FLAIR": (VISTA_FLAIR, "FLAIR"),
    "FLAIR_longTR": (timing("SE IR", 11000, 125, 2800), "FLAIR"),
    # Canon
    "FE3D T1": (timing("GR", 13.5, 5.5, None, 20, True), "T1w"),
    "T2 FSE AX": (T2_TSE, "T2w"),
    "FLAIR AX": (timing("SE IR", 10000, 105, 2600), "FLAIR"),
    # French
    "AX T1 SE GADO": (T1_SE, "T1ce"),
    "T1 3D INJ": (TFE, "T1ce"),
    "T1 SE avec injection": (T1_SE, "T1ce"),
    "T1 SE sans injection": (T1_SE, "T1w"),
    # nothing but timing
    "": (MPRAGE, "T1w"),
    "Dupont": (FLAIR_2D, "FLAIR"),
    # not given timing
    "T2 axial": ({}, "T2w"),
}


@pytest.mark.parametrize("name", HABITS, ids=[name.replace(" ", "_") or "unnamed" for name in HABITS])
def test_habits_of_vendors(name):
    header, expected = HABITS[name]
    told = recognised(name, header)
    assert told.sequence == expected, told
    assert told.aside is None
    assert told.three_d == (header.get("MRAcquisitionType") == "3D")


@pytest.mark.parametrize("name", HABITS, ids=[name.replace(" ", "_") or "unnamed" for name in HABITS])
def test_deidentified_names_tell_the_same(name):
    header, expected = HABITS[name]
    assert recognised(descriptor(name), header).sequence == expected


ASIDES = {
    "localizer": ({}, "a localiser"),
    "ep2d_diff_3scan_trace": (timing("EP", 5000, 80), "a diffusion image or map"),
    "ADC": ({}, "a diffusion image or map"),
    "DWI b1000": (timing("EP", 5000, 80), "a diffusion image or map"),
    "Perfusion DSC": (timing("EP", 1500, 30), "a perfusion image or map"),
    "SWI": (timing("GR", 27, 20, None, 15, True), "a susceptibility image"),
    "Ax T2* GRE": (GRE_T2STAR, "a T2* image"),
    "AX GRE": (GRE_T2STAR, "a T2* image"),
    "3D TOF": (timing("GR", 22, 3.6, None, 18, True), "an angiogram"),
    "t2_stir_cor": (STIR, "STIR, which suppresses fat and not fluid"),
    "tirm cor": (STIR, "a STIR image"),
    "PD axial": (PD, "a PD image"),
    "PD T2 tse dual": (PD, "a PD image"),
    "T1 mprage MIP": (MPRAGE, "a projection"),
    "T1 subtraction": (T1_SE, "a subtraction"),
    "ep": (timing("EP", 2000, 30), "functional or echo-planar"),
    "t2 spine sag": (T2_TSE, "not of the brain"),
    "T2 CISS": (T2_TSE, "a steady-state image"),
}


@pytest.mark.parametrize("name", ASIDES)
def test_kept_aside_with_a_reason(name):
    header, what = ASIDES[name]
    told = recognised(name, header)
    assert (told.sequence, told.aside) == (None, what)
    assert told.reasons
    assert finding("P1", "k", told) is None


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "no magnitude image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "a diffusion image or map"),
        ({"DiffusionBValue": 1000.0}, "a diffusion image or map"),
        ({"SequenceName": "*ep_b1000t"}, "a diffusion image or map"),
        ({"Modality": "CT"}, "of modality CT, not MR"),
    ],
    ids=["phase", "ADC", "b-value", "pulse sequence", "CT"],
)
def test_kept_aside_by_other_attributes(header, what):
    assert recognised("t2", T2_TSE | header).aside == what


CONTRADICTIONS = {
    "T1 named, FLAIR timed": ("t1 tra", FLAIR_2D, "named T1 .t1.; but with the timing of FLAIR"),
    "T2 named, T1 timed": ("t2 tra", T1_SE, "named T2 .t2.; but with the timing of T1"),
    "FLAIR named, STIR timed": ("flair cor", STIR, "named FLAIR .flair.; but with the timing of STIR"),
    "T1 FLAIR, timed as FLAIR": ("T1 FLAIR", FLAIR_2D, "named T1 .t1 flair.; but with the timing of FLAIR"),
    "both named": ("t1 t2 tra", {}, "neither its name nor its timing"),
    "nothing": ("", {}, "neither its name nor its timing .not given. says"),
    "odd timing": ("t1", timing("SE", 100, 300), "timing is that of no known sequence"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_a_finding_and_no_guess(case):
    name, header, message = CONTRADICTIONS[case]
    told = recognised(name, header)
    assert (told.sequence, told.aside) == (None, None)
    found = finding("P1", "abcd1234", told)
    assert found.severity == "warning"
    assert "series abcd1234 was not recognised" in found.what
    assert re.search(message, found.what), found.what


@pytest.mark.parametrize(
    ("name", "agent", "expected", "stated"),
    [
        ("t1", "Gadovist", "T1ce", True),
        ("t1", "yes", "T1ce", True),
        ("t1", "NONE", "T1w", True),
        ("t1", None, "T1w", False),
        ("t1 native", "Gadovist", "T1w", True),
        ("t1 gd", None, "T1ce", True),
        ("t1 pre gd", None, "T1w", True),
        ("t1 post rt", None, "T1w", False),
    ],
    ids=["agent", "reduced agent", "denied", "silent", "named native", "named gd", "named pre", "post radiotherapy"],
)
def test_contrast(name, agent, expected, stated):
    told = recognised(name, T1_SE | ({} if agent is None else {"ContrastBolusAgent": agent}))
    assert (told.sequence, told.contrast_stated) == (expected, stated)


def test_the_protocol_speaks_only_where_the_description_is_silent():
    # GE writes the name of the whole exam as the protocol
    whole = T2_TSE | {"ProtocolName": "T1 +C", "SeriesDescription": "Ax T2"}
    assert recognised("Ax T2", whole).sequence == "T2w"
    assert recognised("", T1_SE | {"ProtocolName": "T1 +C"}).sequence == "T1ce"


def test_an_enhanced_image_is_recognised_as_its_classic_slices():
    classic = series(EMPTY, header={"SeriesDescription": "flair", "EchoTime": 95.0})
    image = enhanced(classic)
    image.SeriesDescription, image.EchoPulseSequence, image.MRAcquisitionType = "flair", "SPIN", "3D"
    (found,) = series_of([image])
    assert (found.te, found.slices, found.three_d, found.spacing_mm) == (95.0, 10, True, (1.0, 1.0, 5.0))
    assert recognise(found).sequence is None, "4 mm wide: too small a part of the head"


@pytest.mark.parametrize(("plane", "orientation"), [("axial", AXIAL), ("sagittal", SAGITTAL), ("coronal", CORONAL)])
def test_plane_of_a_turned_stack(plane, orientation):
    images = series(EMPTY, orientation=turned(orientation, np.random.default_rng(1), 25))
    assert series_of(images)[0].plane == plane


def test_a_stack_that_cannot_be_converted_says_so():
    images = series(EMPTY)
    (found,) = series_of([*images[:7], *images[8:]])
    assert "1 slice is missing" in found.trouble


def test_series_come_in_order_of_time_with_their_files(tmp_path):
    late = series(EMPTY, name="a", moment=datetime.datetime(2020, 1, 1, 11))
    early = series(EMPTY, name="b", moment=datetime.datetime(2020, 1, 1, 10))
    files = save([*late, *early], tmp_path)
    first, second = series_of(files)
    assert (first.seconds, second.seconds) == (36000, 39600)
    assert set(first.files) | set(second.files) == set(files)
    assert len(first.files) == 10


def test_an_enhanced_image_was_taken_when_its_acquisition_says_and_not_when_it_was_computed():
    one = enhanced(series(EMPTY))
    for keyword in ("AcquisitionDate", "AcquisitionTime"):
        if keyword in one:
            delattr(one, keyword)
    one.AcquisitionDateTime, one.ContentDate, one.ContentTime = "20200102101530.5-0500", "20200109", "080000"
    (found,) = series_of([one])
    assert (found.date, found.seconds) == (datetime.date(2020, 1, 2), 10 * 3600 + 15 * 60 + 30.5)


def test_every_word_of_the_tables_survives_deidentification():
    words = set().union(*(one.words for one in (*ASIDE, *NAMES)), AFTER_CONTRAST, BEFORE_CONTRAST, NOT_CONTRAST)
    assert words - DESCRIPTOR_WORDS == set()


def recognised(name, header):
    images = series(EMPTY, spacing=(60.0, 60.0, 15.0), header={"SeriesDescription": name} | header)
    (found,) = series_of(images)
    return recognise(found)


@pytest.mark.parametrize(
    "name", ["T1 no contrast", "T1 w/o", "T1 C-", "T1 non injecte", "T1 s/inj", "T1_POST_OP", "T1 pre-op", "T1 POST-OP"]
)
def test_denied_contrast_and_operations_are_not_taken_for_contrast(name):
    assert recognised(name, T1_SE).sequence == "T1w"
    assert recognised(descriptor(name), T1_SE).sequence == "T1w"
