"""Which types a task may declare, checked when the task is defined."""

import enum
import math
import pathlib
import typing
from collections import abc
from collections.abc import Iterable
from types import GenericAlias
from typing import Any, ForwardRef, Union, cast, get_args, get_origin

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from horsies.codec.choices import find_loss, holds_enum, is_enum, is_literal, values_of
from horsies.codec.json_value import JsonValue
from horsies.codec.problems import type_name
from horsies.codec.rewrite import Rewriter, no_leaf
from horsies.codec.structure import (
    SCALARS,
    Part,
    TypeProblem,
    class_of,
    container_of,
    flatten_union,
    has_fields,
    is_any,
    is_union,
    parts,
    unwrap,
)
from horsies.codec.wire_shape import check_union
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta

_ONE_SHOT: frozenset[Any] = frozenset(
    (abc.Iterator, abc.Generator, abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator, abc.Awaitable)
)
_CALLABLES: frozenset[Any] = frozenset((abc.Callable, cast("Any", typing).Callable))
_MODEL_BASES: frozenset[Any] = frozenset((BaseModel, RootModel))
_ENGINE_TYPES = (TaskResult, WorkflowContext, WorkflowMeta)


class TypeRules:
    """Checks declared types one after another; what was found fine once is not looked at again.

    Attributes:
        needs_build: Whether a type was met that only Pydantic itself can judge, so that its schema must be built.
    """

    def __init__(self) -> None:
        self.needs_build = False
        self._seen: set[tuple[Any, bool, bool, bool]] = set()

    def check(self, declared: Any) -> None:
        """Check one declared type and everything it is made of.

        Raises:
            TypeProblem: It cannot travel.
        """
        self._check(Part("", declared), in_field=False)

    def _check(self, part: Part, *, in_field: bool) -> None:
        if isinstance(part.type, str | ForwardRef):
            raise TypeProblem(part.type, "the name cannot be resolved", "define or import the name")
        bare, metadata = unwrap(part.type)
        _refuse_unhashable(bare)
        if is_any(bare) or (not part.is_key and (bare in SCALARS or bare is JsonValue)):
            self.needs_build |= bool(metadata) and bare is not JsonValue
            return
        mark = (bare, bool(metadata), part.is_key, in_field)
        if mark in self._seen:
            return
        self._seen.add(mark)
        self.needs_build |= bool(metadata)
        if part.is_key:
            _check_key(bare)
        self._check_bare(bare, metadata, part, in_field)
        if part.is_key:
            _refuse_lost_keys(bare, in_field)

    def _check_bare(self, bare: Any, metadata: tuple[Any, ...], part: Part, in_field: bool) -> None:
        if is_literal(bare):
            _check_values(bare, get_args(bare), "Literal")
            _refuse_lost_literals(bare, in_field)
            return
        if not is_union(bare) and container_of(bare) is None and bare not in SCALARS:
            _refuse_special(bare)
            self._check_class(bare, part)
        kind = class_of(bare)
        # An error's own fields hold an exception, which the library flattens itself.
        if kind is None or not issubclass(kind, TaskError):
            self._check_parts(parts(bare), in_field)
        if is_union(bare):
            check_union(bare, metadata)
            _refuse_lost_members(bare, in_field)

    def _check_parts(self, inner: Iterable[Part], in_field: bool) -> None:
        for part in inner:
            try:
                self._check(part, in_field=in_field or part.is_field)
            except TypeProblem as problem:
                if part.label:
                    problem.place.insert(0, part.label)
                raise

    def _check_class(self, bare: Any, part: Part) -> None:
        kind = class_of(bare)
        if kind is None or not (has_fields(kind) or issubclass(kind, enum.Enum)):
            _check_buildable(bare, part.type)
        elif issubclass(kind, enum.Enum):
            _check_values(kind, [member.value for member in kind], "Enum")
        else:
            self.needs_build |= not issubclass(kind, BaseModel)


def _refuse_unhashable(bare: Any) -> None:
    try:
        hash(bare)
    except TypeError:
        raise TypeProblem(bare, "it is a value, not a type", "name the type of the values") from None


def _refuse_special(bare: Any) -> None:
    origin = get_origin(bare) or bare
    if isinstance(bare, typing.TypeVar | typing.ParamSpec | typing.TypeVarTuple):
        raise TypeProblem(bare, "a type variable does not say what travels", "name the type")
    if origin in _CALLABLES:
        raise TypeProblem(bare, "functions cannot travel", "pass a name or an id, and look the function up")
    if origin in _MODEL_BASES:
        raise TypeProblem(
            bare, f"bare {type_name(bare)} does not say which fields travel", "name the model class"
        )
    kind = class_of(bare)
    if kind is None:
        return
    if issubclass(kind, pathlib.PurePath):
        raise TypeProblem(bare, "a path means something else on another machine", "declare str")
    if issubclass(kind, SecretStr | SecretBytes):
        raise TypeProblem(
            bare,
            "secrets are masked when written as JSON, so the task would get asterisks",
            "send a reference",
        )
    if issubclass(kind, _ENGINE_TYPES):
        raise TypeProblem(bare, *_ENGINE_ADVICE[kind])
    if kind in _ONE_SHOT or kind is type:
        raise TypeProblem(bare, "it cannot be written as JSON and read back", "declare a list")


_ENGINE_ADVICE: dict[type, tuple[str, str]] = {
    TaskResult: (
        "a TaskResult is filled in by the workflow engine only, as a parameter of its own",
        "declare the parameter as TaskResult[X, TaskError], optionally | None",
    ),
    WorkflowContext: (
        "the workflow engine fills it in by the parameter name workflow_ctx only",
        "declare workflow_ctx: WorkflowContext | None",
    ),
    WorkflowMeta: (
        "the workflow engine fills it in by the parameter name workflow_meta only",
        "declare workflow_meta: WorkflowMeta | None",
    ),
}


def _check_key(bare: Any) -> None:
    fix = "use str, or another scalar type, as the key"
    if is_union(bare):
        raise TypeProblem(
            bare, "object keys are text on the wire, so a union's members cannot be told apart", fix
        )
    kind = class_of(bare)
    if bare is JsonValue or container_of(bare) is not None or (kind is not None and has_fields(kind)):
        raise TypeProblem(bare, "it cannot be the key of a JSON object", fix)
    values = get_args(bare) if is_literal(bare) else ()
    if kind is not None and issubclass(kind, enum.Enum):
        values = tuple(member.value for member in kind)
    if len({str(value) for value in values}) < len(values):
        raise TypeProblem(bare, "two of its values are the same text as keys", fix)


def _check_values(bare: Any, values: Iterable[Any], what: str) -> None:
    found = [value.value if isinstance(value, enum.Enum) and what == "Literal" else value for value in values]
    for value in found:
        scalar = value is None or isinstance(value, str | int | float)
        if (
            not scalar
            or isinstance(value, enum.Enum)
            or (isinstance(value, float) and not math.isfinite(value))
        ):
            raise TypeProblem(
                bare,
                f"its value {value!r} is no str, int, bool, None or finite float",
                f"give the {what} plain values",
            )
    if not found:
        raise TypeProblem(bare, f"this {what} has no values", "name the class that has them")


def _refuse_lost_keys(bare: Any, in_field: bool) -> None:
    values = values_of(bare)
    plain = [value.value if isinstance(value, enum.Enum) else value for value in values]
    if not all(isinstance(value, str) for value in plain):  # text is always found again
        fix = "use str, int, an IntEnum or an enum of texts as the key"
        _refuse_lost(bare, GenericAlias(dict, (bare, int)), values, in_field, fix, as_keys=True)


def _refuse_lost_literals(bare: Any, in_field: bool) -> None:
    if holds_enum(bare):
        fix = "declare the enum itself, or a Literal of plain values"
        _refuse_lost(bare, bare, get_args(bare), in_field, fix)


def _refuse_lost_members(bare: Any, in_field: bool) -> None:
    members = [unwrap(member)[0] for member in flatten_union(bare)]
    scalars = [member for member in members if member in SCALARS or is_literal(member) or is_enum(member)]
    values = [value for member in scalars for value in values_of(member)]
    if len({*scalars} - {type(None)}) > 1 and any(value is not None for value in values):
        fix = "keep one of them, or wrap them in a model that says which one it holds"
        if in_field:
            fix = f"name the enum first, or {fix}"
        _refuse_lost(bare, Union[tuple(scalars)], values, in_field, fix)  # noqa: UP007


def _refuse_lost(
    bare: Any, declared: Any, values: Iterable[Any], in_field: bool, fix: str, *, as_keys: bool = False
) -> None:
    # What the library repairs at other positions, it leaves to the class in its fields.
    carried = declared if in_field else Rewriter(no_leaf).rewrite(declared)
    loss = find_loss(carried, values, as_keys=as_keys)
    if loss:
        key, place = "the key " if as_keys else "", "in a field of a class, " if in_field else ""
        raise TypeProblem(bare, f"{place}{key}{loss}", fix)


def _check_buildable(bare: Any, declared: Any) -> None:
    try:
        TypeAdapter(declared)
    except (PydanticUserError, SchemaError, TypeError, NameError) as error:
        reason = str(error).split("\n", 1)[0].split(". Set `arbitrary", 1)[0]
        raise TypeProblem(
            bare,
            f"its values cannot be written as JSON and read back ({reason})",
            "send what the task needs to make one: an id, a URL, or a model with its data",
        ) from error
