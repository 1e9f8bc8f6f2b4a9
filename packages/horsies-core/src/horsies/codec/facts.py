"""What the codec must know about a type to carry it fast: which of the slower checks it can do without."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from horsies.codec.json_value import JsonValue
from horsies.codec.structure import (
    SCALARS,
    class_of,
    container_of,
    is_any,
    is_opaque,
    is_union,
    parts,
    unwrap,
)
from horsies.task_result import TaskError


@dataclass(slots=True)
class Facts:
    """Properties of a declared type.

    Attributes:
        opaque: It holds models or dataclasses, whose instances Pydantic does not look into when validating.
        loose_floats: It may hold a NaN that nobody has checked: in such a class, or by what its metadata does.
        deep: Its values can be nested without limit.
        codes: It holds a `TaskError`, whose error code may be a built-in one.
        unions: It holds a union, where Pydantic takes an error of one member for a reason to try the next.
    """

    opaque: bool = False
    loose_floats: bool = False
    deep: bool = False
    codes: bool = False
    unions: bool = False

    def __or__(self, other: "Facts") -> "Facts":
        return Facts(
            self.opaque or other.opaque,
            self.loose_floats or other.loose_floats,
            self.deep or other.deep,
            self.codes or other.codes,
            self.unions or other.unions,
        )


def read_facts(declared: Any) -> Facts:
    """The properties of a type; of one that cannot be resolved, the careful ones.

    Raises:
        TypeProblem: The type names something that does not exist.
    """
    reader = _Reader()
    reader.read(declared, inside_class=False)
    return reader.facts


@dataclass(slots=True)
class _Reader:
    facts: Facts = field(default_factory=Facts)
    seen: set[tuple[Any, bool]] = field(default_factory=set[tuple[Any, bool]])
    open: set[Any] = field(default_factory=set[Any])

    def read(self, declared: Any, *, inside_class: bool) -> None:
        bare, metadata = unwrap(declared)
        self.facts.loose_floats |= _loosens_floats(metadata)
        if bare is JsonValue or is_any(bare):
            self.facts.deep = True
            self.facts.loose_floats |= inside_class
            return
        if bare in SCALARS:
            self.facts.loose_floats |= inside_class and bare is float
            return
        if bare in self.open:
            self.facts.deep = True
        if (bare, inside_class) in self.seen:
            return
        self.seen.add((bare, inside_class))
        self.open.add(bare)
        self._read_inside(bare, inside_class)
        self.open.discard(bare)

    def _read_inside(self, bare: Any, inside_class: bool) -> None:
        inner = list(parts(bare))
        self.facts.unions |= is_union(bare)
        kind = class_of(bare)
        if kind is not None:
            self.facts.opaque |= is_opaque(kind)
            if issubclass(kind, TaskError):
                self.facts.codes = self.facts.loose_floats = self.facts.deep = True
                return
            config = _config_of(kind)
            # A configuration of its own takes the place of ours, which refuses NaN.
            inside_class |= is_opaque(kind) or bool(config)
            self.facts.loose_floats |= config.get("extra") == "allow" or _has_own_writing(kind)
        if container_of(bare) is not None and not inner:
            self.facts.deep = True
        if not inner and container_of(bare) is None and not is_union(bare):
            self.facts.loose_floats |= inside_class
        for part in inner:
            self.read(part.type, inside_class=inside_class)


def _loosens_floats(metadata: tuple[Any, ...]) -> bool:
    # Metadata that says how to build the schema may validate and write in any way, subclasses' fields included.
    return any(
        getattr(item, "allow_inf_nan", False)
        or hasattr(item, "__get_pydantic_core_schema__")
        or _loosens_floats(tuple(item.metadata) if isinstance(item, FieldInfo) else ())
        for item in metadata
    )


def _config_of(kind: type[Any]) -> ConfigDict:
    name = "model_config" if issubclass(kind, BaseModel) else "__pydantic_config__"
    return getattr(kind, name, None) or ConfigDict()


def _has_own_writing(kind: type[Any]) -> bool:
    decorators = getattr(kind, "__pydantic_decorators__", None)
    if decorators is not None:
        return bool(decorators.field_serializers or decorators.model_serializers)
    return hasattr(kind, "__get_pydantic_core_schema__")
