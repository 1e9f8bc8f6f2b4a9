"""Whether a value of one declared type may stand where another type is declared."""

from typing import Any, Final, Literal, get_args, get_origin

from horsies.codec.json_value import JsonValue
from horsies.codec.structure import (
    ARRAYS,
    FREE_SCALARS,
    OBJECTS,
    class_of,
    container_of,
    is_any,
    is_union,
    unwrap,
)
from horsies.task_result import TaskError, TaskResult


class Unknown:
    """The type of `UNKNOWN`: a node's success type that nothing declares."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "an unknown type"


UNKNOWN: Final = Unknown()

_DEEPEST = 40  # of types that contain themselves, and deeper than anybody writes


def fits(source: Any, target: Any) -> bool:
    """Whether values of the type `source` may be given where `target` is declared.

    The same type, a subclass, a member of a union; `int` for `float`; items of containers alike. `Any` fits
    everything and is fitted by everything.
    """
    return _fits(source, target, 0)


def result_type(declared: Any) -> Any:
    """The success type of a parameter that takes a node's result; `UNKNOWN` for any other parameter.

    Args:
        declared: The parameter's annotation: `TaskResult[T, TaskError]`, optionally `| None`.
    """
    inner = unwrap(declared)[0]
    if is_union(inner):
        members = [member for member in get_args(inner) if member is not type(None)]
        inner = unwrap(members[0])[0] if len(members) == 1 else inner
    arguments = get_args(inner)
    if get_origin(inner) is not TaskResult or len(arguments) != 2 or unwrap(arguments[1])[0] is not TaskError:
        return UNKNOWN
    return type(None) if arguments[0] is None else arguments[0]


def _fits(source: Any, target: Any, depth: int) -> bool:
    source, target, depth = unwrap(source)[0], unwrap(target)[0], depth + 1
    if depth > _DEEPEST or is_any(source) or is_any(target) or source == target:
        return True
    if is_union(source):
        return all(_fits(member, target, depth) for member in get_args(source))
    if get_origin(source) is Literal and get_origin(target) is not Literal:
        return all(_fits(type(value), target, depth) for value in get_args(source))
    if is_union(target):
        return any(_fits(source, member, depth) for member in get_args(target))
    if target is JsonValue:
        return _is_json(source, depth)
    if get_origin(target) is Literal:
        return get_origin(source) is Literal and set(get_args(source)) <= set(get_args(target))
    return _class_fits(source, target, depth)


def _class_fits(source: Any, target: Any, depth: int) -> bool:
    given, wanted = class_of(source), class_of(target)
    if given is None or wanted is None or source is JsonValue:
        return False
    if wanted is float and issubclass(given, int):
        return True
    try:
        if not issubclass(given, wanted):
            return False
    except TypeError:  # some protocols and typed dictionaries cannot be asked
        return False
    if given is tuple or wanted is tuple:
        return _tuple_fits(get_args(source), target, depth)
    arguments, parameters = get_args(source), get_args(target)
    if container_of(source) in OBJECTS and container_of(target) in ARRAYS:
        arguments = arguments[:1]
    # What was not said is Any, so a bare container goes with every other.
    return all(_fits(left, right, depth) for left, right in zip(arguments, parameters, strict=False))


def _tuple_fits(items: tuple[Any, ...], target: Any, depth: int) -> bool:
    wanted = get_args(target)
    if not items or not wanted:
        return True
    is_open = items[-1] is Ellipsis
    if class_of(target) is not tuple or wanted[-1] is Ellipsis:
        return all(_fits(item, wanted[0], depth) for item in items if item is not Ellipsis)
    if is_open or len(items) != len(wanted):
        return False
    return all(_fits(left, right, depth) for left, right in zip(items, wanted, strict=True))


def _is_json(source: Any, depth: int) -> bool:
    if source in FREE_SCALARS:
        return True
    container = container_of(source)
    if container not in (list, dict):
        return False
    arguments = get_args(source)
    if container is dict and arguments and unwrap(arguments[0])[0] is not str:
        return False
    return all(_fits(item, JsonValue, depth) for item in arguments)
