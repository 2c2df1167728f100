"""`flame prepare` through the command line: a real exam, and what a user sees when something is wrong."""

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.command import flame
from tests.imaging.intakes import make_patient

from flame.files import read_json
from flame.imaging.intake import Preparation, prepare_intake
from flame.imaging.itk import onto
from flame.imaging.prepared import prepared_path
from flame.records.dataset import read_site
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient, write_intake
from flame.records.volume import Volume, read_native, read_volume

REAL = Path(os.environ.get("FLAME_REAL_EXAM", Path(__file__).parents[3] / "shared" / "real" / "TCGA-FG-6692"))
FILES = {"T1w": "t1", "T1ce": "t1c", "T2w": "t2", "FLAIR": "flair"}

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real exam is not at {REAL}")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The real exam and a made-up patient prepared; the site's folder and what was printed."""
    folder = tmp_path_factory.mktemp("real")
    intake, site = folder / "intake", folder / "site"
    home = intake / "Real1"
    home.mkdir(parents=True)
    for name in FILES.values():
        shutil.copyfile(REAL / f"{name}.nii.gz", home / f"{name}.nii.gz")
    images = {sequence: IntakeImage(file=f"{name}.nii.gz") for sequence, name in FILES.items()}
    exam = IntakeExam.model_validate({"day": 0, "images": images})
    write_intake(intake, IntakePatient(id="Real1", source="nifti", exams=(exam,)))
    made = make_patient(intake, "Made2", small=True)
    write_intake(intake, zscored(made))
    done = flame("prepare", intake, site, "--brain", "atlas", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return site, done.stdout


def zscored(patient: IntakePatient) -> IntakePatient:
    """The same patient with images that are z-scored already, which spares the slowest step."""
    exams = [exam.model_copy(update={"already_prepared": frozenset({"zscored"})}) for exam in patient.exams]
    return patient.model_copy(update={"exams": tuple(exams)})


def information(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Mutual information of two samples [nat], by a plain histogram: another way than the alignment's own."""
    counts, _, _ = np.histogram2d(one, two, bins=40)
    joint = counts / counts.sum()
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


@needs_real
class TestRealExam:
    def test_all_sequences_come_through_and_the_lights_are_shown(self, real: tuple[Path, str]) -> None:
        site, printed = real
        assert set(read_site(site).patients[1].exams[0].sequences) == set(FILES)
        content = read_json(prepared_path(site, "Real1", 0, "prepared.json"))
        assert [one for one in content["quality"] if one["light"] == "red"] == []
        assert "2 patients prepared (0 of them before), 0 not" in printed
        assert prepared_path(site, "Real1", 0, "alignment.png").read_bytes().startswith(b"\x89PNG")

    def test_sequences_share_most_where_they_were_put(self, real: tuple[Path, str]) -> None:
        """A shift by 2 mm along each axis, in all eight directions, makes each sequence agree less with T1ce."""
        exam = read_site(real[0]).patients[1].exams[0]
        brain = read_volume(exam.brain_mask).array > 0
        fixed = read_volume(exam.sequences["T1ce"]).array
        for name in ("T1w", "T2w", "FLAIR"):
            other = read_volume(exam.sequences[name]).array
            inside = brain & (other != 0) & (fixed != 0)
            here = information(fixed[inside], other[inside])
            for shift in product((-2, 2), repeat=3):
                there = np.roll(other, shift, (0, 1, 2))
                both = inside & (there != 0)
                assert information(fixed[both], there[both]) < here, (name, shift)

    def test_the_brain_mask_agrees_with_an_independent_tool(self, real: tuple[Path, str]) -> None:
        mask = read_volume(read_site(real[0]).patients[1].exams[0].brain_mask)
        truth = read_native(REAL / "brain_mask_t1c.nii.gz")
        found = onto(Volume(mask.array.astype(np.float32), mask.grid), truth.grid, how="linear") > 0.5
        there = truth.array > 0
        assert 2 * (found & there).sum() / (found.sum() + there.sum()) >= 0.96

    def test_the_check_and_the_validator_pass(self, real: tuple[Path, str]) -> None:
        assert flame("check", real[0]).returncode == 0
        validator = Path(sys.executable).with_name("bids-validator-deno")
        done = subprocess.run(
            [validator, real[0], "--format", "json"], capture_output=True, text=True, timeout=1800, check=False
        )
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert [one for one in issues if one["severity"] == "error"] == []


def test_a_bad_patient_ends_in_exit_code_3_and_the_others_are_there(tmp_path: Path) -> None:
    intake, site = tmp_path / "intake", tmp_path / "site"
    for name in ("A1", "B2"):
        write_intake(intake, zscored(make_patient(intake, name, small=True)))
    (intake / "B2" / "0-T1ce.nii.gz").write_bytes(b"no image")
    done = flame("prepare", intake, site, "--spacing", "4", "--workers", "1")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "1 patients prepared (0 of them before), 1 not" in done.stdout
    assert [one.id for one in read_site(site).patients] == ["A1"]
    assert "Traceback" not in done.stderr


def test_a_wrong_word_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    make_patient(tmp_path / "intake", "A1", small=True)
    done = flame("prepare", tmp_path / "intake", tmp_path / "site", "--brain", "magic")
    assert done.returncode == 4
    assert "magic" in done.stderr
    assert not (tmp_path / "site").exists()


def test_killed_at_any_write_and_started_again_it_leaves_the_same_bytes(tmp_path: Path) -> None:
    """From the first write to the table of patients, into an empty folder and over images of another spacing.

    Nothing half written stays, nobody is lost or there twice, and whose images are gone is not in the site's table
    meanwhile.
    """
    intake, site = tmp_path / "intake", tmp_path / "site"
    for seed, name in enumerate(("A1", "B2"), start=1):
        write_intake(intake, zscored(make_patient(intake, name, seed, small=True)))
    prepare_intake(intake, site, "site", Preparation(spacing_mm=3.5))
    script = Path(__file__).parents[1] / "imaging" / "killed_prepare.py"
    command = [sys.executable, str(script), str(intake), str(site), "--spacing", "4"]
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    digests = done.stdout.split()
    assert len(digests) == 2 + 5
    assert len(set(digests)) == 1
    assert [one.id for one in read_site(site).patients] == ["A1", "B2"]
