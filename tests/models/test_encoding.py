"""What a model sees of a patient: names, scales, unknowns, distances, and nothing from later exams."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.patients import ball, patient

from flame.imaging.prepare import PreparedPatient
from flame.models.encoding import (
    encode,
    halved,
    is_clinical,
    region_maps,
    scalar_names,
    signed_distance,
    volume_names,
)


def known(prepared: PreparedPatient) -> PreparedPatient:
    """The patient with a record in which much is known."""
    record = replace(prepared.patient, age=75.0, sex="F", mgmt_methylated=True, resection="partial")
    return replace(prepared, patient=record)


PATIENT = known(patient(radii_mm=(25.0, 20.0), days=(-14, 70), arm="proton"))


def _scalar(patient, context, name):
    return encode(patient, patient.courses[0], context).scalars[scalar_names(context).index(name)]


def _channel(patient, context, name):
    return encode(patient, patient.courses[0], context).volumes[volume_names(context).index(name)]


@pytest.mark.parametrize("context", ["pre_rt", "first_post_rt"])
class TestNames:
    def test_every_channel_and_scalar_has_a_name_of_its_own(self, context):
        seen = encode(PATIENT, PATIENT.courses[0], context)
        assert len(set(volume_names(context))) == len(seen.volumes)
        assert len(set(scalar_names(context))) == len(seen.scalars)
        assert (seen.volumes.dtype, seen.scalars.dtype) == (np.float16, np.float32)

    def test_nothing_clinical_was_measured_on_an_image(self, context):
        small = known(patient(radii_mm=(20.0, 10.0), days=(-14, 70), arm="proton"))
        names = scalar_names(context)
        large, small = (encode(p, p.courses[0], context).scalars for p in (PATIENT, small))
        assert not [name for name, a, b in zip(names, large, small, strict=True) if a != b and is_clinical(name)]
        assert (large != small).any()


class TestEncode:
    def test_known_values_are_scaled_and_unknown_ones_say_so(self):
        made = patient(radii_mm=(25.0,), days=(-14,))
        nobody = replace(made, patient=replace(made.patient, age=None))
        assert _scalar(PATIENT, "pre_rt", "age") == 1.0
        assert _scalar(PATIENT, "pre_rt", "age_unknown") == 0.0
        assert _scalar(PATIENT, "pre_rt", "sex_male") == -1.0
        assert _scalar(PATIENT, "pre_rt", "mgmt_methylated") == 1.0
        for name in ("age", "sex_male", "mgmt_methylated", "performance"):
            assert _scalar(nobody, "pre_rt", name) == 0.0
        for name in ("age_unknown", "sex_unknown", "mgmt_unknown", "performance_unknown", "resection_unknown"):
            assert _scalar(nobody, "pre_rt", name) == 1.0

    def test_arms_and_doses(self):
        arms = {"arm_photon": 0.0, "arm_proton": 1.0, "arm_carbon": 0.0}
        assert {arm: _scalar(PATIENT, "pre_rt", arm) for arm in arms} == arms
        assert _scalar(PATIENT, "pre_rt", "prescription") == _scalar(PATIENT, "pre_rt", "fractions") == 0.0
        assert _channel(PATIENT, "pre_rt", "dose") == pytest.approx(50 / 60, abs=1e-3)
        assert (_channel(PATIENT, "pre_rt", "letd") == 0).all()

    def test_distances_are_to_the_last_map_that_the_context_shows(self):
        for context, radius in (("pre_rt", 25.0), ("first_post_rt", 20.0)):
            inside = _channel(PATIENT, context, "distance_TC") > 0
            np.testing.assert_array_equal(inside, np.isin(ball(radius), (1, 3)))

    def test_later_exams_change_nothing(self):
        followed = known(patient(radii_mm=(25.0, 20.0, 10.0, 30.0), days=(-14, 70, 133, 224), arm="proton"))
        for context in ("pre_rt", "first_post_rt"):
            mine, theirs = (encode(p, p.courses[0], context) for p in (PATIENT, followed))
            np.testing.assert_array_equal(mine.volumes, theirs.volumes)
            np.testing.assert_array_equal(mine.scalars, theirs.scalars)


class TestHalved:
    def test_means_of_eight(self):
        volumes = np.arange(64, dtype=np.float16).reshape(1, 4, 4, 4)
        assert halved(volumes)[0, 0, 0, 0] == np.mean([0, 1, 4, 5, 16, 17, 20, 21])
        assert halved(volumes).mean() == volumes.mean()


class TestRegions:
    def test_they_are_nested(self):
        enhancing, core, whole = region_maps(np.array([0, 1, 2, 3, 4], np.uint8))
        assert enhancing.tolist() == [False, False, False, True, False]
        assert core.tolist() == [False, True, False, True, False]
        assert whole.tolist() == [False, True, True, True, False]


class TestSignedDistance:
    def test_half_a_voxel_beside_a_plane(self):
        region = np.zeros((8, 8, 8), bool)
        region[:4] = True
        assert signed_distance(region, 2.0)[:, 0, 0].tolist() == [7, 5, 3, 1, -1, -3, -5, -7]

    def test_nothing_and_everything(self):
        assert (signed_distance(np.zeros((4, 4, 4), bool), 2.0) == -20).all()
        assert (signed_distance(np.ones((4, 4, 4), bool), 2.0) == 20).all()

    @settings(deadline=None, derandomize=True, max_examples=25)
    @given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
    def test_the_sign_is_the_region_and_the_complement_is_its_negative(self, seed, share):
        region = np.random.default_rng(seed).random((6, 7, 8)) < share
        distance = signed_distance(region, 2.0)
        np.testing.assert_array_equal(distance > 0, region)
        np.testing.assert_array_equal(signed_distance(~region, 2.0), -distance)
