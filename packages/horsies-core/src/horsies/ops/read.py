"""Observe one task: its result, waiting for it, its record."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from horsies.channels import task_done
from horsies.db.effects import Listen, Op, Row, Run, Wait
from horsies.state import TASK_TERMINAL_STATES, TaskStatus

POLL_S = 5.0
"""Between looks while notifications flow: the longest a lost one can delay an answer."""
POLL_DEAF_S = 1.0
"""Between looks while there is no listening connection."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What is stored of a task's outcome."""

    status: TaskStatus
    task_name: str
    queue_name: str
    result: str | None
    error_code: str | None
    failed_reason: str | None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TASK_TERMINAL_STATES


@dataclass(frozen=True, slots=True)
class StoredTask:
    """One task's record, live or finished, as stored."""

    id: str
    task_name: str
    status: TaskStatus
    queue_name: str
    priority: int
    retry_count: int
    max_retries: int
    next_retry_at: datetime | None
    sent_at: datetime
    enqueued_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    terminal_at: datetime | None
    worker_id: str | None
    worker_hostname: str | None
    worker_pid: int | None
    worker_process_name: str | None
    error_code: str | None
    result: str | None
    failed_reason: str | None
    attempts: list[dict[str, Any]] | None


def read_result(task_id: str, *, mark: bool = False) -> Op[StoredResult | None]:
    """The stored outcome, None if there is no such task; `mark` asks that its end be announced."""
    rows: list[Row] = yield Run("read_result", {"id": task_id, "mark": mark})
    if not rows:
        return None
    status, *rest = rows[0]
    return StoredResult(TaskStatus(status), *rest)


def wait_result(schema: str, task_id: str, timeout_s: float | None) -> Op[StoredResult | None]:
    """The outcome once the task has ended, or what is there when the time is up; None if there is no such task.

    Subscribe, mark, read, in this order (D-047): mark and finish meet on the row's lock, so either the finish sees the
    mark and announces, or the read sees the end.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    stored = yield from read_result(task_id)
    if stored is None or stored.is_terminal or (deadline is not None and time.monotonic() >= deadline):
        return stored
    subscription = yield Listen(task_done(schema), task_id)
    try:
        while True:
            stored = yield from read_result(task_id, mark=True)
            left = None if deadline is None else deadline - time.monotonic()
            if stored is None or stored.is_terminal or (left is not None and left <= 0):
                return stored
            pause = POLL_S if subscription.connected else POLL_DEAF_S
            yield Wait(subscription, pause if left is None else min(pause, left))
    finally:
        subscription.close()


def read_task(task_id: str) -> Op[StoredTask | None]:
    """The record of one task, None if there is none."""
    rows: list[Row] = yield Run("read_task", {"id": task_id})
    if not rows:
        return None
    identity, name, status, *rest = rows[0]
    return StoredTask(identity, name, TaskStatus(status), *rest)
