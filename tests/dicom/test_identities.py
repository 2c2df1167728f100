"""Identities that lie in a hospital's folder leave no trace in any byte that is made of them."""

import logging
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.dicom.planted import plant, traces

from flame.dicom.arrival.store import Admitted, Refused, admit, instances, keep_refusals, read_instance
from flame.dicom.identity.pseudonym import Key
from flame.errors import DataError


def _haystack(folder: Path) -> bytes:
    """All bytes below a folder, and the names of all that lies there."""
    paths = sorted(folder.rglob("*"))
    names = "\n".join(str(path.relative_to(folder)) for path in paths).encode()
    return b"\n".join([names, *(path.read_bytes() for path in paths if path.is_file())])


def test_two_hundred_identities_leave_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    planted = plant(tmp_path / "hospital", np.random.default_rng(5))
    caplog.set_level(logging.DEBUG)
    key, store = Key(bytes(range(7, 39))), tmp_path / "intake"
    said: list[str] = []
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for path in sorted((tmp_path / "hospital").rglob("*")):
            if not path.is_file():
                continue
            try:
                result = admit(store, read_instance(path), key)
            except DataError as error:
                said.append("".join(traceback.format_exception(error)) + error.hint + repr(error.__context__))
                outcomes["no DICOM"] += 1
                continue
            said.append("" if isinstance(result, Admitted) else repr(result))
            outcomes[result.reason if isinstance(result, Refused) else "kept"] += 1
    keep_refusals(store, outcomes)
    assert outcomes == {
        "kept": planted.passing,
        "no DICOM": planted.others,
        "secondary capture": planted.refused // 2,
        "structured report": planted.refused // 2,
    }
    assert len(list(instances(store))) == planted.passing
    printed = capfd.readouterr()
    told = "\n".join([*said, repr(key), printed.out, printed.err, caplog.text, *(str(one.message) for one in warned)])
    before, after = _haystack(tmp_path / "hospital"), _haystack(store)
    assert len(planted.strings) == len(set(planted.strings)) >= 200
    assert traces(before, planted.strings) == list(planted.strings)  # the search finds what is there
    assert traces(after, planted.strings) == []
    assert traces(told.encode(), planted.strings) == []
    assert len(planted.uids) > 40
    assert all(uid.encode() in before for uid in planted.uids)
    assert not [uid for uid in planted.uids if uid.encode() in after or uid in told]
    assert bytes(range(7, 39)) not in after
