"""Settings that come from a user's file: frozen, checked, and refused with a message that names the field."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from flame.errors import ConfigError

__all__ = ["Settings", "read_toml"]


class Settings(BaseModel):
    """Base of everything a user's file can hold: immutable; an unknown key, NaN and infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def read_toml(path: Path, kind: type[S]) -> S:
    """Read `path` as settings of type `kind`.

    Raises: ConfigError: if the file is missing, is not TOML, or a value is out of its range; the message names the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist", "Check the path.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "Correct the line that is named.") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}: {key} = {first.get('input')!r}: {first['msg']}", "Correct the value and start again."
        ) from error
