"""Turns declared types into types that Pydantic carries the way horsies wants them carried.

Only direct positions are touched: what stands inside a class with fields is left to that class.
"""

from collections import Counter, abc
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, GetCoreSchemaHandler, Strict, TypeAdapter
from pydantic_core import CoreSchema, core_schema, from_json

from horsies.codec.choices import holds_enum, is_flag, is_literal, values_of
from horsies.codec.json_value import JsonValue
from horsies.codec.problems import StrictJsonError
from horsies.codec.structure import (
    OBJECTS,
    alias_value,
    container_of,
    is_alias,
    is_any,
    is_union,
    lazy_alias,
    parts,
    unwrap,
    with_serialization,
)
from horsies.codec.writers import writer

type Leaf = Callable[[Any], Any]
"""Replaces a type as a whole, or returns `None` to have its parts looked at."""


def no_leaf(declared: Any) -> None:
    """Replaces nothing."""


class Rewriter:
    """Rewrites types: repairs what Pydantic would not bring back, and replaces what `leaf` asks for."""

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._aliases: dict[Any, Any] = {}

    def rewrite(self, declared: Any) -> Any:
        """The type to use; the declared one itself if there is nothing to change.

        Raises:
            TypeProblem: The type names something that does not exist.
        """
        if not self._affects(declared, set()):
            return declared
        replaced = self._leaf(declared)
        if replaced is not None:
            return replaced
        if is_alias(declared):
            return self._rewrite_alias(declared)
        origin = get_origin(declared)
        if origin is Annotated:
            return Annotated[(self.rewrite(declared.__origin__), *declared.__metadata__)]
        if is_union(declared):
            return Union[tuple(self.rewrite(member) for member in _enums_first(get_args(declared)))]  # noqa: UP007
        if origin is Literal:
            return Annotated[declared, _ReadFirst(_by_json(declared))]
        if origin is None:
            return self.rewrite(unwrap(declared)[0])
        return self._rewrite_container(declared)

    def _rewrite_alias(self, alias: Any) -> Any:
        # Kept, so that an alias that contains itself becomes one that contains itself.
        if alias not in self._aliases:
            self._aliases[alias] = lazy_alias(lambda: self.rewrite(alias_value(alias)))
        return self._aliases[alias]

    def _rewrite_container(self, declared: Any) -> Any:
        container = container_of(declared)
        arguments = [item if item is Ellipsis else self.rewrite(item) for item in get_args(declared)]
        if container in OBJECTS:
            arguments[0] = _rewrite_key(container, get_args(declared), arguments[0])
        if container is abc.Iterable:
            # Pydantic would hand an unread iterator to the task, which fails late and can be read once only.
            container = list
        return _generic(container, *arguments)

    def _affects(self, declared: Any, seen: set[Any]) -> bool:
        if self._leaf(declared) is not None:
            return True
        bare, metadata = unwrap(declared)
        if bare is JsonValue or bare in seen or _is_repaired(metadata):
            return False
        seen.add(bare)
        if self._leaf(bare) is not None or _needs_repair(bare):
            return True
        return any(self._affects(part.type, seen) for part in parts(bare) if not part.is_field)


def _needs_repair(bare: Any) -> bool:
    if is_union(bare):
        members = get_args(bare)
        return _enums_first(members) != list(members)
    if is_literal(bare):
        # Pydantic finds members that are text or numbers themselves, but no others.
        return any(isinstance(value, Enum) and not isinstance(value, str | int) for value in get_args(bare))
    container = container_of(bare)
    arguments: tuple[Any, ...] = get_args(bare)
    if container is abc.Iterable:
        return True
    return container in OBJECTS and any(
        _rewrite_key(container, arguments, key) is not key for key in arguments[:1]
    )


def _generic(container: Any, *arguments: Any) -> Any:
    many = len(arguments) > 1 or container is tuple
    return container.__class_getitem__(arguments if many else next(iter(arguments)))


def _enums_first(members: tuple[Any, ...]) -> list[Any]:
    # Reading 1 as `bool | SomeIntEnum`, Pydantic finds both equally fitting and takes the first.
    return sorted(members, key=lambda member: not holds_enum(member))


def _rewrite_key(container: Any, arguments: tuple[Any, ...], rewritten: Any) -> Any:
    bare, metadata = unwrap(arguments[0])
    if _is_repaired(metadata):
        return rewritten
    if is_any(bare) and not (container is dict and is_any(arguments[-1])):
        # Keys of another type would be read back as text. (A dict with values of any type is untyped as a whole.)
        return Annotated[str, Strict()]
    if is_flag(bare):
        return Annotated[rewritten, _ReadFirst(_number)]
    texts = _key_texts(bare)
    return Annotated[rewritten, _ReadFirst(lambda key: texts.get(key, key))] if texts else rewritten


def _key_texts(bare: Any) -> dict[str, Any]:
    """How the values of a key type look as keys, for types that Pydantic cannot read back from that text."""
    plain = [value.value if isinstance(value, Enum) else value for value in values_of(bare)]
    if all(isinstance(value, str) for value in plain):
        return {}
    dump = TypeAdapter(dict[Any, int]).dump_python
    return {next(iter(dump({value: 0}, mode="json"))): value for value in plain}


def _is_repaired(metadata: tuple[Any, ...]) -> bool:
    return any(isinstance(item, _ReadFirst) for item in metadata)


def _number(key: str) -> int | str:
    try:
        return int(key)
    except ValueError:
        return key


def _by_json(literal: Any) -> Callable[[Any], Any]:
    """A function that finds the values of a literal by what they look like as JSON."""
    dump = TypeAdapter(literal).dump_json
    values: dict[tuple[type, Any], Any] = {}
    for value in get_args(literal):
        data: object = from_json(dump(value))
        values.setdefault((type(data), data), value)

    def find(data: object) -> Any:
        try:
            return values.get((type(data), data), data)
        except TypeError:  # a list or an object, which is no value of a literal
            return data

    return find


class _ReadFirst:
    """Has JSON replaced by what it stands for before it is validated."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler(source)
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_before_validator_function(self._read, inner), python_schema=inner
        )


class WireLeaves:
    """The replacements used for writing: untyped positions, moments and some dataclasses.

    Args:
        marker: Metadata that makes Pydantic carry a position by the rules for untyped ones.
    """

    def __init__(self, marker: object) -> None:
        self._marker = marker
        anything: Any = Annotated[Any, marker]
        self._anything = anything

    def __call__(self, declared: Any) -> Any:
        """The replacement for one type; `None` to have its parts looked at."""
        if is_any(declared):
            return self._anything
        if declared is datetime or declared is time:
            return Annotated[declared, _WholeMinutes()]
        if is_union(declared):
            return self._anything if any(is_any(unwrap(member)[0]) for member in get_args(declared)) else None
        container = container_of(declared)
        if container is not None:
            return self._untyped_container(declared, container)
        if isinstance(declared, type) and is_dataclass(declared):
            return _without_fixed_fields(declared)
        return None

    def _untyped_container(self, declared: Any, container: Any) -> Any:
        arguments = get_args(declared)
        bare = not arguments and declared != tuple[()]
        if container in (list, dict) and (bare or self._holds_anything(container, arguments)):
            return Annotated[declared, self._marker]
        if not bare:
            return None
        if container is tuple:
            return _generic(tuple, self._anything, Ellipsis)
        if container is Counter:
            return None
        if container in OBJECTS:
            return _generic(container, str, self._anything)
        return _generic(list if container is abc.Iterable else container, self._anything)

    @staticmethod
    def _holds_anything(container: Any, arguments: tuple[Any, ...]) -> bool:
        if not is_any(arguments[-1]):
            return False
        return container is list or arguments[0] is str or is_any(arguments[0])


class _WholeMinutes:
    """Refuses moments whose UTC offset ISO 8601 text cannot carry, instead of sending another moment."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(
            writer(_refuse_odd_offset, source), when_used="json"
        )
        return with_serialization(handler(source), write)


def _refuse_odd_offset(moment: datetime | time) -> datetime | time:
    offset = moment.utcoffset()
    if offset is not None and (offset.seconds % 60 or offset.microseconds):
        raise StrictJsonError(
            f"a UTC offset of {offset} has seconds, which ISO 8601 text cannot carry; use astimezone(UTC) first"
        )
    return moment


def _without_fixed_fields(kind: Any) -> Any:
    # A class that forbids extra fields would refuse to be read back with the fields its constructor does not take.
    config: ConfigDict = getattr(kind, "__pydantic_config__", None) or ConfigDict()
    fixed = frozenset(field.name for field in fields(kind) if not field.init)
    return Annotated[kind, _WithoutFields(fixed)] if fixed and config.get("extra") == "forbid" else None


class _WithoutFields:
    """Leaves fields out when a dataclass is written."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler(source)
        return core_schema.no_info_after_validator_function(
            _same,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                self._leave_out, schema=inner, when_used="json"
            ),
        )

    def _leave_out(self, value: Any, write: core_schema.SerializerFunctionWrapHandler) -> Any:
        return {name: item for name, item in write(value).items() if name not in self._names}


def _same(value: Any) -> Any:
    return value
