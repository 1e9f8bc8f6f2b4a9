"""Claimed rows of silent workers go back to their queue (R-110, CF-17, CF-29)."""

import psycopg
import pytest

from horsies.ops.recover import requeue_claimed
from tests.worker.recovery.stage import INTERVAL_MS, Stage, later

THRESHOLD_MS = 60_000


def test_a_silent_workers_claims_go_back_without_an_attempt(stage: Stage) -> None:
    """R-110, T-59, T-70, D-016: retry count, due time and generation stay."""
    worker = stage.worker()
    (task,) = stage.send()
    worker.prefetch(task)
    before = stage.rows.one()
    done = stage.run(requeue_claimed(THRESHOLD_MS, later(seconds=61)))
    after = stage.rows.one()
    assert done.handled == 1
    assert after["status"] == "PENDING"
    assert [after[name] for name in ("worker_id", "claimed_at", "worker_hostname")] == [None] * 3
    for name in ("retry_count", "enqueued_at", "claim_generation", "attempts", "next_retry_at"):
        assert after[name] == before[name]


def test_a_worker_that_beats_keeps_its_claims(stage: Stage) -> None:
    """CF-29, R-110: silence is what counts, not the age of the claim."""
    worker = stage.worker()
    worker.prefetch(*stage.send())
    stage.rows.execute("update horsies.tasks set claimed_at = now() - interval '1 day'")
    assert stage.run(requeue_claimed(THRESHOLD_MS)).handled == 0
    assert stage.run(requeue_claimed(THRESHOLD_MS, later(seconds=59))).handled == 0
    assert stage.rows.one()["status"] == "CLAIMED"


def test_a_worker_without_a_row_counts_as_silent(stage: Stage) -> None:
    """R-110."""
    stage.worker(registered=False).prefetch(*stage.send())
    assert stage.run(requeue_claimed(THRESHOLD_MS)).handled == 1


def test_what_runs_is_left_alone(stage: Stage) -> None:
    """R-110 speaks of CLAIMED rows only."""
    stage.running(stage.worker())
    assert stage.run(requeue_claimed(THRESHOLD_MS, later(hours=1))).handled == 0
    assert stage.rows.one()["status"] == "RUNNING"


def test_a_threshold_below_two_intervals_of_the_worker_takes_nobody_for_dead(stage: Stage) -> None:
    """M-020: the live-owner guard."""
    worker = stage.worker()
    worker.prefetch(*stage.send())
    assert stage.run(requeue_claimed(1, later(milliseconds=INTERVAL_MS))).handled == 0
    assert stage.run(requeue_claimed(1, later(milliseconds=2 * INTERVAL_MS + 1))).handled == 1


def test_the_queues_of_returned_rows_are_woken_once(stage: Stage) -> None:
    """D-040, D-041."""
    worker = stage.worker()
    worker.prefetch(*stage.send(3))
    ear = stage.heard("horsies:q:mail")
    stage.run(requeue_claimed(THRESHOLD_MS, later(seconds=61)))
    assert ear.payloads() == [""]


def test_more_than_a_batch_and_several_workers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-110: page by page."""
    monkeypatch.setattr("horsies.ops.recover.CLAIMED_BATCH", 3)
    first, second, alive = stage.worker(), stage.worker(), stage.worker()
    tasks = stage.send(12)
    for number, worker in enumerate((first, second, alive) * 4):
        worker.prefetch(tasks[number])
    stage.fall_silent(first, minutes=2)
    stage.fall_silent(second, minutes=2)
    assert stage.run(requeue_claimed(THRESHOLD_MS)).handled == 8
    owners = {row["worker_id"] and str(row["worker_id"]) for row in stage.rows.live()}
    assert owners == {None, alive.worker_id}


def test_one_row_that_cannot_be_written_holds_up_no_other(stage: Stage) -> None:
    """M-021, R-110."""
    worker = stage.worker()
    tasks = stage.send(3)
    worker.prefetch(*tasks)
    refuse(stage, tasks[1])
    done = stage.run(requeue_claimed(THRESHOLD_MS, later(seconds=61)))
    assert done.handled == 2
    assert list(done.refused) == [tasks[1]]
    assert "not this one" in done.refused[tasks[1]]
    assert [row["status"] for row in stage.rows.live()] == ["PENDING", "CLAIMED", "PENDING"]


def test_a_row_started_meanwhile_is_not_taken_away(stage: Stage) -> None:
    """R-110, R-075: what is RUNNING by the time of the write has begun, for all that anybody knows."""
    worker = stage.worker()
    (claim,) = worker.prefetch(*stage.send())
    stage.fall_silent(worker, minutes=2)
    op = requeue_claimed(THRESHOLD_MS)
    page = next(op)
    rows = stage.rows.execute("select id::text, worker_id::text, claim_generation from horsies.tasks")
    stage.rows.execute("update horsies.tasks set status = 'RUNNING', started_at = now()")
    write = op.send([tuple(row.values()) for row in rows])
    assert (page.name, write.name) == ("stale_claimed", "requeue_claimed")  # type: ignore[union-attr]
    found = stage.connection.execute(stage.broker.statements[write.name], write.params).fetchall()  # type: ignore[union-attr]
    op.close()
    assert found == [(0,)]
    assert stage.rows.one()["status"] == "RUNNING"
    assert claim.generation == stage.rows.one()["claim_generation"]


def test_two_reapers_do_not_work_at_the_same_step(stage: Stage) -> None:
    """D-006, 07 §8: the try-lock of the step."""
    worker = stage.worker()
    worker.prefetch(*stage.send())
    stage.fall_silent(worker, minutes=2)
    with psycopg.connect(stage.url) as other:
        other.execute("select horsies.begin_step('claimed')")
        done = stage.run(requeue_claimed(THRESHOLD_MS))
        assert (done.handled, done.busy) == (0, True)
    assert stage.run(requeue_claimed(THRESHOLD_MS)).handled == 1


def refuse(stage: Stage, task_id: str) -> None:
    """From now on, no write of this row succeeds."""
    stage.rows.execute(
        "create function public.refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'not this one'; end $$"
    )
    stage.rows.execute(
        "create trigger refuse before update or delete on horsies.tasks"
        f" for each row when (old.id = '{task_id}') execute function public.refuse()"
    )
