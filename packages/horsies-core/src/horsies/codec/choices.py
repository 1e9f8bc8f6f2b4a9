"""Enums and literals: which values they have, and which of them Pydantic does not bring back."""

from collections.abc import Iterable
from enum import Enum, Flag
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter

from horsies.codec.structure import class_of, flatten_union, unwrap


def is_enum(bare: Any) -> bool:
    """Whether an unwrapped type is an enum."""
    kind = class_of(bare)
    return kind is not None and issubclass(kind, Enum)


def is_flag(bare: Any) -> bool:
    """Whether an unwrapped type is an enum whose members can be combined."""
    kind = class_of(bare)
    return kind is not None and issubclass(kind, Flag)


def holds_enum(declared: Any) -> bool:
    """Whether a type is an enum, a literal with members of one, or a union of such and others."""
    for member in flatten_union(declared):
        bare, _ = unwrap(member)
        if is_enum(bare) or (is_literal(bare) and any(isinstance(value, Enum) for value in get_args(bare))):
            return True
    return False


def is_literal(bare: Any) -> bool:
    """Whether an unwrapped type is a `Literal`."""
    return get_origin(bare) is Literal


def values_of(bare: Any) -> tuple[Any, ...]:
    """The values of a type that has few: `None`, a literal or an enum. Empty for other types.

    Of a flag's combinations there are too many; nothing and everything stand for them.
    """
    if bare is type(None):
        return (None,)
    if is_literal(bare):
        return get_args(bare)
    members: tuple[Any, ...] = tuple(bare) if is_enum(bare) else ()
    if members and is_flag(bare):
        nothing = type(members[0])(0)
        return (*members, nothing, ~nothing)
    return members


def find_loss(declared: Any, values: Iterable[Any], *, as_keys: bool = False) -> str:
    """Try whether values come back from the JSON that Pydantic writes.

    Args:
        declared: The type to write and read by; with `as_keys` a dict.
        values: The values; with `as_keys` the keys.
        as_keys: Whether to try them as keys of the dict.

    Returns:
        What becomes of the first value that does not come back; empty if all do.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(declared)
    for value in values:
        try:
            text = adapter.dump_json({value: 0} if as_keys else value, warnings=False)
            back = adapter.validate_json(text)
        except Exception:  # also what an enum's own methods raise
            return f"{value!r} cannot be read back"
        if as_keys:
            back = next(iter(back))
        if type(back) is not type(value) or back != value:
            return f"{value!r} would come back as {back!r}"
    return ""
