"""How declared types are put together: what an alias stands for, what a container or class holds."""

import collections
import dataclasses
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeAliasType, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import pydantic
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from horsies.codec.json_value import JsonValue

FREE_SCALARS: frozenset[Any] = frozenset((type(None), bool, int, float, str))
SCALARS: frozenset[Any] = FREE_SCALARS | {bytes, datetime, date, time, timedelta, Decimal, UUID}

ARRAYS: frozenset[Any] = frozenset(
    (
        list,
        tuple,
        set,
        frozenset,
        collections.deque,
        abc.Sequence,
        abc.MutableSequence,
        abc.Set,
        abc.MutableSet,
        abc.Collection,
        abc.Iterable,
    )
)
OBJECTS: frozenset[Any] = frozenset(
    (
        dict,
        collections.defaultdict,
        collections.OrderedDict,
        collections.Counter,
        abc.Mapping,
        abc.MutableMapping,
    )
)
CONTAINERS = ARRAYS | OBJECTS


class Part(NamedTuple):
    """One type that another type is made of.

    Attributes:
        label: How the part is reached, for messages.
        type: The part.
        is_field: Whether it is a field of a class, where Pydantic's own rules hold.
        is_key: Whether it is the key of an object, which is always text on the wire.
    """

    label: str
    type: Any
    is_field: bool = False
    is_key: bool = False


class TypeProblem(Exception):  # noqa: N818  (a finding about a type; the signature reader turns it into an error)
    """Why a type cannot travel.

    Attributes:
        type: The offending type.
        place: How it is reached from the declared type; outermost first.
        reason: What is wrong with it.
        fix: What to do about it.
    """

    def __init__(self, offending: object, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.type = offending
        self.place: list[str] = []
        self.reason = reason
        self.fix = fix


def is_any(bare: object) -> bool:
    """Whether a type says nothing about its values."""
    return bare is Any or bare is object


def is_union(bare: object) -> bool:
    """Whether a type is a union, `Optional` included."""
    return get_origin(bare) in (typing.Union, types.UnionType)


def is_alias(declared: object) -> bool:
    """Whether a type is a `type X = …` alias, or a generic one with its arguments."""
    # By name, as typing_extensions has a class of its own for it.
    return "TypeAliasType" in (type(declared).__name__, type(get_origin(declared)).__name__)


def alias_value(alias: Any) -> Any:
    """What an alias stands for.

    Raises:
        TypeProblem: It names something that does not exist.
    """
    if alias is pydantic.JsonValue:
        # The same data, which Pydantic carries on its own; the names in its text cannot be resolved.
        return JsonValue
    origin = get_origin(alias)
    try:
        if origin is None:
            return alias.__value__
        return _substitute(origin.__value__, dict(zip(origin.__type_params__, get_args(alias), strict=False)))
    except NameError as error:
        raise TypeProblem(alias, f"it cannot be resolved: {error}", "define or import the name") from error


def lazy_alias(compute: Callable[[], Any]) -> TypeAliasType:
    """An alias whose meaning is computed when it is first asked for, so that it may contain itself."""
    # A type statement evaluates its right side when it is first needed, which is what lets the alias be recursive.
    type Lazy = compute()  # type: ignore[valid-type]  # pyright: ignore[reportInvalidTypeForm]
    return Lazy


def unwrap(declared: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without aliases, `Annotated` and `NewType`, and the metadata found on the way.

    Raises:
        TypeProblem: An alias names something that does not exist.
    """
    metadata: tuple[Any, ...] = ()
    while declared is not JsonValue:
        if is_alias(declared):
            declared = alias_value(declared)
        elif get_origin(declared) is Annotated:
            metadata = (*declared.__metadata__, *metadata)
            declared = declared.__origin__
        elif isinstance(declared, typing.NewType):
            declared = declared.__supertype__
        elif declared is None:
            declared = type(None)
        else:
            break
    return declared, metadata


def container_of(bare: Any) -> Any:
    """The container class of a type such as `list`, `typing.List` or `list[int]`; `None` if it is no container."""
    origin = get_origin(bare) or bare
    try:
        return origin if origin in CONTAINERS else None
    except TypeError:
        return None


def class_of(bare: Any) -> type[Any] | None:
    """The class of a type such as `Order` or `Page[int]`; `None` if it is no class."""
    origin = get_origin(bare) or bare
    return cast("type[Any]", origin) if isinstance(origin, type) else None


def has_fields(kind: type[Any]) -> bool:
    """Whether a class is a model, dataclass, `TypedDict` or `NamedTuple`."""
    return is_opaque(kind) or typing.is_typeddict(kind) or is_named_tuple(kind)


def is_opaque(kind: type[Any]) -> bool:
    """Whether Pydantic takes instances of a class as they are, without looking at their fields again."""
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


def is_named_tuple(kind: type[Any]) -> bool:
    """Whether a class was made by `NamedTuple` or `namedtuple`."""
    return tuple in kind.__mro__ and hasattr(kind, "_fields")


def discriminator_of(metadata: tuple[Any, ...]) -> bool:
    """Whether metadata tells Pydantic how to choose a union's member."""
    return any(
        type(item).__name__ == "Discriminator" or getattr(item, "discriminator", None) is not None
        for item in metadata
    )


def flatten_union(declared: Any) -> list[Any]:
    """The members of a union and of the unions in it, but of none whose member a key chooses.

    Returns:
        The members as declared; the type itself if it is no union.
    """
    bare, metadata = unwrap(declared)
    if not is_union(bare) or discriminator_of(metadata):
        return [declared]
    return [member for inner in get_args(bare) for member in flatten_union(inner)]


def value_type(declared: Any) -> Any:
    """A type whose `Field(...)` says something about values only: it cannot rename an argument or give a default."""
    if get_origin(declared) is not Annotated:
        return declared
    metadata: list[Any] = []
    for item in declared.__metadata__:
        if isinstance(item, FieldInfo):
            metadata += item.metadata
            if item.discriminator is not None:
                metadata.append(Field(discriminator=item.discriminator))
        else:
            metadata.append(item)
    return Annotated[(declared.__origin__, *metadata)] if metadata else declared.__origin__


def with_serialization(schema: CoreSchema, serialization: core_schema.SerSchema) -> CoreSchema:
    """A copy of a schema that writes by `serialization`."""
    return cast("CoreSchema", {**schema, "serialization": serialization})


def parts(bare: Any) -> Iterator[Part]:
    """The types that an unwrapped type is made of.

    Raises:
        TypeProblem: A field's annotation cannot be resolved.
    """
    if is_union(bare):
        yield from (Part("", member) for member in get_args(bare))
        return
    container = container_of(bare)
    if container is not None:
        arguments = [item for item in get_args(bare) if item is not Ellipsis]
        if container in OBJECTS and arguments:
            yield Part("key", arguments[0], is_key=True)
            yield from (Part("value", item) for item in arguments[1:])
        else:
            yield from (Part("item", item) for item in arguments)
        return
    kind = class_of(bare)
    if kind is not None and has_fields(kind):
        yield from (Part(f"field {name}", field, is_field=True) for name, field in _fields(bare, kind))


def _fields(bare: Any, kind: type[Any]) -> Iterator[tuple[str, Any]]:
    if issubclass(kind, BaseModel):
        yield from _model_fields(kind)
        return
    hints = _field_hints(kind)
    arguments = dict(zip(getattr(kind, "__parameters__", ()), get_args(bare), strict=False))
    names: list[str]
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif typing.is_typeddict(kind):
        names = list(hints)
    else:
        names = list(getattr(kind, "_fields", ()))
    for name in names:
        declared = hints.get(name, Any)
        while get_origin(declared) in (typing.Required, typing.NotRequired) or _is_read_only(declared):
            declared = get_args(declared)[0]
        yield name, _substitute(declared, arguments)


def _is_read_only(declared: Any) -> bool:
    return getattr(get_origin(declared), "_name", None) == "ReadOnly"


def _model_fields(kind: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    if not (kind.__pydantic_complete__ or kind.model_rebuild(raise_errors=False)):
        raise TypeProblem(
            kind, "one of its fields names a type that is not defined", "define or import the missing type"
        )
    for name, field in kind.model_fields.items():
        if field.exclude:
            continue
        metadata: list[Any] = list(field.metadata)
        if field.discriminator is not None:
            metadata.append(Field(discriminator=field.discriminator))
        yield name, Annotated[(field.annotation, *metadata)] if metadata else field.annotation


def _field_hints(kind: type[Any]) -> dict[str, Any]:
    try:
        # The class itself is named, as a class inside a function cannot be found in its module.
        return get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)
    except Exception as error:
        raise TypeProblem(
            kind,
            f"the annotation of one of its fields cannot be resolved: {error}",
            "define or import the name",
        ) from error


def _substitute(declared: Any, arguments: dict[Any, Any]) -> Any:
    if not arguments:
        return declared
    if declared in arguments:
        return arguments[declared]
    parameters = getattr(declared, "__parameters__", ())
    if not parameters or isinstance(declared, type):
        return declared
    return declared[tuple(arguments.get(parameter, parameter) for parameter in parameters)]
