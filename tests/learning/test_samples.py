"""Stores on disk: what was prepared, once, and again only when the source has changed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.records.sites import make_site

from flame.errors import DataError
from flame.imaging.cube import Crop
from flame.imaging.prepare import CONTEXTS, Context, PreparedPatient, prepare_patient
from flame.learning import samples
from flame.learning.samples import SampleStore, build_stores, open_store
from flame.models.encoding import encode, halved
from flame.records.dataset import Site, read_site, write_site
from flame.records.patient import Patient

CROP = Crop(spacing_mm=4.0, size=8)


def build(site: Site, folder: Path, context: Context) -> SampleStore:
    return build_stores(site, {context: folder}, CROP)[context]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    write_site(make_site(tmp_path / "site"))
    return read_site(tmp_path / "site")


def test_a_store_holds_what_was_prepared(site: Site, tmp_path: Path) -> None:
    store = build(site, tmp_path / "store", "pre_rt")
    assert store.patients == ("001", "002")
    assert store.offered() == {"proton": 2}
    for place, record in enumerate(site.patients):
        prepared = prepare_patient(record, CROP)
        seen = encode(prepared, prepared.courses[0], "pre_rt")
        assert np.array_equal(store.volumes[place], seen.volumes)
        assert np.array_equal(store.halved[place], halved(seen.volumes))
        assert np.array_equal(store.scalars[place], seen.scalars)
        assert np.array_equal(store.labels[place, 0], prepared.exams[1].label_map)
        assert store.days[place, 0] == 28
        assert np.isnan(store.days[place, 1:]).all()
    assert np.isnan(store.responder).all()  # nobody was seen half a year after radiotherapy


def test_arrays_stay_on_disk_until_looked_at(site: Site, tmp_path: Path) -> None:
    build(site, tmp_path / "store", "pre_rt")
    assert isinstance(open_store(tmp_path / "store").volumes, np.memmap)


def test_a_finished_store_is_made_again_only_if_its_source_changed(site: Site, tmp_path: Path) -> None:
    build(site, tmp_path / "store", "pre_rt")
    written = (tmp_path / "store" / "volumes.npy").stat().st_mtime_ns
    build(site, tmp_path / "store", "pre_rt")
    assert (tmp_path / "store" / "volumes.npy").stat().st_mtime_ns == written
    image = next(iter(site.patients[0].exams[0].sequences.values()))
    os.utime(image, ns=(1, 1))
    build(site, tmp_path / "store", "pre_rt")
    assert (tmp_path / "store" / "volumes.npy").stat().st_mtime_ns != written


def test_a_patient_whose_regions_are_not_all_known_is_excluded(site: Site, tmp_path: Path) -> None:
    first, second = site.patients
    exams = (first.exams[0], replace(first.exams[1], regions=("TC",)))
    store = build(replace(site, patients=(replace(first, exams=exams), second)), tmp_path / "store", "pre_rt")
    assert store.patients == ("002",)
    ((patient, reason),) = store.excluded
    assert (patient, "does not show ET, WT" in reason) == ("001", True)


def test_a_patient_who_lacks_an_exam_is_excluded_with_the_reason(site: Site, tmp_path: Path) -> None:
    first = replace(site.patients[0], exams=site.patients[0].exams[:1])
    store = build(replace(site, patients=(first, site.patients[1])), tmp_path, "first_post_rt")
    assert store.patients == ("002",)
    ((patient, reason),) = store.excluded
    assert patient == "001"
    assert "14 to 60 days after radiotherapy" in reason


def test_a_site_where_nobody_can_be_used_is_refused(site: Site, tmp_path: Path) -> None:
    bare = tuple(replace(patient, courses=()) for patient in site.patients)
    with pytest.raises(DataError, match="No patient of St Anna can be used"):
        build(replace(site, patients=bare), tmp_path / "store", "pre_rt")
    assert not (tmp_path / "store" / "index.json").exists()


def test_a_store_that_is_not_whole_is_refused(site: Site, tmp_path: Path) -> None:
    build(site, tmp_path / "store", "pre_rt")
    (tmp_path / "store" / "labels.npy").unlink()
    with pytest.raises(DataError, match="not a whole sample store"):
        open_store(tmp_path / "store")


def test_a_patients_files_are_read_once_for_all_contexts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(record: Patient, crop: Crop) -> PreparedPatient:
        read.append(record.id)
        return prepare_patient(record, crop)

    monkeypatch.setattr(samples, "prepare_patient", counted)
    folders: dict[Context, Path] = {context: tmp_path / context for context in CONTEXTS}
    both = build_stores(site, folders, CROP)
    assert read == ["001", "002"]
    for context in CONTEXTS:
        alone = build(site, tmp_path / "alone" / context, context)
        assert both[context].patients == alone.patients
        assert np.array_equal(both[context].volumes, alone.volumes)
