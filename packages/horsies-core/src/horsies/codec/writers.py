"""Functions that Pydantic calls to write a value: kept to their type, and with refusals that are not lost."""

import threading
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticSerializationUnexpectedValue

from horsies.codec.problems import StrictJsonError
from horsies.codec.structure import class_of, is_any


class _Refusals(threading.local):
    """The last refusal in this thread. Pydantic keeps of an exception in a writing function no more than its text."""

    last: StrictJsonError | None = None


_refusals = _Refusals()


def take_refusal() -> StrictJsonError | None:
    """The refusal because of which writing just failed in this thread, if a writing function refused."""
    refusal, _refusals.last = _refusals.last, None
    return refusal


def writer(write: Callable[[Any], Any], declared: Any) -> Callable[[Any], Any]:
    """Make a function that writes the values of one type and leaves others to the next member of a union.

    Args:
        write: Writes a value, or raises `StrictJsonError`.
        declared: The type; a class, a container type, or `Any`.
    """
    kind = class_of(declared)
    if kind is None or is_any(declared):
        kind = object

    def write_own(value: Any) -> Any:
        if not isinstance(value, kind):
            raise PydanticSerializationUnexpectedValue(f"not a {kind.__name__}")
        try:
            return write(value)
        except StrictJsonError as refusal:
            _refusals.last = refusal
            raise

    return write_own
