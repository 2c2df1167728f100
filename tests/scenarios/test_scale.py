"""One scale of intensities over sites with different scanners, by the command line: what it is for, what leaves."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.command import flame

from flame.files import read_json
from flame.imaging.itk import onto
from flame.imaging.nyul import read_scale
from flame.physics.anatomy import Tissue
from flame.records.dataset import read_site
from flame.records.intake import IntakeExam, IntakeImage, IntakePatient, Outline, write_intake
from flame.records.patient import Patient
from flame.records.volume import Volume, read_volume
from flame.virtual.assignment import make_site
from flame.virtual.simulation import make_patient

SEED, SPACING_MM = 5, 6.0
"""Of the trial that all tests share."""

NAMES = ("site-1", "site-2")
"""3 T and 1.5 T; contrast and gain differ as well."""

PATIENTS = 2
"""Of each site."""

HOW = ("--spacing", "4", "--workers", "1")
"""They are prepared; a worker for each patient would load what it needs anew."""


def bring_in(patient: Patient, intake: Path) -> None:
    """Put T1ce of a virtual patient's baseline exam into an intake, as an image that is stripped and even already.

    A bias field, which nobody asks for here, would take most of the time.
    """
    exam = patient.exams[0]
    folder = intake / patient.id
    folder.mkdir(parents=True)
    assert exam.brain_mask is not None
    for name, path in {"T1ce": exam.sequences["T1ce"], "brain": exam.brain_mask}.items():
        (folder / f"{name}.nii.gz").symlink_to(path.resolve())
    images = {"T1ce": IntakeImage(file="T1ce.nii.gz", frame="one")}
    outline = Outline(file="brain.nii.gz", shows="brain", frame="one")
    given = {
        "day": exam.day,
        "images": images,
        "outlines": (outline,),
        "already_prepared": ["skull_stripped", "zscored"],
    }
    write_intake(intake, IntakePatient(id=patient.id, source="nifti", exams=(IntakeExam.model_validate(given),)))


@cache
def tissue_of(index: int, patient: str) -> Tissue:
    """The anatomy that only the makers of the trial know."""
    return make_patient(SEED, make_site(SEED, index), patient, SPACING_MM, 0.5).tissue


def white_matter(site: Path, index: int) -> float:
    """Brightness of white matter on T1ce, in the mean over a site's patients."""
    found = []
    for patient in read_site(site).patients:
        image = read_volume(patient.exams[0].sequences["T1ce"])
        tissue = tissue_of(index, patient.id)
        share = onto(Volume(tissue.wm, tissue.grid), image.grid, how="linear")
        found.append(float(np.median(image.array[(share > 0.9) & (image.array != 0)])))
    return float(np.mean(found))


def apart(one: float, other: float) -> float:
    return abs(one - other) / (one + other) * 2


@pytest.fixture(scope="module")
def prepared(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with intake and prepared site of both."""
    out = tmp_path_factory.mktemp("scale")
    for name in NAMES:
        for patient in read_site(trial / "sites" / name).patients[:PATIENTS]:
            bring_in(patient, out / "intake" / name)
        done = flame("prepare", out / "intake" / name, out / "scanner" / name, *HOW)
        assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def scale(prepared: Path) -> Path:
    """The scale of both sites."""
    parts = []
    for name in NAMES:
        parts.append(prepared / f"{name}.json")
        done = flame("scale", "part", prepared / "scanner" / name, "--out", parts[-1], "--min-cell", str(PATIENTS))
        assert done.returncode == 0, done.stderr
        assert f"All that leaves this site: {parts[-1]}" in done.stdout
    done = flame("scale", "combine", *parts, "--out", prepared / "scale.json")
    assert done.returncode == 0, done.stderr
    assert "site-2" in done.stdout
    return prepared / "scale.json"


def test_white_matter_of_two_scanners_comes_together(prepared: Path, scale: Path) -> None:
    brightness: dict[str, list[float]] = {"scanner": [], "standard": []}
    for at, name in enumerate(NAMES):
        out = prepared / "standard" / name
        done = flame("prepare", prepared / "intake" / name, out, *HOW, "--scale", scale)
        assert done.returncode == 0, done.stdout + done.stderr
        for kind, found in brightness.items():
            found.append(white_matter(prepared / kind / name, at))
    # The gains of the two scanners differ by a factor of four.
    assert apart(*brightness["scanner"]) > 1.0
    assert apart(*brightness["standard"]) < 0.05


def test_what_leaves_tells_of_no_patient(prepared: Path, scale: Path) -> None:
    for name in NAMES:
        text = (prepared / f"{name}.json").read_text()
        assert not [one.id for one in read_site(prepared / "scanner" / name).patients if one.id in text]
        content = read_json(prepared / f"{name}.json")["sequences"]
        assert {one["patients"] for one in content.values()} == {PATIENTS}
    middle = read_scale(scale).landmarks["T1ce"]
    both = [read_json(prepared / f"{name}.json")["sequences"]["T1ce"]["landmarks"] for name in NAMES]
    np.testing.assert_allclose(middle, np.mean(both, axis=0), atol=0.0051)


def test_too_few_patients_and_wrong_files_are_refused(prepared: Path, scale: Path, tmp_path: Path) -> None:
    done = flame(
        "scale", "part", prepared / "scanner" / "site-1", "--out", tmp_path / "part.json", "--key", tmp_path / "key"
    )
    assert done.returncode == 3
    assert "fewer than 5 patients" in done.stderr
    done = flame("scale", "combine", scale, "--out", tmp_path / "scale.json")
    assert done.returncode == 3
    assert "no part of a scale" in done.stderr
    done = flame("prepare", prepared / "intake" / "site-1", tmp_path / "site", "--scale", prepared / "site-1.json")
    assert done.returncode == 3
    assert "is no scale" in done.stderr
    assert list(tmp_path.iterdir()) == []
