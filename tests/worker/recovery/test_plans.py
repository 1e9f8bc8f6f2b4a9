"""What the reaper reads costs what is in flight or due, not what is waiting (D-021, D-023)."""

from collections.abc import Mapping

import pytest

from horsies.ops.recover import NIL_ID
from tests.worker.recovery.stage import Stage, later

PAGE: dict[str, object] = {"threshold_ms": 60_000, "after": NIL_ID, "limit": 100, "now": None}


@pytest.fixture
def crowded(stage: Stage) -> Stage:
    """30 000 waiting rows, few with a deadline; some in flight; many samples, keys and workers."""
    stage.rows.execute(
        "insert into horsies.tasks (id, task_name, queue_name, priority, sent_at, enqueued_at, good_until)"
        " select md5(random()::text)::uuid, 'work', 'mail', 10, now(), now(),"
        " case when n % 1000 = 0 then now() + interval '1 day' end from generate_series(1, 30000) n"
    )
    for _ in range(3):
        stage.worker().claim(40)
    stage.rows.execute(
        "insert into horsies.workers (id, hostname, pid, version, state, heartbeat_interval_ms)"
        " select md5(random()::text)::uuid, 'host', 1, '0', 'running', 1000 from generate_series(1, 300)"
    )
    stage.rows.execute(
        "insert into horsies.worker_samples select md5(random()::text)::uuid, now() - n * interval '1 minute', '{}'"
        " from generate_series(1, 20000) n"
    )
    stage.rows.execute(
        "insert into horsies.idempotency_keys (task_name, key, task_id, request_sha, expires_at)"
        " select 'work', n::text, md5(random()::text)::uuid, '', case when n % 50 = 0 then now() + interval '1 day' end"
        " from generate_series(1, 20000) n"
    )
    stage.rows.execute("analyze")
    return stage


@pytest.mark.parametrize(
    ("name", "params", "index"),
    [
        ("stale_claimed", PAGE, "tasks_in_flight"),
        ("stale_running", PAGE, "tasks_in_flight"),
        ("list_stale_running", {"threshold_ms": 60_000, "limit": 100, "now": None}, "tasks_in_flight"),
        (
            "past_deadline",
            {"after": NIL_ID, "after_time": "-infinity", "limit": 500, "now": None},
            "tasks_deadline",
        ),
        ("list_past_deadline", {"limit": 100, "now": None}, "tasks_deadline"),
        ("clean_workers", {"keep_hours": 24, "limit": 500, "now": None}, "tasks_in_flight"),
    ],
)
def test_a_step_reads_tasks_by_the_partial_index(
    crowded: Stage, name: str, params: Mapping[str, object], index: str
) -> None:
    plan = explain(crowded, name, params)
    assert index in plan
    assert "Seq Scan on tasks" not in plan


@pytest.mark.parametrize(
    ("name", "params", "index"),
    [
        ("clean_samples", {"keep_hours": 168, "limit": 500, "now": None}, "worker_samples_age"),
        ("clean_keys", {"limit": 500, "now": None}, "idempotency_keys_expiry"),
    ],
)
def test_cleaning_reads_what_is_old(
    crowded: Stage, name: str, params: Mapping[str, object], index: str
) -> None:
    """R-115."""
    plan = explain(crowded, name, params)
    assert index in plan
    assert "Seq Scan on worker_samples" not in plan
    assert "Seq Scan on idempotency_keys" not in plan


def test_a_heartbeat_writes_one_row_and_none_of_tasks(crowded: Stage) -> None:
    """D-022, R-090: however much the worker answers for; and it is a heap-only update."""
    worker = crowded.worker()
    claims = worker.claim(40).claimed
    with crowded.connection.transaction():  # in which nothing is reported to the server's statistics
        before = written(crowded)
        crowded.connection.execute(
            crowded.broker.statements["heartbeat"],
            {
                "id": worker.worker_id,
                "state": "running",
                "snapshot": "{}",
                "ids": [claim.id for claim in claims],
                "generations": [claim.generation for claim in claims],
                "now": later(seconds=1),
            },
        )
        after = written(crowded)
    assert (after["workers"] - before["workers"], after["tasks"] - before["tasks"]) == (1, 0)
    assert after["hot"] - before["hot"] == 1


def written(stage: Stage) -> dict[str, int]:
    """Rows written so far, by table, as counted by the transaction that the test works in."""
    rows = stage.connection.execute(
        "select relname, n_tup_ins + n_tup_upd + n_tup_del, n_tup_hot_upd"
        " from pg_stat_xact_user_tables where schemaname = 'horsies'"
    ).fetchall()
    found = {str(name): int(number) for name, number, _ in rows}
    hot = sum(int(hot) for name, _, hot in rows if name == "workers")
    return {"workers": found["workers"], "tasks": found["tasks"], "hot": hot}


def explain(stage: Stage, name: str, params: Mapping[str, object]) -> str:
    statement = b"explain (costs off) " + stage.broker.statements[name]
    return "\n".join(line for (line,) in stage.connection.execute(statement, params).fetchall())
