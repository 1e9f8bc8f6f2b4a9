"""Connections of the library's own work the same, whatever is set for the database, the role or the environment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from horsies import Horsies, TaskError, TaskResult
from horsies.db.connect import connect, connect_async
from horsies.testing import drain
from tests.core.apps import make_app
from tests.core.task_rows import TaskRows
from tests.helpers import eventually

type Task = Any

ODD = {
    "datestyle": "German",
    "timezone": "Pacific/Kiritimati",
    "default_transaction_isolation": "serializable",
    "intervalstyle": "sql_standard",
}
EXPECTED = {
    "datestyle": "ISO, DMY",
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
}


@pytest.fixture
def odd_url(database_url: str) -> str:
    """A database whose administrator has a taste of his own."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        for setting, value in ODD.items():
            change = sql.SQL("alter database {} set {} = {}")
            connection.execute(change.format(name, sql.Identifier(setting), sql.Literal(value)))
    return database_url


@pytest.fixture
def app(odd_url: str) -> Iterator[Horsies]:
    found = make_app(odd_url)
    yield found
    found.get_broker().close()


@pytest.fixture
def task(app: Horsies) -> Task:
    def twice(number: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=2 * number)

    return app.task("twice", twice)


def settings(connection: psycopg.Connection[Any], *names: str) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name in names:
        row = connection.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        shown[name] = row[0]
    return shown


# -- what a connection is set to


def test_a_connection_has_the_settings_it_needs(odd_url: str) -> None:
    """D-002, D-047."""
    with connect(odd_url, timeout=10, prepare=True) as connection:
        assert settings(connection, *EXPECTED) == EXPECTED


async def test_an_async_connection_has_the_settings_it_needs(odd_url: str) -> None:
    """D-002, D-047."""
    async with await connect_async(odd_url, timeout=10, prepare=True) as connection:
        cursor = await connection.execute("show default_transaction_isolation")
        assert await cursor.fetchone() == ("read committed",)
        assert connection.info.parameter_status("TimeZone") == "UTC"
        assert connection.info.parameter_status("DateStyle") == "ISO, DMY"


def test_other_settings_stay(odd_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the URL are the user's, a database for reading only stays one."""
    monkeypatch.setenv("PGDATESTYLE", "SQL")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    options = "-cstatement_timeout%3D77s%20-cdefault_transaction_read_only%3Don%20-cTimeZone%3DAsia/Tokyo"
    with connect(f"{odd_url}?options={options}", timeout=10, prepare=True) as connection:
        found = settings(
            connection, "statement_timeout", "default_transaction_read_only", "timezone", "datestyle"
        )
    assert found == {
        "statement_timeout": "77s",
        "default_transaction_read_only": "on",
        "timezone": "UTC",
        "datestyle": "ISO, MDY",
    }


def test_behind_a_pooler_nothing_is_set_that_could_stay_behind(odd_url: str) -> None:
    """D-002: it keeps some settings apart for its clients, others are those of whoever comes next."""
    with connect(odd_url, timeout=10, prepare=False, pooled=True) as connection:
        expected = EXPECTED | {"default_transaction_isolation": "serializable"}
        assert settings(connection, *EXPECTED) == expected


# -- what relies on them


def test_times_are_read(task: Task, app: Horsies) -> None:
    """D-002: also the last of all times, which is in the year 10000 elsewhere."""
    last = datetime.max.replace(tzinfo=UTC)
    before = datetime.now(UTC)
    handle = task.with_options(good_until=last).send(5).unwrap()
    info = handle.info(include_attempts=True).unwrap()
    assert before <= info.enqueued_at <= datetime.now(UTC)
    assert info.enqueued_at.tzinfo is not None
    (done,) = drain(app)
    assert done.task_id == handle.task_id
    assert handle.get(timeout_ms=5000) == TaskResult(ok=10)


async def test_times_are_read_async(task: Task, app: Horsies) -> None:
    """D-002."""
    handle = (await task.send_async(5)).unwrap()
    info = (await handle.info_async()).unwrap()
    assert abs((datetime.now(UTC) - info.enqueued_at).total_seconds()) < 60
    await app.get_broker().close_async()


def test_a_send_that_waited_for_its_rival(task: Task, app: Horsies, odd_url: str) -> None:
    """T-44, D-047: it sees what the rival has done meanwhile."""
    assert task.send(1).is_ok()  # opens the pool
    rows = TaskRows(odd_url)
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(odd_url) as connection, ThreadPoolExecutor(1) as thread:
        first = task.with_options(connection=connection, idempotency_key="k").send(5).unwrap()
        second = thread.submit(task.with_options(idempotency_key="k").send, 5)
        eventually(lambda: rows.execute(waiting))
        connection.commit()
        assert second.result().unwrap().task_id == first.task_id
    rows.close()
