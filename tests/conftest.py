"""What all tests share: a tiny virtual trial, made once, an interrupt that works, and examples that are the same."""

import fcntl
import os
import signal
from pathlib import Path

import hypothesis
import pytest

from flame.virtual.trial import TrialSettings, write_trial

# A shell that starts tests in the background lets them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis draws the same examples in every run, and gives each the time that a busy machine needs.
hypothesis.settings.load_profile("ci")

# What takes a minute and more: begun last, one of them would leave the other processor without work. The first makes
# the trial, and compiles for all that simulate; the next two need neither.
LONG = (
    "faults/test_deployed.py",
    "scenarios/test_prepare.py",
    "imaging/test_brain.py",
    "scenarios/test_journey.py",
    "scenarios/test_comparison.py",
    "scenarios/test_deployment.py",
    "scenarios/test_regions.py",
    "scenarios/test_ingest.py",
    "dicom/arrival/test_pacs.py",
    "imaging/test_align.py",
    "imaging/test_intake.py",
    "dicom/test_fuzz.py",
    "scenarios/test_scale.py",
    "scenarios/test_bundle.py",
    "virtual/test_hospital.py",
    "scenarios/test_bad_input.py",
    "scenarios/test_rano.py",
    "faults/test_kill_embedded.py",
)

TRIAL = TrialSettings(sites=3, patients=4, spacing_mm=6.0, seed=5, workers=1, counterfactuals=("site-3",))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; `--no-loadscope-reorder` keeps that order for several processes."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sites of four patients at 6 mm, the last with the other arms' futures; to be read, not to be changed."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # one for all processes of this run
    out = folder / "shared" / "trial"
    out.parent.mkdir(mode=0o700, exist_ok=True)
    with (out.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out.parent / "made").exists():
            write_trial(out, TRIAL)
            (out.parent / "made").touch()
    return out
