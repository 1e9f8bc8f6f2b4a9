"""The signatures that the getting-started pages show are accepted: section 3, K-16."""

# The tasks of these tests are declared, never run.
# mypy: disable-error-code="empty-body"

from typing import Any

import pytest
from pydantic import BaseModel

from horsies.codec import JsonValue
from horsies.codec.signature import TaskSignature, read_signature
from horsies.task_result import TaskError, TaskResult


def add_numbers(a: int, b: int) -> TaskResult[int, TaskError]: ...
def process_data(data: dict) -> TaskResult[str, TaskError]: ...  # type: ignore[type-arg]
def process(data: dict, items: list) -> TaskResult[None, TaskError]: ...  # type: ignore[type-arg]
def process_order(*, order_id: int) -> TaskResult[str, TaskError]: ...
def send_email(*, to: str, subject: str) -> TaskResult[None, TaskError]: ...
def fire_and_forget() -> TaskResult[None, TaskError]: ...
def validate_input(*, data: dict[str, JsonValue]) -> TaskResult[dict[str, JsonValue], TaskError]: ...
def audit(event: dict) -> TaskResult[Any, TaskError]: ...  # type: ignore[type-arg]


class Order(BaseModel):
    id: int
    items: list[str]


def order_task(order: Order) -> TaskResult[Order, TaskError]: ...


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (add_numbers, (5, 3), {}),
    (process_data, (), {"data": {"key": "value"}}),
    (process, (), {"data": {"key": "value", "nested": {"a": 1}}, "items": [1, 2, 3]}),
    (process_order, (), {"order_id": 1}),
    (send_email, (), {"to": "a@b.c", "subject": "x"}),
    (fire_and_forget, (), {}),
    (validate_input, (), {"data": {"email": "x", "more": [1, None, {"a": 2.5}]}}),
    (audit, ({"at": 1},), {}),
    (order_task, (), {"order": Order(id=123, items=["a", "b"])}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_seed_signatures(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Section 3"""
    signature: TaskSignature = read_signature(function, function.__name__, keyword_only=False)
    bound = signature.bind(args, kwargs)
    assert signature.decode(signature.encode(bound)) == bound
