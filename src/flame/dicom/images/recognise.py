"""Which sequence a series is: T1w, T1ce, T2w or FLAIR where its name and its timing agree, else a reason."""

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace

from flame.dicom.images.sequences import (
    AFTER_CONTRAST,
    ASIDE,
    BEFORE_CONTRAST,
    NAMES,
    NOT_CONTRAST,
    PULSES,
    TIMINGS,
    Timing,
    Weighting,
)
from flame.dicom.series import Plane, Series
from flame.records.finding import Finding
from flame.records.patient import Sequence

__all__ = ["Recognised", "doubted", "finding", "recognise"]

_OTHER_MODALITIES = ("CT", "PT", "REG", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "SEG", "SR", "PR", "OT")
_SMALLEST_MM = 60.0
_AT_LEAST_SLICES = 8
_T2_OF = {("T2", "FLAIR"), ("FLAIR", "T2")}


@dataclass(frozen=True)
class Recognised:
    """What a series was taken for.

    Attributes:
        series_uid: which one.
        sequence: None where it is kept aside or not sure.
        kind: DICOM's modality.
        three_d, plane: how it was acquired.
        reasons: why, in words that tell of nobody.
        aside: what else it surely is; None if it is a sequence, or nobody knows: then it needs a look.
        contrast_stated: whether the header itself speaks for or against contrast.
    """

    series_uid: str
    sequence: Sequence | None
    kind: str
    three_d: bool
    plane: Plane | None
    reasons: tuple[str, ...]
    aside: str | None = None
    contrast_stated: bool = False


def recognise(series: Series) -> Recognised:
    """What its header says that a series is.

    A name and a timing that contradict each other give no sequence: nothing is guessed.
    """
    answer = Recognised(series.uid, None, series.kind, series.three_d, series.plane, ())
    aside = _aside(series)
    if aside:
        return replace(answer, aside=aside[0], reasons=aside)
    weighting, reasons = _weighting(series)
    if weighting is None:
        return replace(answer, reasons=reasons)
    if weighting in ("STIR", "PD", "T2*"):
        return replace(answer, aside=f"a {weighting} image", reasons=reasons)
    if weighting != "T1":
        after = _contrast(series)[0]
        notes = ("after contrast",) if after else ()
        sequence: Sequence = "T2w" if weighting == "T2" else "FLAIR"
        return replace(answer, sequence=sequence, reasons=(*reasons, *notes))
    after, why = _contrast(series)
    stated = after is not None
    return replace(answer, sequence="T1ce" if after else "T1w", reasons=(*reasons, why), contrast_stated=stated)


def doubted(recognised: Recognised, why: str) -> Recognised:
    """The same series, no longer taken for a sequence."""
    return replace(recognised, sequence=None, reasons=(*recognised.reasons, why))


def finding(patient: str, key: str, recognised: Recognised) -> Finding | None:
    """What to tell about a series that is not sure; None if there is nothing to tell."""
    if recognised.sequence is not None or recognised.aside is not None:
        return None
    return Finding(
        "warning",
        patient,
        f"series {key} was not recognised: {'; '.join(recognised.reasons)}",
        "Look at it, and say what it is in overrides.tsv: T1w, T1ce, T2w, FLAIR or none.",
    )


def _aside(series: Series) -> tuple[str, ...]:
    """Why a series is kept aside, the first reason being what it is; empty if it is not."""
    if series.kind != "MR":
        return (f"of modality {series.kind}, not MR" if series.kind in _OTHER_MODALITIES else "not MR",)
    types = set(series.types[2:]) | set(series.types) & {"LOCALIZER"}
    for one in ASIDE:
        told = [*sorted(one.words & set(series.names)), *sorted(one.types & types)]
        if told:
            return one.what, f"its header says {told[0]}"
    if series.weighted or series.pulse.lstrip("*").startswith("ep_b"):
        return "a diffusion image or map", "it has a diffusion weighting"
    if series.echo == "EP":
        return "functional or echo-planar", "it was read out by echo-planar imaging"
    return _too_small(series)


def _too_small(series: Series) -> tuple[str, ...]:
    if series.extent_mm is None:
        return ()
    if series.slices < _AT_LEAST_SLICES or min(series.extent_mm) < _SMALLEST_MM:
        told = f"{series.slices} slices over {min(series.extent_mm):.0f} mm"
        return "too small a part of the head", told
    return ()


def _weighting(series: Series) -> tuple[Weighting | None, tuple[str, ...]]:
    named, words = _named(series)
    timed = _timed(series)
    timing = ", ".join(
        f"{name} {value:g} ms" for name, value in (("TR", series.tr), ("TE", series.te), ("TI", series.ti)) if value
    )
    if named is None and timed is None:
        return None, (f"neither its name nor its timing ({timing or 'not given'}) says what it is",)
    if timed is None:
        if series.tr and series.te:
            return None, (f"named {named} ({words})", f"its timing is that of no known sequence ({timing})")
        return named, (f"named {named} ({words})", "its timing is not given")
    by_timing = f"timing of {timed} ({timing})"
    if named is None:
        return timed, ("its name does not say what it is", by_timing)
    by_name = f"named {named} ({words})"
    if named == timed or _both_t2(named, timed, series) or (named, timed) == ("T2", "STIR"):
        return ("FLAIR" if _both_t2(named, timed, series) else timed), (by_name, by_timing)
    return None, (by_name, f"but with the {by_timing}")


def _both_t2(named: Weighting, timed: Weighting, series: Series) -> bool:
    """FLAIR is T2-weighted: it may be named T2, or keep its inversion time to itself."""
    return (named, timed) in _T2_OF and named != timed and (timed == "FLAIR" or series.ti is None)


def _named(series: Series) -> tuple[Weighting | None, str]:
    names = set(series.names)
    for one in NAMES:
        if one.words <= names:
            others = {other.weighting for other in NAMES if other.words <= names} - {one.weighting, "FLAIR"}
            if one.weighting in ("T1", "T2") and others & {"T1", "T2", "PD"} - {one.weighting}:
                return None, ""
            return one.weighting, " ".join(word for word in series.names if word in one.words)
    pulse = series.pulse.lower().lstrip("*")
    for beginning, weighting in PULSES:
        if pulse.startswith(beginning):
            return weighting, series.pulse
    return None, ""


def _timed(series: Series) -> Weighting | None:
    for row in TIMINGS:
        if _fits(row, series):
            return row.weighting
    return None


def _fits(row: Timing, series: Series) -> bool:
    if series.tr is None or series.te is None or (row.ti is None) != (series.ti is None):
        return False
    inversion = row.ti is None or (series.ti is not None and row.ti[0] <= series.ti <= row.ti[1])
    return (
        inversion
        and (series.echo or "SE") in row.pulses
        and row.tr[0] <= series.tr <= row.tr[1]
        and row.te[0] <= series.te <= row.te[1]
        and (series.flip is None or row.flip[0] <= series.flip <= row.flip[1])
    )


def _contrast(series: Series) -> tuple[bool | None, str]:
    """Whether it was taken after contrast, None if nothing tells; and why."""
    after = [word for word in _about_contrast(series.names) if word in AFTER_CONTRAST]
    before = [word for word in _about_contrast(series.names) if word in BEFORE_CONTRAST]
    if before:
        told = " though the header names an agent" if series.agent else ""
        return False, f"named as without contrast ({' '.join(before)}){told}"
    if after:
        return True, f"named as after contrast ({' '.join(after)})"
    if series.agent is not None:
        return series.agent, f"the header {'names a' if series.agent else 'denies any'} contrast agent"
    return None, "nothing speaks of contrast"


def _about_contrast(names: Several[str]) -> list[str]:
    """Words, without a `post` or `pre` that is about an operation or a treatment."""
    following = [*names, ""][1:]
    return [word for word, next_ in zip(names, following, strict=True) if next_ not in NOT_CONTRAST]
