"""Whether the database and the workers answer, and how they are (10-monitoring §2)."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from horsies.channels import ping, pong
from horsies.db.effects import Listen, Op, Row, Run, Wait
from horsies.db.subscription import Subscription
from horsies.worker_state import WorkerStateSnapshot, latest_state, sampled_state

PONG_BUFFER = 10_000
"""Replies kept between two looks; beyond, the oldest are dropped (D-044)."""


class RefusedArgumentError(ValueError):
    """A call was given a value that makes no sense."""


@dataclass(frozen=True, slots=True)
class DatabasePing:
    """The database answered.

    Attributes:
        latency_ms: Milliseconds for one round trip through the pool.
    """

    latency_ms: float


@dataclass(frozen=True, slots=True)
class WorkerPong:
    """A worker answered.

    Attributes:
        worker_id: Its id.
        hostname: Where it runs.
        pid: Process id of its coordinator.
        round_trip_ms: Milliseconds from the question to the answer.
    """

    worker_id: str
    hostname: str
    pid: int
    round_trip_ms: float


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What a queue holds.

    Attributes:
        name: The queue.
        pending: Tasks waiting for a worker.
        delayed: Tasks whose time has not come.
        claimed: Tasks held by a worker, not started.
        running: Tasks in execution.
        oldest_pending_age_s: How long the oldest of the pending ones has been waiting; None if there is none.
        max_concurrency: Its limit as last reported by a worker; None for no limit.
        priority: Its priority as last reported; None if no worker has served it yet.
        paused: Whether claiming is paused.
    """

    name: str
    pending: int
    delayed: int
    claimed: int
    running: int
    oldest_pending_age_s: float | None
    max_concurrency: int | None
    priority: int | None
    paused: bool


def ping_database() -> Op[DatabasePing]:
    """One round trip through the live pool."""
    began = time.perf_counter()
    yield Run("select_one", {})
    return DatabasePing((time.perf_counter() - began) * 1000)


def ping_workers(
    schema: str, target_worker_id: str | None, timeout_seconds: float, min_responses: int | None
) -> Op[list[WorkerPong]]:
    """Ask the workers to answer, on a channel of this call's own (M-010 to M-012).

    Raises:
        RefusedArgumentError: At once, not when the operation runs (M-011).
    """
    if not timeout_seconds > 0:
        raise RefusedArgumentError(f"timeout_seconds must be above 0, not {timeout_seconds}")
    if min_responses is not None and min_responses < 1:
        raise RefusedArgumentError(f"min_responses must be at least 1, not {min_responses}")
    return _ping_workers(schema, target_worker_id, timeout_seconds, min_responses)


def _ping_workers(
    schema: str, target_worker_id: str | None, timeout_seconds: float, min_responses: int | None
) -> Op[list[WorkerPong]]:
    correlation = str(uuid.uuid4())
    channel = pong(schema, correlation)
    subscription: Subscription = yield Listen(channel, None, PONG_BUFFER)
    try:
        if not subscription.ready:
            raise psycopg.OperationalError("no connection that could hear the workers' answers")
        question = {
            "correlation_id": correlation,
            "reply_channel": channel,
            "target_worker_id": target_worker_id,
        }
        asked_at = time.monotonic()
        yield Run("notify", {"channel": ping(schema), "payload": json.dumps(question)})
        found: dict[str, WorkerPong] = {}
        while True:
            elapsed = time.monotonic() - asked_at
            for text in subscription.drain():
                answer = read_pong(text, correlation, elapsed * 1000)
                if answer is not None and target_worker_id in (None, answer.worker_id):
                    found.setdefault(answer.worker_id, answer)
            if _answered(found, target_worker_id, min_responses) or elapsed >= timeout_seconds:
                return list(found.values())
            yield Wait(subscription, timeout_seconds - elapsed)
    finally:
        subscription.close()


def read_pong(text: str, correlation: str, round_trip_ms: float) -> WorkerPong | None:
    """An answer; None for one that is damaged or answers something else (M-011)."""
    try:
        match json.loads(text):
            case {
                "correlation_id": str(of),
                "worker_id": str(worker),
                "hostname": str(hostname),
                "pid": int(pid),
            } if of == correlation:
                return WorkerPong(worker, hostname, pid, round_trip_ms)
            case _:
                return None
    except ValueError:
        return None


def list_worker_states(now: datetime | None) -> Op[list[WorkerStateSnapshot]]:
    """The latest state of every worker."""
    rows: list[Row] = yield Run("list_workers", {"id": None, "now": now})
    return [latest_state(row) for row in rows]


def get_worker_state(worker_id: str, now: datetime | None) -> Op[WorkerStateSnapshot | None]:
    """The latest state of one worker; None if there is none."""
    if not is_uuid(worker_id):
        return None
    rows: list[Row] = yield Run("list_workers", {"id": worker_id, "now": now})
    return latest_state(rows[0]) if rows else None


def get_worker_state_history(worker_id: str, limit: int | None) -> Op[list[WorkerStateSnapshot]]:
    """The samples of one worker, newest first.

    Raises:
        RefusedArgumentError: At once, not when the operation runs (M-014).
    """
    if limit is not None and limit <= 0:
        raise RefusedArgumentError(f"limit must be above 0, not {limit}")
    return _worker_history(worker_id, limit)


def _worker_history(worker_id: str, limit: int | None) -> Op[list[WorkerStateSnapshot]]:
    if not is_uuid(worker_id):
        return []
    rows: list[Row] = yield Run("worker_history", {"id": worker_id, "limit": limit})
    return [sampled_state(worker_id, at, reported) for at, reported in rows]


def get_queue_stats(now: datetime | None) -> Op[list[QueueStats]]:
    """What every queue holds, by name."""
    rows: Sequence[Row] = yield Run("queue_stats", {"now": now})
    return [QueueStats(*row) for row in rows]


def is_uuid(text: str) -> bool:
    """Whether a text can be an id; any other names nothing (M-005)."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _answered(found: dict[str, WorkerPong], target_worker_id: str | None, min_responses: int | None) -> bool:
    if target_worker_id is not None and target_worker_id in found:
        return True
    return min_responses is not None and len(found) >= min_responses
