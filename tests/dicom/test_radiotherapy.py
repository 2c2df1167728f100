"""The public door: every reader takes a file or its content, and answers or refuses whatever it is given."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.valuerep import VR
from tests.dicom.department import (
    carbon_plan,
    contour,
    registration,
    rtdose,
    rtplan,
    rtstruct,
    treatment_record,
)

from flame.dicom.radiotherapy import (
    draw_structures,
    read_alignments,
    read_dose,
    read_plan,
    read_planned,
    read_treatment_record,
)
from flame.errors import DataError
from flame.records.volume import Grid

GRID = Grid((12, 12, 6), np.diag([2.0, 2.0, 3.0, 1.0]))
SQUARE = np.array([(-4, -4, 6), (-14, -4, 6), (-14, -14, 6), (-4, -14, 6)], float)

OBJECTS = {
    "dose": (lambda: rtdose(np.arange(60, dtype=np.uint16).reshape(3, 4, 5), beams=(1, 2), group=1), read_dose),
    "plan": (lambda: rtplan(beam_doses=(1.0, 1.0)), read_planned),
    "ion plan": (carbon_plan, read_plan),
    "structures": (
        lambda: rtstruct([("GTV", [contour(SQUARE), contour(SQUARE + np.array([0, 0, 3]))])]),
        lambda source: draw_structures(source, GRID),
    ),
    "record": (lambda: treatment_record("2.25.1", "20200107", 2), read_treatment_record),
    "registration": (lambda: registration([np.eye(4)]), read_alignments),
}


def everywhere(dataset):
    """All data elements, nested ones too, as (dataset, element)."""
    for element in dataset:
        yield dataset, element
        if element.VR == VR.SQ:
            for one in element.value:
                yield from everywhere(one)


def written(dataset):
    content = BytesIO()
    dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


@pytest.mark.parametrize("name", OBJECTS)
def test_a_file_that_is_damaged_is_read_or_refused(name, tmp_path):
    make, read = OBJECTS[name]
    content, random, outcomes = written(make()), np.random.default_rng(len(name)), set()
    for _ in range(60):
        broken = bytearray(content[: int(random.integers(200, len(content) + 1))] if random.random() < 0.3 else content)
        for at in random.integers(132, len(broken), size=int(random.integers(1, 6))):
            broken[at] = int(random.integers(0, 256))
        (tmp_path / "broken.dcm").write_bytes(broken)
        try:
            read(tmp_path / "broken.dcm")
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_that_lacks_any_one_thing_is_read_or_refused(name):
    make, read = OBJECTS[name]
    content = written(make())
    refusals = []
    for number in range(sum(1 for _ in everywhere(make()))):
        for emptied in (False, True):
            dataset = dcmread(BytesIO(content))
            holder, element = list(everywhere(dataset))[number]
            if emptied:
                holder[element.tag].value = [] if element.VR == VR.SQ else None
            else:
                del holder[element.tag]
            try:
                read(dataset)
            except DataError as refusal:
                refusals.append(f"{refusal} {refusal.hint}")
    assert refusals
    assert not any("Made" in one or "2.25." in one for one in refusals)


@pytest.mark.parametrize("name", OBJECTS)
def test_another_object_is_refused_by_name(name):
    _, read = OBJECTS[name]
    with pytest.raises(DataError, match=r"not an? "):
        read(Dataset())
