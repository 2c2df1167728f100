"""Predicted maps on the hospital's own images: masks as DICOM SEG, probabilities as parametric maps.

A map lies on the patient's prepared grid. It is read once at the voxels of the source series, through the inverse of
the map that `flame prepare` kept.
"""

from collections.abc import Mapping
from typing import Any

import highdicom
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from flame.dicom.geometry import LPS_TO_RAS
from flame.dicom.results.derived import RESEARCH_ONLY, Author, content_of, settled
from flame.dicom.results.source import Source
from flame.imaging.itk import Matrix, onto
from flame.records.patient import Region
from flame.records.volume import Grid, Volume

__all__ = ["PROBABILITY_STEP", "on_source", "probability_map", "read_map", "read_masks", "segmentation"]

PROBABILITY_STEP = 1e-4
"""Probabilities are stored as whole multiples of this."""

_REGIONS: Mapping[Region, tuple[str, Code]] = {
    "ET": ("Enhancing tumour", Code("C113842", "NCIt", "Enhancing Lesion")),
    "TC": ("Tumour core", Code("TC", "99FLAME", "Tumour core: enhancing tumour and necrosis")),
    "WT": ("Whole tumour", Code("WT", "99FLAME", "Whole tumour: core and oedema")),
}
_FULL = round(1 / PROBABILITY_STEP)
_MACHINE = codes.cid7162.ArtificialIntelligence


def on_source(probability: Volume, source: Source, to_source: Matrix) -> NDArray[np.float32]:
    """A probability map at the voxels of a source series.

    Args:
        probability: values in [0, 1] on the prepared grid.
        to_source: position on the prepared grid to position in the source, RAS [mm], rigid.

    Returns: float32 (columns, rows, slices), multiples of `PROBABILITY_STEP` in [0, 1]; 0 outside the prepared grid.
    """
    values = np.clip(onto(probability, source.grid, to_source, how="linear"), 0, 1)
    return np.asarray(np.rint(values / PROBABILITY_STEP) * PROBABILITY_STEP, np.float32)


def segmentation(
    source: Source, masks: Mapping[Region, NDArray[np.bool_]], author: Author, series: tuple[str, int], instance: int
) -> Segmentation:
    """Masks as one binary SEG, a segment for each region in order; regions may overlap.

    Args:
        masks: bool (columns, rows, slices) on the source's grid, at least one, not all of them empty.
        series: description and number of the series, which an arm's horizons share.
        instance: number in the series.

    Raises: ValueError: if every mask is empty.
    """
    stacked = np.stack([_turned(mask).astype(np.uint8) for mask in masks.values()], axis=-1)
    if not stacked.any():
        raise ValueError("a segmentation without a voxel says nothing")
    description, number = series
    digest = content_of(stacked, source.grid.affine)
    made = Segmentation(
        source_images=list(source.datasets),
        pixel_array=_volume(stacked, source, regions=len(masks)),
        segmentation_type="BINARY",
        segment_descriptions=[_segment(at, region, author, digest) for at, region in enumerate(masks, start=1)],
        series_instance_uid=author.uid(_study(source), "SEG", description),
        series_number=number,
        sop_instance_uid=author.uid(_study(source), "SEG", description, instance, digest),
        instance_number=instance,
        content_label="PREDICTED",
        content_description=RESEARCH_ONLY[:64],
        content_creator_name="FLAME^",
        series_description=description,
        **author.equipment(),
    )
    return settled(made, author)


def probability_map(
    source: Source, values: NDArray[np.float32], region: Region, author: Author, series: tuple[str, int], instance: int
) -> Dataset:
    """A probability map as one parametric map, from the first slice that is not zero to the last.

    Args:
        values: from `on_source`, (columns, rows, slices), somewhere above zero.
        series, instance: as for `segmentation`.

    Raises: ValueError: if every voxel is zero.
    """
    stored = _turned(np.rint(values / np.float32(PROBABILITY_STEP)).astype(np.uint16))
    used = np.flatnonzero(stored.any(axis=(1, 2)))
    if not used.size:
        raise ValueError("a map of zeros says nothing")
    description, number = series
    digest = content_of(stored, source.grid.affine)
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=region,
        lut_explanation=f"Probability of {_REGIONS[region][0].lower()}",
        unit=codes.UCUM.NoUnits,
        value_range=(0, _FULL),
        slope=PROBABILITY_STEP,
        intercept=0.0,
        quantity_definition=codes.DCM.Probability,
    )
    made: Dataset = highdicom.pm.ParametricMap(
        source_images=list(source.datasets),
        pixel_array=_volume(stored, source)[int(used[0]) : int(used[-1]) + 1],
        series_instance_uid=author.uid(_study(source), "PM", description),
        series_number=number,
        sop_instance_uid=author.uid(_study(source), "PM", description, instance, region, digest),
        instance_number=instance,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[highdicom.VOILUTTransformation(window_center=_FULL / 2, window_width=_FULL)],
        content_label=f"PROBABILITY_{region}",
        content_description=RESEARCH_ONLY[:64],
        content_creator_name="FLAME^",
        series_description=description,
        **author.equipment(),
    )
    return settled(made, author)


def read_masks(dataset: Dataset) -> dict[str, Volume]:
    """The segments of a SEG by label; bool (columns, rows, slices), RAS, as far as slices are not empty."""
    seg = Segmentation.from_dataset(dataset)
    volume = seg.get_volume(combine_segments=False)
    return {
        item.SegmentLabel: _back(volume.array[..., at] > 0, volume.affine)
        for at, item in enumerate(seg.SegmentSequence)
    }


def read_map(dataset: Dataset) -> Volume:
    """The probabilities of a parametric map; float (columns, rows, slices), RAS."""
    volume = highdicom.pm.ParametricMap.from_dataset(dataset).get_volume(apply_real_world_transform=True)
    return _back(volume.array, volume.affine)


def _segment(number: int, region: Region, author: Author, digest: bytes) -> SegmentDescription:
    label, kind = _REGIONS[region]
    return SegmentDescription(
        segment_number=number,
        segment_label=region,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=author.algorithm[:64], family=_MACHINE, version=author.version[:64] or "unknown", source="FLAME"
        ),
        tracking_uid=author.uid("segment", region, digest),
        tracking_id=f"{label}, predicted",
        anatomic_regions=[codes.SCT.Brain],
    )


def _study(source: Source) -> str:
    return str(source.datasets[0].StudyInstanceUID)


def _turned(array: NDArray[Any]) -> NDArray[Any]:
    """From (columns, rows, slices) to (slices, rows, columns), as frames are stored, or back."""
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _volume(array: NDArray[Any], source: Source, regions: int = 0) -> Any:
    """Frames on the source's grid as highdicom's volume."""
    affine = (LPS_TO_RAS @ source.grid.affine)[:, [2, 1, 0, 3]]
    channels = {"SegmentNumber": range(1, regions + 1)} if regions else None
    return highdicom.Volume(array, affine, "PATIENT", source.frame, channels=channels)


def _back(array: NDArray[Any], affine: NDArray[np.float64]) -> Volume:
    """highdicom's volume in the order of `convert`: slices along the normal; highdicom may count them the other way."""
    if np.linalg.det(affine[:3, [2, 1, 0]]) < 0:
        affine = affine.copy()
        affine[:3, 3] += (len(array) - 1) * affine[:3, 0]
        affine[:3, 0] *= -1
        array = array[::-1]
    turned = _turned(array)
    shape = (turned.shape[0], turned.shape[1], turned.shape[2])
    return Volume(turned, Grid(shape, LPS_TO_RAS @ affine[:, [2, 1, 0, 3]]))
