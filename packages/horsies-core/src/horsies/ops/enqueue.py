"""Enqueue: the row of a task enters `tasks`, and its queue is woken in the same statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from horsies.db import arrays
from horsies.db.effects import Op, Run

type ReplayOutcome = Literal["inserted", "same", "different", "unreadable"]
type KeyedOutcome = Literal["inserted", "same", "different", "unreadable", "conflict"]


@dataclass(slots=True)  # not frozen: every send makes one, and freezing 18 fields would take 3 to 6 µs of it
class EnqueueRow:
    """What a new task's row holds. Times travel as ISO text: psycopg takes longer for a datetime than for all else."""

    id: str
    task_name: str
    queue_name: str
    priority: int
    executor: str  # 'default', 'process', 'thread' or 'async'
    enqueue_sha: str
    kwargs: str | None
    options: str | None
    timeout_ms: int | None
    sent_at: str
    delay_s: int
    good_until: str | None
    max_retries: int
    retention_class: str
    retain_rerun_input: bool
    channel: str  # of the queue
    trace_context: str | None = None
    idempotency_key: str | None = None
    wait_ms: int | None = None  # for an uncommitted rival under the same key

    def params(self, now: datetime | None) -> dict[str, object]:
        """The parameters of the enqueueing statements."""
        return {
            "id": self.id,
            "task_name": self.task_name,
            "queue_name": self.queue_name,
            "priority": self.priority,
            "executor": self.executor,
            "enqueue_sha": self.enqueue_sha,
            "kwargs": self.kwargs,
            "options": self.options,
            "timeout_ms": self.timeout_ms,
            "sent_at": self.sent_at,
            "delay_s": self.delay_s,
            "good_until": self.good_until,
            "max_retries": self.max_retries,
            "retention_class": self.retention_class,
            "retain_rerun_input": self.retain_rerun_input,
            "channel": self.channel,
            "trace_context": self.trace_context,
            "now": now,
        }


def enqueue_one(row: EnqueueRow, now: datetime | None = None) -> Op[None]:
    """Insert one task. A new id cannot be taken, so history is not asked (T-40)."""
    yield Run("enqueue_task", row.params(now))


def enqueue_many(
    first: EnqueueRow, ids: list[str], shas: list[str], kwargs: list[str | None], now: datetime | None = None
) -> Op[None]:
    """Insert tasks that differ in id, arguments and digest only, all or none; everything else comes from `first`."""
    params = first.params(now)
    params |= {"ids": arrays.plain(ids), "shas": arrays.plain(shas), "kwargs": arrays.texts(kwargs)}
    yield Run("enqueue_tasks", params)


def enqueue_replay(row: EnqueueRow, now: datetime | None = None) -> Op[ReplayOutcome]:
    """Insert a task whose id may have been inserted before (D-013)."""
    rows = yield Run("enqueue_replay", row.params(now))
    outcome: ReplayOutcome = rows[0][0]
    return outcome


def enqueue_keyed(
    row: EnqueueRow, request_sha: str, now: datetime | None = None, *, fresh: bool = False
) -> Op[tuple[KeyedOutcome, str]]:
    """Insert under an idempotency key; answers the outcome and the id of the task that holds the key (T-44 to T-46).

    With `fresh`, the id was made for this call, so history is not asked (T-40).
    """
    params = row.params(now) | {
        "idempotency_key": row.idempotency_key,
        "request_sha": request_sha,
        "fresh": fresh,
        "wait_ms": row.wait_ms,
    }
    rows = yield Run("enqueue_keyed", params)
    outcome, holder = rows[0]
    return outcome, holder
