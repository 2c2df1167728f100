import numpy as np
import pytest
from matplotlib.image import imread

from flame.report.alignment import alignment_picture

SHAPE = (60, 70, 50)


def _exam(shift=0):
    place = np.indices(SHAPE)
    brain = sum(((axis - size / 2) / (size / 2 - 4)) ** 2 for axis, size in zip(place, SHAPE)) < 1
    texture = 100 + 60 * np.sin(place[0] / 4) * np.sin(place[1] / 5)
    images = {
        "T1ce": np.where(brain, texture, 0).astype(np.float32),
        "FLAIR": np.where(brain, 300 - np.roll(texture, shift, 0), 0).astype(np.float32),
    }
    return images, brain


def _draw(path, images, brain, labels=None, lights=None):
    alignment_picture(path, images, brain, labels, 1.0, lights or {}, "Exam of day 0")
    return imread(path)


def test_the_same_exam_gives_the_same_bytes(tmp_path):
    images, brain = _exam()
    _draw(tmp_path / "one.png", images, brain)
    _draw(tmp_path / "two.png", images, brain)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_two_sequences_make_four_columns_and_ct_three_more(tmp_path):
    images, brain = _exam()
    narrow = _draw(tmp_path / "one.png", images, brain)
    wide = _draw(tmp_path / "two.png", images | {"CT": np.where(brain, 40, 900).astype(np.float32)}, brain)
    column = 140 * (1.75 + 0.04)
    assert narrow.shape[1] == pytest.approx(140 * 0.72 + 4 * column, abs=2)
    assert wide.shape[1] - narrow.shape[1] == pytest.approx(3 * column, abs=2)


def test_labels_and_lights_are_drawn_in_their_colours(tmp_path):
    images, brain = _exam()
    labels = np.zeros(SHAPE, np.uint8)
    labels[25:35, 30:40, 20:30] = 3
    picture = _draw(tmp_path / "one.png", images, brain, labels, {"T1ce": "red"})[..., :3] * 255

    def near(colour):
        return int((np.abs(picture - colour).max(-1) < 12).sum())

    assert near((255, 106, 61)) > 200  # enhancing tumour
    assert near((208, 58, 47)) > 20  # the red light
    assert near((46, 158, 91)) > 20  # the green one of FLAIR


def test_an_exam_of_one_sequence_has_nothing_to_compare(tmp_path):
    images, brain = _exam()
    picture = _draw(tmp_path / "one.png", {"T1ce": images["T1ce"]}, brain)
    assert picture.shape[1] == pytest.approx(140 * (0.72 + 1.79), abs=2)
