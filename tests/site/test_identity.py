"""Key pairs: they sign, they are kept from others, and a lost one is not silently replaced."""

from pathlib import Path

import pytest

from flame.errors import ConfigError
from flame.site.identity import is_signed_by, make_identity, read_identity, read_public_key


def test_what_it_signs_verifies_with_its_public_key_alone(tmp_path: Path) -> None:
    make_identity(tmp_path / "a")
    mine, public = read_identity(tmp_path / "a"), read_public_key(tmp_path / "a" / "identity.pub")
    other = make_identity(tmp_path / "b")
    signature = mine.sign(b"round 3")
    assert public == mine.public_key
    assert is_signed_by(public, signature, b"round 3")
    assert not is_signed_by(public, signature, b"round 4")
    assert not is_signed_by(other.public_key, signature, b"round 3")
    assert not is_signed_by(b"short", signature, b"round 3")


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_identity(tmp_path)
    private = tmp_path / "identity.key"
    assert private.stat().st_mode & 0o777 == 0o600
    private.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        read_identity(tmp_path)


def test_what_is_there_is_not_replaced_and_what_is_no_key_is_refused(tmp_path: Path) -> None:
    make_identity(tmp_path)
    before = (tmp_path / "identity.key").read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        make_identity(tmp_path)
    assert (tmp_path / "identity.key").read_bytes() == before
    (tmp_path / "identity.key").write_text("nothing")
    with pytest.raises(ConfigError, match="holds no private key"):
        read_identity(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        read_identity(tmp_path / "nowhere")
    for content in ("zz", "abcd"):
        (tmp_path / "identity.pub").write_text(content)
        with pytest.raises(ConfigError, match="public key"):
            read_public_key(tmp_path / "identity.pub")
