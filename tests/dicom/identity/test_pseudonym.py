"""A site's key: what it makes is stable, tells nothing, and the key itself never shows."""

import hashlib
import hmac
import re
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame.dicom.identity.pseudonym import LONGEST_SHIFT, Key
from flame.errors import ConfigError

ONE, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))


def test_a_uid_is_the_hmac_of_the_original_as_a_uuid() -> None:
    digest = hmac.new(bytes(range(32)), b"uid\0" + b"1.2.3", hashlib.sha256).digest()
    assert ONE.uid("1.2.3") == f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


@given(st.text(max_size=40))
def test_pseudonyms_fit_their_places(original: str) -> None:
    assert re.fullmatch(r"P[A-Z2-7]{10}", ONE.patient_id(original))
    uid = ONE.uid(original)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", uid)
    assert len(uid) <= 64
    assert -LONGEST_SHIFT <= ONE.days_offset(original) <= -1


def test_two_keys_give_pseudonyms_that_have_nothing_in_common() -> None:
    originals = [str(number) for number in range(1000)]
    for make in (lambda key, one: key.patient_id(one), lambda key, one: key.uid(one)):
        mine, theirs = ({make(key, one) for one in originals} for key in (ONE, OTHER))
        assert len(mine) == len(theirs) == 1000
        assert not mine & theirs
    same = sum(ONE.days_offset(one) == OTHER.days_offset(one) for one in originals)
    assert same <= 5  # one in 3650 by chance
    assert len({ONE.days_offset(one) for one in originals}) > 800


def test_blanks_around_an_identifier_do_not_make_another_patient() -> None:
    assert ONE.patient_id("4711 ") == ONE.patient_id("4711") == ONE.patient_id("4711\0")
    assert ONE.patient_id("4711") != ONE.patient_id("47 11")


def test_one_purpose_tells_nothing_of_another() -> None:
    assert ONE.patient_id("x")[1:] not in (ONE.mark("x", ""), ONE.mark("", "x"))
    assert ONE.mark("a", "bc") != ONE.mark("ab", "c")


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "site" / "pseudonyms.key"
    made = Key.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert Key.load_or_create(path).uid("1.2") == made.uid("1.2")
    assert Key.load_or_create(tmp_path / "other.key").uid("1.2") != made.uid("1.2")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "site.key"
    Key.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others"):
        Key.load_or_create(path)


def test_a_key_never_shows(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    key = Key.load_or_create(path)
    secret = path.read_text().strip()
    shown = f"{key!r} {key} {vars(type(key))}"
    assert secret not in shown
    assert str(bytes.fromhex(secret)) not in shown
    path.write_text(secret[:-2] + "zz")
    with pytest.raises(ConfigError, match="holds no key") as caught:
        Key.load_or_create(path)
    assert secret[:8] not in str(caught.value) + caught.value.hint
    with pytest.raises(ValueError, match="32 bytes"):
        Key(b"short")
