"""Prepare a site's samples for a comparison."""

from dataclasses import dataclass
from pathlib import Path

from flame.imaging.cube import Crop
from flame.imaging.prepare import Context
from flame.learning.samples import build_store
from flame.records.dataset import read_site
from flame.workers import Emit

__all__ = ["StoreOrder", "prepare_store", "store_folder"]


@dataclass(frozen=True)
class StoreOrder:
    """A site's folder and where its samples for one context go."""

    site: Path
    folder: Path
    crop: Crop
    context: Context


def store_folder(out: Path, site: str, context: Context) -> Path:
    """Where a comparison in `out` keeps a site's samples."""
    return out / "samples" / f"{site}-{context}"


def prepare_store(order: StoreOrder, emit: Emit) -> None:
    """Prepare one store, or leave it if it is up to date; emits the site's name."""
    store = build_store(read_site(order.site), order.folder, order.crop, order.context)
    emit(f"{store.site} {order.context}: {len(store.patients)} patients")
