"""The public sets that FLAME can bring in, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from flame.records.sources import (
    brats,
    cfb_gbm,
    lumiere,
    mu_glioma_post,
    nifti,
    rhuh,
    sailor,
    ucsf_alptdg,
    upenn,
)
from flame.records.sources.draft import PublicSet

__all__ = ["SOURCES"]

SOURCES: Mapping[str, Callable[[Path], PublicSet]] = MappingProxyType(
    {
        cfb_gbm.NAME: cfb_gbm.open_set,
        lumiere.NAME: lumiere.open_set,
        sailor.NAME: sailor.open_set,
        mu_glioma_post.NAME: mu_glioma_post.open_set,
        ucsf_alptdg.NAME: ucsf_alptdg.open_set,
        rhuh.NAME: rhuh.open_set,
        upenn.NAME: upenn.open_set,
        brats.NAME: brats.open_set,
        nifti.NAME: nifti.open_set,
    }
)
"""By name, what opens the set in a folder; for `nifti`, in a table. Each is described in docs/public-sets.md."""
