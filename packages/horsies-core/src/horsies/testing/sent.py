"""What was sent and has not ended: live tasks with their arguments decoded, and an assertion about them."""

import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from horsies.app import Horsies
from horsies.codec.problems import DecodeError, StrictJsonError
from horsies.codec.strict import parse_json
from horsies.db.effects import Op, Row, Run
from horsies.state import TaskStatus
from horsies.task import TaskFunction

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class EnqueuedTask:
    """A task that was sent and has not ended.

    Attributes:
        task_id: Its id.
        task_name: The task's name.
        queue_name: Its queue.
        priority: 1 (first) to 100.
        status: PENDING, CLAIMED or RUNNING.
        arguments: What was sent, by parameter name, as the types the task declares; JSON data where the task
            is not registered here or what is stored does not fit it. Parameters left to their default are
            not sent.
        enqueued_at: When it may be claimed.
        good_until: Its deadline.
        retry_count: How many retries were scheduled so far.
        idempotency_key: Its key.
    """

    task_id: str
    task_name: str
    queue_name: str
    priority: int
    status: TaskStatus
    arguments: Mapping[str, Any]
    enqueued_at: datetime
    good_until: datetime | None
    retry_count: int
    idempotency_key: str | None


def enqueued(app: Horsies, task: TaskFunction[..., Any] | None = None) -> list[EnqueuedTask]:
    """The tasks that were sent and have not ended, in the order in which they were sent.

    Args:
        app: The app whose database is asked.
        task: Only those of this task; left out: all. Internal steps of workflows are not shown.

    Raises:
        psycopg.Error: The database refused or did not answer.
    """
    return [
        _decoded(app, row) for row in app.get_broker().run(_live(None if task is None else task.task_name))
    ]


def assert_enqueued(app: Horsies, task: TaskFunction[..., Any], /, **arguments: Any) -> EnqueuedTask:
    """Assert that a task was sent with these arguments and has not ended.

    Args:
        app: The app whose database is asked.
        task: The task.
        **arguments: Arguments it was sent with, as values of the declared types; what is not given here may
            be anything. A parameter left to its default counts as sent with it.

    Returns:
        The first such task.

    Raises:
        AssertionError: There is none. It tells how the nearest one differs.
        TypeError: The task has no such parameter.
        psycopg.Error: The database refused or did not answer.
    """
    __tracebackhide__ = True
    parameters = task.definition.signature.inspect_signature.parameters
    unknown = [name for name in arguments if name not in parameters]
    if unknown:
        raise TypeError(
            f"task {task.task_name!r} has no parameter {unknown[0]!r}; it has: {', '.join(parameters) or 'none'}"
        )
    sent = enqueued(app, task)
    differences = [_differences(task, each, arguments) for each in sent]
    for each, different in zip(sent, differences, strict=True):
        if not different:
            return each
    raise AssertionError(_complaint(app, task, sent, differences))


def _live(task_name: str | None) -> Op[list[Row]]:
    rows: list[Row] = yield Run("list_live", {"task_name": task_name})
    return rows


def _decoded(app: Horsies, row: Row) -> EnqueuedTask:
    task_id, name, queue, priority, status, kwargs, *rest = row
    arguments = _arguments(app.tasks.get(name), kwargs)
    return EnqueuedTask(task_id, name, queue, priority, TaskStatus(status), arguments, *rest)


def _arguments(task: TaskFunction[..., Any] | None, text: str | None) -> dict[str, Any]:
    if task is not None:
        try:
            return task.definition.signature.decode(text)
        except DecodeError:
            pass  # sent by another version, or it waits for what a workflow adds
    if text is None:
        return {}
    try:
        return cast("dict[str, Any]", parse_json(text))
    except StrictJsonError:
        return cast("dict[str, Any]", json.loads(text))  # from SQL, such as a number out of range


def _differences(task: TaskFunction[..., Any], sent: EnqueuedTask, wanted: Mapping[str, Any]) -> list[str]:
    """One line for each argument that is not as wanted."""
    parameters = task.definition.signature.inspect_signature.parameters
    lines: list[str] = []
    for name, value in wanted.items():
        found = sent.arguments.get(name, parameters[name].default)
        if found is inspect.Parameter.empty:
            lines.append(f"{name} was not sent; wanted {value!r}")
        elif found != value:
            lines.append(f"{name} is {found!r}, not {value!r}")
    return lines


def _complaint(
    app: Horsies,
    task: TaskFunction[..., Any],
    sent: Sequence[EnqueuedTask],
    differences: Sequence[Sequence[str]],
) -> str:
    if not sent:
        others = Counter(each.task_name for each in enqueued(app))
        shown = ", ".join(f"{name} ({count})" for name, count in others.most_common(_SHOWN)) or "nothing"
        return f"no task {task.task_name!r} is enqueued; enqueued: {shown}"
    nearest, different = min(zip(sent, differences, strict=True), key=lambda pair: len(pair[1]))
    number = f"none of the {len(sent)} enqueued tasks" if len(sent) > 1 else "the only enqueued task"
    does = "has" if len(sent) > 1 else "does not have"
    return "\n".join(
        [
            f"{number} {task.task_name!r} {does} these arguments; the nearest is {nearest.task_id}:",
            *(f"  {line}" for line in different),
        ]
    )
