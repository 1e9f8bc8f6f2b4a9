"""What the schema is made of, and what its constraints refuse (11-database sections 1 and 2)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from horsies import sending
from horsies.task_result import TaskError, TaskResult
from tests.core.apps import make_app
from tests.core.cycle_driver import CycleDriver
from tests.core.task_rows import WORKER_ID, TaskRows

_LATER = datetime(2040, 1, 1, tzinfo=UTC)


def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    found = TaskRows(database_url)
    yield found
    found.close()


@pytest.fixture
def sent(rows: TaskRows, database_url: str) -> str:
    """The id of a PENDING task."""
    app = make_app(database_url)
    found = app.task("pack")(pack).send(5).unwrap().task_id
    app.get_broker().close()
    return found


# -- constraints


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        (f"status = 'WAITING', worker_id = '{WORKER_ID}'", "task_status_known"),
        (f"status = 'COMPLETED', worker_id = '{WORKER_ID}'", "task_status_known"),
        ("priority = 0", "task_priority_range"),
        ("priority = 101", "task_priority_range"),
        (f"status = 'RUNNING', worker_id = '{WORKER_ID}'", "tasks_state_whole"),
        ("status = 'RUNNING', started_at = now()", "tasks_state_whole"),
        ("status = 'CLAIMED', claimed_at = now()", "tasks_state_whole"),
        (f"worker_id = '{WORKER_ID}'", "tasks_state_whole"),
        (f"parked = true, status = 'CLAIMED', worker_id = '{WORKER_ID}'", "tasks_state_whole"),
        ("executor = 'cloud'", "task_executor_known"),
    ],
)
def test_rows_that_cannot_be(rows: TaskRows, sent: str, change: str, constraint: str) -> None:
    """D-015: whoever writes them."""
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        rows.execute(f"update horsies.tasks set {change}")
    assert rows.one()["status"] == "PENDING"


@pytest.mark.parametrize(
    "change",
    [
        "priority = 1",
        "priority = 100",
        "parked = true",
        f"status = 'CLAIMED', worker_id = '{WORKER_ID}', claimed_at = now()",
        f"status = 'RUNNING', worker_id = '{WORKER_ID}', claimed_at = now(), started_at = now()",
    ],
)
def test_rows_that_can_be(rows: TaskRows, sent: str, change: str) -> None:
    """D-015."""
    rows.execute(f"update horsies.tasks set {change}")


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "DONE"])
def test_history_holds_ends_only(rows: TaskRows, sent: str, status: str) -> None:
    """D-015, D-010."""
    rows.start(sent)
    with pytest.raises(psycopg.errors.CheckViolation, match="task_end_known"):
        rows.end(sent, status)
    assert rows.one()["status"] == "RUNNING"


# -- what it needs


def test_nothing_but_plain_postgresql(rows: TaskRows) -> None:
    """D-003: no extension and no trigger (that no superuser is needed is shown in roles/)."""
    assert rows.execute("select extname from pg_extension where extname <> 'plpgsql'") == []
    assert rows.execute("select tgname from pg_trigger where not tgisinternal") == []
    assert rows.execute("select evtname from pg_event_trigger") == []
    assert (
        rows.execute(
            "select lanname from pg_proc p join pg_language l on l.oid = p.prolang"
            " where p.pronamespace = 'horsies'::regnamespace and lanname not in ('sql', 'plpgsql')"
        )
        == []
    )


# -- time


def test_all_times_have_a_zone(rows: TaskRows) -> None:
    """D-004."""
    found = rows.execute(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'horsies'"
        " and (data_type like 'time%' or data_type = 'date')"
    )
    assert len(found) > 30
    assert {row["data_type"] for row in found} == {"timestamp with time zone"}


def test_a_client_s_clock_decides_nothing(
    rows: TaskRows, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-004, T-39: a sender whose clock is decades behind or ahead; its task is due when the database says so."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return _LATER

    monkeypatch.setattr(sending, "datetime", Wrong)
    app = make_app(database_url)
    handle = app.task("pack")(pack).send(5).unwrap()
    app.get_broker().close()
    row = rows.one()
    assert row["sent_at"] == _LATER
    assert row["enqueued_at"] == row["created_at"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert CycleDriver(connection).claim().ids == [handle.task_id]


def test_statements_take_the_time_of_a_test(rows: TaskRows, database_url: str) -> None:
    """D-004: sends, claims, ends and reads, all at the time that they are told."""
    app = make_app(database_url)
    broker = app.get_broker()
    broker.now = _LATER
    rows.execute("select horsies.ensure_history('standard_30d', %s)", [_LATER])
    task = app.task("pack")(pack)
    first, later = task.send(5).unwrap(), task.schedule(60, 6).unwrap()
    with psycopg.connect(database_url, autocommit=True) as connection:
        worker = CycleDriver(connection)
        assert worker.claim(5).ids == []
        claims = worker.claim(5, now=_LATER).claimed
        assert [claim.id for claim in claims] == [first.task_id]
        worker.complete(*claims, now=_LATER + timedelta(seconds=1))
        assert worker.claim(5, now=_LATER + timedelta(seconds=60)).ids == [later.task_id]
    info = first.info().unwrap()
    assert info is not None
    assert (info.enqueued_at, info.claimed_at) == (_LATER, _LATER)
    assert info.completed_at == _LATER + timedelta(seconds=1)
    broker.close()
