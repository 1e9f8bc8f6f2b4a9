"""A pooler in transaction mode between everything and the database (D-002, CF-23): PgBouncer, if it is installed."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from horsies import BrokerErrorCode, OutcomeCode
from tests.acceptance.fresh_module import fresh_module
from tests.core.task_rows import TaskRows
from tests.fixtures.pooler import SERVER_CONNECTIONS, find_pgbouncer, pgbouncer
from tests.helpers import RunningProcess, eventually, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.pooled"
WAIT_MS = 30_000
PROGRAM = find_pgbouncer()

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed (apt-get install pgbouncer)"),
    pytest.mark.timeout(180),
]


@pytest.fixture
def pooled_url(database_url: str) -> Generator[str]:
    """This test's database, through the pooler."""
    assert PROGRAM is not None
    with pgbouncer(PROGRAM, database_url) as url:
        yield url


@pytest.fixture
def pooled(database_url: str, pooled_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """The module tests.acceptance.apps.pooled, its app behind the pooler."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
    monkeypatch.setenv("ACCEPTANCE_POOLED_URL", pooled_url)
    with fresh_module(APP) as module:
        yield module


@pytest.fixture
def rows(database_url: str) -> Generator[TaskRows]:
    """The tables, not through the pooler."""
    found = TaskRows(database_url)
    yield found
    found.close()


@contextmanager
def worker(database_url: str, pooled_url: str) -> Generator[RunningProcess]:
    """A worker behind the pooler, ready."""
    environment = {"ACCEPTANCE_DATABASE_URL": database_url, "ACCEPTANCE_POOLED_URL": pooled_url}
    arguments = (f"{APP}:app", "--processes", "2")
    with running_module("horsies_worker", *arguments, environment=environment, directory=ROOT) as process:
        process.wait_for("ready:", 60)
        yield process


def server_connections(rows: TaskRows) -> int:
    """How many connections the pooler has to this database."""
    found = rows.execute(
        "select count(*) as n from pg_stat_activity where datname = current_database()"
        " and application_name not like '%%listener%%' and pid <> pg_backend_pid()"
    )
    count: int = found[0]["n"]
    return count


def test_sends_share_few_connections(pooled: Any, rows: TaskRows) -> None:
    """D-002, T-42, T-44 to T-46: many senders at once, keys and batches among them, and nothing is left prepared."""
    sent = pooled.double.send(0).unwrap()

    def send(n: int) -> None:
        assert pooled.double.send(n).is_ok()
        assert len(pooled.double.send_many([{"n": n}, {"n": n}]).unwrap()) == 2
        keyed = pooled.double.with_options(idempotency_key=f"key {n % 5}")
        assert keyed.send(n % 5).is_ok()
        assert pooled.double.schedule(60, n).is_ok()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(40)))
        assert server_connections(rows) <= SERVER_CONNECTIONS + 1
    assert rows.count() == 1 + 40 * 4 + 5
    conflict = pooled.double.with_options(idempotency_key="key 1").send(7).err_value
    assert conflict.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
    assert sent.info().unwrap().task_id == sent.task_id


async def test_async_sends_share_few_connections(pooled: Any, rows: TaskRows) -> None:
    """D-002."""
    results = await asyncio.gather(*(pooled.double.send_async(n) for n in range(100)))
    assert all(result.is_ok() for result in results)
    many = await pooled.double.send_many_async([{"n": n} for n in range(1000)])
    assert len(many.unwrap()) == 1000
    assert rows.count() == 1100
    await pooled.app.get_broker().close_async()


def test_a_transaction_of_the_caller_s(pooled: Any, rows: TaskRows, pooled_url: str) -> None:
    """T-41, D-002: the caller's own connection goes through the pooler too, as in most programs that have one."""
    with psycopg.connect(pooled_url, prepare_threshold=None) as connection:
        bound = pooled.double.with_options(connection=connection, idempotency_key="k")
        assert bound.send(1).is_ok()
        assert rows.count() == 0
        connection.rollback()
        assert bound.send(2).is_ok()
        assert bound.send(3).err_value.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
        connection.commit()
    assert rows.one()["kwargs"] == '{"n":2}'


def test_a_database_with_its_own_way_to_write_times(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-002: what the pooler keeps for each client is set for this one, and its other clients do not meet it."""
    assert PROGRAM is not None
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set datestyle = 'German'").format(name))
        connection.execute(sql.SQL("alter database {} set timezone = 'Pacific/Kiritimati'").format(name))
    with pgbouncer(PROGRAM, database_url) as url:
        monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
        monkeypatch.setenv("ACCEPTANCE_POOLED_URL", url)
        with fresh_module(APP) as module:
            sent = module.double.with_options(good_until=datetime.max.replace(tzinfo=UTC)).send(1).unwrap()
            before = sent.info().unwrap().enqueued_at
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
                for _ in range(5):
                    shown = other.execute("select current_setting('datestyle'), current_setting('timezone')")
                    assert shown.fetchone() == ("German, DMY", "Pacific/Kiritimati")
                    assert sent.info().unwrap().enqueued_at == before


def test_a_worker_behind_the_pooler(
    pooled: Any, rows: TaskRows, database_url: str, pooled_url: str, tmp_path: Path
) -> None:
    """D-002, D-043, CF-25: results, waiting, retries, cancelling, sends from tasks and workflows."""
    with worker(database_url, pooled_url) as process:
        assert pooled.double.send(21).unwrap().get(WAIT_MS).ok_value == 42, process.output
        assert asyncio.run(_send_and_get(pooled)) == 10
        handles = pooled.double.send_many([{"n": n} for n in range(300)]).unwrap()
        assert [handle.get(WAIT_MS).ok_value for handle in handles] == [2 * n for n in range(300)]
        assert pooled.second_try.send(str(tmp_path)).unwrap().get(WAIT_MS).ok_value == "done"
        inner = pooled.sends.send(4).unwrap().get(WAIT_MS).ok_value
        assert pooled.app.get_result(inner, timeout_ms=WAIT_MS).unwrap().ok_value == 8
        sleeping = pooled.sleeps.send(str(tmp_path)).unwrap()
        eventually((tmp_path / "sleeping").exists, 30)
        assert sleeping.cancel(include_running=True, wait_ms=WAIT_MS).is_ok()
        assert sleeping.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_CANCELLED
        assert pooled.chain().start().unwrap().get(WAIT_MS).ok_value == 9
        assert server_connections(rows) <= SERVER_CONNECTIONS + 1
        assert process.stop() == 0, process.output
    assert "prepared statement" not in process.output


async def _send_and_get(pooled: Any) -> int:
    handle = (await pooled.double.send_async(5)).unwrap()
    value: int = (await handle.get_async(WAIT_MS)).ok_value
    await pooled.app.get_broker().close_async()
    return value
