"""What the codec raises. Callers on either side of the wire turn these into results and error codes."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

_LONGEST_REPR = 500


class StrictJsonError(ValueError):
    """A value has no place in the JSON that horsies stores, or a stored text is not such JSON."""


class ArgumentError(ValueError):
    """The arguments of a call do not go with the task's parameters; the text names task and parameter."""


class EncodeError(ValueError):
    """An argument cannot be sent; the text names task and argument, `__cause__` is the reason."""


class DecodeError(ValueError):
    """Stored arguments or a stored result cannot be read back; `__cause__` is the reason."""


class NoTypeAvailableError(LookupError):
    """A stored success was read without a declared type to read it by."""


class ReturnTypeMismatch(TypeError):  # noqa: N818  (the name is part of the contract between modules)
    """What a task returned is not of its declared type.

    Attributes:
        details: JSON data for the error: `variant`, `expected_type`, `actual_value`, `validation_errors`.
    """

    details: dict[str, Any]

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


def mismatch_details(
    variant: str, expected: str, actual: object, errors: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """What the data of a `RETURN_TYPE_MISMATCH` error says.

    Args:
        variant: Which slot of the result was wrong, `"ok"` or `"err"`.
        expected: The declared type as text.
        actual: The value found; shown by its repr, cut to a reasonable length.
        errors: What validation found, as `error_list` gives it.
    """
    return {
        "variant": variant,
        "expected_type": expected,
        "actual_value": safe_repr(actual),
        "validation_errors": list(errors),
    }


def error_list(error: ValidationError) -> list[dict[str, Any]]:
    """The findings of a validation as JSON data, without the values that were validated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"type": item["type"], "loc": [str(part) for part in item["loc"]], "msg": _utf8(item["msg"])}
        for item in found
    ]


def summary(error: ValidationError, skip: int = 0) -> str:
    """The first finding of a validation in one line, without the value that was validated.

    Args:
        error: The validation error.
        skip: How many leading parts of the position to leave out.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in found[0]["loc"][skip:])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return _utf8(f"{found[0]['msg']}{f' at {place}' if place else ''}{more}")


def reason_of(error: Exception) -> str:
    """Why a value was refused, in one line, whether the codec, Pydantic or a validator of the user's said so."""
    if isinstance(error, ValidationError):
        return summary(error)
    return _utf8(str(error) if isinstance(error, StrictJsonError) else f"{type(error).__name__}: {error}")


def safe_repr(value: object) -> str:
    """The repr of any value, cut to a reasonable length; never fails and always fits UTF-8."""
    try:
        shown = repr(value)
    except Exception as failure:
        shown = f"<{type(value).__name__}, whose repr raises {type(failure).__name__}>"
    return _utf8(shown if len(shown) <= _LONGEST_REPR else f"{shown[:_LONGEST_REPR]}…")


def type_name(declared: object) -> str:
    """A type as a person would write it."""
    if declared is type(None):
        return "None"
    if isinstance(declared, type) and not hasattr(declared, "__origin__"):
        return declared.__qualname__.rpartition("<locals>.")[2]
    return str(declared).replace("typing.", "")


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
