"""Draining queues in the test's own process, on the real tables."""

import asyncio
from collections.abc import Sequence

from horsies.app import Horsies
from horsies.broker_errors import BrokerErrorCode
from horsies.result import is_err
from horsies.task_info import TaskInfo
from horsies.testing.runner import inline_runner, without_loop


def drain(app: Horsies, *, queues: Sequence[str] | None = None, timeout_s: float = 30) -> list[TaskInfo]:
    """Run everything that is due, and what these runs send, one task after the other in the order of a worker.

    Claims, ends, retries and workflows are those of a worker: the same statements, the same decisions. A
    task that has to be retried is run again without waiting: the time of the statements moves on to its due
    time. Within `clock(app)` time is the test's own: what is not due stays. Tasks that were sent with a
    delay are due when their time has come.

    Args:
        app: The app; its tasks have to be imported.
        queues: The queues to drain; left out: all of the app. The steps of workflows are always among them.
        timeout_s: Seconds after which no further task is begun.

    Returns:
        The tasks that were run, in the order in which they first began, with result, failed reason and attempts.
        What waited past its deadline ends too, but did not run.

    Raises:
        TimeoutError: There was more to do after `timeout_s`, perhaps because tasks send themselves again.
        ConfigurationError: HRS-206, a queue is unknown.
        HorsiesError: horsies-worker is not installed.
        psycopg.Error: The database refused or did not answer.
    """

    def run() -> list[TaskInfo]:
        ids = inline_runner().drain(app, queues, timeout_s)
        return [info for task_id in ids if (info := _info(app, task_id)) is not None]

    return without_loop(run)


async def drain_async(
    app: Horsies, *, queues: Sequence[str] | None = None, timeout_s: float = 30
) -> list[TaskInfo]:
    """As `drain`, for event loops, which go on meanwhile."""
    return await asyncio.to_thread(drain, app, queues=queues, timeout_s=timeout_s)


def _info(app: Horsies, task_id: str) -> TaskInfo | None:
    found = app.get_task_info(task_id, include_result=True, include_failed_reason=True, include_attempts=True)
    if is_err(found) and found.err_value.code is BrokerErrorCode.INVALID_JSON_PAYLOAD:
        # The result cannot be read as its type; where the task stands can.
        found = app.get_task_info(task_id, include_failed_reason=True, include_attempts=True)
    return found.unwrap()
