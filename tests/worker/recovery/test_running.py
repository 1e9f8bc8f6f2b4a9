"""Running rows of workers that are gone: retried if they opted in, else failed as crashed (R-112, R-104)."""

import json
import threading
from datetime import timedelta

import psycopg
import pytest

from horsies import RetryPolicy
from horsies.ops.recover import StaleRun, crash_end, fail_stale_running, no_policy
from tests.helpers import eventually
from tests.worker.recovery.stage import Stage, later
from tests.worker.recovery.test_claimed import refuse

THRESHOLD_MS = 300_000


def test_a_run_of_a_silent_worker_fails_as_crashed(stage: Stage) -> None:
    """R-112, R-104, T-61, T-69: with error, reason, and the process that ran it."""
    worker = stage.worker()
    (claim,) = stage.running(worker)
    done = stage.run(fail_stale_running(THRESHOLD_MS, later(seconds=301)))
    row = stage.history(claim.id)
    error = json.loads(row["result"])["err"]
    assert (done.handled, done.retried) == (1, 0)
    assert (row["status"], row["error_code"]) == ("FAILED", "WORKER_CRASHED")
    assert error["error_code"] == {"__builtin_task_code__": "WORKER_CRASHED"}
    assert worker.worker_id in row["failed_reason"]
    assert "has not beaten since" in row["failed_reason"]
    assert (row["worker_hostname"], row["worker_pid"], row["worker_process_name"]) == (
        "host",
        11,
        "executor-1",
    )
    assert stage.rows.live() == []


def test_a_run_that_opted_in_is_retried(stage: Stage) -> None:
    """R-112, R-101, T-62: with the attempt on record."""
    worker = stage.worker()
    (claim,) = stage.running(worker, again=True)
    now = later(seconds=301)
    done = stage.run(fail_stale_running(THRESHOLD_MS, now))
    row = stage.rows.one()
    assert (done.handled, done.retried) == (1, 1)
    assert (row["status"], row["retry_count"]) == ("PENDING", 1)
    assert row["next_retry_at"] == row["enqueued_at"] == now + timedelta(seconds=60)
    assert [row[name] for name in ("worker_id", "started_at", "worker_pid", "claimed_at")] == [None] * 4
    (attempt,) = row["attempts"]
    assert attempt["outcome"] == "FAILED"
    assert attempt["error_code"] == "WORKER_CRASHED"
    assert attempt["will_retry"] is True
    assert attempt["worker_id"] == worker.worker_id
    assert (attempt["worker_pid"], attempt["worker_process_name"]) == (11, "executor-1")
    assert "has not beaten" in attempt["failed_reason"]
    assert claim.id == str(row["id"])


def test_retries_end_with_their_number(stage: Stage) -> None:
    """R-100, R-104: the last crash is the end, earlier attempts stay on record."""
    worker = stage.worker()
    (claim,) = stage.running(worker, again=True)
    for _ in range(2):
        stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6)))
        stage.rows.execute("update horsies.tasks set enqueued_at = now()")
        assert len(worker.claim().claimed) == 1
    stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6)))
    row = stage.history(claim.id)
    assert (row["status"], row["error_code"], row["retry_count"]) == ("FAILED", "WORKER_CRASHED", 2)
    assert [attempt["attempt"] for attempt in row["attempts"]] == [1, 2]


def test_a_deadline_forbids_the_retry_and_the_crash_stays_the_reason(stage: Stage) -> None:
    """R-100, R-103, T-52: FAILED with its own error, not EXPIRED."""
    worker = stage.worker()
    sent = stage.again.with_options(good_until=later(minutes=6)).send().unwrap()
    worker.claim()
    stage.run(fail_stale_running(THRESHOLD_MS, later(seconds=301)))
    assert stage.history(sent.task_id)["error_code"] == "WORKER_CRASHED"


def test_a_worker_that_beats_keeps_its_runs_for_as_long_as_they_take(stage: Stage) -> None:
    """CF-29, R-112: rows of a worker that beats are never touched."""
    stage.running(stage.worker())
    stage.rows.execute("update horsies.tasks set started_at = now() - interval '9 days'")
    assert stage.run(fail_stale_running(THRESHOLD_MS)).handled == 0
    assert stage.run(fail_stale_running(THRESHOLD_MS, later(seconds=299))).handled == 0
    assert stage.rows.one()["status"] == "RUNNING"


def test_what_a_stopped_worker_left_is_recovered_at_once(stage: Stage) -> None:
    """R-112."""
    (claim,) = stage.running(stage.worker(state="stopped"))
    assert stage.run(fail_stale_running(THRESHOLD_MS)).handled == 1
    assert "stopped while the task was running" in stage.history(claim.id)["failed_reason"]


def test_a_worker_without_a_row_counts_as_silent(stage: Stage) -> None:
    """R-112."""
    (claim,) = stage.running(stage.worker(registered=False))
    assert stage.run(fail_stale_running(THRESHOLD_MS)).handled == 1
    assert "is not registered any more" in stage.history(claim.id)["failed_reason"]


def test_claimed_rows_of_a_silent_worker_are_not_failed(stage: Stage) -> None:
    """R-104: CLAIMED is handed back (R-110), never failed."""
    worker = stage.worker()
    worker.prefetch(*stage.send())
    assert stage.run(fail_stale_running(THRESHOLD_MS, later(hours=1))).handled == 0
    assert stage.rows.one()["status"] == "CLAIMED"


def test_a_requested_cancel_is_what_happens(stage: Stage) -> None:
    """R-112, M-055, R-104: CANCELLED, not a retry, even for a task that is retried after a crash."""
    worker = stage.worker()
    (claim,) = stage.running(worker, again=True)
    stage.rows.execute("update horsies.tasks set cancel_requested_at = now(), cancel_requested_by = 'ada'")
    assert stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6))).handled == 1
    row = stage.history(claim.id)
    assert (row["status"], row["error_code"], row["result"]) == ("CANCELLED", "TASK_CANCELLED", None)


def test_waiters_are_told(stage: Stage) -> None:
    """D-047: the end that the reaper writes announces itself as any other."""
    (claim,) = stage.running(stage.worker())
    stage.rows.execute("update horsies.tasks set awaited = true")
    ear = stage.heard("horsies:task_done")
    stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6)))
    assert ear.payloads() == [claim.id]


def test_the_late_finish_of_a_recovered_task_changes_nothing(stage: Stage) -> None:
    """R-070, T-66, CF-29: whichever way it was recovered."""
    worker = stage.worker()
    (failed,) = stage.running(worker)
    (retried,) = stage.running(worker, again=True)
    stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6)))
    assert sorted(worker.complete(failed, retried).lost) == sorted([failed.id, retried.id])
    assert stage.history(failed.id)["status"] == "FAILED"
    assert stage.rows.one()["status"] == "PENDING"


def test_a_result_that_was_recorded_first_wins(stage: Stage) -> None:
    """T-54, R-070: what the time limit has to say comes too late, be it an end or that the task did not begin."""
    worker = stage.worker()
    (claim,) = stage.running(worker)
    assert worker.complete(claim).lost == []
    assert worker.fail(claim, "TASK_TIMED_OUT").lost == [claim.id]
    worker.hand_back(claim)
    assert stage.history(claim.id)["status"] == "COMPLETED"
    assert stage.rows.live() == []


def test_a_heartbeat_that_comes_first_saves_the_runs(stage: Stage) -> None:
    """R-112: the write looks again, under the lock of the worker's row."""
    worker = stage.worker()
    stage.running(worker)
    stage.fall_silent(worker, minutes=6)
    with psycopg.connect(stage.url) as beating:
        beating.execute("update horsies.workers set heartbeat_at = now() where id = %s", [worker.worker_id])
        found: list[int] = []
        reaper = threading.Thread(
            target=lambda: found.append(stage.run(fail_stale_running(THRESHOLD_MS)).handled)
        )
        reaper.start()
        waiting = "select count(*) as n from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        pid = beating.info.backend_pid
        eventually(lambda: stage.rows.execute(waiting, [pid])[0]["n"] == 1)
        beating.commit()
        reaper.join(20)
    assert found == [0]
    assert stage.rows.one()["status"] == "RUNNING"


def test_a_row_that_cannot_be_written_holds_up_no_other_and_is_tried_again(stage: Stage) -> None:
    """R-112, M-021."""
    worker = stage.worker()
    claims = stage.running(worker, 3)
    refuse(stage, claims[1].id)
    for expected in (2, 0):
        done = stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6)))
        assert (done.handled, list(done.refused)) == (expected, [claims[1].id])
    stage.rows.execute("drop trigger refuse on horsies.tasks")
    assert stage.run(fail_stale_running(THRESHOLD_MS, later(minutes=6))).handled == 1


def test_page_by_page_over_several_workers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-112: small batches."""
    monkeypatch.setattr("horsies.ops.recover.RUNNING_BATCH", 2)
    first, second, alive = stage.worker(), stage.worker(), stage.worker()
    for _ in range(3):
        for worker in (first, second, alive):
            stage.running(worker)
    for worker in (first, second):
        stage.fall_silent(worker, minutes=6)
    assert stage.run(fail_stale_running(THRESHOLD_MS)).handled == 6
    assert {str(row["worker_id"]) for row in stage.rows.live()} == {alive.worker_id}


def test_two_reapers_do_not_work_at_the_same_step(stage: Stage) -> None:
    """D-006."""
    stage.running(stage.worker(state="stopped"))
    with psycopg.connect(stage.url) as other:
        other.execute("select horsies.begin_step('running')")
        assert stage.run(fail_stale_running(THRESHOLD_MS)).busy
    assert stage.run(fail_stale_running(THRESHOLD_MS)).handled == 1


def test_a_missing_day_of_history_is_made(stage: Stage) -> None:
    """D-031, D-036: recovery goes on, whatever happened to the partitions."""
    (claim,) = stage.running(stage.worker(state="stopped"))
    now = later(days=40)
    assert stage.run(fail_stale_running(THRESHOLD_MS, now)).handled == 1
    assert stage.history(claim.id)["terminal_at"] == now


def test_a_task_sent_by_sql_is_retried_by_its_registration(stage: Stage) -> None:
    """R-104, D-027: it carries no policy; the limit is written down with the first retry."""
    stage.rows.execute("insert into horsies.queues (name) values ('mail')")
    stage.rows.execute("select horsies.enqueue('again', queue_name => 'mail')")
    stage.worker(state="stopped").claim()
    op = fail_stale_running(THRESHOLD_MS, registered=stage.app.registered_policy)
    assert stage.run(op).retried == 1
    assert (stage.rows.one()["retry_count"], stage.rows.one()["max_retries"]) == (1, 2)


def test_a_task_sent_by_sql_fails_where_its_registration_is_not_known(stage: Stage) -> None:
    """R-103."""
    stage.rows.execute("select horsies.enqueue('again')")
    stage.worker(state="stopped").claim()
    done = stage.run(fail_stale_running(THRESHOLD_MS))
    assert (done.handled, done.retried) == (1, 0)


@pytest.mark.parametrize("options", ["{}", "not json", '{"retry_policy": {"max_retries": "many"}}', "[]"])
def test_an_unreadable_policy_is_none(options: str) -> None:
    """R-103."""
    assert crash_end(stale_run(options=options), no_policy, lambda: 0.0)["retry_s"] is None


def test_the_delay_is_that_of_the_policy() -> None:
    """R-102, CF-49: decided where every retry is decided."""
    policy = RetryPolicy.exponential(4, auto_retry_for=["WORKER_CRASHED"], jitter=True)
    run = stale_run(options=json.dumps({"retry_policy": policy.to_options()}), retry_count=2)
    assert crash_end(run, no_policy, lambda: 1.0)["retry_s"] == 4 * 2**2 * 1.25


def stale_run(options: str, retry_count: int = 0) -> StaleRun:
    return StaleRun("id", "worker", 1, "task", options, retry_count, 3, "host", 7, "executor-1", None, None)
