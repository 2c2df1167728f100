import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records.sites import make_site, with_patient

from flame.errors import DataError
from flame.records.dataset import Site, read_site, write_site
from flame.records.layout import courses_path, exams_path
from flame.records.patient import ARMS, ClinicalStatus, Course, Exam, Outcome, Patient, Region, Resection

FINITE = st.floats(allow_nan=False, allow_infinity=False)
DAYS = st.integers(-3000, 9999)


def _maybe(strategy):
    return st.none() | strategy


EXAMS = st.lists(
    st.builds(
        Exam,
        day=DAYS,
        steroid_mg=_maybe(FINITE),
        clinical_status=_maybe(st.sampled_from(get_args(ClinicalStatus))),
        regions=_maybe(st.sets(st.sampled_from(get_args(Region))).map(lambda regions: tuple(sorted(regions)))),
        day_tolerance=st.sampled_from([0.0, 3.5]),
    ),
    unique_by=lambda exam: exam.day,
    max_size=4,
)
COURSES = st.lists(
    st.builds(
        lambda start, length, **values: Course(start_day=start, end_day=start + length, **values),
        start=DAYS,
        length=st.integers(0, 60),
        arm=st.sampled_from(ARMS),
        prescription_gy=st.floats(1e-3, 1e4),
        fractions=st.integers(1, 60),
        rbe_model=_maybe(st.text("abc 1.()-", min_size=1)),
    ),
    max_size=2,
)
PATIENTS = st.builds(
    lambda exams, courses, **values: Patient(
        exams=tuple(sorted(exams, key=lambda exam: exam.day)),
        courses=tuple(sorted(courses, key=lambda course: course.start_day)),
        **values,
    ),
    exams=EXAMS,
    courses=COURSES,
    id=st.from_regex("[0-9a-zA-Z]{1,8}", fullmatch=True),
    age=_maybe(FINITE),
    sex=_maybe(st.sampled_from("FM")),
    performance_status=_maybe(st.integers(0, 4)),
    mgmt_methylated=_maybe(st.booleans()),
    idh_mutant=_maybe(st.booleans()),
    resection=_maybe(st.sampled_from(get_args(Resection))),
    diagnosis_day=_maybe(DAYS),
    outcome=st.builds(Outcome, death_day=_maybe(DAYS), last_contact_day=_maybe(DAYS)),
    also_known_as=st.sampled_from([(), ("UPENN-GBM-00001",), ("BraTS-GLI-00005", "PatientID_0001")]),
)


@pytest.fixture
def site(tmp_path):
    made = make_site(tmp_path / "site")
    write_site(made)
    return made


def test_what_was_read_from_a_relative_folder_is_written_there_again(tmp_path, monkeypatch):
    write_site(make_site(tmp_path / "site"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    write_site(read_site(Path("site")))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _validate(folder):
    """What the BIDS validator says about a folder: exit code and errors."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, folder, "--format", "json"], capture_output=True, text=True, timeout=600)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return done.returncode, [issue for issue in issues if issue["severity"] == "error"]


class TestRoundTrip:
    def test_a_site_with_images_comes_back(self, site):
        assert read_site(site.folder) == site

    @given(st.lists(PATIENTS, max_size=2, unique_by=lambda patient: patient.id))
    @settings(deadline=None, derandomize=True, max_examples=40)
    def test_any_record_comes_back(self, tmp_path_factory, patients):
        folder = tmp_path_factory.mktemp("site")
        site = Site("site é", folder, tuple(sorted(patients, key=lambda patient: patient.id)))
        write_site(site)
        assert read_site(folder) == site

    def test_writing_twice_gives_the_same_bytes(self, site):
        files = [path for path in sorted(site.folder.rglob("*")) if path.is_file()]
        before = [path.read_bytes() for path in files]
        write_site(read_site(site.folder))
        assert [path.read_bytes() for path in files] == before
        assert [path for path in sorted(site.folder.rglob("*")) if path.is_file()] == files

    def test_an_image_that_is_not_there_is_absent(self, site):
        exam = site.patients[0].exams[0]
        exam.sequences["FLAIR"].unlink()
        exam.label_map.unlink()
        found = read_site(site.folder).patients[0].exams[0]
        assert set(found.sequences) == {"T1w", "T1ce", "T2w"}
        assert found.label_map is None

    def test_a_hospital_may_keep_its_own_readme_and_columns(self, site):
        (site.folder / "README.md").write_text("Ours.")
        (site.folder / "participants.tsv").write_text("participant_id\tward\nsub-001\t3\n")
        found = read_site(site.folder)
        assert [(patient.id, patient.age, patient.sex) for patient in found.patients] == [("001", None, None)]
        write_site(found)
        assert (site.folder / "README.md").read_text() == "Ours."


class TestBids:
    @pytest.mark.parametrize("part", [".", "derivatives/flame"])
    def test_the_validator_finds_no_error(self, site, part):
        assert _validate(site.folder / part) == (0, [])

    def test_the_validator_does_find_a_stray_file(self, site):
        (site.folder / "sub-001" / "note.txt").write_text("x")
        code, errors = _validate(site.folder)
        assert code != 0
        assert [error["location"] for error in errors] == ["/sub-001/note.txt"]

    def test_every_column_with_a_unit_says_so(self, site):
        columns = json.loads((site.folder / "participants.json").read_text())
        columns |= json.loads(exams_path(site.folder, "001").with_suffix(".json").read_text())
        columns |= json.loads(courses_path(site.folder, "001").with_suffix(".json").read_text())
        units = {name: content.get("Units") for name, content in columns.items()}
        assert units["age"] == "year"
        assert units["steroid_mg"] == "mg"
        assert units["prescription_gy"] == "Gy"
        assert {unit for name, unit in units.items() if name.endswith("day")} == {"day"}


class TestReadRefuses:
    def _refused(self, folder, *parts):
        with pytest.raises(DataError) as raised:
            read_site(folder)
        for part in parts:
            assert part in raised.value.message
        assert raised.value.hint

    def test_a_missing_folder(self, tmp_path):
        self._refused(tmp_path / "nowhere", "nowhere does not exist")

    def test_a_folder_that_is_not_bids(self, tmp_path):
        self._refused(tmp_path, "is not a BIDS folder")

    @pytest.mark.parametrize("content", ["[]", "{}", '{"Name": 3}', "{"])
    def test_a_description_without_a_name(self, tmp_path, content):
        (tmp_path / "dataset_description.json").write_text(content)
        self._refused(tmp_path, "dataset_description.json")

    def test_a_folder_without_participants(self, site):
        (site.folder / "participants.tsv").unlink()
        self._refused(site.folder, "participants.tsv does not exist")

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("61.5", "old", "line 2, column age: 'old' is not a number"),
            ("\tF\t", "\tfemale\t", "line 2, column sex: 'female' is none of F, M"),
            ("sub-001", "001", "line 2, column participant_id: '001' is not sub-"),
            ("sub-001", "sub-0/1", "line 2, column participant_id: 'sub-0/1' is not sub-"),
            ("sub-002", "sub-001", "line 3, column participant_id: 'sub-001' is on line 2 already"),
            ("sub-002", "sub-003", "sub-003_sessions.tsv does not exist"),
        ],
    )
    def test_a_bad_value_of_a_patient(self, site, old, new, what):
        table = site.folder / "participants.tsv"
        table.write_text(table.read_text().replace(old, new, 1))
        self._refused(site.folder, what)

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("ses-pre0014", "baseline", "line 2, column session_id: 'baseline' is not ses- and a day"),
            ("\t70\t", "\t71\t", "line 3, column day: '71' contradicts ses-0070"),
            ("stable", "fine", "line 2, column clinical_status: 'fine' is none of improved, stable, worse"),
        ],
    )
    def test_a_bad_value_of_an_exam(self, site, old, new, what):
        table = exams_path(site.folder, "001")
        table.write_text(table.read_text().replace(old, new, 1))
        self._refused(site.folder, str(table), what)

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("proton", "neutron", "line 2, column arm: 'neutron' is none of photon, proton, carbon"),
            ("60", "n/a", "line 2, column prescription_gy: 'n/a' is not a number"),
            ("60", "0", "line 2, prescription must be > 0 Gy"),
            ("42", "-3", "line 2, a course cannot end (day -3) before it starts"),
            ("1\t", "2\t", "line 2, column course: '2', but courses are numbered from 1"),
            ("\n1", "\n1\tproton\t60\t30\t100\t142\tn/a\n2", "line 3, column start_day: 0 lies before"),
        ],
    )
    def test_a_bad_value_of_a_course(self, site, old, new, what):
        table = courses_path(site.folder, "001")
        table.write_text(table.read_text().replace(old, new, 1))
        self._refused(site.folder, str(table), what)


class TestWriteRefuses:
    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (lambda patient: replace(patient, id="00-1", exams=(), courses=()), "not made of letters and digits"),
            (lambda patient: replace(patient, id="0"), "belongs at"),
            (lambda patient: replace(patient, exams=(Exam(3), Exam(3))), "two exams on day 3"),
        ],
    )
    def test_and_nothing_is_written(self, tmp_path, change, what):
        changed = with_patient(make_site(tmp_path / "site"), change)
        with pytest.raises(ValueError, match=what):
            write_site(changed)
        assert not (tmp_path / "site" / "dataset_description.json").exists()

    def test_patients_twice_or_out_of_order(self, tmp_path):
        for ids in ("aa", "ba"):
            with pytest.raises(ValueError, match="not in order of id"):
                Site("site", tmp_path, tuple(Patient(one) for one in ids))
