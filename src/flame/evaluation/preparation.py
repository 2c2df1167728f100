"""Prepare a site's samples for a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flame.imaging.cube import Crop
from flame.imaging.prepare import Context
from flame.learning.samples import build_stores
from flame.records.dataset import read_site
from flame.workers import Emit

__all__ = ["SamplesOrder", "prepare_samples", "store_folder"]


@dataclass(frozen=True)
class SamplesOrder:
    """A site's folder and where its samples go, by context."""

    site: Path
    folders: Mapping[Context, Path]
    crop: Crop


def store_folder(out: Path, site: str, context: Context) -> Path:
    """Where a comparison in `out` keeps a site's samples."""
    return out / "samples" / f"{site}-{context}"


def prepare_samples(order: SamplesOrder, emit: Emit) -> None:
    """Prepare a site's stores, or leave them if they are up to date; emits the site's name."""
    stores = build_stores(read_site(order.site), order.folders, order.crop)
    site = next(iter(stores.values())).site
    emit(f"{site}: " + ", ".join(f"{len(store.patients)} patients {context}" for context, store in stores.items()))
