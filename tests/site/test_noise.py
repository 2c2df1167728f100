"""The secret is made once and read by nobody else; a seed belongs to one question."""

from pathlib import Path

import pytest

from flame.errors import ConfigError
from flame.site.noise import noise_secret, noise_seed, occasion

QUESTION = (bytes(32), "a" * 64, 3, "b" * 64, "c" * 64)


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = noise_secret(tmp_path)
    assert len(first) == 32
    assert noise_secret(tmp_path) == first != bytes(32)
    assert (tmp_path / "noise.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["noise.key"]
    assert noise_secret(tmp_path / "other") != first


def test_a_secret_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    noise_secret(tmp_path)
    (tmp_path / "noise.key").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        noise_secret(tmp_path)
    (tmp_path / "noise.key").chmod(0o600)
    (tmp_path / "noise.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        noise_secret(tmp_path)


@pytest.mark.parametrize("place", range(5))
def test_any_other_question_has_another_seed(place: int) -> None:
    other = list(QUESTION)
    other[place] = {0: bytes([1] * 32), 2: 4}.get(place, "d" * 64)
    assert noise_seed(*QUESTION) == noise_seed(*QUESTION)
    assert noise_seed(*QUESTION) != noise_seed(*other)


def test_an_occasion_is_no_seed() -> None:
    seed = noise_seed(*QUESTION)
    assert occasion(seed) == occasion(seed) != occasion(seed[::-1])
    assert seed.hex() not in occasion(seed)
