"""Reading potential outcomes: present, absent after death, not simulated."""

import numpy as np
import pytest

from flame.errors import DataError
from flame.files import write_json
from flame.records.volume import Grid, Volume, write_volume
from flame.virtual.truth import potential_outcome, potential_outcome_path, truth_path


def test_potential_outcomes(tmp_path):
    grid = Grid((4, 5, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1, 2, 3] = 3
    path = potential_outcome_path(tmp_path, "site-1", "s1p001", "carbon", 91)
    assert path.relative_to(tmp_path).as_posix() == "truth/site-1/s1p001/carbon_91_dseg.nii.gz"
    write_volume(path, Volume(labels, grid))
    write_json(truth_path(tmp_path, "site-1", "s1p001"), {"arms": {"carbon": {"death_day": 150}}})
    assert np.array_equal(potential_outcome(tmp_path, "site-1", "s1p001", "carbon", 91), labels)
    assert potential_outcome(tmp_path, "site-1", "s1p001", "carbon", 182) is None
    with pytest.raises(DataError, match="not simulated"):
        potential_outcome(tmp_path, "site-1", "s1p001", "photon", 91)
    with pytest.raises(DataError, match="does not exist"):
        potential_outcome(tmp_path, "site-1", "s1p002", "photon", 91)
