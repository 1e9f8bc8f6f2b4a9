"""Which JSON shapes a type can take on the wire, and whether a union's members can be told apart by them."""

from enum import Enum
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter

from horsies.codec.json_value import JsonValue
from horsies.codec.problems import type_name
from horsies.codec.structure import (
    FREE_SCALARS,
    OBJECTS,
    SCALARS,
    TypeProblem,
    class_of,
    container_of,
    discriminator_of,
    flatten_union,
    has_fields,
    is_any,
    is_named_tuple,
    is_union,
    unwrap,
)

type Shapes = frozenset[str]

_ANY_BUT_NULL: Shapes = frozenset(("boolean", "number", "string", "array", "object"))
_NO_SHAPE: Shapes = frozenset()
_NAMES: dict[Any, str] = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string"}


def shapes_of(declared: Any, _open: frozenset[Any] = frozenset()) -> Shapes:
    """The JSON shapes of a type's values: null, boolean, number, string, array, object."""
    bare, _ = unwrap(declared)
    if bare in _open:
        return _NO_SHAPE
    if bare is JsonValue or is_any(bare):
        return _ANY_BUT_NULL | {"null"}
    if bare in SCALARS:
        return frozenset((_NAMES.get(bare, "string"),))
    if is_union(bare):
        return _NO_SHAPE.union(*(shapes_of(member, _open | {bare}) for member in get_args(bare)))
    if get_origin(bare) is Literal:
        return _shapes_of_values(get_args(bare))
    container = container_of(bare)
    if container is not None:
        return frozenset(("object" if container in OBJECTS else "array",))
    kind = class_of(bare)
    if kind is None:
        return _ANY_BUT_NULL
    if issubclass(kind, Enum):
        return _shapes_of_values(tuple(kind))
    if issubclass(kind, RootModel):
        return shapes_of(cast("type[BaseModel]", kind).model_fields["root"].annotation, _open | {bare})
    if has_fields(kind):
        return frozenset(("array" if is_named_tuple(kind) else "object",))
    return _shapes_by_schema(bare)


def check_union(bare: Any, metadata: tuple[Any, ...]) -> None:
    """Check that the members of a union can be told apart on the wire.

    Args:
        bare: The union, unwrapped.
        metadata: What `Annotated` said about it.

    Raises:
        TypeProblem: They cannot.
    """
    members = flatten_union(bare)
    free = [member for member in members if unwrap(member)[0] in FREE_SCALARS]
    taken = {shape: member for member in free for shape in shapes_of(member)}
    chosen_by_key = discriminator_of(metadata)
    for member in members:
        if member in free:
            continue
        claimed = _claimed_shapes(member)
        for shape in sorted(claimed):
            if shape in taken and not (chosen_by_key and shape == "object"):
                raise _clash(bare, taken[shape], member, shape)
            taken[shape] = member


def _claimed_shapes(member: Any) -> Shapes:
    bare, _ = unwrap(member)
    # What holds anything holds None as well: Optional[Any] says nothing that Any does not.
    return shapes_of(member) - {"null"} if is_any(bare) or bare is JsonValue else shapes_of(member)


def _clash(bare: Any, first: Any, second: Any, shape: str) -> TypeProblem:
    fix = "keep one of them, or wrap them in a model that says which one it holds"
    if shape == "object":
        fix = 'give both models a Literal field, say kind, and declare Annotated[A | B, Field(discriminator="kind")]'
    return TypeProblem(
        bare,
        f"{type_name(first)} and {type_name(second)} both travel as a JSON {shape} and cannot be told apart",
        fix,
    )


def _shapes_of_values(values: tuple[Any, ...]) -> Shapes:
    plain = (value.value if isinstance(value, Enum) else value for value in values)
    return frozenset(_NAMES.get(type(value), "string") for value in plain)


def _shapes_by_schema(bare: Any) -> Shapes:
    try:
        schema = TypeAdapter(bare).json_schema(mode="serialization")
    except Exception:  # whatever the type's own hooks raise: its shape is not known then
        return _ANY_BUT_NULL
    name = schema.get("type")
    if name == "integer":
        name = "number"
    return frozenset((name,)) if isinstance(name, str) and name in _ANY_BUT_NULL else _ANY_BUT_NULL
