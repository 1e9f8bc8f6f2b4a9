"""Running one task here and now, with everything that lies between a send and its result but the database."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from horsies.ids import new_task_id
from horsies.ops.read import StoredResult
from horsies.reading import handle_outcome
from horsies.state import TaskStatus
from horsies.task import TaskFunction
from horsies.task_result import TaskError, TaskResult
from horsies.testing.runner import inline_runner, without_loop


def run_inline[**P, T](
    task: TaskFunction[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> TaskResult[T, TaskError]:
    """Run a task once, as a worker does it, without a database.

    The arguments are bound, encoded and decoded, exceptions are mapped to codes, the time limit counts, and
    the result is stored in its envelope and read again. Retries are left out: the result is that of one run.

    Args:
        task: The task; `async def` too, on an event loop of its own.
        *args: The function's arguments by position.
        **kwargs: The function's arguments by name.

    Returns:
        What `TaskHandle.get()` would give. A run over `timeout_ms` gives `TASK_TIMEOUT`; a `def` task is not
        interrupted for that.

    Raises:
        ValueError: The arguments do not go with the task, or cannot be encoded: what a send answers with
            `VALIDATION_FAILED`.
        HorsiesError: horsies-worker is not installed.

    Example:
        assert run_inline(resize, 7, width=100).unwrap() == "7@100"
    """
    return without_loop(_prepared(task, args, kwargs))


async def run_inline_async[**P, T](
    task: TaskFunction[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> TaskResult[T, TaskError]:
    """As `run_inline`, for event loops, which go on meanwhile; the task still runs on a loop of its own."""
    return await asyncio.to_thread(_prepared(task, args, kwargs))


def _prepared[T](
    task: TaskFunction[..., T], args: tuple[object, ...], kwargs: dict[str, Any]
) -> Callable[[], TaskResult[T, TaskError]]:
    definition = task.definition
    text = definition.signature.encode(definition.signature.bind(args, kwargs))

    def run() -> TaskResult[T, TaskError]:
        envelope = inline_runner().run(definition, text)
        stored = StoredResult(
            TaskStatus.COMPLETED, task.task_name, task.task_queue_name, envelope, None, None
        )
        result, _ = handle_outcome(stored, new_task_id(), task.task_ok_type)
        return cast("TaskResult[T, TaskError]", result)

    return run
