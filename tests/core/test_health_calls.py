"""Health of database, workers and queues, asked through broker and app (10-monitoring §1, §2)."""

from collections.abc import Generator
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from horsies.broker_errors import BrokerErrorCode
from tests.core.apps import make_app
from tests.worker.recovery.stage import Stage, elsewhere

REPORTED: dict[str, Any] = {
    "processes": 2,
    "concurrency": 10,
    "executor": "process",
    "prefetch_buffer": 0,
    "cluster_wide_cap": 5,
    "queues": ["mail", "bulk"],
    "queue_priorities": {"mail": 10, "bulk": 90},
    "queue_max_concurrency": {"mail": None, "bulk": 3},
    "recovery_config": {"running_stale_threshold_ms": 10_000, "partition_coverage": {"ok": True}},
    "tasks_running": 1,
    "tasks_claimed": 0,
    "memory_usage_mb": 42.5,
    "children_memory_mb": None,
    "memory_percent": 0.5,
    "cpu_percent": None,
}


@pytest.fixture
def stage(database_url: str) -> Generator[Stage]:
    stage = Stage(database_url)
    yield stage
    stage.close()


def reporting(stage: Stage, *, state: str = "running", **silent: float) -> str:
    """A worker with a full snapshot, silent for so long."""
    worker = stage.worker(state=state)
    stage.rows.execute(
        "update horsies.workers set snapshot = %s where id = %s", [Jsonb(REPORTED), worker.worker_id]
    )
    stage.fall_silent(worker, **silent)
    return worker.worker_id


def sample(stage: Stage, worker_id: str, hours_ago: int) -> None:
    stage.rows.execute(
        "insert into horsies.worker_samples values (%s, now() - %s, %s)",
        [
            worker_id,
            timedelta(hours=hours_ago),
            Jsonb(
                REPORTED
                | {
                    "hostname": "host",
                    "pid": hours_ago,
                    "version": "0",
                    "state": "running",
                    "worker_started_at": "2031-05-01T10:00:00+02:00",
                }
            ),
        ],
    )


# -- the database


async def test_the_database_is_asked_for_one_round_trip(stage: Stage) -> None:
    """10-monitoring §2: in both forms, on broker and app."""
    found = [
        elsewhere(stage.broker.ping_database),
        elsewhere(stage.app.ping_database),
        await stage.broker.ping_database_async(),
        await stage.app.ping_database_async(),
    ]
    assert all(result.unwrap().latency_ms > 0 for result in found)


def test_a_database_that_does_not_answer_is_a_value() -> None:
    """M-001, M-004, E-10."""
    app = make_app()
    error = app.ping_database().unwrap_err()
    assert (error.code, error.retryable) == (BrokerErrorCode.DB_PING_FAILED, True)
    assert isinstance(error.exception, psycopg.OperationalError)
    for result in (app.list_worker_states(), app.get_queue_stats()):
        assert result.unwrap_err().code is BrokerErrorCode.MONITORING_QUERY_FAILED
    assert app.ping_workers().unwrap_err().code is BrokerErrorCode.WORKER_PING_FAILED


# -- workers


async def test_the_latest_state_of_every_worker(stage: Stage) -> None:
    """10-monitoring §2, M-006, M-015: idle ones included; what was not measured is None."""
    first = reporting(stage)
    second = stage.worker().worker_id
    states = {state.worker_id: state for state in stage.broker.list_worker_states().unwrap()}
    assert set(states) == {first, second}
    state = states[first]
    assert (state.hostname, state.pid, state.version, state.state) == ("host", 1, "0", "running")
    assert (state.processes, state.concurrency, state.executor) == (2, 10, "process")
    assert state.queues == ("mail", "bulk")
    assert state.queue_max_concurrency == {"mail": None, "bulk": 3}
    assert (state.memory_usage_mb, state.children_memory_mb, state.cpu_percent) == (42.5, None, None)
    assert state.recovery_config == REPORTED["recovery_config"]
    assert state.snapshot_at.tzinfo is UTC
    assert state.worker_started_at is not None
    assert state.worker_started_at.tzinfo is UTC
    assert (states[second].queues, states[second].processes) == ((), None)
    assert await stage.broker.get_worker_states_async() == stage.app.get_worker_states()
    assert stage.broker.get_worker_states() == await stage.app.get_worker_states_async()
    assert await stage.broker.list_worker_states_async() == await stage.app.list_worker_states_async()


@pytest.mark.parametrize(
    ("state", "silent_s", "shown", "late", "stale"),
    [
        ("running", 0, "running", False, False),
        ("running", 2.5, "running", False, False),
        ("running", 4, "running", True, False),
        ("draining", 4, "draining", True, False),
        ("running", 11, "lost", True, True),
        ("stopped", 3600, "stopped", False, False),
    ],
)
def test_what_the_age_of_a_heartbeat_means(
    stage: Stage, state: str, silent_s: float, shown: str, late: bool, stale: bool
) -> None:
    """M-016: late after three of its intervals (1 s), stale after its own threshold (10 s)."""
    worker_id = reporting(stage, state=state, seconds=silent_s)
    found = stage.app.get_worker_state(worker_id).unwrap()
    assert found is not None
    assert (found.state, found.late, found.stale) == (shown, late, stale)


@pytest.mark.parametrize("worker_id", ["", "nobody", "00000000-0000-0000-0000-000000000009"])
async def test_a_worker_that_is_not_known(stage: Stage, worker_id: str) -> None:
    """M-003, M-005."""
    assert stage.broker.get_worker_state(worker_id).unwrap() is None
    assert (await stage.app.get_worker_state_async(worker_id)).unwrap() is None
    assert stage.broker.get_worker_state_history(worker_id).unwrap() == []


async def test_the_history_of_a_worker_newest_first(stage: Stage) -> None:
    """10-monitoring §2, M-006."""
    worker_id = reporting(stage)
    for hours_ago in (2, 1, 3):
        sample(stage, worker_id, hours_ago)
    found = stage.broker.get_worker_state_history(worker_id).unwrap()
    assert [state.pid for state in found] == [1, 2, 3]
    assert found[0].queues == ("mail", "bulk")
    assert str(found[0].worker_started_at) == "2031-05-01 08:00:00+00:00"
    limited = (await stage.app.get_worker_state_history_async(worker_id, 2)).unwrap()
    assert [state.pid for state in limited] == [1, 2]
    assert stage.app.get_worker_state_history(worker_id, limit=1).unwrap() == found[:1]
    assert (await stage.broker.get_worker_state_history_async(worker_id)).unwrap() == found


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_that_makes_no_sense(limit: int) -> None:
    """M-014: refused before the database is asked."""
    error = make_app().get_worker_state_history("anybody", limit).unwrap_err()
    assert (error.code, error.retryable) == (BrokerErrorCode.MONITORING_QUERY_FAILED, False)


# -- queues


async def test_what_every_queue_holds(stage: Stage) -> None:
    """10-monitoring §2: waiting, not yet due, held, running; queues without tasks and without a worker too."""
    worker = stage.worker()
    stage.rows.execute(
        "insert into horsies.queues (name, priority, max_concurrency, paused) values"
        " ('mail', 10, null, false), ('bulk', 90, 3, true)"
    )
    stage.send(4)
    worker.claim(1)
    worker.prefetch(str(next(row["id"] for row in stage.rows.live() if row["status"] == "PENDING")))
    stage.send(3, delay=3600)
    stage.rows.execute(
        "update horsies.tasks set enqueued_at = now() - interval '90 s'"
        " where id = (select id from horsies.tasks where status = 'PENDING' and enqueued_at <= now() limit 1)"
    )
    stage.rows.execute(
        "insert into horsies.tasks (id, task_name, queue_name, priority, sent_at, enqueued_at)"
        " values (md5(random()::text)::uuid, 'work', 'nobody''s', 5, now(), now())"
    )
    stats = {queue.name: queue for queue in stage.broker.get_queue_stats().unwrap()}
    assert list(stats) == sorted(["bulk", "default", "mail", "nobody's"])
    mail = stats["mail"]
    assert (mail.pending, mail.delayed, mail.claimed, mail.running) == (2, 3, 1, 1)
    assert mail.oldest_pending_age_s is not None
    assert 90 <= mail.oldest_pending_age_s < 120
    assert (mail.priority, mail.max_concurrency, mail.paused) == (10, None, False)
    bulk = stats["bulk"]
    assert (bulk.pending, bulk.oldest_pending_age_s, bulk.priority, bulk.max_concurrency) == (0, None, 90, 3)
    assert bulk.paused
    assert (stats["nobody's"].pending, stats["nobody's"].priority) == (1, None)
    again = [
        stage.app.get_queue_stats(),
        await stage.app.get_queue_stats_async(),
        await stage.broker.get_queue_stats_async(),
    ]
    assert all({queue.name for queue in result.unwrap()} == set(stats) for result in again)
