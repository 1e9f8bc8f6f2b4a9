"""Strict JSON: no NaN, no lone surrogates, text keys only, and keys that only the library itself may use."""

import json
import math
from decimal import Decimal
from enum import Enum
from typing import Any, Never, cast

from pydantic_core import from_json

from horsies.codec.problems import StrictJsonError
from horsies.errors.codes import BUILTIN_CODE_REGISTRY
from horsies.task_result import BUILTIN_CODE_KEY

TAG_KEY = "__h_tag__"
RESULT_KEY = "__h_task_result__"
ARGUMENT_RESULT_KEY = "__h_taskresult_envelope__"
CONTEXT_KEY = "__h_workflow_ctx__"
META_KEY = "__h_workflow_meta__"

MOST_DIGITS = 4300
"""Python and Pydantic read no integer of more digits from text, as that takes time beyond all proportion."""

_RESERVED_PREFIXES = ("__h_", "__horsies_")
_DIGITS = "0123456789"


def is_reserved(key: str) -> bool:
    """Whether user data may not hold this key."""
    return key.startswith(_RESERVED_PREFIXES) or key == BUILTIN_CODE_KEY


def may_hold_reserved_key(text: str) -> bool:
    """Whether a JSON text needs to be searched for reserved keys; false is certain, true is a suspicion.

    A reserved key begins with two underscores, and an underscore can also be written as an escape.
    """
    return '"__' in text or "\\u005" in text


def may_hold_constant(text: str) -> bool:
    """Whether a JSON text needs to be searched for the words NaN and Infinity, which are no JSON."""
    return "NaN" in text or "Infinity" in text


def reserved_key_error(key: str) -> StrictJsonError:
    """The refusal of one reserved key."""
    return StrictJsonError(
        f"the key {key!r} is reserved: keys that begin with __h_ or __horsies_, and {BUILTIN_CODE_KEY}, "
        "belong to the library; rename the key"
    )


def refuse_reserved_keys(data: object, *, codes_allowed: bool = False) -> None:
    """Search JSON data for reserved keys at any depth.

    Args:
        data: Plain JSON data.
        codes_allowed: Whether the declared type holds a `TaskError`, whose error code may be a built-in one.

    Raises:
        StrictJsonError: One was found.
    """
    if isinstance(data, dict):
        for key, item in cast("dict[str, object]", data).items():
            if key[:2] == "__" and is_reserved(key):
                raise reserved_key_error(key)
            if codes_allowed and key == "error_code" and is_builtin_code(item):
                continue
            refuse_reserved_keys(item, codes_allowed=codes_allowed)
    elif isinstance(data, list):
        for item in cast("list[object]", data):
            refuse_reserved_keys(item, codes_allowed=codes_allowed)


def is_builtin_code(data: object) -> bool:
    """Whether JSON data is the wire form of a built-in error code."""
    if not isinstance(data, dict):
        return False
    slot = cast("dict[str, object]", data)
    return len(slot) == 1 and slot.get(BUILTIN_CODE_KEY) in BUILTIN_CODE_REGISTRY


def refuse_hidden_losses(data: object) -> None:
    """Search a Python-mode dump for what a JSON dump replaces in silence: NaN, and surrogates in keys.

    Raises:
        StrictJsonError: Something of the kind was found.
    """
    if isinstance(data, float | Decimal):
        if not math.isfinite(data):
            raise StrictJsonError(f"{data!r} has no place in JSON; send None or a text instead")
    elif isinstance(data, dict):
        for key, item in cast("dict[object, object]", data).items():
            refuse_surrogates(key.value if isinstance(key, Enum) else key)
            refuse_hidden_losses(item)
    elif isinstance(data, list | tuple | set | frozenset):
        for item in cast("list[object]", data):
            refuse_hidden_losses(item)


def refuse_surrogates(text: object) -> None:
    """Refuse text that UTF-8 cannot carry; anything but text passes.

    Raises:
        StrictJsonError: The text holds a lone surrogate.
    """
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StrictJsonError(
                f"text with a lone surrogate (at character {error.start}) cannot be sent as UTF-8; "
                "decode its bytes properly, or send them as bytes"
            ) from None


def refuse_long_integers(text: str) -> None:
    """Refuse JSON text with an integer of more than `MOST_DIGITS` digits, which could be written but not read back.

    Raises:
        StrictJsonError: There is one.
    """
    # Looks at few characters: so many digits in a row cannot lie between two of these places.
    for place in range(0, len(text), MOST_DIGITS + 1):
        if text[place] in _DIGITS and _digits_around(text, place) > MOST_DIGITS:
            # They may also stand in a string, where they do no harm.
            try:
                from_json(text)
            except ValueError as error:
                raise StrictJsonError(
                    f"an integer of more than {MOST_DIGITS} digits cannot be read back; send it as text ({error})"
                ) from error
            return


def _digits_around(text: str, place: int) -> int:
    before = text[max(0, place - MOST_DIGITS) : place]
    after = text[place : place + MOST_DIGITS + 1]
    return len(before) - len(before.rstrip(_DIGITS)) + len(after) - len(after.lstrip(_DIGITS))


def parse_json(text: str) -> Any:
    """JSON text as Python data.

    Raises:
        StrictJsonError: It is not JSON, or holds NaN or an infinite number.
    """
    try:
        return _DECODER.decode(text)
    except StrictJsonError:
        raise
    except RecursionError:
        raise StrictJsonError("the text is nested too deeply") from None
    except ValueError as error:
        raise StrictJsonError(f"the text is not JSON: {error}") from error


def write_json(data: object) -> str:
    """Plain JSON data as compact text.

    Raises:
        StrictJsonError: It is not plain JSON data.
    """
    try:
        _refuse_non_json(data)
        text = _ENCODER.encode(data)
    except StrictJsonError:
        raise
    except RecursionError:
        raise StrictJsonError("the data is nested too deeply, or contains itself") from None
    except ValueError as error:  # of an integer that has more digits than Python writes
        raise StrictJsonError(f"the data cannot be written as JSON: {error}") from error
    refuse_surrogates(text)
    return text


def _refuse_constant(word: str) -> Never:
    raise StrictJsonError(f"the text is not JSON: it holds the bare word {word}")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise StrictJsonError(f"the text holds a number that no float can hold: {digits[:40]}")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _refuse_non_json(data: object) -> None:
    if isinstance(data, float):
        if not math.isfinite(data):
            raise StrictJsonError(f"{data!r} has no place in JSON")
    elif isinstance(data, dict):
        for key, item in cast("dict[object, object]", data).items():
            if not isinstance(key, str):
                raise StrictJsonError(f"JSON objects have text keys, not {type(key).__name__}")
            _refuse_non_json(item)
    elif isinstance(data, list):
        for item in cast("list[object]", data):
            _refuse_non_json(item)
    elif data is not None and not isinstance(data, str | int):
        raise StrictJsonError(f"JSON data cannot hold a {type(data).__name__}")
