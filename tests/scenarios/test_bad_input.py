"""What a hospital's folder can have wrong with it: told plainly, with an exit code, and nothing half written."""

import gzip
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.command import flame


def images(site: Path, pattern: str) -> list[Path]:
    found = sorted(site.rglob(pattern))
    assert found, pattern
    return found


def rewritten(path: Path, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    """Replace a NIfTI file by one with another array and affine."""
    image = nibabel.load(path)
    array, affine = change(np.asarray(image.dataobj), np.array(image.affine))
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def truncate(site: Path) -> None:
    path = images(site, "*_T2w.nii.gz")[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_short_inside(site: Path) -> None:
    path = images(site, "*_FLAIR.nii.gz")[0]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:5000]))


def put_nan(site: Path) -> None:
    def change(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        array = array.astype(np.float32)
        array[3, 3, 3] = np.nan
        return array, affine

    rewritten(images(site, "*_T1w.nii.gz")[0], change)


def turn(site: Path) -> None:
    rewritten(images(site, "*_T1w.nii.gz")[0], lambda array, affine: (array, affine @ np.diag([-1.0, 1, 1, 1])))


def move_mask(site: Path) -> None:
    rewritten(images(site, "*_dseg.nii.gz")[0], lambda array, affine: (array[:-2], affine))


def empty_mask(site: Path) -> None:
    rewritten(images(site, "*ses-pre*_dseg.nii.gz")[0], lambda array, affine: (np.zeros_like(array), affine))


def dose_in_cgy(site: Path) -> None:
    rewritten(images(site, "*desc-physical_dose.nii.gz")[0], lambda array, affine: (array * 100.0, affine))


def one_patient(site: Path) -> None:
    table = site / "participants.tsv"
    lines = table.read_text().splitlines()
    for line in lines[2:]:
        name = line.split("\t")[0]
        shutil.rmtree(site / name)
        shutil.rmtree(site / "derivatives" / "flame" / name, ignore_errors=True)
    table.write_text("\n".join(lines[:2]) + "\n")


CASES = {
    truncate: "truncated",
    cut_short_inside: "bytes",
    put_nan: "NaN",
    turn: "RAS",
    move_mask: "grid",
    empty_mask: "empty",
    dose_in_cgy: "cGy",
    one_patient: "one patient",
}


@pytest.fixture
def site(trial: Path, tmp_path: Path) -> Path:
    """A copy of the first site, to be spoilt."""
    return shutil.copytree(trial / "sites" / "site-1", tmp_path / "sites" / "site-1")


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_site_is_refused_by_check_and_by_compare(
    spoil: Callable[[Path], None], trial: Path, site: Path, settings: Path, tmp_path: Path
) -> None:
    spoil(site)
    checked = flame("check", site)
    assert checked.returncode == 3, checked.stdout
    assert CASES[spoil] in " ".join(checked.stdout.replace("│", " ").split()), checked.stdout
    others = [trial / "sites" / "site-2", trial / "sites" / "site-3"]
    compared = flame("compare", site, *others, "--out", tmp_path / "run", "--settings", settings)
    assert compared.returncode == 3, compared.stderr
    assert "site-1 has" in compared.stderr
    assert "Traceback" not in checked.stderr + compared.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["check", "compare"])
def test_a_missing_folder_is_named(command: str, tmp_path: Path) -> None:
    more = () if command == "check" else ("--out", tmp_path / "run")
    done = flame(command, tmp_path / "nowhere", *more)
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    assert not (tmp_path / "run").exists()


def test_one_person_at_two_sites_is_refused_and_sets_that_may_share_people_are_named(
    trial: Path, settings: Path, tmp_path: Path
) -> None:
    shutil.copytree(trial / "sites", tmp_path / "sites")

    def name(site: str, name_of_first: str) -> None:
        table = tmp_path / "sites" / site / "participants.tsv"
        lines = [line.split("\t") for line in table.read_text().splitlines()]
        lines[1][lines[0].index("also_known_as")] = name_of_first
        table.write_text("".join("\t".join(line) + "\n" for line in lines))

    name("site-1", "upenn/00001")
    name("site-2", "brats-gli/00005 upenn/00001")
    done = flame("compare", tmp_path / "sites", "--out", tmp_path / "run", "--settings", settings)
    assert done.returncode == 3
    assert "of site-2 is patient" in done.stderr
    assert not (tmp_path / "run").exists()
    name("site-2", "brats-gli/00005")
    done = flame("compare", tmp_path / "sites", "--out", tmp_path / "run", "--hold-out", "nobody")
    assert "Warning: site-1 and site-2 come from brats-gli and upenn" in done.stderr


def test_patients_of_one_class_cannot_be_told_apart(trial: Path, settings: Path, tmp_path: Path) -> None:
    sites = shutil.copytree(trial / "sites", tmp_path / "sites")
    for table in sites.glob("*/participants.tsv"):
        header, *rows = [line.split("\t") for line in table.read_text().splitlines()]
        for row in rows:  # everybody dies soon after radiotherapy
            row[header.index("death_day")], row[header.index("last_contact_day")] = "75", "n/a"
        table.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")
        for exams in table.parent.glob("sub-*/sub-*_sessions.tsv"):
            first, *others = exams.read_text().splitlines()
            day = first.split("\t").index("day")
            exams.write_text("\n".join([first, *(o for o in others if int(o.split("\t")[day]) <= 75)]) + "\n")
    done = flame("compare", sites, "--out", tmp_path / "run", "--settings", settings, "--processes", "1")
    assert done.returncode == 3, done.stderr
    assert "non-responders" in done.stderr
    assert not (tmp_path / "run" / "comparison.json").exists()


def test_unusable_settings_name_the_key(trial: Path, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('held_out = ["site-3"]\nreplicates = 3\nquestions = []\n')
    done = flame("compare", trial, "--out", tmp_path / "run", "--settings", path)
    assert done.returncode == 4
    assert "replicates" in done.stderr


def test_a_site_to_hold_out_must_exist(trial: Path, tmp_path: Path) -> None:
    done = flame("compare", trial, "--out", tmp_path / "run", "--hold-out", "site-9")
    assert done.returncode == 4
    assert "site-9" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte, which is less than one patient of 6 mm."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this system mounts no tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_no_partial_file(small_disk: Path) -> None:
    done = flame("trial", small_disk / "trial", "--sites", "1", "--patients", "9", "--spacing", "6", "--workers", "1")
    assert done.returncode == 7, done.stderr
    assert "disk is full" in done.stderr
    assert "Free some space" in done.stderr
    assert not list(small_disk.rglob("*.partial.*"))
