"""The static arguments of a node on their way to JSON text and back, each by its parameter's declared type."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from horsies.codec.problems import DecodeError, StrictJsonError, reason_of, summary, type_name
from horsies.codec.strict import parse_json, write_json
from horsies.codec.typed import codec_for
from horsies.workflow.call_signature import CallSignature


def encode_argument(signature: CallSignature, name: str, value: object) -> tuple[str, Any]:
    """One argument as JSON text, and the value that will arrive.

    Raises:
        StrictJsonError: The value does not fit its type, or would not arrive whole; the text says why.
    """
    codec = codec_for(_type_of(signature, name))
    try:
        text = codec.encode(value)
        arriving = codec.decode(text)
    except ValidationError as error:
        raise StrictJsonError(
            f"cannot be sent as {type_name(_type_of(signature, name))}: {summary(error)}"
        ) from error
    _refuse_lost_keys(value, arriving)
    return text, arriving


def join_arguments(texts: Mapping[str, str]) -> str | None:
    """Arguments as one JSON object; `None` without any.

    Args:
        texts: JSON text by parameter name.
    """
    if not texts:
        return None
    return "{" + ",".join(f"{write_json(name)}:{text}" for name, text in texts.items()) + "}"


def decode_arguments(signature: CallSignature, text: str | None) -> dict[str, Any]:
    """Stored arguments by parameter name.

    Args:
        signature: The parameters.
        text: What `join_arguments` returned.

    Raises:
        DecodeError: The text is no object, or an argument does not fit its type.
    """
    if text is None:
        return {}
    name: str | None = None
    try:
        data = parse_json(text)
        if not isinstance(data, dict):
            raise StrictJsonError(f"stored arguments are an object, not a {type(data).__name__}")
        arguments: dict[str, Any] = {}
        for name, item in cast("dict[str, object]", data).items():
            arguments[name] = codec_for(_type_of(signature, name)).decode_data(item)
        return arguments
    except Exception as error:  # validators of the declared types are user code
        where = "the stored arguments" if name is None else f"the stored argument {name!r}"
        raise DecodeError(f"{where} cannot be read: {reason_of(error)}") from error


def _type_of(signature: CallSignature, name: str) -> Any:
    parameter = signature.parameters.get(name)
    return Any if parameter is None else parameter.annotation


def _refuse_lost_keys(given: object, arriving: object) -> None:
    """Two keys of a dict can become one when they are read as the declared type: `{1: ..., "1": ...}`."""
    if isinstance(given, Mapping) and isinstance(arriving, Mapping):
        left, right = cast("Mapping[object, object]", given), cast("Mapping[object, object]", arriving)
        if len(left) > len(right):
            raise StrictJsonError(
                f"two keys of a dict are the same once they are read: it has {len(left)}, {len(right)} would arrive"
            )
        pairs = zip(left.values(), right.values(), strict=False)
    elif isinstance(given, list | tuple) and isinstance(arriving, list | tuple):
        pairs = zip(cast("Sequence[object]", given), cast("Sequence[object]", arriving), strict=False)
    else:
        return
    for before, after in pairs:
        _refuse_lost_keys(before, after)
