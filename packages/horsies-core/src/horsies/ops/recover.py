"""Recover the tasks of silent workers, end those that wait past their deadline (07 §8, 10-monitoring §3).

The reaper and the helpers of the broker run the same operations. Each goes page by page: read candidates, decide here,
write; the write checks under lock that the decision still holds. A batch that is refused is repeated row by row, so one
bad row holds up no other and is tried again in the next pass.
"""

import json
import random as _random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from horsies.codec.results import failure_envelope
from horsies.db import arrays
from horsies.db.effects import Op, Row, Run
from horsies.errors.codes import OperationalErrorCode, OutcomeCode
from horsies.retry import RetryPolicy, retry_delay
from horsies.stored_policy import policy_of_options
from horsies.task_result import TaskError
from horsies.transient import is_transient, reason

CLAIMED_BATCH = 500
RUNNING_BATCH = 100
EXPIRED_BATCH = 500
EXPIRED_BATCHES = 200
LIST_LIMIT = 1_000
NIL_ID = "00000000-0000-0000-0000-000000000000"
_GENERAL_CLASSES = ("0A", "25", "3F", "42")
"""SQLSTATE classes that say something about the statement or the rights, not about one row."""

type RegisteredPolicy = Callable[[str], RetryPolicy | None]
"""Task name -> retry policy of its registration, for rows sent by SQL, which carry none."""


@dataclass(slots=True)
class Recovered:
    """What a pass did.

    Attributes:
        handled: Tasks handed back, retried or ended.
        retried: Those of them that will run again because their policy says so.
        refused: Tasks that the database refused to write, with its reason.
        busy: Another process is at it; the pass was broken off.
    """

    handled: int = 0
    retried: int = 0
    refused: dict[str, str] = field(default_factory=dict[str, str])
    busy: bool = False


def no_policy(task_name: str) -> RetryPolicy | None:
    """Where no registration is at hand."""
    return None


def requeue_claimed(
    threshold_ms: int, now: datetime | None = None, *, batches: int | None = None
) -> Op[Recovered]:
    """Hand back the CLAIMED rows of workers silent for longer than the threshold (R-110)."""
    done, after = Recovered(), NIL_ID
    while batches is None or batches > 0:
        batches = None if batches is None else batches - 1
        rows: list[Row] = yield Run(
            "stale_claimed",
            {"threshold_ms": threshold_ms, "after": after, "limit": CLAIMED_BATCH, "now": now},
        )
        for worker, group in _by_worker(rows).items():
            constant = {"worker": worker, "threshold_ms": threshold_ms, "now": now}
            yield from _write(done, group, "requeue_claimed", constant, _fences)
        if len(rows) < CLAIMED_BATCH or done.busy:
            break
        after = rows[-1][0]
    return done


def fail_stale_running(
    threshold_ms: int,
    now: datetime | None = None,
    *,
    registered: RegisteredPolicy = no_policy,
    random: Callable[[], float] = _random.random,
    batches: int | None = None,
) -> Op[Recovered]:
    """Retry or fail the RUNNING rows of workers silent for longer than the threshold, or stopped (R-112)."""
    done, after = Recovered(), NIL_ID

    def ends(group: Sequence[Row]) -> dict[str, object]:
        return {"ends": json.dumps([crash_end(StaleRun(*row), registered, random) for row in group])}

    while batches is None or batches > 0:
        batches = None if batches is None else batches - 1
        rows: list[Row] = yield Run(
            "stale_running",
            {"threshold_ms": threshold_ms, "after": after, "limit": RUNNING_BATCH, "now": now},
        )
        for worker, group in _by_worker(rows).items():
            constant = {"worker": worker, "threshold_ms": threshold_ms, "now": now}
            yield from _write(done, group, "fail_running", constant, ends)
        if len(rows) < RUNNING_BATCH or done.busy:
            break
        after = rows[-1][0]
    return done


def expire_pending(now: datetime | None = None, *, batches: int = EXPIRED_BATCHES) -> Op[Recovered]:
    """End the PENDING rows whose `good_until` has passed (R-113)."""
    done, after, after_time = Recovered(), NIL_ID, "-infinity"
    for _ in range(batches):
        rows: list[Row] = yield Run(
            "past_deadline",
            {"after": after, "after_time": after_time, "limit": EXPIRED_BATCH, "now": now},
        )
        if rows:
            yield from _write(done, rows, "expire_pending", {"result": EXPIRED_RESULT, "now": now}, _ids)
        if len(rows) < EXPIRED_BATCH or done.busy:
            break
        after, after_time = rows[-1]
    return done


def list_stale_running(threshold_ms: int, now: datetime | None = None) -> Op[list[dict[str, Any]]]:
    """RUNNING rows of silent workers, those without any heartbeat first."""
    rows: list[Row] = yield Run(
        "list_stale_running", {"threshold_ms": threshold_ms, "limit": LIST_LIMIT, "now": now}
    )
    names = ("id", "task_name", "worker_hostname", "worker_pid", "worker_process_name")
    return [dict(zip((*names, "last_heartbeat", "started_at"), row, strict=True)) for row in rows]


def list_past_deadline(now: datetime | None = None) -> Op[list[dict[str, Any]]]:
    """PENDING rows past their deadline, the oldest deadline first."""
    rows: list[Row] = yield Run("list_past_deadline", {"limit": LIST_LIMIT, "now": now})
    names = ("id", "task_name", "queue_name", "priority", "sent_at", "enqueued_at", "good_until")
    return [dict(zip((*names, "expired_for"), row, strict=True)) for row in rows]


# -- decisions


@dataclass(frozen=True, slots=True)
class StaleRun:
    """A RUNNING row whose worker does not answer any more, as read."""

    id: str
    worker_id: str
    generation: int
    task_name: str
    options: str | None
    retry_count: int
    max_retries: int
    hostname: str | None
    pid: int | None
    process_name: str | None
    heartbeat_at: datetime | None
    worker_state: str | None


def crash_end(run: StaleRun, registered: RegisteredPolicy, random: Callable[[], float]) -> dict[str, object]:
    """How such a run ends: what the finishing statement is given (R-104)."""
    by_registration = run.options is None
    policy = registered(run.task_name) if by_registration else policy_of_options(run.options)
    limit = policy.max_retries if by_registration and policy is not None else run.max_retries
    code = OperationalErrorCode.WORKER_CRASHED
    retry_s = retry_delay(policy, run.retry_count, code, random) if run.retry_count < limit else None
    why = _what_happened(run)
    error = TaskError(error_code=code, message=f"the worker that ran this task is gone: {why}")
    return {
        "id": run.id,
        "generation": run.generation,
        "status": "FAILED",
        "result": failure_envelope(error),
        "error_code": code.value,
        "message": error.message,
        "failed_reason": why,
        "outcome": "FAILED",
        "retry_s": retry_s,
        "max_retries": limit if by_registration and policy is not None else None,
        "pid": run.pid,
        "name": run.process_name,
    }


def _what_happened(run: StaleRun) -> str:
    worker = f"worker {run.worker_id} on {run.hostname or 'an unknown host'}"
    if run.worker_state is None or run.heartbeat_at is None:
        return f"{worker} is not registered any more"
    if run.worker_state == "stopped":
        return f"{worker} stopped while the task was running"
    return f"{worker} has not beaten since {run.heartbeat_at.isoformat(timespec='seconds')}"


EXPIRED_RESULT = failure_envelope(
    TaskError(
        error_code=OutcomeCode.TASK_EXPIRED,
        message="good_until passed before a worker could start this task",
        data={"task_id": NIL_ID, "worker_id": None},
    )
)
"""The result of an expired row; the statement puts the row's id in the place of the nil id."""


# -- writing


def _by_worker(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[1], []).append(row)
    return groups


def _ids(rows: Sequence[Row]) -> dict[str, object]:
    return {"ids": arrays.plain(row[0] for row in rows)}


def _fences(rows: Sequence[Row]) -> dict[str, object]:
    return _ids(rows) | {"generations": arrays.plain(row[2] for row in rows)}


def _write(
    done: Recovered,
    rows: Sequence[Row],
    statement: str,
    constant: Mapping[str, object],
    params_of: Callable[[Sequence[Row]], dict[str, object]],
) -> Op[None]:
    """Write rows together; one by one if the database refuses them together for a reason that lies in a row."""
    if done.busy:
        return
    try:
        answer: list[Row] = yield Run(statement, {**constant, **params_of(rows)})
    except psycopg.Error as error:
        if is_transient(error) or (error.sqlstate or "")[:2] in _GENERAL_CLASSES:
            raise
        if len(rows) == 1:
            done.refused[rows[0][0]] = reason(error)
            return
        for row in rows:
            yield from _write(done, [row], statement, constant, params_of)
        return
    handled, *retried = answer[0]
    if handled is None:
        done.busy = True
        return
    done.handled += handled
    done.retried += sum(retried)


def minutes_as_ms(minutes: float) -> int:
    """Milliseconds of some minutes."""
    return round(timedelta(minutes=minutes) / timedelta(milliseconds=1))
