"""An app with tasks of every shape that workflow nodes care about; nothing here needs a database."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from horsies import (
    ErrorCode,
    HorsiesError,
    MultipleValidationErrors,
    TaskError,
    TaskResult,
    WorkflowContext,
    WorkflowMeta,
)
from tests.core.apps import make_app

app = make_app()


@dataclass
class Order:
    lines: list[int]


class Point(NamedTuple):
    x: int
    y: list[int]


@app.task("shop.number")
def number(value: int = 1) -> TaskResult[int, TaskError]:
    return TaskResult(ok=value)


@app.task("shop.text")
def text(value: str = "") -> TaskResult[str, TaskError]:
    return TaskResult(ok=value)


@app.task("shop.nothing")
def nothing() -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


@app.task("shop.anything")
def anything() -> TaskResult[Any, TaskError]:
    return TaskResult(ok={})


@app.task("shop.add")
def add(
    left: TaskResult[int, TaskError], right: TaskResult[int, TaskError] | None = None, scale: int = 1
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=scale)


@app.task("shop.collect")
def collect(event: dict[str, Any], order: Order | None = None) -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(event))


@app.task("shop.three")
def three(
    a: int, *, b: str, workflow_ctx: WorkflowContext | None = None, c: float = 0
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=a)


@app.task("shop.observe")
def observe(
    workflow_meta: WorkflowMeta, workflow_ctx: WorkflowContext | None = None
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=workflow_meta.task_index)


@app.task("shop.needs_context")
def needs_context(workflow_ctx: WorkflowContext) -> TaskResult[int, TaskError]:
    return TaskResult(ok=workflow_ctx.task_index)


@app.task("shop.keyed")
def keyed(
    by_number: dict[int, str] | None = None, nested: list[dict[int, int]] | None = None, ratio: float = 0
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


@app.task("shop.point")
def point(where: Point) -> TaskResult[int, TaskError]:
    return TaskResult(ok=where.x)


def codes(error: HorsiesError) -> list[ErrorCode | None]:
    """The codes of one error, or of all errors that were collected."""
    found = error.report.errors if isinstance(error, MultipleValidationErrors) else [error]
    return [item.code for item in found]
