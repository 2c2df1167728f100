"""The small messages of a secure round as JSON: keys, letters, requests and answers, with bytes in base64.

A message is a frozen dataclass with the configuration `WIRE`. Reading one executes nothing, and finds what is missing,
too much or of another type; whether the content fits the round is for the step that receives it.
"""

from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from flame.errors import UpdateRejected

__all__ = ["WIRE", "decode_message", "encode_message"]

WIRE = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

M = TypeVar("M")


def encode_message(message: object) -> bytes:
    """JSON of a message; equal messages give equal bytes."""
    return TypeAdapter(type(message)).dump_json(message)


def decode_message(kind: type[M], content: bytes) -> M:
    """The message of a kind, such as `Letter`, that `encode_message` wrote.

    Raises: UpdateRejected: if the bytes are not a message of this kind; the message names the field and no value.
    """
    try:
        return TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        raise UpdateRejected(
            f"the bytes are no {kind.__name__}: {field}: {first['msg']}", "Compare FLAME's version at both ends."
        ) from error
