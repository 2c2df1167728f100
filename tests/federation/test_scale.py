"""The scale over sites: what pooled patients would give, and nothing of a few."""

import json

import numpy as np
import pytest

from flame.errors import DataError, PolicyError
from flame.federation.scale import ScalePart, combine, make_part, mean_landmarks, read_part, write_part
from flame.files import write_json
from flame.imaging.nyul import PERCENTILES, stretched
from flame.imaging.prepared import prepared_path
from flame.records.dataset import Site
from flame.records.patient import Exam, Patient

K = 5


def _values(who, day, name):
    """Made-up percentiles of an image; each scanner unit is its own."""
    random = np.random.default_rng([sum(map(ord, who)), day, len(name)])
    return [float(one) for one in np.cumsum(random.uniform(1, 20, len(PERCENTILES)))]


def _site(folder, name, patients, days=(0,), sequences=("T1ce", "FLAIR"), absent=frozenset()):
    """A prepared site, as far as landmarks go; `absent` are patients without FLAIR."""
    for who in patients:
        for day in days:
            images = {
                one: {"landmarks": {"percentiles": list(PERCENTILES), "values": _values(who, day, one)}}
                for one in sequences
                if not (one == "FLAIR" and who in absent)
            }
            write_json(prepared_path(folder, who, day, "prepared.json"), {"images": images})
    people = (Patient(id=who, exams=tuple(Exam(day=day, sequences={}) for day in days)) for who in patients)
    return Site(name, folder, tuple(people))


def _names(start, count):
    return [f"P{number:02}" for number in range(start, start + count)]


class TestScale:
    def test_two_sites_give_the_scale_of_pooled_patients(self, tmp_path):
        """Sites of a multiple of k patients, whose number leaves as it is; landmarks leave with two decimals."""
        sites = [_site(tmp_path / "a", "A", _names(1, 5)), _site(tmp_path / "b", "B", _names(6, 10))]
        scale = combine(make_part(site, site.folder / "key", K).part for site in sites)
        for name in ("T1ce", "FLAIR"):
            pooled = np.mean([stretched(np.array(_values(who, 0, name))) for who in _names(1, 15)], axis=0)
            np.testing.assert_allclose(scale.landmarks[name], pooled, atol=0.0101)
        assert set(scale.landmarks) == {"T1ce", "FLAIR"}

    def test_order_does_not_matter_and_a_site_counts_once(self, tmp_path):
        sites = [_site(tmp_path / name, name, _names(at, 6)) for at, name in ((1, "A"), (20, "B"), (40, "C"))]
        parts = [make_part(site, site.folder / "key", K).part for site in sites]
        assert combine(parts) == combine(reversed(parts))
        with pytest.raises(DataError, match="Two parts are of the site 'A'"):
            combine([*parts, parts[0]])
        with pytest.raises(DataError, match="no part"):
            combine([])

    def test_a_patient_counts_once_however_many_exams_there_are(self, tmp_path):
        site = _site(tmp_path, "A", ["P01"], days=(0, 70, 161))
        exams = [stretched(np.array(_values("P01", day, "T1ce"))) for day in (0, 70, 161)]
        np.testing.assert_allclose(mean_landmarks(site)["T1ce"]["P01"], np.mean(exams, axis=0), rtol=1e-14)


class TestFewPatients:
    def test_a_sequence_of_fewer_than_k_patients_is_not_told(self, tmp_path):
        names = _names(1, 6)
        made = make_part(_site(tmp_path, "A", names, absent=set(names[:2])), tmp_path / "key", K)
        assert set(made.part.sequences) == {"T1ce"}
        assert made.hidden == ("FLAIR",)

    def test_a_site_of_fewer_than_k_patients_tells_nothing(self, tmp_path):
        with pytest.raises(DataError, match="fewer than 5 patients"):
            make_part(_site(tmp_path / "a", "A", _names(1, 4)), tmp_path / "key", K)
        with pytest.raises(DataError, match="no patients"):
            make_part(Site("A", tmp_path, (Patient(id="P1", exams=(Exam(day=0, sequences={}),)),)), tmp_path / "key", K)
        assert not (tmp_path / "key").exists()

    @pytest.mark.parametrize("count", range(5, 15))
    def test_the_number_of_patients_is_rounded(self, tmp_path, count):
        part = make_part(_site(tmp_path, "A", _names(1, count)), tmp_path / "key", K).part
        told = part.sequences["T1ce"].patients
        assert told % K == 0
        assert abs(told - count) < K
        assert count % K or told == count

    def test_a_patient_more_changes_nothing_and_k_more_do(self, tmp_path):
        first = make_part(_site(tmp_path, "A", _names(1, 6)), tmp_path / "key", K)
        second = make_part(_site(tmp_path, "A", _names(1, 7)), tmp_path / "key", K)
        assert second.part == first.part
        assert second.again == ("T1ce", "FLAIR")
        third = make_part(_site(tmp_path, "A", _names(1, 11)), tmp_path / "key", K)
        assert third.part != first.part
        assert third.again == ()

    def test_the_rule_holds_for_each_sequence_by_itself(self, tmp_path):
        """Five patients come, of whom one has a FLAIR: T1ce is told anew, FLAIR is not."""
        first = make_part(_site(tmp_path, "A", _names(1, 6)), tmp_path / "key", K)
        site = _site(tmp_path, "A", _names(1, 11), absent=set(_names(8, 4)))
        second = make_part(site, tmp_path / "key", K)
        assert second.again == ("FLAIR",)
        assert second.part.sequences["FLAIR"] == first.part.sequences["FLAIR"]
        assert second.part.sequences["T1ce"] != first.part.sequences["T1ce"]

    def test_another_k_is_refused(self, tmp_path):
        site = _site(tmp_path, "A", _names(1, 9))
        make_part(site, tmp_path / "key", K)
        with pytest.raises(PolicyError, match="smallest cell of 5"):
            make_part(site, tmp_path / "key", 2)


class TestFile:
    def test_it_holds_means_alone(self, tmp_path):
        part = make_part(_site(tmp_path, "A", _names(1, 6)), tmp_path / "key", K).part
        write_part(tmp_path / "part.json", part)
        assert read_part(tmp_path / "part.json") == part
        content = json.loads((tmp_path / "part.json").read_text())
        assert set(content) == {"format", "site", "min_cell", "sequences"}
        assert set(content["sequences"]["T1ce"]) == {"patients", "landmarks"}
        assert "P01" not in (tmp_path / "part.json").read_text()

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"patients": 7}, "not a multiple of 5"),
            ({"patients": 0}, "greater than 0"),
            ({"patients": 5.0}, "integer"),
            ({"landmarks": [0] * 11}, "run from 0 to 100"),
            ({"landmarks": [0, 100]}, "at least 11"),
        ],
    )
    def test_what_no_site_writes_is_refused(self, tmp_path, change, where):
        one = {"patients": 5, "landmarks": [10.0 * at for at in range(11)]}
        content = {"site": "A", "min_cell": 5, "sequences": {"T1ce": one}}
        assert ScalePart.model_validate(content)
        write_json(tmp_path / "part.json", content | {"sequences": {"T1ce": one | change}})
        with pytest.raises(DataError, match=where):
            read_part(tmp_path / "part.json")

    def test_landmarks_of_another_kind_are_refused(self, tmp_path):
        site = _site(tmp_path, "A", _names(1, 5))
        old = {"percentiles": [1, 50, 99], "values": [1, 2, 3]}
        write_json(prepared_path(tmp_path, "P03", 0, "prepared.json"), {"images": {"T1ce": {"landmarks": old}}})
        with pytest.raises(DataError, match="patient P03, exam of day 0"):
            make_part(site, tmp_path / "key", K)
