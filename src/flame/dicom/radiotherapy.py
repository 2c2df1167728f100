"""Radiotherapy objects of DICOM: the public door. Every function takes a file or its content."""

from flame.dicom.therapy.alignments import common_frame, read_alignments
from flame.dicom.therapy.courses import DatedCourse, courses, read_plan
from flame.dicom.therapy.dose import Dose, read_dose
from flame.dicom.therapy.dose_sum import CourseDoses, course_doses
from flame.dicom.therapy.outline_names import shows
from flame.dicom.therapy.plan import Plan, read_planned
from flame.dicom.therapy.structures import Structures, draw_structures, read_structures
from flame.dicom.therapy.treatment_records import Delivered, read_treatment_record

__all__ = [
    "CourseDoses",
    "DatedCourse",
    "Delivered",
    "Dose",
    "Plan",
    "Structures",
    "common_frame",
    "course_doses",
    "courses",
    "draw_structures",
    "read_alignments",
    "read_dose",
    "read_plan",
    "read_planned",
    "read_structures",
    "read_treatment_record",
    "shows",
]
