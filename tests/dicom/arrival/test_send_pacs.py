"""To a real PACS and back: Orthanc keeps what FLAME makes, and gives the same again. Sending twice stores once."""

import json
from io import BytesIO
from urllib.request import urlopen

import numpy as np
import pydicom
import pytest
from tests.dicom.archive import AUTHOR, GRID, SOURCE, again, masks, series
from tests.dicom.orthanc import DICOM_PORT, WEB_PORT, inside, orthanc_and_site

from flame.dicom.arrival.pacs import Peer
from flame.dicom.arrival.send import send
from flame.dicom.results.maps import probability_map, read_map, read_masks, segmentation
from flame.dicom.results.report_sr import Finding, read_report, report
from flame.records.patient import REGIONS


@pytest.fixture
def orthanc(tmp_path):
    with orthanc_and_site(tmp_path / "orthanc") as found:
        yield found


def kept(orthanc):
    """All instances that Orthanc holds, by UID."""
    root = f"http://{orthanc.host.address}:{WEB_PORT}/instances"
    found = {}
    with inside(orthanc.site):
        with urlopen(root) as answer:
            names = json.load(answer)
        for name in names:
            with urlopen(f"{root}/{name}/file") as answer:
                dataset = pydicom.dcmread(BytesIO(answer.read()))
            found[dataset.SOPInstanceUID] = dataset
    return found


def test_orthanc_gives_back_what_was_sent(orthanc):
    seg = segmentation(SOURCE, masks(), AUTHOR, ("photon", 900), 1)
    values = np.where(masks()["WT"], np.float32(0.75), np.float32(0.0))
    probability = probability_map(SOURCE, values, "WT", AUTHOR, ("photon, probability", 901), 1)
    finding = Finding("photon, day 91", "WT", 12.5, segment=(seg.SOPInstanceUID, 3))
    objects = [seg, probability, report(SOURCE, [finding], [], [seg], AUTHOR, 950)]
    peer = Peer(orthanc.host.address, DICOM_PORT, "PACS")
    orthanc.fill(series())
    with inside(orthanc.site):
        send(objects, peer)
        send(objects, peer)
    found = kept(orthanc)
    assert found.keys() == {one.SOPInstanceUID for one in (*series(), *objects)}
    for region, volume in read_masks(found[seg.SOPInstanceUID]).items():
        expected = read_masks(again(seg))[region]
        np.testing.assert_array_equal(volume.array, expected.array)
        np.testing.assert_allclose(volume.grid.affine, expected.grid.affine, atol=1e-6)
        assert volume.array.sum() == masks()[region].sum() > 0
    assert list(read_masks(found[seg.SOPInstanceUID])) == list(REGIONS)
    back = read_map(found[probability.SOPInstanceUID])
    assert back.array.sum() == pytest.approx(values.sum())
    np.testing.assert_allclose(back.grid.affine[:3, :3], GRID.affine[:3, :3], atol=1e-6)
    findings, _ = read_report(found[objects[2].SOPInstanceUID])
    assert findings == [finding]
