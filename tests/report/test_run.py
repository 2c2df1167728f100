"""Reading a run folder."""

import json
from pathlib import Path

import numpy as np
import pytest

from flame.errors import DataError
from flame.report.run import read_run


def test_arrays_facts_and_cards_are_read(example_folder: Path) -> None:
    run = read_run(example_folder)
    assert [data.patient for data in run.predictions] == ["site-1_sub-004"]
    assert run.montage[0].arrays["labels_0"].dtype == np.uint8
    assert run.predictions[0].facts["horizons"] == [91, 182, 273, 365]
    assert [card.name for card in run.cards] == [
        "evolution-unet-first_post_rt/federated-without-site-3",
        "evolution-unet-first_post_rt/local-site-1",
        "evolution-unet-first_post_rt/pooled-without-site-3",
    ]
    assert run.absent == ()


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', "null"])
def test_a_comparison_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(DataError, match="holds no object"):
        read_run(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_damaged_pictures_are_refused_by_name(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "comparison.json").write_text(json.dumps({"pictures": {"montage": ["site-1_sub-001"]}}))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/montage-site-1_sub-001.json").write_text("{}")
    (tmp_path / "pictures/montage-site-1_sub-001.npz").write_bytes(damage)
    with pytest.raises(DataError, match=r"montage-site-1_sub-001\.npz is damaged"):
        read_run(tmp_path)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text(json.dumps({"pictures": {"montage": ["a"]}}))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/montage-a.json").write_text("{}")
    np.savez(tmp_path / "pictures/montage-a.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="damaged"):
        read_run(tmp_path)
