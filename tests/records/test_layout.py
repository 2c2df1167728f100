from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame.records.layout import brain_mask_path, dose_path, label_map_path, sequence_path, ses_day, ses_label


@pytest.mark.parametrize(("day", "label"), [(-14, "pre0014"), (0, "0000"), (70, "0070"), (12345, "12345")])
def test_ses_label(day, label):
    assert ses_label(day) == label


@given(st.integers(-99999, 99999))
@settings(deadline=None, derandomize=True)
def test_ses_day_inverts_ses_label(day):
    assert ses_day(ses_label(day)) == day


@pytest.mark.parametrize("label", ["70", "-014", "pre-014", "pre0000", "baseline", "", "00070", "0_70"])
def test_ses_day_refuses_what_ses_label_does_not_make(label):
    with pytest.raises(ValueError):
        ses_day(label)


def test_paths_are_bids():
    site = Path("site")
    assert sequence_path(site, "7", -14, "T1ce") == Path(
        "site/sub-7/ses-pre0014/anat/sub-7_ses-pre0014_ce-gadolinium_T1w.nii.gz"
    )
    derivatives = Path("site/derivatives/flame/sub-7")
    assert label_map_path(site, "7", 70) == derivatives / "ses-0070/anat/sub-7_ses-0070_desc-tumour_dseg.nii.gz"
    assert brain_mask_path(site, "7", 70) == derivatives / "ses-0070/anat/sub-7_ses-0070_desc-brain_mask.nii.gz"
    assert dose_path(site, "7", 2, "letd") == derivatives / "dose/sub-7_acq-course2_desc-letd_dose.nii.gz"
