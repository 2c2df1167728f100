"""Ten thousand broken DICOM files: none crashes or hangs, each is accepted or refused for a reason."""

import os
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from tests.dicom.instances import KINDS, as_file, instance

from flame.dicom.arrival.store import Admitted, Refused, admit, read_instance
from flame.dicom.identity.pseudonym import Key
from flame.errors import DataError

REASONS = {
    "burned-in annotation",
    "colour picture",
    "compression that cannot be read",
    "conflicting duplicate",
    "damaged",
    "document",
    "identifier missing",
    "nested too deep",
    "other kind of object",
    "overlay in pixel data",
    "pixel data cut short",
    "pixel data missing",
    "pixel data without a size",
    "presentation state",
    "secondary capture",
    "structured report",
    "unknown transfer syntax",
    "video",
}
KEY = Key(bytes(32))


def _mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """One to four wounds: bits turned over, a cut, bytes put in or taken out, blocks swapped, a length made huge."""
    broken = bytearray(content)
    for _ in range(int(generator.integers(1, 5))):
        at = (
            int(generator.integers(len(broken)))
            if generator.random() < 0.2
            else int(generator.integers(128, len(broken)))
        )
        kind = int(generator.integers(7))
        some = generator.bytes(int(generator.integers(1, 9)))
        if kind == 0:
            broken[at] ^= 1 << int(generator.integers(8))
        elif kind == 1:
            broken[at : at + len(some)] = some
        elif kind == 2:
            del broken[max(at, 140) :]
        elif kind == 3:
            broken[at:at] = some
        elif kind == 4:
            del broken[at : at + len(some)]
        elif kind == 5:
            other = int(generator.integers(128, len(broken) - 8)) if len(broken) > 144 else 0
            broken[at : at + 8], broken[other : other + 8] = broken[other : other + 8], broken[at : at + 8]
        else:
            broken[at : at + 4] = (b"\xff\xff\xff\xff", b"\xfe\xff\xff\x7f", b"\0\0\0\0")[int(generator.integers(3))]
        broken.extend(b"\0" * max(0, 140 - len(broken)))
    return bytes(broken)


def test_ten_thousand_broken_files_are_accepted_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk is not what is tried here
    generator = np.random.default_rng(20)
    syntaxes = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    sources = [as_file(instance(kind), syntax) for kind in KINDS for syntax in syntaxes]
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number in range(10_000):
        broken = _mutated(sources[number % len(sources)], generator)
        begun = time.process_time()
        try:
            result = admit(tmp_path, read_instance(broken), KEY)
        except DataError as error:
            outcomes[str(error)] += 1
        else:
            outcomes[result.reason if isinstance(result, Refused) else "accepted"] += 1
            if isinstance(result, Admitted):
                accepted = result.path.read_bytes()
                header, _, _ = accepted.partition(b"\xe0\x7f\x10\x00")  # blocks of text were swapped into pixels, too
                assert b"Weber" not in header
                assert number % 20 or dcmread(BytesIO(accepted)).PatientIdentityRemoved == "YES"
                result.path.unlink()  # else the next wound to the same instance would be a conflicting duplicate
                result.path.parent.rmdir()  # and each series of wounded UIDs would be searched for duplicates
                result.path.parents[1].rmdir()
        slowest = max(slowest, time.process_time() - begun)
    assert set(outcomes) <= REASONS | {"accepted", "A file is damaged", "A file is not DICOM"}
    assert outcomes.total() == 10_000
    assert slowest < 2.0  # seconds of one core, where a whole file takes milliseconds: nothing hung
    # a quarter (2,367): two of eleven kinds may not pass, half of the wounds cut, shift or swallow what follows
    assert 2_000 < outcomes["accepted"] < 3_000
    assert outcomes["A file is damaged"] + outcomes["damaged"] > 100
