"""Conversion: every voxel where dcm2niix puts it, and a refusal by name for whatever is no regular stack."""

import json
import subprocess

import nibabel
import numpy as np
import pytest
from highdicom import get_volume_from_series
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless
from tests.dicom.scanner import AXIAL, CORONAL, SAGITTAL, enhanced, put, save, series, turned

from flame.dicom.convert import convert, to_volume
from flame.dicom.geometry import LPS_TO_RAS
from flame.dicom.images.recognise import recognise
from flame.dicom.series import series_of
from flame.errors import DataError

PLANES = {"axial": AXIAL, "sagittal": SAGITTAL, "coronal": CORONAL}


def random_array(slices=6, rows=9, columns=7, seed=0):
    return np.random.default_rng(seed).integers(1, 4000, (slices, rows, columns))


def shuffled(items, seed=1):
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items))]


@pytest.mark.parametrize("turn", [0, 7, 31, 44])
@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_lies_where_dcm2niix_puts_it(tmp_path, plane, turn):
    dcm2niix = pytest.importorskip("dcm2niix", reason="the dcm2niix wheel is not installed")
    generator = np.random.default_rng([turn, list(PLANES).index(plane)])
    orientation = turned(PLANES[plane], generator, turn)
    origin = tuple(generator.uniform(-100, 100, 3))
    images = series(random_array(12, 20, 16), orientation=orientation, spacing=(0.9, 0.7, 5.5), origin=origin)
    files = save(images, tmp_path / "dicom")
    command = [dcm2niix.bin, "-b", "n", "-z", "n", "-f", "out", "-o", str(tmp_path), str(tmp_path / "dicom")]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    other = nibabel.load(tmp_path / "out.nii")

    volume = to_volume(files)
    index = np.indices(volume.grid.shape).reshape(3, -1).T
    position = index @ volume.grid.affine[:3, :3].T + volume.grid.affine[:3, 3]
    back = np.linalg.inv(other.affine)
    theirs = position @ back[:3, :3].T + back[:3, 3]
    assert np.abs(theirs - np.rint(theirs)).max() < 1e-3
    i, j, k = np.rint(theirs).astype(int).T
    assert np.array_equal(np.asarray(other.dataobj)[i, j, k], volume.array[tuple(index.T)])


def test_agrees_with_highdicom_and_keeps_every_number():
    orientation = turned(SAGITTAL, np.random.default_rng(3), 20)
    images = series(random_array(), orientation=orientation, spacing=(0.9, 0.7, 3.3))
    theirs = get_volume_from_series(shuffled(images))
    ours = to_volume(shuffled(images, 2))
    # highdicom counts (slice, row, column) in LPS
    swap = np.eye(4)[[2, 1, 0, 3]]
    expected = LPS_TO_RAS @ theirs.affine @ swap
    array = theirs.array.transpose(2, 1, 0)
    if expected[:3, 2] @ ours.grid.affine[:3, 2] < 0:
        expected[:3, 3] += expected[:3, 2] * (array.shape[2] - 1)
        expected[:3, 2] *= -1
        array = array[:, :, ::-1]
    assert np.allclose(ours.grid.affine, expected, atol=1e-9)
    assert np.array_equal(ours.array, array)


def test_affine_by_hand():
    volume = to_volume(series(random_array(), spacing=(2.0, 3.0, 5.0), origin=(-10, -20, -30)))
    # columns count to the left, 3 mm each; rows to posterior, 2 mm each; slices to superior
    assert np.array_equal(volume.grid.affine, [[-3, 0, 0, 10], [0, -2, 0, 20], [0, 0, 5, -30], [0, 0, 0, 1]])
    assert volume.array.dtype == np.float32
    assert volume.array[4, 8, 5] == random_array()[5, 8, 4]


def test_scale_is_applied_slice_by_slice():
    images = series(random_array())
    for i, image in enumerate(images):
        image.RescaleSlope, image.RescaleIntercept = 0.5 * (i + 1), -1024
    values = to_volume(images).array
    expected = random_array().transpose(2, 1, 0) * (0.5 * np.arange(1, 7)) - 1024
    assert np.array_equal(values, expected.astype(np.float32))


def test_an_enhanced_image_equals_its_classic_slices():
    classic = series(random_array(), orientation=turned(AXIAL, np.random.default_rng(5), 25), header={"EchoTime": 3.0})
    for i, image in enumerate(classic):
        image.RescaleSlope, image.RescaleIntercept = 1 + i, 2 * i
    one, other = to_volume(classic), to_volume([enhanced(shuffled(classic))])
    assert np.array_equal(one.grid.affine, other.grid.affine)
    assert np.array_equal(one.array, other.array)


def test_a_localiser_that_is_marked_is_left_out_and_noted():
    scout = series(random_array(1, 16, 16), name="scout", orientation=SAGITTAL)
    scout[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    done = convert([*scout, *series(random_array())])
    assert done.volume.grid.shape == (7, 9, 6)
    assert done.notes == ("1 localiser slice of the series left out",)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["rle", "jpeg2000"])
def test_compressed_pixels_are_read(syntax):
    plain = series(random_array(4, 32, 32))
    packed = series(random_array(4, 32, 32))
    for image in packed:
        if syntax == RLELossless:
            image.compress(syntax)
        else:
            image.PixelData = encapsulate([_jpeg2000(image.pixel_array)])
            image["PixelData"].is_undefined_length = True
            image.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(to_volume(packed).array, to_volume(plain).array)


def _jpeg2000(pixels):
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
    return buffer.getvalue()


def drop(*which):
    return lambda images: [image for i, image in enumerate(images) if i not in which]


def with_copy(**change):
    def change_one(images):
        twins = series(random_array(), name="twin")
        for twin in twins:
            for keyword, value in change.items():
                setattr(twin, keyword, value)
        return [*images, *twins]

    return change_one


def each(change):
    def apply(images):
        for i, image in enumerate(images):
            change(i, image)
        return images

    return apply


def first(change):
    return each(lambda i, image: change(image) if i == 0 else None)


def assign(**values):
    def apply(image):
        for keyword, value in values.items():
            setattr(image, keyword, value)

    return apply


def remove(keyword):
    return lambda image: delattr(image, keyword)


def moved(image, axis, mm):
    image.ImagePositionPatient[axis] = float(image.ImagePositionPatient[axis]) + mm


def colour(image):
    image.PhotometricInterpretation, image.SamplesPerPixel, image.PlanarConfiguration = "RGB", 3, 0


def lossless_jpeg(image):
    image.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = JPEGLosslessSV1


def infinite(image):
    image.RescaleSlope = "1e300"


def two_stacks(images):
    for i, image in enumerate(images):
        image.StackID = "1" if i < 3 else "2"
    return [enhanced(images)]


def two_echoes(images):
    twins = series(random_array(), header={"EchoTime": 96.0})
    for image in images:
        image.EchoTime = 12.0
    return [enhanced([*images, *twins])]


def undescribed(images):
    put(images[0], random_array(3))
    return images[:1]


REFUSED = {
    "one missing slice": (drop(2), "1 slice is missing, the first between slices 2 and 3 of 5: 10 mm"),
    "two missing slices": (drop(2, 3), "2 slices are missing, the first between slices 2 and 3 of 4"),
    "every second": (
        lambda images: drop(1, 3, 5)(each(lambda _, image: assign(SpacingBetweenSlices=5.0)(image))(images)),
        "10 mm apart where the header states 5 mm",
    ),
    "uneven": (each(lambda i, image: moved(image, 2, 0.8 * (i == 3))), "spaced unevenly: 4.2 to 5.8 mm"),
    "gantry tilt": (each(lambda i, image: moved(image, 1, 0.5 * i)), r"sheared by 5\.7 degrees"),
    "one slice": (drop(1, 2, 3, 4, 5), "a single slice"),
    "no slice": (drop(0, 1, 2, 3, 4, 5), "holds no file"),
    "same image twice": (with_copy(), "one place .6 times.: nothing tells them apart"),
    "two echoes": (with_copy(EchoTime=96.0), "they differ in echo time"),
    "diffusion": (with_copy(DiffusionBValue=1000.0), "they differ in diffusion weighting"),
    "time points": (with_copy(TemporalPositionIdentifier=2), "they differ in time point"),
    "magnitude and phase": (with_copy(ImageType=["ORIGINAL", "PRIMARY", "P"]), "they differ in kind of image"),
    "mixed orientation": (
        first(assign(ImageOrientationPatient=list(SAGITTAL))),
        "mixed orientations: 5 of 6 are not parallel",
    ),
    "mixed pixel size": (first(assign(PixelSpacing=[0.9, 1.0])), "mixed pixel sizes"),
    "mixed sizes": (first(lambda image: put(image, np.ones((4, 4)))), r"2 sizes, as \(4, 4\) and \(9, 7\)"),
    "mixed frames": (first(assign(FrameOfReferenceUID="1.2.3")), "2 frames of reference"),
    "skewed directions": (
        each(lambda _, image: assign(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0])(image)),
        "perpendic",
    ),
    "no position": (first(remove("ImagePositionPatient")), "does not say where it lies"),
    "empty orientation": (first(assign(ImageOrientationPatient=None)), "does not say where it lies"),
    "no spacing": (first(remove("PixelSpacing")), "size of its pixels"),
    "spacing of nought": (first(assign(PixelSpacing=[0, 1])), "size of its pixels"),
    "no pixels": (first(remove("PixelData")), "no pixel data"),
    "cut pixels": (first(assign(PixelData=b"\0\0")), "truncated or damaged"),
    "colour": (first(colour), "colour images"),
    "white is lowest": (first(assign(PhotometricInterpretation="MONOCHROME1")), "MONOCHROME1"),
    "lookup table": (first(assign(ModalityLUTSequence=[Dataset()])), "Modality LUT"),
    "not finite": (each(lambda _, image: infinite(image)), "NaN or infinite"),
    "a scale of nought": (first(assign(RescaleSlope=0)), "rescale slope of a slice is 0"),
    "mosaic": (first(assign(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])), "mosaic"),
    "lossless JPEG": (
        each(lambda _, image: lossless_jpeg(image)),
        r"compressed as JPEG Lossless, Non-Hierarchical, First",
    ),
    "two stacks": (two_stacks, "holds 2 stacks"),
    "two echoes in one image": (two_echoes, r"they differ in echo time \(12\.0, 96\.0\)"),
    "frames nobody describes": (undescribed, "3 frames does not say where"),
    "too few descriptions": (
        lambda images: [_short(enhanced(images))],
        "6 frames describes 5",
    ),
}


def _short(image):
    image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:5]
    return image


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_without_identifiers(name):
    spoil, message = REFUSED[name]
    images = spoil(series(random_array(), patient="SECRET"))
    with pytest.raises(DataError, match=message) as refusal:
        to_volume(images)
    told = json.dumps([refusal.value.message, refusal.value.hint])
    assert "SECRET" not in told
    assert "2.25." not in told
    assert refusal.value.__cause__ is None


def test_a_file_that_is_not_dicom(tmp_path):
    files = save(series(random_array()), tmp_path)
    files[1].write_bytes(b"not DICOM")
    with pytest.raises(DataError, match="File 2 of the series is missing or not readable") as refusal:
        to_volume(files)
    assert files[1].name not in str(refusal.value)


def test_rounded_positions_and_directions_are_one_stack():
    # a scanner that writes five digits: positions off by up to 0.005 mm, cosines by 0.00005
    images = series(random_array(20), orientation=turned(AXIAL, np.random.default_rng(9), 12), spacing=(1, 1, 1.0))
    for i, image in enumerate(images):
        image.ImagePositionPatient = [round(float(x), 2) for x in image.ImagePositionPatient]
        image.ImageOrientationPatient = [round(float(x), 5 - i % 2) for x in image.ImageOrientationPatient]
    assert to_volume(images).grid.shape == (7, 9, 20)


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_damaged_files_are_read_or_refused_and_nothing_else(kind, tmp_path):
    images = series(random_array(3, 8, 8), header={"EchoTime": 3.0, "SeriesDescription": "t1"})
    files = save(images if kind == "classic" else [enhanced(images)], tmp_path)
    whole = files[0].read_bytes()
    generator = np.random.default_rng(11)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole[: generator.integers(200, len(whole))] if generator.random() < 0.2 else whole)
        for place in generator.integers(132, len(damaged), generator.integers(1, 6)):
            damaged[place] = generator.integers(256)
        files[0].write_bytes(damaged)
        try:
            for found in series_of(files):
                recognise(found)
            to_volume(files)
        except DataError:
            refused += 1
    assert 0 < refused < 60
