"""Which results fit which parameters and outputs (HRS-024, W-21)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import pytest
from pydantic import BaseModel, Field

from horsies import ErrorCode, JsonValue, TaskError, TaskResult, WorkflowValidationError
from horsies.workflow.builder import from_node
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.node import Node
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from horsies.workflow.type_fit import UNKNOWN, fits, result_type
from tests.core.workflow.shop import add, anything, app, nothing, number, text


class Animal(BaseModel):
    legs: int


class Dog(Animal):
    name: str


@dataclass
class Page[T]:
    items: list[T]


class Row(TypedDict):
    id: int


class Pair(NamedTuple):
    a: int
    b: str


class Color(Enum):
    RED = "red"


UserId = NewType("UserId", int)
type Ids = list[int]
type Tree = dict[str, Tree] | int
type OtherTree = dict[str, OtherTree] | int

FITTING: list[tuple[Any, Any]] = [
    (int, int),
    (bool, int),
    (Dog, Animal),
    (int, float),
    (bool, float),
    (None, type(None)),
    (type(None), None),
    (Any, int),
    (int, Any),
    (object, int),
    (int, object),
    (int, int | None),
    (int, str | int),
    (None, int | None),
    (int | None, int | str | None),
    (Dog | None, Animal | None),
    (list[int], list[int]),
    (list[bool], list[int]),
    (list[int], Sequence[int]),
    (list[Dog], Iterable[Animal]),
    (list, list[int]),
    (list[int], list),
    (list[Any], list[int]),
    (tuple[int, str], tuple[int, str]),
    (tuple[int, ...], Sequence[int]),
    (tuple[int, int], tuple[int, ...]),
    (tuple[int, bool], Sequence[int]),
    (tuple, tuple[int, str]),
    (Pair, tuple),
    (dict[str, int], Mapping[str, int]),
    (dict[str, int], Iterable[str]),
    (dict, dict[str, int]),
    (set[int], set[int]),
    (Literal[1, 2], int),
    (Literal["a"], Literal["a", "b"]),
    (Literal["a"], str | None),
    (Literal["a", 1], str | int),
    (Annotated[int, Field(gt=0)], int),
    (int, Annotated[int, Field(gt=0)]),
    (UserId, int),
    (Ids, list[int]),
    (list[int], Ids),
    (Page[int], Page[int]),
    (Page[bool], Page[int]),
    (Page, Page[int]),
    (Row, Row),
    (Row, dict[str, Any]),
    (Color, Color),
    (JsonValue, JsonValue),
    (int, JsonValue),
    (str | None, JsonValue),
    (list[dict[str, int]], JsonValue),
    (dict, JsonValue),
    (list[JsonValue], JsonValue),
    (Tree, Tree),
    (Tree, OtherTree),
]

MISFITTING: list[tuple[Any, Any]] = [
    (int, str),
    (int, bool),
    (float, int),
    (Animal, Dog),
    (int | None, int),
    (int, None),
    (None, int),
    (int | str, int),
    (list[int], list[str]),
    (list[int], set[int]),
    (list[int], tuple[int, ...]),
    (Sequence[int], list[int]),
    (tuple[int, str], tuple[int]),
    (tuple[int, str], tuple[str, int]),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, str], Sequence[int]),
    (dict[str, int], dict[str, str]),
    (dict[str, int], Iterable[int]),
    (dict[str, int], list[str]),
    (Literal[1], str),
    (Literal["a", "c"], Literal["a", "b"]),
    (str, Literal["a"]),
    (Literal["a", 1], str),
    (Page[int], Page[str]),
    (Color, str),
    (JsonValue, int),
    (JsonValue, dict[str, Any]),
    (Animal, JsonValue),
    (dict[int, int], JsonValue),
    (tuple[int, ...], JsonValue),
    (list[Animal], JsonValue),
    (bytes, str),
    (Animal, Row),
]


@pytest.mark.parametrize(("source", "target"), FITTING, ids=str)
def test_fitting_types(source: Any, target: Any) -> None:
    """HRS-024, W-21: the same, a subclass, a member of a union; Any fits."""
    assert fits(source, target)


@pytest.mark.parametrize(("source", "target"), MISFITTING, ids=str)
def test_misfitting_types(source: Any, target: Any) -> None:
    """HRS-024, W-21."""
    assert not fits(source, target)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (TaskResult[int, TaskError], int),
        (TaskResult[int, TaskError] | None, int),
        (Annotated[TaskResult[int | None, TaskError], "x"], int | None),
        (TaskResult[None, TaskError], type(None)),
        (TaskResult[int, str], UNKNOWN),
        (TaskResult[int, TaskError] | int, UNKNOWN),
        (TaskResult[int, TaskError] | int | None, UNKNOWN),
        (TaskResult, UNKNOWN),
        (int, UNKNOWN),
        (Any, UNKNOWN),
    ],
    ids=str,
)
def test_parameters_that_take_results(declared: Any, expected: Any) -> None:
    """HRS-024: TaskResult[T, TaskError], Optional allowed."""
    assert result_type(declared) == expected


class Known(WorkflowDefinition[int]):
    name = "known"
    definition_key = "tests.type_fit.known"
    only = TaskNode(fn=number)

    class Meta:
        output = "only"


class Unknown(WorkflowDefinition):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]
    name = "unknown"
    definition_key = "tests.type_fit.unknown"
    only = TaskNode(fn=number)

    class Meta:
        output = "only"


@app.task("shop.any_result")
def any_result(raw: TaskResult[Any, TaskError]) -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


def mismatch(source: Node[Any], down: TaskNode[Any]) -> WorkflowValidationError:
    with pytest.raises(WorkflowValidationError) as caught:
        WorkflowSpec("w", [source, down])
    assert caught.value.code is ErrorCode.WORKFLOW_ARGS_FROM_TYPE_MISMATCH
    return caught.value


def test_results_of_tasks_and_children_are_compared() -> None:
    """HRS-024."""
    for source in (TaskNode(fn=number), TaskNode(fn=anything), SubWorkflowNode(workflow_def=Known)):
        down = TaskNode(fn=add, waits_for=[source], args_from={"left": source})
        assert WorkflowSpec("w", [source, down]).tasks
    for source in (TaskNode(fn=text), TaskNode(fn=nothing)):
        down = TaskNode(fn=any_result, waits_for=[source], args_from={"raw": source})
        assert WorkflowSpec("w", [source, down]).tasks


def test_a_result_of_another_type() -> None:
    """HRS-024: the message names both types."""
    source = TaskNode(fn=text, node_id="up")
    error = mismatch(source, TaskNode(fn=add, waits_for=[source], args_from={"left": source}))
    assert "a result of str does not go where one of int is expected" in error.message
    assert error.notes == [
        "'left' of 'shop.add' is declared as horsies.task_result.TaskResult[int, horsies.task_result.TaskError]"
    ]


def test_a_parameter_that_takes_no_result() -> None:
    """HRS-024."""
    source = TaskNode(fn=number)
    down = TaskNode(fn=number, waits_for=[source], args_from={"value": source})
    assert "does not take a TaskResult" in mismatch(source, down).message


def test_a_child_whose_type_nobody_declares() -> None:
    """HRS-024: unknown fits nothing, as it could not be decoded."""
    source: SubWorkflowNode[Any] = SubWorkflowNode(workflow_def=Unknown)
    assert "nothing declares the type" in mismatch(source, any_result.node()(raw=from_node(source))).message
