"""What the tables say about every task, and what has to hold of it whatever happened: 01 §9 and 11 §2 as assertions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from horsies.state import TASK_TERMINAL_STATES, TASK_TRANSITIONS, TaskStatus

type Row = Mapping[str, Any]
type Key = tuple[str, str]

KEY_KEPT = timedelta(hours=24)
FIXED = (
    "task_name",
    "queue_name",
    "priority",
    "executor",
    "enqueue_sha",
    "idempotency_key",
    "options",
    "timeout_ms",
    "trace_context",
    "sent_at",
    "good_until",
    "created_at",
    "workflow_id",
    "node_index",
    "is_workflow_task",
    "retention_class",
    "retain_rerun_input",
    "rerun_of",
    "rerun_root",
)
"""Columns that never change, not by the end either."""

_CLAIM = ["worker_id", "claimed_at", "started_at", "worker_hostname", "worker_pid", "worker_process_name"]
_QUERIES = {
    "live": "select * from horsies.tasks",
    "history": "select * from horsies.task_history",
    "keys": "select * from horsies.idempotency_keys",
    "workers": "select * from horsies.workers",
    "paused": "select name from horsies.queues where paused",
}


@dataclass(frozen=True, slots=True)
class Look:
    """All tasks, keys and workers at one moment; ids are texts."""

    live: Mapping[str, Row] = field(default_factory=dict[str, Row])
    history: Mapping[str, Row] = field(default_factory=dict[str, Row])
    keys: Mapping[Key, Row] = field(default_factory=dict[Key, Row])
    workers: Mapping[str, Row] = field(default_factory=dict[str, Row])
    paused: frozenset[str] = frozenset()

    def row(self, task_id: str) -> Row | None:
        """The one record of a task, None if there is none."""
        return self.live.get(task_id) or self.history.get(task_id)

    def status(self, task_id: str) -> TaskStatus | None:
        """Where a task is."""
        row = self.row(task_id)
        return None if row is None else TaskStatus(row["status"])


def look(connection: psycopg.Connection[Any]) -> Look:
    """The tables as they are; a task that stands in them twice fails here (D-010, D-013)."""
    cursors = {name: connection.cursor(row_factory=dict_row) for name in _QUERIES}
    with connection.pipeline():  # one round trip
        for name, query in _QUERIES.items():
            cursors[name].execute(query.encode())
    found: dict[str, list[Row]] = {name: list(cursor.fetchall()) for name, cursor in cursors.items()}
    live = {str(row["id"]): row for row in found["live"]}
    history = {str(row["id"]): row for row in found["history"]}
    assert len(history) == len(found["history"]), "a task has two terminal records"
    assert not live.keys() & history.keys(), "a task is both live and in history"
    return Look(
        live,
        history,
        {(row["task_name"], row["key"]): row for row in found["keys"]},
        {str(row["id"]): row for row in found["workers"]},
        frozenset(str(row["name"]) for row in found["paused"]),
    )


def check_change(before: Look, after: Look, expected: Mapping[str, TaskStatus], now: datetime) -> None:
    """Every task did what the step should do to it and nothing else, by legal moves only (T-55 to T-66)."""
    for task_id in {*before.live, *before.history, *after.live, *after.history, *expected}:
        old, new = before.row(task_id), after.row(task_id)
        assert new is not None, f"{task_id} is gone"
        if task_id not in expected:
            assert old == new, (
                f"{task_id} changed, which no step of its life explains: {_difference(old, new)}"
            )
            continue
        status = TaskStatus(new["status"])
        assert status is expected[task_id], f"{task_id} is {status}, not {expected[task_id]}"
        _check_move(task_id, old, new, now)


def check_all(found: Look) -> None:
    """What holds of every record at every moment."""
    for row in found.live.values():
        _check_live(row)
    for row in found.history.values():
        _check_ended(row)
    for (task_name, key), held in found.keys.items():
        holder = found.row(str(held["task_id"]))
        assert holder is not None, f"key {key} is held by nobody"
        assert (holder["task_name"], holder["idempotency_key"]) == (task_name, key)
        ends = holder["terminal_at"] + KEY_KEPT if str(held["task_id"]) in found.history else None
        assert held["expires_at"] == ends, "a key is reserved until 24 h after the end (T-44, D-014)"
    for task_id, row in found.live.items():
        if row["idempotency_key"] is not None:
            held = found.keys[row["task_name"], row["idempotency_key"]]
            assert str(held["task_id"]) == task_id, "a live task holds its key"


def _check_live(row: Row) -> None:
    """T-55 to T-62, D-015: the columns of a live row by its status."""
    status, cleared = row["status"], [name for name in _CLAIM if row[name] is None]
    if status == "PENDING":
        assert cleared == _CLAIM, f"a PENDING row keeps {set(_CLAIM) - set(cleared)}"
        assert row["cancel_requested_at"] is None, "what has not begun need not be stopped"
    elif status == "CLAIMED":
        assert row["started_at"] is None
        assert row["worker_id"] is not None
        assert row["claimed_at"] is not None
    else:
        assert not cleared, f"a RUNNING row lacks {cleared}"
        assert row["good_until"] is None or row["started_at"] < row["good_until"], (
            "started after its deadline"
        )
    assert not row["parked"]
    assert row["claim_generation"] >= 0
    if status != "PENDING":
        assert row["claim_generation"] > row["retry_count"]
    if row["next_retry_at"] is not None:
        assert row["enqueued_at"] == row["next_retry_at"]
    _check_attempts(row)


def _check_ended(row: Row) -> None:
    """T-60 to T-66: the columns of a terminal row by its status."""
    status, code, result, reason = (row[name] for name in ("status", "error_code", "result", "failed_reason"))
    match status:
        case "COMPLETED":
            assert result is not None
            assert (code, reason) == (None, None)
        case "FAILED":
            assert result is not None
            assert code is not None
        case "EXPIRED":
            assert result is not None
            assert code == "TASK_EXPIRED"
            assert row["good_until"] <= row["terminal_at"]
            assert row["started_at"] is None
        case _:
            assert status == "CANCELLED"
            assert (code, result) == ("TASK_CANCELLED", None)
            assert reason
    ran = status in ("COMPLETED", "FAILED")
    assert (row["started_at"] is not None) or not ran
    assert row["terminal_at"] >= (row["started_at"] or row["terminal_at"])
    if row["retain_rerun_input"]:
        assert row["kwargs_digest"] is not None
    else:
        assert (row["kwargs"], row["kwargs_digest"]) == (None, None)
    _check_attempts(row)


def _check_attempts(row: Row) -> None:
    """T-68 to T-70: one earlier attempt per retry, in order, none for anything else."""
    attempts: list[dict[str, Any]] = row["attempts"] or []
    assert [each["attempt"] for each in attempts] == list(range(1, row["retry_count"] + 1))
    assert row["retry_count"] <= row["max_retries"]
    for each in attempts:
        assert each["will_retry"] is True
        assert each["outcome"] == "FAILED"
        assert each["error_code"]
        assert each["worker_id"]
        assert datetime.fromisoformat(each["started_at"]) <= datetime.fromisoformat(each["finished_at"])


def _check_move(task_id: str, old: Row | None, new: Row, now: datetime) -> None:
    was = None if old is None else TaskStatus(old["status"])
    status = TaskStatus(new["status"])
    # A run that was to be cancelled and had not begun goes back and ends in one transaction (M-051).
    legal = status in TASK_TRANSITIONS[was] or (was, status) == (TaskStatus.RUNNING, TaskStatus.CANCELLED)
    assert legal, f"{task_id}: {was} -> {status} is no move of the state machine"
    if old is None:
        assert (new["retry_count"], new["claim_generation"], new["attempts"]) == (0, 0, None)
        assert new["enqueued_at"] >= now
        return
    for name in FIXED:
        assert old[name] == new[name], f"{task_id}: {name} changed from {old[name]!r} to {new[name]!r}"
    grown = new["claim_generation"] - old["claim_generation"]
    assert grown == (status in (TaskStatus.CLAIMED, TaskStatus.RUNNING) and was is TaskStatus.PENDING)
    retried = (
        was is TaskStatus.RUNNING and status is TaskStatus.PENDING and new["retry_count"] > old["retry_count"]
    )
    assert new["retry_count"] == old["retry_count"] + retried
    assert new["attempts"] == old["attempts"] or (retried and new["attempts"][:-1] == (old["attempts"] or []))
    if retried:
        assert new["enqueued_at"] > now
        assert new["good_until"] is None or new["enqueued_at"] < new["good_until"], "T-52"
    else:
        assert new["enqueued_at"] == old["enqueued_at"]
    if status in TASK_TERMINAL_STATES:
        assert new["terminal_at"] == now
        assert new["kwargs"] in (None, old["kwargs"])
    elif status is TaskStatus.PENDING:
        assert new["kwargs"] == old["kwargs"]
    else:
        assert new["claimed_at"] == (now if was is TaskStatus.PENDING else old["claimed_at"])
        assert new["started_at"] == (now if status is TaskStatus.RUNNING else None)
        assert old["enqueued_at"] <= now, "claimed before it was due"


def _difference(old: Row | None, new: Row) -> dict[str, object]:
    if old is None:
        return dict(new)
    return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}
