"""Where an outline lies: on the images that its object names, or on those of its frame of reference."""

import numpy as np
import pytest
from tests.dicom.department import FRAME, OTHER_FRAME, contour, item, rtstruct
from tests.dicom.scans import mr_series

from flame.dicom.convert import to_volume
from flame.dicom.series import series_of
from flame.dicom.therapy.outlines import draw_outlines
from flame.records.intake import Alignment
from flame.records.volume import read_native

SQUARE = [[-90.0, -110.0], [-81.0, -110.0], [-81.0, -101.0], [-90.0, -101.0]]


@pytest.fixture
def stored(tmp_path):
    """Two MR series of one frame of reference, in files."""
    paths = []
    for place, one in enumerate([*mr_series(1, 10, 40, series=1), *mr_series(1, 10, 40, series=2)]):
        one.FrameOfReferenceUID = FRAME
        paths.append(tmp_path / f"{place}.dcm")
        one.save_as(paths[-1], enforce_file_format=True)
    return series_of(paths)


def struct(path, frame=FRAME, shift=0.0, series=None):
    squares = [contour([[x + shift, y, 3.0 * number] for x, y in SQUARE]) for number in (4, 5)]
    one = rtstruct([("GTV", squares)], frame)
    if series is not None:
        named = item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=series)])
        one.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[named])]
    one.save_as(path, enforce_file_format=True)
    return path


def drawn(tmp_path, stored, file, alignments=()):
    return draw_outlines("P1", tmp_path, {"RTSTRUCT": [file]}, stored, alignments, lambda one: to_volume(one.files))


def test_it_lies_on_the_series_that_it_names(tmp_path, stored):
    for series in stored:
        ((one,), findings) = drawn(tmp_path, stored, struct(tmp_path / "s.dcm", series=series.uid))
        assert one.on.uid == series.uid
        assert findings == []


def test_without_a_name_it_lies_on_a_series_of_its_frame(tmp_path, stored):
    ((one,), _) = drawn(tmp_path, stored, struct(tmp_path / "s.dcm"))
    (outline,) = one.outlines
    assert (one.on.frame, outline.frame, outline.shows) == (FRAME, FRAME, "GTV")
    mask = read_native(tmp_path / outline.file)
    assert mask.grid.matches(to_volume(one.on.files).grid)
    assert np.flatnonzero(mask.array.any(axis=(0, 1))).tolist() == [4, 5]


def test_a_structure_in_another_frame_than_the_rest_is_left_out_and_told(tmp_path, stored):
    squares = [contour([[x, y, 3.0 * number] for x, y in SQUARE]) for number in (4, 5)]
    one = rtstruct([("GTV", squares), ("Brain", squares)])
    one.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = OTHER_FRAME
    one.save_as(tmp_path / "s.dcm", enforce_file_format=True)
    ((found,), findings) = drawn(tmp_path, stored, tmp_path / "s.dcm")
    assert [outline.name for outline in found.outlines] == ["GTV"]
    assert [(one.severity, one.what) for one in findings] == [
        ("warning", "structure set 1: Brain left out: drawn in another frame of reference than its images")
    ]


def test_an_alignment_carries_it_from_another_frame(tmp_path, stored):
    here = drawn(tmp_path / "a", stored, struct(tmp_path / "s.dcm"))[0][0]
    moved = np.eye(4)
    moved[0, 3] = 30.0  # 30 mm to the right (RAS) is 30 mm less in DICOM's x
    matrix = tuple(tuple(row) for row in moved.tolist())
    file = struct(tmp_path / "t.dcm", OTHER_FRAME, shift=30.0, series=stored[0].uid)
    there, findings = drawn(tmp_path / "b", stored, file, [Alignment(source=OTHER_FRAME, target=FRAME, matrix=matrix)])
    assert findings == []
    masks = [read_native(tmp_path / name / one.outlines[0].file) for name, one in (("a", here), ("b", there[0]))]
    np.testing.assert_array_equal(masks[0].array, masks[1].array)


@pytest.mark.parametrize(
    ("series", "says"),
    [(None, "the images that it was drawn on are not there"), (0, "nothing says how its frame of reference lies")],
    ids=["no images", "no alignment"],
)
def test_one_that_cannot_be_placed_is_left_out_with_a_finding(tmp_path, stored, series, says):
    named = None if series is None else stored[series].uid
    found, (finding,) = drawn(tmp_path, stored, struct(tmp_path / "s.dcm", OTHER_FRAME, series=named))
    assert found == []
    assert (finding.severity, finding.patient) == ("warning", "P1")
    assert says in finding.what
