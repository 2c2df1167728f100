"""What the JSON files beside a site's tables and images say: meaning, units, levels."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flame.records.patient import LABELS

__all__ = ["BIDSIGNORE", "BRAIN_MASK", "COURSES", "EXAMS", "LABELS_TABLE", "LABEL_MAP", "PARTICIPANTS", "README"]

_YES_NO = {"yes": "yes", "no": "no"}
_DAY = "Days since the start of the first radiotherapy course (day 0)."

PARTICIPANTS: Mapping[str, Any] = MappingProxyType(
    {
        "age": {"Description": "Age at the start of radiotherapy.", "Units": "year"},
        "sex": {"Description": "Sex.", "Levels": {"F": "female", "M": "male"}},
        "performance_status": {
            "Description": "WHO performance status at the start of radiotherapy.",
            "Levels": {str(grade): f"WHO {grade}" for grade in range(5)},
        },
        "mgmt": {"Description": "Whether the MGMT promoter is methylated.", "Levels": _YES_NO},
        "idh": {"Description": "Whether IDH is mutated.", "Levels": _YES_NO},
        "resection": {
            "Description": "Extent of resection before radiotherapy.",
            "Levels": {"biopsy": "biopsy only", "partial": "partial resection", "gross_total": "gross total resection"},
        },
        "diagnosis_day": {"Description": f"Day of diagnosis. {_DAY}", "Units": "day"},
        "death_day": {"Description": f"Day of death; n/a if alive or unknown. {_DAY}", "Units": "day"},
        "last_contact_day": {"Description": f"Day last known alive; n/a if dead or unknown. {_DAY}", "Units": "day"},
        "also_known_as": {"Description": "Names of the same patient in public data sets, separated by blanks."},
    }
)

EXAMS: Mapping[str, Any] = MappingProxyType(
    {
        "day": {"Description": f"Day of the exam. {_DAY}", "Units": "day"},
        "steroid_mg": {"Description": "Steroid dose per day, as dexamethasone.", "Units": "mg"},
        "clinical_status": {
            "Description": "Clinical status against the exam before.",
            "Levels": {"improved": "better", "stable": "unchanged", "worse": "worse"},
        },
        "surgery": {
            "Description": "Whether the tumour was operated on since the exam before.",
            "Levels": {"yes": "operated", "no": "not operated"},
        },
        "regions": {
            "Description": "Regions that the label map tells apart, separated by blanks; none, or n/a for all of them.",
        },
        "day_tolerance": {"Description": "The day is known to within so many days; n/a if exact.", "Units": "day"},
    }
)

COURSES: Mapping[str, Any] = MappingProxyType(
    {
        "course": {"Description": "Number of the course, from 1, as in the names of its dose grids."},
        "arm": {
            "Description": "Type of radiotherapy.",
            "Levels": {"photon": "photons", "proton": "protons", "carbon": "protons with a carbon ion boost"},
        },
        "prescription_gy": {"Description": "Prescribed dose: Gy for photons, Gy(RBE) for ions.", "Units": "Gy"},
        "fractions": {"Description": "Number of fractions."},
        "start_day": {"Description": _DAY, "Units": "day"},
        "end_day": {"Description": _DAY, "Units": "day"},
        "rbe_model": {"Description": "Model behind the RBE-weighted dose grid."},
    }
)

LABEL_MAP: Mapping[str, Any] = MappingProxyType(
    {"Description": "Label map of the tumour, values as in BraTS 2024; the table beside this file names them."}
)

LABELS_TABLE: tuple[Mapping[str, Any], ...] = (
    {"index": LABELS["NETC"], "name": "non-enhancing tumour core: necrosis", "abbreviation": "NETC"},
    {"index": LABELS["SNFH"], "name": "surrounding FLAIR hyperintensity: oedema", "abbreviation": "SNFH"},
    {"index": LABELS["ET"], "name": "enhancing tumour", "abbreviation": "ET"},
    {"index": LABELS["RC"], "name": "resection cavity", "abbreviation": "RC"},
)

BRAIN_MASK: Mapping[str, Any] = MappingProxyType({"Description": "The brain, 1 inside.", "Type": "Brain"})

BIDSIGNORE = """sub-*/dose
*_desc-courses_rt.*
*_desc-prepared.json
*_desc-alignment.png
"""
"""BIDS has no names for dose grids, radiotherapy courses and what was done to images yet."""

README = """# {site}

Glioblastoma exams before and after radiotherapy, one folder per patient and exam. Label maps, brain masks and dose
grids lie under `derivatives/flame`. All days count from the start of the first radiotherapy course.
"""
