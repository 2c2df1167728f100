"""The report's colours: one per way of training, arm and label, told apart by colour-blind readers as well.

A colour of `THEME` is drawn as its light value; in the page it becomes a CSS variable of the same name, so that figures
follow the reader's light or dark setting. Colours on top of images (`LABELS`, `REGIONS`) are the same in both.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["LABELS", "REGIONS", "SITES", "THEME", "colour", "heat"]

THEME: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "paper": ("#ffffff", "#12161c"),
        "ink": ("#1b2330", "#e7ebf0"),
        "muted": ("#596473", "#a3adba"),
        "line": ("#d8dde4", "#3a434f"),
        "none": ("#737b86", "#98a2ae"),
        "volume_trend": ("#4d8f6d", "#74bd97"),
        "local": ("#b8520e", "#f2994a"),
        "federated": ("#1d5fbd", "#6faaf7"),
        "pooled": ("#7b2f8c", "#c98ed9"),
        "photon": ("#0c7b70", "#3fc2b3"),
        "proton": ("#b02a6b", "#f083b6"),
        "carbon": ("#876a02", "#d9b63d"),
    }
)
"""Name -> (light, dark). `none` is the colour of persistence, which is not trained."""

LABELS: Mapping[int, str] = MappingProxyType({1: "#f4e04d", 2: "#56b4e9", 3: "#ff6a3d", 4: "#d98cc0"})
"""Label value -> colour on a grey image: necrosis, oedema, enhancing tumour, cavity."""

REGIONS: Mapping[str, str] = MappingProxyType({"ET": "#ff6a3d", "TC": "#f4e04d", "WT": "#56b4e9"})
"""Region -> colour on a grey image."""

SITES: tuple[str, ...] = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#999999")
"""Colours of sites in their order; they begin again after the last."""

_SPARE = ("ink", "muted", "volume_trend", "pooled", "local")
_PALE, _DEEP = (238, 243, 250), (16, 72, 152)
_MIDDLE_LUMINANCE = 0.179  # there black and white text have the same contrast, 4.6 to 1


def colour(name: str) -> str:
    """Light value of a name of `THEME`; a name that is not known gets a spare colour, always the same one."""
    known = name if name in THEME else _SPARE[sum(name.encode()) % len(_SPARE)]
    return THEME[known][0]


def heat(share: float) -> tuple[str, str]:
    """Background and text colour of a heat map's cell.

    Args:
        share: position between the lowest and the highest value; clipped to [0, 1].

    Returns: two CSS colours with a contrast of at least 4.5 to 1.
    """
    at = min(1.0, max(0.0, share))
    mixed = tuple(round(pale + at * (deep - pale)) for pale, deep in zip(_PALE, _DEEP))
    background = "#{:02x}{:02x}{:02x}".format(*mixed)
    return background, "#ffffff" if _luminance(mixed) < _MIDDLE_LUMINANCE else "#000000"


def _luminance(channels: Sequence[int]) -> float:
    """Relative luminance of sRGB channels 0..255, in [0, 1] (WCAG 2.2)."""
    shares = [channel / 255 for channel in channels]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
