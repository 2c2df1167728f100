"""Words that may stay are on a list; a name next to them does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame.dicom.identity.names import DESCRIPTOR_WORDS, STRUCTURES, descriptor, maker, model, sequence_name, structure


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("GTV", "GTV"),
        ("GTV_60", "GTV"),
        ("gtv t1 MARTIN", "GTV"),
        ("GTVp", "GTV"),
        ("PTV60Gy", "PTV"),
        ("CTV high", "CTV"),
        ("OpticNrv_L", "OpticNrv_L"),
        ("Nerf optique G", "OpticNrv_L"),
        ("nerf optique droit", "OpticNrv_R"),
        ("Chiasma", "Chiasm"),
        ("Tronc cérébral", "Brainstem"),
        ("Brain Stem", "Brainstem"),
        ("Cerveau", "Brain"),
        ("Moelle épinière", "SpinalCord"),
        ("Œil D", None),
        ("Eye_R", "Eye_R"),
        ("Cochlee gauche", "Cochlea_L"),
        ("Hippocampus", "Hippocampus"),
        ("BODY", "BODY"),
        ("Tumor bed", "Cavity"),
        ("Enhancing tumor", "Enhancement"),
        ("Non-enhancing tumor core", "NETC"),
        ("necrotic core", "Necrosis"),
        ("ET", "Enhancement"),
        ("ET Martin", None),
        ("GTV et CTV", None),
        ("PTV-GTV", None),
        ("Brain-PTV", None),
        ("PTV ring", None),
        ("Brain minus CTV", None),
        ("GTV+15mm", None),
        ("GTV + 2", None),
        ("GTV_margin", None),
        ("GTV 60Gy", "GTV"),
        ("gtv flair", None),  # oedema is in it
        ("GTV_T2", None),
        ("Edema FLAIR", "Edema"),
        ("z_Dupont", None),
        ("Martin", None),
        ("", None),
    ],
)
def test_a_structure_has_a_standard_name_or_none(written: str, kept: str | None) -> None:
    assert structure(written) == kept


def test_standard_names_stay_as_they_are() -> None:
    assert {name: structure(name) for name in STRUCTURES} == {name: name for name in STRUCTURES}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("T1_MPRAGE_SAG Dupont 12/03", "t1 mprage sag"),
        ("AXT1", "ax t1"),
        ("AX T1 POST GAD martin", "ax t1 post gad"),
        ("T1+C", "t1 c+"),
        ("eT1W_FFE", "t1w ffe"),
        ("t2_tirm_tra_dark-fluid", "t2 tirm tra darkfluid"),
        ("SAG 3D FLAIR 1mm", "sag 3d flair 1mm"),
        ("T1 no contrast", "t1 without contrast"),
        ("T1 s/inj", "t1 without inj"),
        ("T1 C-", "t1 without contrast"),
        ("T1 w/o", "t1 without"),
        ("T1_POST_OP", "t1 postop"),
        ("T1 pre-op", "t1 preop"),
        ("T1 post surgery", "t1 postop"),
        ("T1 POST_RESECTION", "t1 postop"),
        ("T1 post radiation", "t1 post treatment"),
        ("T1 post-chemo", "t1 post treatment"),
        ("T1 post chimio", "t1 post treatment"),
        ("T1 post RT", "t1 post rt"),
        ("T1 post radiotherapy", "t1 post radiotherapy"),
        ("T1 post Martin", "t1 post"),
        ("Dr. Serge Martin 0612345678", ""),
        ("19530417", ""),
        ("Dupont3D", ""),
    ],
)
def test_a_description_keeps_the_words_of_the_field(written: str, kept: str) -> None:
    assert descriptor(written) == kept


@given(st.text(max_size=40))
def test_what_stays_is_on_the_list_and_stays_again(text: str) -> None:
    kept = descriptor(text)
    assert all(word in DESCRIPTOR_WORDS or word.endswith("mm") for word in kept.split())
    assert descriptor(kept) == kept
    for clean in (maker, model, sequence_name):
        assert clean(clean(text)) == clean(text)
    assert structure(text) is None or structure(text) in STRUCTURES


@given(st.lists(st.sampled_from(sorted(DESCRIPTOR_WORDS)), max_size=6))
def test_words_of_the_list_stay_whatever_their_order(words: list[str]) -> None:
    text = " ".join(words)
    assert descriptor(descriptor(text)) == descriptor(text)
    assert descriptor(text).split() == words


def test_makers_models_and_pulse_sequences() -> None:
    assert maker("SIEMENS") == "SIEMENS"
    assert maker("GE MEDICAL SYSTEMS of Martin") == "GE MEDICAL SYSTEMS"
    assert model("MAGNETOM Skyra_fit Keller 2") == "MAGNETOM Skyra_fit"
    assert model("TrueBeamSN2281") == ""
    for name in ("*tfl3d1_16ns", "*tse2d1_17", "*fl2d1", "*spcir_278ns", "*tir2d1_16", "ep_b1000#1", "*se2d1"):
        assert sequence_name(name) == name
    assert sequence_name("*martin3d1") == ""
    assert sequence_name("FLAIR Keller") == "flair"
