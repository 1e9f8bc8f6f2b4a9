"""Which signatures are accepted: K-10 to K-17, T-19 to T-22."""

# The tasks of these tests are declared, never run.
# mypy: disable-error-code="empty-body"

import enum
import functools
import io
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, make_dataclass
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    cast,
)
from uuid import UUID

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, SecretStr

from horsies.codec import JsonValue
from horsies.codec.signature import TaskSignature, read_signature
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import TaskDefinitionError
from horsies.task_result import SubWorkflowError, TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta
from tests.core.codec import shapes
from tests.core.codec.shapes import (
    Access,
    Anyhow,
    Box,
    Cat,
    Color,
    Dog,
    Json,
    Kennel,
    Level,
    Order,
    Pair,
    Pet,
    Place,
    Point,
    Rights,
)

Old = TypeVar("Old")
UserId = NewType("UserId", int)


class Plain:
    pass


class Handle(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    connection: sqlite3.Connection


class HasPath(BaseModel):
    path: pathlib.Path


class Ambiguous(BaseModel):
    either: Cat | Dog


class Excluded(BaseModel):
    a: int = 1
    path: pathlib.Path | None = Field(None, exclude=True)


@dataclass
class Holder:
    inner: list[Handle]


class Loose(TypedDict):
    when: NotRequired[date | str]


class Named(NamedTuple):
    run: Callable[[], None]


class BadEnum(enum.Enum):
    A = (1, 2)


class BadFloat(enum.Enum):
    A = float("inf")


class WithPydanticJson(BaseModel):
    data: dict[str, pydantic.JsonValue]


class Twin(enum.Enum):
    A = "red"


class Keys(BaseModel):
    levels: dict[Level, int]
    colors: dict[Color, int]
    texts: dict[Literal["a", "b"], int]
    days: dict[date, int]


class Choices(BaseModel):
    level: Level | bool
    color: int | Color
    literal: Literal[Level.LOW, "x"]
    mixed: Literal[True, 1, None]


class Listed(RootModel[list[int]]):
    pass


type Looped = dict[str, Looped] | list[Looped] | Plain
type Alias = dict[str, Plain]
type PerhapsLevel = Level | None


def _of(declared: Any) -> TaskSignature:
    def task(value: Any) -> Any:
        raise AssertionError(value)

    task.__annotations__ = {"value": declared, "return": TaskResult[None, TaskError]}
    return read_signature(task, "the task", keyword_only=False)


def _giving(declared: Any) -> TaskSignature:
    def task() -> Any:
        raise AssertionError

    task.__annotations__ = {"return": TaskResult[declared, TaskError]}
    return read_signature(task, "the task", keyword_only=False)


def _refused(function: Callable[..., Any], code: ErrorCode, *, keyword_only: bool = False) -> str:
    with pytest.raises(TaskDefinitionError) as caught:
        read_signature(function, "the task", keyword_only=keyword_only)
    error = caught.value
    assert error.code is code
    assert "the task" in error.message
    assert error.help_text
    assert error.location is not None
    assert error.location.file == __file__
    return str(error)


GOOD = [
    None,
    bool,
    int,
    float,
    str,
    bytes,
    datetime,
    Decimal,
    UUID,
    Any,
    object,
    dict,
    list,
    tuple,
    set,
    JsonValue,
    dict[str, JsonValue],
    pydantic.JsonValue,
    pydantic.JsonValue | None,
    WithPydanticJson,
    Literal["a", 1, None],
    Color,
    Level,
    shapes.Mixed,
    Order,
    Point,
    Pair[int],
    Box[int],
    Listed,
    shapes.Options,
    Place,
    Kennel,
    shapes.Tree,
    Excluded,
    Pet,
    Pet | None,
    Pet | int,
    Json,
    Anyhow,
    shapes.Nested[date],
    UserId,
    IPv4Address,
    Sequence[int],
    TaskError,
    Optional[Any],  # noqa: UP045  (the old spelling is what is tested)
    Any | None,
    JsonValue | None,
    Annotated[int, Field(gt=0)],
    Annotated[Cat | Dog, Discriminator("kind")],
    # K-15: these can be told apart
    int | str | float | bool | None,
    Order | None,
    str | list[int],
    int | datetime,
    int | Color,
    bool | Level,
    int | Literal["auto"],
    list[int] | dict[str, int] | str | None,
    Point | Listed,
    Place | Order,
    Annotated[int, Field(gt=0)] | str,
    IPv4Address | int,
    dict[int, str],
    dict[Color, str],
    dict[Literal[1, 2], str],
    dict[date, int],
    dict[Any, int],
    dict[Access, str],
    dict[Rights, str],
    Literal[Color.RED],
    Literal[Color.RED, Level.LOW, "x"],
    dict[Literal[Color.RED, Level.LOW], int],
    bool | Literal[Color.RED],
    bool | Rights,
    datetime | Level,
    Keys,
    Choices,
]


@pytest.mark.parametrize("declared", GOOD, ids=str)
def test_accepted(declared: Any) -> None:
    """K-15, K-16: accepted as parameter, as result and inside containers"""
    for inner in (
        declared,
        list[declared],
        dict[str, declared],
        tuple[declared, ...],
        Annotated[declared, "note"],
    ):
        _of(inner)
        _giving(inner)
    assert _of(declared).parameters[0].annotation == declared
    assert _giving(declared).ok_type == (type(None) if declared is None else declared)


BAD: list[tuple[Any, str, str]] = [
    # declared, the offending type in the message, the reason in it
    (Old, "Old", "type variable"),
    (list[Old], "Old", "type variable"),  # type: ignore[valid-type]
    (Callable[[int], int], "Callable", "function"),
    (Callable, "Callable", "function"),
    (BaseModel, "BaseModel", "which fields"),
    (list[BaseModel], "BaseModel", "which fields"),
    (pathlib.Path, "Path", "machine"),
    (dict[str, pathlib.PurePosixPath], "PurePosixPath", "machine"),
    (sqlite3.Connection, "Connection", "cannot be written"),
    (io.TextIOWrapper, "TextIOWrapper", "cannot be written"),
    (Plain, "Plain", "cannot be written"),
    (Plain | None, "Plain", "cannot be written"),
    (type[int], "type[int]", "cannot be written"),
    (Iterator[int], "Iterator", "cannot be written"),
    (SecretStr, "SecretStr", "masked"),
    (BadEnum, "BadEnum", "(1, 2)"),
    (BadFloat, "BadFloat", "inf"),
    (enum.Enum, "Enum", "no values"),
    (Literal[b"x"], "Literal", "b'x'"),
    (date | str, "date | str", "string"),
    (Cat | Dog, "Cat | ", "discriminator"),
    (Cat | dict[str, int], "dict", "object"),
    (list[int] | set[int], "set[int]", "array"),
    (Color | str, "Color", "string"),
    (Color | date | None, "Color", "string"),
    (Level | int, "Level", "number"),
    (Literal["a"] | str, "Literal", "string"),
    (int | Any, "int", "cannot be told apart"),
    (int | object, "int", "cannot be told apart"),
    (JsonValue | datetime, "datetime", "string"),
    (pydantic.JsonValue | datetime, "datetime", "string"),
    (UUID | bytes, "UUID", "string"),
    (Listed | list[str], "Listed", "array"),
    (IPv4Address | str, "IPv4Address", "string"),
    (Level | Decimal, "Level", "would come back as Decimal"),
    (Literal[True] | Literal[1], "Literal", "would come back as"),
    (Literal[Color.RED, Twin.A], "Literal", "would come back as <Color.RED"),
    (Literal[Level.LOW, 1], "Literal", "would come back as"),
    (dict[Literal[Color.RED, Twin.A], int], "Literal", "would come back as <Color.RED"),
    (dict[int | str, int], "int | str", "keys"),
    (dict[tuple[int, int], int], "tuple", "key"),
    (dict[JsonValue, int], "JsonValue", "key"),
    (dict[pydantic.JsonValue, int], "JsonValue", "key"),
    (dict[Literal[1, "1"], int], "Literal", "same text"),
    (TaskResult[int, TaskError] | int, "TaskResult", "workflow engine"),
    (list[TaskResult[int, TaskError]], "TaskResult", "workflow engine"),
    (WorkflowContext, "WorkflowContext", "workflow_ctx"),
    (WorkflowMeta | None, "WorkflowMeta", "workflow_meta"),
    (Box, "T", "type variable"),
    (Handle, "Connection", "connection"),
    (HasPath, "Path", "field path"),
    (Ambiguous, "Cat | ", "field either"),
    (Holder, "Connection", "field inner"),
    (Loose, "date | str", "field when"),
    (Named, "Callable", "field run"),
    (Alias, "Plain", "value"),
    (Looped, "Plain", "cannot be written"),
    (Annotated[Plain, "note"], "Plain", "cannot be written"),
    (Annotated[int, Field(discriminator="x")], "int", "discriminated"),
    ([int], "[<class 'int'>]", "not a type"),
    (5, "5", "cannot be written"),
]


@pytest.mark.parametrize(("declared", "offending", "reason"), BAD, ids=lambda value: str(value)[:40])
def test_refused(declared: Any, offending: str, reason: str) -> None:
    """K-13, K-14, K-15, K-16: the message names task, position, type, reason and fix"""
    with pytest.raises(TaskDefinitionError) as caught:
        _of(declared)
    error = caught.value
    assert error.code is ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
    assert "the task" in error.message
    assert "parameter 'value'" in error.message
    assert offending in error.message
    assert reason in str(error)
    assert error.help_text


def _fields_of(kind: str, declared: Any) -> Any:
    if kind == "model":
        return pydantic.create_model("Holding", field=(declared, ...))
    if kind == "TypedDict":
        return cast("Any", TypedDict)("Holding", {"field": declared})
    return make_dataclass("Holding", [("field", declared)])


LOST_IN_FIELDS: list[tuple[Any, str, str]] = [
    # declared, what is lost, the advice
    (Literal[Color.RED], "Color.RED", "the enum itself"),
    (Literal[shapes.Mixed.NUMBER, "x"], "Mixed.NUMBER", "the enum itself"),
    (dict[shapes.Mixed, int], "key <Mixed.", "IntEnum"),
    (dict[Literal[1, 2], int], "key 1", "str"),
    (dict[Literal[Level.LOW], int], "key <Level.LOW", "str"),
    (dict[None, int], "key None", "str"),
    (dict[Access, int], "key <Access", "int"),
    (dict[Rights, int], "key <Rights", "int"),
    (bool | Level, "would come back as True", "name the enum first"),
    (bool | PerhapsLevel, "would come back as True", "name the enum first"),
    (bool | Rights, "would come back as True", "name the enum first"),
    (datetime | Level, "would come back as", "name the enum first"),
    (Literal[True] | Level, "would come back as True", "keep one"),
]


@pytest.mark.parametrize("kind", ["model", "TypedDict", "dataclass"])
@pytest.mark.parametrize(("declared", "lost", "advice"), LOST_IN_FIELDS, ids=lambda value: str(value)[:40])
def test_what_a_class_would_lose_in_its_fields_is_refused(
    declared: Any, lost: str, advice: str, kind: str
) -> None:
    """K-16, K-44: the library repairs these at other positions, but reads the fields of a class as Pydantic does."""
    for inner in (declared, list[declared], declared | None):
        with pytest.raises(TaskDefinitionError, match="field field") as caught:
            _of(_fields_of(kind, inner))
        assert caught.value.code is ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
        assert lost in caught.value.message
        assert "in a field of a class" in caught.value.message
        assert advice in str(caught.value.help_text)


@pytest.mark.parametrize(
    "value",
    [
        Keys(
            levels={Level.LOW: 1},
            colors={Color.RED: 1},
            texts={"a": 1},
            days={date(2026, 1, 1): 1},
        ),
        Choices(level=Level.LOW, color=Color.RED, literal=Level.LOW, mixed=True),
        Choices(level=True, color=1, literal="x", mixed=1),
    ],
)
def test_what_is_accepted_in_fields_comes_back(value: BaseModel) -> None:
    """K-16, K-44"""
    signature = _of(type(value))
    assert repr(signature.decode(signature.encode({"value": value}))) == repr({"value": value})


@pytest.mark.parametrize(
    "declared", [Plain, pathlib.Path, date | str, list[Cat | Dog], Handle, Callable[[], None]]
)
def test_refused_results(declared: Any) -> None:
    """K-13, K-15 for the result"""
    with pytest.raises(TaskDefinitionError, match="result") as caught:
        _giving(declared)
    assert caught.value.code is ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION


def test_parameter_kinds() -> None:
    """K-10"""

    def many(*values: int) -> TaskResult[None, TaskError]: ...
    def named(**values: int) -> TaskResult[None, TaskError]: ...
    def by_position(value: int, /) -> TaskResult[None, TaskError]: ...
    def free(value: int) -> TaskResult[None, TaskError]: ...
    def strict(*, value: int) -> TaskResult[None, TaskError]: ...

    code = ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
    assert "*values" in _refused(many, code)
    assert "**values" in _refused(named, code)
    assert "positional-only" in _refused(by_position, code)
    assert "keyword_only_tasks" in _refused(free, code, keyword_only=True)
    read_signature(free, "the task", keyword_only=False)
    read_signature(strict, "the task", keyword_only=True)


def test_annotations() -> None:
    """K-11"""

    def bare(value) -> TaskResult[None, TaskError]: ...  # type: ignore[no-untyped-def]
    def unknown(value: "list[NoSuchName]") -> TaskResult[None, TaskError]: ...  # type: ignore[name-defined]  # noqa: F821
    def broken(value: "list[") -> TaskResult[None, TaskError]: ...  # type: ignore[valid-type]  # noqa: F722
    def missing(value: "date.nope") -> TaskResult[None, TaskError]: ...  # type: ignore[name-defined]
    def result() -> "TaskResult[NoSuchName, TaskError]": ...  # type: ignore[name-defined]  # noqa: F821

    code = ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
    unclear: list[Any] = [bare, unknown, broken, missing]
    for function in unclear:
        assert "parameter 'value'" in _refused(function, code)
    assert "NoSuchName" in _refused(unclear[1], code)
    assert "NoSuchName" in _refused(cast("Any", result), code)


def test_result_types() -> None:
    """T-19, T-20, T-21, T-22, K-12"""

    def nothing(): ...  # type: ignore[no-untyped-def]
    def none() -> None: ...
    def plain() -> int: ...
    def bare() -> TaskResult: ...  # type: ignore[type-arg]
    def wrong_error() -> TaskResult[int, ValueError]: ...
    def child_error() -> TaskResult[int, SubWorkflowError]: ...
    def parameter(earlier: TaskResult[int, ValueError]) -> TaskResult[int, TaskError]: ...
    def half(earlier: TaskResult) -> TaskResult[int, TaskError]: ...  # type: ignore[type-arg]

    @functools.cache
    def cached(value: int) -> TaskResult[int, TaskError]: ...

    assert "return" in _refused(nothing, ErrorCode.TASK_NO_RETURN_TYPE)
    no_results: list[Any] = [none, plain, bare]
    for function in no_results:
        _refused(function, ErrorCode.TASK_INVALID_RETURN_TYPE)
    wrong_slots: list[Any] = [wrong_error, child_error, parameter, half]
    for function in wrong_slots:
        _refused(function, ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION)
    with pytest.raises(TaskDefinitionError) as caught:
        read_signature(cached, "the task", keyword_only=False)
    assert caught.value.code is ErrorCode.TASK_PREDECORATED_NOT_SUPPORTED


def test_the_first_offence_is_reported() -> None:
    """Section 3"""

    def task(fine: int, first: Plain, second: pathlib.Path) -> TaskResult[Plain, TaskError]: ...

    message = _refused(task, ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION)
    assert "'first'" in message
    assert "'second'" not in message.split("-->")[0]


type Outcome = TaskResult[int, TaskError]
type OutcomeOf[T] = TaskResult[T, TaskError]


def test_result_aliases() -> None:
    """K-16"""

    def alias() -> Outcome: ...
    def generic() -> OutcomeOf[list[date]]: ...
    async def later() -> Annotated[OutcomeOf[None], "note"]: ...

    assert read_signature(alias, "t", keyword_only=False).ok_type is int
    assert read_signature(generic, "t", keyword_only=False).ok_type == list[date]
    signature = read_signature(later, "t", keyword_only=False)
    assert signature.ok_type is type(None)
    assert signature.is_async


def test_injected_parameters() -> None:
    """K-17"""

    def task(
        n: int,
        workflow_ctx: WorkflowContext | None = None,
        workflow_meta: WorkflowMeta | None = None,
        earlier: TaskResult[list[date], TaskError] | None = None,
        other: OutcomeOf[None] | None = None,
    ) -> TaskResult[int, TaskError]: ...
    def required(
        workflow_ctx: WorkflowContext, workflow_meta: WorkflowMeta, earlier: TaskResult[int, TaskError]
    ) -> TaskResult[int, TaskError]: ...

    parameters = {item.name: item for item in read_signature(task, "t", keyword_only=False).parameters}
    assert [name for name, item in parameters.items() if item.injected] == [
        "workflow_ctx",
        "workflow_meta",
        "earlier",
        "other",
    ]
    assert parameters["earlier"].taskresult_of == list[date]
    assert parameters["other"].taskresult_of is type(None)
    assert parameters["workflow_ctx"].taskresult_of is None
    assert not parameters["earlier"].required
    assert all(
        item.injected and item.required
        for item in read_signature(required, "t", keyword_only=False).parameters
    )


def test_injected_names_are_kept_for_their_types() -> None:
    """K-17, K-35"""

    def context(workflow_ctx: int) -> TaskResult[int, TaskError]: ...
    def meta(workflow_meta: dict[str, Any] | None = None) -> TaskResult[int, TaskError]: ...
    def result(earlier: TaskResult[Plain, TaskError]) -> TaskResult[int, TaskError]: ...

    code = ErrorCode.TASK_STRICT_SIGNATURE_VIOLATION
    assert "WorkflowContext" in _refused(context, code)
    assert "WorkflowMeta" in _refused(meta, code)
    assert "Plain" in _refused(cast("Any", result), code)


def test_accepted_types_also_carry_values() -> None:
    """K-16: what registration accepts, Pydantic can build."""
    for declared in GOOD:
        _of(declared).build()
        _giving(declared).build()
