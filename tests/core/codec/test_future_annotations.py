"""Annotations that are text: K-11."""

# The tasks of these tests are declared, never run.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from horsies.codec.signature import TaskSignature, read_signature
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext


def register(function: Callable[..., Any]) -> TaskSignature:
    return read_signature(function, "t", keyword_only=False)


def at_module_level(
    a: int, later: Later, workflow_ctx: WorkflowContext | None = None
) -> TaskResult[list[Later], TaskError]: ...


class Later(BaseModel):
    a: int = 1


def test_names_of_the_module() -> None:
    """K-11"""
    signature = register(at_module_level)
    assert [item.annotation for item in signature.parameters][:2] == [int, Later]
    assert signature.ok_type == list[Later]
    assert signature.parameters[2].injected


def test_names_of_the_enclosing_functions() -> None:
    """K-11: also those that the function's body does not use, and the inner one of two that are called the same"""

    class Local(BaseModel):
        a: int

    @dataclass
    class Node:
        value: int
        following: Node | None = None

    def inner() -> TaskSignature:
        class Shadowed(BaseModel):
            b: int

        @register
        def task(one: Local, two: list[Shadowed], three: Node | None = None) -> TaskResult[Local, TaskError]:
            return TaskResult(ok=one)

        assert task.parameters[1].annotation == list[Shadowed]
        return task

    class Shadowed(BaseModel):
        c: int

    signature = inner()
    assert signature.ok_type is Local
    text = signature.encode({"one": {"a": 1}, "two": [{"b": 2}], "three": Node(1, Node(2))})
    assert signature.decode(text)["three"] == Node(1, Node(2))
    assert Shadowed(c=1).c == 1


def test_a_task_may_name_itself() -> None:
    """K-11: its own name has no value yet while it is being defined."""

    @register
    def task(a: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=a * len(task.parameters))

    assert task.ok_type is int


def test_a_task_in_a_class_body() -> None:
    """K-11"""

    class Group:
        class Item(BaseModel):
            a: int

        def plain(item: Item) -> TaskResult[Item, TaskError]: ...  # type: ignore[misc]  # noqa: N805

        task = register(plain)

    assert Group.task.ok_type is Group.Item


def test_type_parameters_of_an_alias() -> None:
    """K-11, K-16"""

    @register
    def task(value: Pages[int]) -> TaskResult[Pages[str], TaskError]: ...

    assert task.decode(task.encode({"value": {"x": [1, "2"]}})) == {"value": {"x": [1, 2]}}


type Pages[T] = dict[str, list[T]]
