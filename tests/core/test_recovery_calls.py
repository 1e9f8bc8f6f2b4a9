"""The recovery helpers of broker and app (10-monitoring §3)."""

from collections.abc import Generator
from datetime import timedelta

import pytest

from horsies.broker_errors import BrokerErrorCode
from tests.core.apps import make_app
from tests.worker.recovery.stage import Stage, elsewhere, later
from tests.worker.recovery.test_claimed import refuse


@pytest.fixture
def stage(database_url: str) -> Generator[Stage]:
    stage = Stage(database_url)
    yield stage
    stage.close()


async def test_stale_tasks_are_listed_those_without_a_heartbeat_first(stage: Stage) -> None:
    """10-monitoring §3: RUNNING on a worker silent for longer, or without a row."""
    silent, longer, unknown, alive = (
        stage.worker(),
        stage.worker(),
        stage.worker(registered=False),
        stage.worker(),
    )
    claims = {worker.worker_id: stage.running(worker)[0] for worker in (silent, longer, unknown, alive)}
    stage.fall_silent(silent, minutes=3)
    stage.fall_silent(longer, minutes=4)
    found = (await stage.broker.get_stale_tasks()).unwrap()
    assert [entry["id"] for entry in found] == [
        claims[worker.worker_id].id for worker in (unknown, longer, silent)
    ]
    first, second = found[:2]
    assert set(first) == {
        "id",
        "task_name",
        "worker_hostname",
        "worker_pid",
        "worker_process_name",
        "last_heartbeat",
        "started_at",
    }
    assert (first["task_name"], first["last_heartbeat"]) == ("work", None)
    assert (second["worker_hostname"], second["worker_pid"], second["worker_process_name"]) == (
        "host",
        11,
        "executor-1",
    )
    assert second["last_heartbeat"] is not None
    assert (await stage.app.get_stale_tasks(3.5)).unwrap() == found[:2]


async def test_expired_tasks_are_listed_the_oldest_deadline_first(stage: Stage) -> None:
    """10-monitoring §3."""
    (younger,) = stage.send(good_until=later(minutes=-1))
    (older,) = stage.send(good_until=later(minutes=-5), priority=7)
    stage.send(good_until=later(minutes=5))
    stage.send()
    found = (await stage.broker.get_expired_tasks()).unwrap()
    assert [entry["id"] for entry in found] == [older, younger]
    entry = found[0]
    assert (entry["task_name"], entry["queue_name"], entry["priority"]) == ("work", "mail", 7)
    assert timedelta(minutes=5) <= entry["expired_for"] < timedelta(minutes=6)
    assert entry["sent_at"] <= entry["enqueued_at"]
    assert (await stage.app.get_expired_tasks()).unwrap()[0]["good_until"] == entry["good_until"]


async def test_lists_end_at_their_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """M-020: 1000 rows."""
    monkeypatch.setattr("horsies.ops.recover.LIST_LIMIT", 2)
    stage.running(stage.worker(registered=False), 3)
    stage.send(3, good_until=later(minutes=-1))
    assert len((await stage.broker.get_expired_tasks()).unwrap()) == 2
    assert len((await stage.broker.get_stale_tasks()).unwrap()) == 2


async def test_claims_of_silent_workers_are_requeued(stage: Stage) -> None:
    """10-monitoring §3, R-110: with its own default threshold, and the live owner's guard."""
    silent, alive = stage.worker(), stage.worker()
    for worker in (silent, alive):
        worker.prefetch(*stage.send())
    stage.fall_silent(silent, seconds=110)
    assert (await stage.broker.requeue_stale_claimed()).unwrap() == 0
    stage.fall_silent(silent, seconds=121)
    assert (await stage.broker.requeue_stale_claimed()).unwrap() == 1
    assert (await stage.app.requeue_stale_claimed(stale_threshold_ms=1)).unwrap() == 0
    assert sorted(row["status"] for row in stage.rows.live()) == ["CLAIMED", "PENDING"]


async def test_runs_of_silent_workers_are_retried_or_failed(stage: Stage) -> None:
    """10-monitoring §3, R-112, M-020: the number of both; usable while workers run."""
    silent, alive = stage.worker(), stage.worker()
    stage.running(silent)
    stage.running(silent, again=True)
    stage.running(alive)
    stage.fall_silent(silent, minutes=4)
    assert (await stage.broker.mark_stale_tasks_as_failed()).unwrap() == 0
    assert (await stage.broker.mark_stale_tasks_as_failed(200_000)).unwrap() == 2
    assert (await stage.app.mark_stale_tasks_as_failed(stale_threshold_ms=1)).unwrap() == 0
    assert sorted(row["status"] for row in stage.rows.live()) == ["PENDING", "RUNNING"]


async def test_the_app_knows_the_policies_of_tasks_sent_by_sql(stage: Stage) -> None:
    """M-020: same rules as the reaper of a worker of this app."""
    stage.rows.execute("select horsies.enqueue('again')")
    stage.worker(registered=False).claim()
    assert (await stage.app.mark_stale_tasks_as_failed()).unwrap() == 1
    assert stage.rows.one()["retry_count"] == 1


async def test_tasks_past_their_deadline_are_expired(stage: Stage) -> None:
    """10-monitoring §3, R-113."""
    for call in (stage.broker.expire_pending_tasks, stage.app.expire_pending_tasks):
        stage.send(2, good_until=later(minutes=-1))
        assert elsewhere(call).unwrap() == 2
    stage.send(3, good_until=later(minutes=-1))
    assert (await stage.broker.expire_pending_tasks_async()).unwrap() == 3
    assert (await stage.app.expire_pending_tasks_async()).unwrap() == 0


async def test_a_call_handles_at_most_a_batch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """M-020."""
    for name in ("CLAIMED_BATCH", "RUNNING_BATCH", "EXPIRED_BATCH"):
        monkeypatch.setattr(f"horsies.ops.recover.{name}", 2)
    worker = stage.worker(registered=False)
    stage.running(worker, 3)
    worker.prefetch(*stage.send(3))
    stage.send(3, good_until=later(minutes=-1))
    assert (await stage.broker.requeue_stale_claimed()).unwrap() == 2
    assert (await stage.broker.mark_stale_tasks_as_failed()).unwrap() == 2
    assert stage.broker.expire_pending_tasks().unwrap() == 2


async def test_one_row_does_not_stop_the_rest(stage: Stage) -> None:
    """M-021."""
    claims = stage.running(stage.worker(registered=False), 3)
    refuse(stage, claims[0].id)
    assert (await stage.broker.mark_stale_tasks_as_failed()).unwrap() == 2


async def test_failure_as_a_whole_is_a_value(stage: Stage) -> None:
    """M-021, M-001, M-004: retryable when the connection failed, not when the schema is damaged."""
    app = make_app()
    for result in (
        await app.requeue_stale_claimed(),
        await app.mark_stale_tasks_as_failed(),
        await app.expire_pending_tasks_async(),
    ):
        error = result.unwrap_err()
        assert (error.code, error.retryable) == (BrokerErrorCode.CLEANUP_FAILED, True)
    stage.rows.execute("drop function horsies.expire_pending")
    stage.send(good_until=later(minutes=-1))
    error = (await stage.broker.expire_pending_tasks_async()).unwrap_err()
    assert (error.code, error.retryable) == (BrokerErrorCode.CLEANUP_FAILED, False)
    assert (await app.get_stale_tasks()).unwrap_err().code is BrokerErrorCode.MONITORING_QUERY_FAILED
