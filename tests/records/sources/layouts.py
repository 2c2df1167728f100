"""Small trees in the layouts of public sets, made from patients of the virtual trial.

Written from the sets' descriptions, not from the importers: names of files and columns are spelt out here again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flame.records.dataset import read_site
from flame.records.patient import Patient
from flame.records.volume import Volume, read_native, write_volume

__all__ = [
    "Shot",
    "patients",
    "put",
    "shots",
    "table",
    "volume_ml",
    "voxels",
    "workbook",
    "write_cfb_exam",
    "write_cfb_tables",
]

CFB_MRI = ("id_patient", "temporality", "time_diff_t0 (weeks)", "t1gd", "t1ge", "t1", "flair", "t2", "t2star", "adc")
CFB_TREATMENT = ("id_patient", "delay_t0_to_radiotherapy (weeks)", "dose (Gy)", "fractions_number")
CFB_IMAGING = ("id_patient", "temporality", "gtv", "gtv_type", "rtdose", "treatment_machine", "tps")
CFB_CLINICAL = ("id_patient", "survival (weeks)", "age_at_t0 (years)", "who_performance_status", "gender")
CFB_RANO = (
    "id_patient", "size_t0 (cm3)", "size_t1 (cm3)", "size_t2 (cm3)", "reduction_rate_t0_to_t1", "rano_t0_to_t1",
    "reduction_rate_t0_to_t2", "rano_t0_to_t2", "reduction_rate_t1_to_t2", "rano_t1_to_t2",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shot:
    """One exam of the trial in memory; `labels` in FLAME's order."""

    day: int
    images: Mapping[str, Volume]
    labels: Volume
    brain: Volume

    def stripped(self, sequence: str) -> Volume:
        """An image without what is outside the brain."""
        image = self.images[sequence]
        return Volume((image.array * (self.brain.array > 0)).astype(np.float32), image.grid)

    def mask(self, *labels: int) -> Volume:
        """1 where the label map holds one of some labels."""
        return Volume(np.isin(self.labels.array, labels).astype(np.uint8), self.labels.grid)

    def ordered(self, order: Mapping[int, int]) -> Volume:
        """The label map with each of FLAME's labels as a set writes it; those that it does not know are dropped."""
        array = np.zeros(self.labels.array.shape, np.uint8)
        for label, value in order.items():
            array[self.labels.array == label] = value
        return Volume(array, self.labels.grid)


def patients(trial: Path, site: str = "site-1") -> tuple[Patient, ...]:
    """Patients of a site of the trial."""
    return read_site(trial / "sites" / site).patients


def shots(patient: Patient) -> list[Shot]:
    """All exams of a patient that have all four sequences."""
    return [
        Shot(
            exam.day,
            {name: read_native(path) for name, path in exam.sequences.items()},
            read_native(exam.label_map),
            read_native(exam.brain_mask),
        )
        for exam in patient.exams
        if len(exam.sequences) == 4 and exam.label_map and exam.brain_mask
    ]


def put(path: Path, volume: Volume) -> Path:
    """Write a volume."""
    write_volume(path, volume)
    return path


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], delimiter: str = "\t") -> Path:
    """Write a table of text; None is an empty cell, and a cell with the delimiter is quoted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [["" if cell is None else str(cell) for cell in row] for row in (columns, *rows)]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    path.write_text("\n".join(delimiter.join(line) for line in quoted) + "\n", encoding="utf-8")
    return path


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    """Write an XLSX workbook; the first line of each sheet is its header."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(list(line))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def volume_ml(volume: Volume) -> float:
    """Volume of what is not 0 [ml]."""
    return float((volume.array > 0).sum() * np.prod(volume.grid.spacing_mm) / 1000)


def voxels(array: NDArray[Any], value: int) -> int:
    """How many voxels hold a value."""
    return int((array == value).sum())


def write_cfb_exam(folder: Path, number: str, name: str, shot: Shot) -> None:
    """The files of one exam, as CFB-GBM names them."""
    for modality, sequence in (("t1gd", "T1ce"), ("t1ge", "T1w"), ("flair", "FLAIR"), ("t2", "T2w")):
        put(folder / name / f"{number}_{name}_{modality}.nii.gz", shot.stripped(sequence))
    put(folder / name / f"{number}_{name}_gtv.nii.gz", shot.mask(1, 3))
    put(folder / name / f"{number}_{name}_brain_mask.nii.gz", shot.brain)


def write_cfb_tables(root: Path, **rows: list[tuple[object, ...]]) -> None:
    """All tables of CFB-GBM, with the lines given for each."""
    columns = {
        "clinical_data": CFB_CLINICAL,
        "treatment_data": CFB_TREATMENT,
        "mri_availability": CFB_MRI,
        "treatment_imaging_availability": CFB_IMAGING,
        "rano_criteria": CFB_RANO,
    }
    for name, header in columns.items():
        table(root / f"CFB-GBM_{name}_v04_2026-09-11.tsv", header, rows.get(name, []))
