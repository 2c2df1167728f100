"""What is wrong with a site's data, before anything is learnt from them."""

from collections.abc import Iterator
from itertools import groupby

from flame.records.chart import chart_findings
from flame.records.dataset import Site
from flame.records.finding import Finding, Severity
from flame.records.images import inspect_images
from flame.records.sources.overlap import overlaps

__all__ = ["Finding", "Severity", "check_site"]


def check_site(site: Site) -> list[Finding]:
    """Check records and files of all patients; every file is read once.

    Returns: findings about the site as a whole, then those of each patient in order of id; empty if all is well.
    """
    findings = [*_site_findings(site), *overlaps({site.name: site.patients})]
    seen: dict[str, tuple[str, int]] = {}
    for patient in site.patients:
        findings += chart_findings(patient)
        inspection = inspect_images(patient)
        findings += inspection.findings
        findings += _copies(patient.id, inspection.digests, seen)
    return findings


def _site_findings(site: Site) -> Iterator[Finding]:
    ids = sorted((patient.id for patient in site.patients), key=str.casefold)
    if not ids:
        yield Finding("error", None, "the site has no patient", "Add patients to participants.tsv.")
    if len(ids) == 1:
        yield Finding(
            "error",
            None,
            "the site has one patient only",
            "Add patients: from one alone nothing can be learnt or tested.",
        )
    for _, group in groupby(ids, str.casefold):
        same = list(group)
        if len(same) > 1:
            yield Finding(
                "error",
                same[1],
                f"patient ids {' and '.join(same)} differ in case only",
                "Rename one: many file systems take them for the same folder.",
            )
    for folder in sorted(site.folder.glob("sub-*")):
        identity = folder.name.removeprefix("sub-")
        if folder.is_dir() and identity not in ids:
            yield Finding(
                "warning",
                identity,
                f"the folder {folder.name} is not in participants.tsv",
                "Add the patient or move the folder.",
            )


def _copies(identity: str, digests: tuple[tuple[str, int], ...], seen: dict[str, tuple[str, int]]) -> Iterator[Finding]:
    """Exams of which an image was seen before, once each; adds the patient's images to `seen`."""
    told: set[tuple[int, str, int]] = set()
    for digest, day in digests:
        other, other_day = seen.setdefault(digest, (identity, day))
        if (other, other_day) == (identity, day) or (day, other, other_day) in told:
            continue
        told.add((day, other, other_day))
        whose = "the same patient" if other == identity else f"patient {other}, who may be the same person"
        yield Finding(
            "error",
            identity,
            f"exam of day {day} holds the same image as the exam of day {other_day} of {whose}",
            "Remove the copy: the same images in training and test would make results too good.",
        )
