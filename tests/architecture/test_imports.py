"""What a module may import is a promise to the user who waits for `flame --help`."""

import subprocess
import sys

import pytest

HEAVY = {
    "SimpleITK",
    "highdicom",
    "matplotlib",
    "mlflow",
    "monai",
    "nibabel",
    "nilearn",
    "numba",
    "nvflare",
    "pandas",
    "pydicom",
    "scipy",
    "sklearn",
    "torch",
}


def _loaded(statement):
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["flame", "flame.cli"])
def test_the_front_door_is_light(module):
    assert not HEAVY & _loaded(f"import {module}")


@pytest.mark.parametrize("module", ["flame.records.dataset", "flame.records.check", "flame.records.volume"])
def test_records_need_no_heavy_library_until_an_image_is_opened(module):
    assert not HEAVY & _loaded(f"import {module}")


@pytest.mark.parametrize("module", ["flame.imaging.prepare", "flame.federation.rounds", "flame.federation.embedded"])
def test_what_deals_in_arrays_does_not_import_torch(module):
    assert not {"torch", "monai", "matplotlib", "sklearn"} & _loaded(f"import {module}")
