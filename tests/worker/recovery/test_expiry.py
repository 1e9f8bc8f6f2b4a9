"""Waiting rows past their deadline end EXPIRED (R-113, T-63)."""

import json

import psycopg
import pytest

from horsies.ops.recover import expire_pending
from tests.worker.recovery.stage import Stage, later
from tests.worker.recovery.test_claimed import refuse


def test_a_waiting_task_expires_without_an_attempt(stage: Stage) -> None:
    """R-113, T-63, T-70, E-09: result and code, no attempt, nothing claimed."""
    (task,) = stage.send(good_until=later(minutes=1))
    assert stage.run(expire_pending()).handled == 0
    now = later(minutes=2)
    assert stage.run(expire_pending(now)).handled == 1
    row = stage.history(task)
    error = json.loads(row["result"])["err"]
    assert (row["status"], row["error_code"], row["terminal_at"]) == ("EXPIRED", "TASK_EXPIRED", now)
    assert error["error_code"] == {"__builtin_task_code__": "TASK_EXPIRED"}
    assert error["data"] == {"task_id": task, "worker_id": None}
    assert (row["attempts"], row["started_at"], row["worker_id"], row["failed_reason"]) == (None,) * 4


def test_tasks_of_paused_queues_parked_and_delayed_ones_expire_too(stage: Stage) -> None:
    """R-113: nobody claims them, so nobody else meets their deadline; M-070."""
    stage.send(2, good_until=later(minutes=1))
    stage.send(good_until=later(minutes=1), delay=3600)
    stage.app.pause_queue("mail").unwrap()
    stage.rows.execute(
        "update horsies.tasks set parked = true where id = (select id from horsies.tasks limit 1)"
    )
    assert stage.run(expire_pending(later(minutes=2))).handled == 3


def test_what_is_claimed_runs_or_has_no_deadline_is_left_alone(stage: Stage) -> None:
    """R-113, T-84: good_until never interrupts running code."""
    worker = stage.worker()
    stage.send(2, good_until=later(minutes=1))
    worker.claim(1)
    worker.prefetch(*[str(row["id"]) for row in stage.rows.live() if row["status"] == "PENDING"])
    stage.send()
    assert stage.run(expire_pending(later(minutes=2))).handled == 0


def test_batch_by_batch_the_oldest_deadline_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-113: so many per batch, so many batches."""
    monkeypatch.setattr("horsies.ops.recover.EXPIRED_BATCH", 2)
    tasks = [stage.send(good_until=later(minutes=10 - number))[0] for number in range(7)]
    assert stage.run(expire_pending(later(hours=1), batches=2)).handled == 4
    assert [str(row["id"]) for row in stage.rows.live()] == sorted(tasks[:3])
    assert stage.run(expire_pending(later(hours=1))).handled == 3


def test_a_row_that_cannot_be_written_holds_up_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-021: nor the batches after it."""
    monkeypatch.setattr("horsies.ops.recover.EXPIRED_BATCH", 2)
    tasks = stage.send(5, good_until=later(minutes=1))
    refuse(stage, tasks[0])
    done = stage.run(expire_pending(later(minutes=2)))
    assert (done.handled, list(done.refused)) == (4, [tasks[0]])


def test_a_row_that_somebody_holds_is_left_for_the_next_pass(stage: Stage) -> None:
    """R-113: nobody waits for anybody."""
    first, second = stage.send(2, good_until=later(minutes=1))
    with psycopg.connect(stage.url) as other:
        other.execute("select from horsies.tasks where id = %s for update", [first])
        assert stage.run(expire_pending(later(minutes=2))).handled == 1
    assert stage.history(second)["status"] == "EXPIRED"
    assert stage.run(expire_pending(later(minutes=2))).handled == 1


def test_an_extended_deadline_counts(stage: Stage) -> None:
    """R-113: the write looks again."""
    (task,) = stage.send(good_until=later(minutes=1))
    found = stage.connection.execute(
        stage.broker.statements["expire_pending"], {"ids": [task], "result": "{}", "now": None}
    ).fetchall()
    assert found == [(0,)]
    assert stage.rows.one()["status"] == "PENDING"


def test_waiters_are_told_and_the_key_runs_out(stage: Stage) -> None:
    """D-047, D-014, T-44."""
    (task,) = stage.send(good_until=later(minutes=1), idempotency_key="once")
    stage.rows.execute("update horsies.tasks set awaited = true")
    ear = stage.heard("horsies:task_done")
    now = later(minutes=2)
    stage.run(expire_pending(now))
    assert ear.payloads() == [task]
    (key,) = stage.rows.execute("select expires_at - %s as left from horsies.idempotency_keys", [now])
    assert key["left"].total_seconds() == 24 * 3600
