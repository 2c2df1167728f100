"""`flame ingest` as a user runs it, on a hospital's folder full of identities and on a PACS that goes away."""

import gzip
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.command import flame
from tests.dicom.orthanc import DICOM_PORT, orthanc_and_site
from tests.dicom.planted import plant, traces
from tests.dicom.scans import mr_series
from tests.scenarios.deployment import wait

from flame.dicom.identity.pseudonym import Key
from flame.records.intake import intake_patients, read_intake

SECRET = bytes(range(7, 39))
STORED = "dicom/*/*/*/[!.]*.dcm"


def haystack(folder: Path) -> bytes:
    """All bytes below a folder, those of packed files unpacked as well, and the names of all that lies there."""
    paths = sorted(folder.rglob("*"))
    names = "\n".join(str(path.relative_to(folder)) for path in paths).encode()
    files = [path.read_bytes() for path in paths if path.is_file()]
    return b"\n".join([names, *files, *(gzip.decompress(file) for file in files if file[:3] == b"\x1f\x8b\x08")])


def write_key(path: Path) -> Path:
    path.write_text(SECRET.hex() + "\n")
    path.chmod(0o600)
    return path


def test_two_hundred_identities_leave_no_trace_in_files_output_or_errors(tmp_path):
    hospital, intake = tmp_path / "hospital", tmp_path / "intake"
    planted = plant(hospital, np.random.default_rng(5))
    name, number, word = planted.strings[1], planted.strings[0], planted.strings[-1]
    for one in (*mr_series(1, 24, 80, series=1), *mr_series(1, 24, 80, series=2)):  # enough of a head to be an exam
        one.PatientName, one.PatientID, one.ImageComments = name, number, word
        one.SeriesDescription = f"{one.SeriesDescription} {word}"
        one.save_as(hospital / f"{word} {one.SeriesNumber}-{one.InstanceNumber}", enforce_file_format=True)
    key = write_key(tmp_path / "key")
    told = []
    for words in (("ingest",), ("--debug", "ingest")):
        done = flame(*words, hospital, intake, "--key", key)
        assert done.returncode == 3  # the planted patients have no whole exam
        told.append(done.stdout + done.stderr)
    assert "Traceback" not in "".join(told)
    for breaks in (
        lambda: (intake / "overrides.tsv").write_text("patient\tseries\tsequence\nnobody\t1\tT1w\n"),
        lambda: (intake / "series.tsv").unlink() or (intake / "series.tsv").mkdir(),
    ):
        breaks()
        for words in (("ingest",), ("--debug", "ingest")):
            done = flame(*words, hospital, intake, "--key", key)
            assert done.returncode != 0
            told.append(done.stdout + done.stderr)
        assert "Traceback" in told[-1]
        (intake / "overrides.tsv").unlink(missing_ok=True)
    (patient,) = intake_patients(intake)
    assert len(read_intake(intake, patient).exams[0].images) == 2
    before, after, said = haystack(hospital), haystack(intake), "\n".join(told).encode()
    assert len(planted.strings) >= 200
    assert traces(before, planted.strings) == list(planted.strings)  # the search finds what is there
    assert traces(after, planted.strings) == []
    assert traces(said, planted.strings) == []
    assert not [uid for uid in planted.uids if uid.encode() in after + said]
    assert SECRET not in after
    assert SECRET.hex().encode() not in after + said


@pytest.mark.parametrize("web", [False, True], ids=["pacs", "dicomweb"])
def test_an_exam_comes_from_a_pacs_and_is_not_asked_for_again(tmp_path, web):
    (tmp_path / "wanted.txt").write_text("4711\n")
    key = write_key(tmp_path / "key")
    with orthanc_and_site(tmp_path / "orthanc") as orthanc:
        orthanc.fill([one for series in (1, 2) for one in mr_series(1, 24, 80, series=series)])
        orthanc.fill(mr_series(2, 3, patient="4712"))
        source = orthanc.web if web else f"pacs://PACS@{orthanc.host.address}:{DICOM_PORT}"
        words = ["ingest", source, tmp_path / "intake", "--key", key, "--patients", tmp_path / "wanted.txt"]
        runs = [orthanc.site.flame(*words) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stdout + runs[0].stderr
    assert [re.search(r"(\d) patients \((\d) unchanged\)", run.stdout).groups() for run in runs] == [
        ("1", "0"),
        ("1", "1"),
    ]
    assert intake_patients(tmp_path / "intake") == (Key(SECRET).patient_id("4711"),)
    assert len(list((tmp_path / "intake").glob(STORED))) == 48


def test_a_command_that_is_killed_leaves_nothing_half_and_goes_on(tmp_path):
    key, intake = write_key(tmp_path / "key"), tmp_path / "intake"
    with orthanc_and_site(tmp_path / "orthanc") as orthanc:
        orthanc.fill([one for series in (1, 2) for one in mr_series(1, 63, 80, series=series)])
        source = f"pacs://PACS@{orthanc.host.address}:{DICOM_PORT}"
        words = ["ingest", source, intake, "--key", key]
        process = orthanc.site.start([sys.executable, "-m", "flame", *words], tmp_path, tmp_path / "log")
        wait(lambda: len(list(intake.glob(STORED))) >= 10, 600, "ten instances")
        process.kill()
        process.wait(60)
        before = {path: path.stat().st_mtime_ns for path in intake.glob(STORED)}
        assert 10 <= len(before) < 126
        assert orthanc.site.flame(*words).returncode == 0
    after = {path: path.stat().st_mtime_ns for path in intake.glob(STORED)}
    assert len(after) == 126
    assert {path: after[path] for path in before} == before  # not one came a second time
    (patient,) = intake_patients(intake)
    assert set(read_intake(intake, patient).exams[0].images) == {"T1w", "T1ce"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["pacs://ORTHANC"], 4, "is not the address of a PACS"),
        (["https://me:secret@pacs/web"], 4, "The address holds an account"),
        (["nowhere"], 4, "does not exist"),
        ([".", "--since", "5.3.2024"], 4, "is not a date"),
        ([".", "--patients", "none.txt"], 4, "cannot be read"),
    ],
    ids=["pacs", "account", "folder", "date", "list"],
)
def test_a_wrong_word_is_refused_before_anything_is_written(tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    done = flame("ingest", words[0], "intake", *words[1:])
    assert done.returncode == code
    assert says in done.stderr
    assert "secret" not in done.stderr
    assert list(tmp_path.iterdir()) == []
