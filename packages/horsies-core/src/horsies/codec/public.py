"""The codec for users' own code: single values between Python and JSON-shaped data, by declared type."""

from typing import Any

from horsies.codec.typed import codec_for


def encode_value(value: object, declared_type: Any) -> Any:
    """A value as JSON-shaped data, as it would travel under a declared type.

    Args:
        value: The value; converted as Pydantic's lax mode does.
        declared_type: Its declared type, as in an annotation.

    Returns:
        `None`, `bool`, `int`, `float`, `str`, or lists and dicts of these.

    Raises:
        ValidationError: The value does not fit the type.
        StrictJsonError: It cannot be written as strict JSON, or no value of the type can.
    """
    return codec_for(declared_type).encode_data(value)


def decode_value(json_value: object, declared_type: Any) -> Any:
    """JSON-shaped data as a value of a declared type.

    Args:
        json_value: What `encode_value` returned, or any JSON data.
        declared_type: The declared type, as in an annotation.

    Raises:
        ValidationError: The data does not fit the type.
        StrictJsonError: It is no strict JSON data, holds reserved keys or tags that cannot be read, or no value of
            the type can travel.
    """
    return codec_for(declared_type).decode_data(json_value)
