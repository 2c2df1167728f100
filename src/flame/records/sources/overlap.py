"""One person in several public sets: names that say so, and sets that are known to share people.

A patient who is at two sites of one study teaches at one and is tested at the other: results are then too good.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from flame.records.finding import Finding
from flame.records.patient import Patient

__all__ = ["SHARING", "overlaps", "public_name", "public_names"]

SHARING: tuple[frozenset[str], ...] = tuple(
    frozenset(pair)
    for pair in (
        ("brats-gli", "mu-glioma-post"),
        ("brats-gli", "ucsf-alptdg"),
        ("brats-gli", "ucsd-ptgbm"),
        ("brats-gli", "upenn"),
        ("brats-gli", "ucsf-pdgm"),
        ("ucsf-alptdg", "ucsf-pdgm"),
        ("brats-gli", "tcga"),
    )
)
"""Pairs of sets of which one took patients from the other, by name of the set in `public_name`."""

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("brats-gli", re.compile(r"BraTS-GLI-(\d{5})")),
    ("mu-glioma-post", re.compile(r"PatientID_(\d{4})")),
    ("ucsd-ptgbm", re.compile(r"UCSD-PTGBM-(\d{4})")),
    ("ucsf-pdgm", re.compile(r"UCSF-PDGM-0*(\d{1,4})")),
    ("upenn", re.compile(r"UPENN-GBM-(\d{5})")),
    ("rhuh", re.compile(r"RHUH-(\d{4})")),
    ("tcga", re.compile(r"(TCGA-\w{2}-\w{4})")),
)


def public_name(source: str, patient: str) -> str:
    """How `also_known_as` writes a patient's name in a public set: one word, as `upenn/00001`."""
    return f"{source}/{patient}"


def public_names(text: str) -> Iterator[str]:
    """All names of patients of known sets that a text holds, without what tells visits apart."""
    for source, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield public_name(source, found.group(1))


def overlaps(patients_by_site: Mapping[str, Sequence[Patient]]) -> list[Finding]:
    """Who is at several sites, as far as names tell, and which sites may share people without telling.

    Args:
        patients_by_site: patients by the name of their site.

    Returns: an error for each person who is there twice, a warning for each pair of sites whose sets are known to share
        patients while no patient there bears names of both.
    """
    findings: list[Finding] = []
    first: dict[str, tuple[str, str]] = {}
    for site, patients in patients_by_site.items():
        for patient in patients:
            seen = {first.setdefault(name, (site, patient.id)) for name in patient.also_known_as}
            for other_site, other in sorted(seen - {(site, patient.id)}):
                findings.append(
                    Finding(
                        "error",
                        patient.id,
                        f"patient {patient.id} of {site} is patient {other} of {other_site}",
                        "Take the patient out of one of the two: nobody may be trained on and tested.",
                    )
                )
    return findings + list(_silent(patients_by_site))


def _silent(patients_by_site: Mapping[str, Sequence[Patient]]) -> Iterator[Finding]:
    """Pairs of sites whose sets share people, without any name that would show who."""
    for (one, its), (other, others) in combinations(patients_by_site.items(), 2):
        pairs = {frozenset((a, b)) for a in _sets(its) for b in _sets(others)} & set(SHARING)
        for pair in sorted(pairs, key=sorted):
            if not any(pair <= _sets((patient,)) for patient in (*its, *others)):
                first, second = sorted(pair)
                yield Finding(
                    "warning",
                    None,
                    f"{one} and {other} come from {first} and {second}, which are known to share patients",
                    "Import one of them with the set's own table of names beside it, or leave one out.",
                )


def _sets(patients: Iterable[Patient]) -> set[str]:
    return {name.partition("/")[0] for patient in patients for name in patient.also_known_as}
