import pytest
from pydantic import Field, ValidationError

from flame.errors import ConfigError
from flame.settings import Settings, read_toml


class Inner(Settings):
    rate: float = Field(0.1, gt=0)


class Outer(Settings):
    rounds: int = Field(3, ge=1)
    inner: Inner = Inner()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job.toml"


def test_values_and_defaults_are_read(path):
    path.write_text("rounds = 5\n[inner]\n")
    assert read_toml(path, Outer) == Outer(rounds=5, inner=Inner(rate=0.1))


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Outer().rounds = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("rounds = 0", "rounds = 0: Input should be greater than or equal to 1"),
        ("[inner]\nrate = nan", "inner.rate = nan: Input should be a finite number"),
        ("[inner]\nrate = inf", "inner.rate = inf: Input should be a finite number"),
        ("roundz = 5", "roundz = 5: Extra inputs are not permitted"),
        ("rounds = ", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_with_the_key_and_the_value(path, content, what):
    path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        read_toml(path, Outer)
    assert str(path) in raised.value.message
    assert what in raised.value.message
    assert raised.value.hint


def test_a_missing_file_and_one_that_is_not_text(path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_toml(path, Outer)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_toml(path, Outer)
