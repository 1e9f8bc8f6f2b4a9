"""Values to and from the database, whatever adapters a program has registered with psycopg for itself (D-002)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.adapt import AdaptersMap
from psycopg.types.json import set_json_loads
from psycopg.types.string import StrDumper, TextLoader

from horsies import Horsies, TaskError, TaskResult
from tests.core.apps import make_app
from tests.core.task_rows import TaskRows


class Shout(TextLoader):
    """A loader that nobody but its program can work with."""

    def load(self, data: Any) -> str:
        return f"<{bytes(data).decode(errors='replace')}>"


class Whisper(StrDumper):
    """A dumper of that kind."""

    def dump(self, obj: Any) -> bytes:
        return f"({obj})".encode()


def twice(number: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=2 * number)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that has its own way with every type, in all its connections."""
    adapters = AdaptersMap(psycopg.adapters)
    monkeypatch.setattr("psycopg.adapters", adapters)
    monkeypatch.setattr("psycopg.postgres.adapters", adapters)
    for name in ("text", "jsonb", "json", "uuid", "timestamptz", "int4", "int8", "int2", "bool", "float8"):
        adapters.register_loader(name, Shout)
    for kind in (str, int, datetime):
        adapters.register_dumper(kind, Whisper)
    set_json_loads(lambda text: None)
    yield
    set_json_loads(json.loads)


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    found = make_app(database_url)
    yield found
    found.get_broker().close()


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    """Connected before the program's adapters are there."""
    found = TaskRows(database_url)
    found.live()
    yield found
    found.close()


def test_reads_do_not_meet_a_program_s_adapters(rows: TaskRows, app: Horsies, program: None) -> None:
    """D-002."""
    task = app.task("twice", twice)
    keyed = task.with_options(idempotency_key="k", good_until=datetime(2999, 1, 1, tzinfo=UTC))
    handle = keyed.send(5).unwrap()
    assert keyed.send(5).unwrap().task_id == handle.task_id
    assert len(task.send_many([{"number": 1}, {"number": 2}]).unwrap()) == 2
    rows.start(handle.task_id)
    rows.retry(handle.task_id, '[{"attempt": 1, "outcome": "FAILED", "will_retry": true}]')
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "10")
    info = handle.info(include_attempts=True).unwrap()
    assert info is not None
    assert (info.task_id, info.retry_count) == (handle.task_id, 1)
    assert isinstance(info.enqueued_at, datetime)
    assert info.attempts is not None
    assert len(info.attempts) == 2
    assert handle.get(timeout_ms=5000) == TaskResult(ok=10)


async def test_async_reads_do_not_meet_a_program_s_adapters(
    rows: TaskRows, app: Horsies, program: None
) -> None:
    """D-002."""
    handle = (await app.task("twice", twice).send_async(5)).unwrap()
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "10")
    info = (await handle.info_async(include_attempts=True)).unwrap()
    assert info is not None
    assert (info.task_id, info.retry_count) == (handle.task_id, 0)
    assert await handle.get_async(timeout_ms=5000) == TaskResult(ok=10)
    await app.get_broker().close_async()


def test_a_caller_s_connection_keeps_its_adapters(
    rows: TaskRows, app: Horsies, program: None, database_url: str
) -> None:
    """T-41: neither used nor changed."""
    with psycopg.connect(database_url) as connection:
        keyed = app.task("twice", twice).with_options(connection=connection, idempotency_key="k")
        assert keyed.send(5).unwrap().task_id == keyed.send(5).unwrap().task_id
        assert connection.execute("select 'x'::text").fetchone() == ("<x>",)
    assert rows.one()["kwargs"] == '{"number":5}'


def test_a_caller_s_connection_without_an_encoding(rows: TaskRows, app: Horsies, database_url: str) -> None:
    """T-41: psycopg gives its texts as bytes."""
    with psycopg.connect(database_url, client_encoding="SQL_ASCII") as connection:
        keyed = app.task("twice", twice).with_options(connection=connection, idempotency_key="k")
        assert keyed.send(5).unwrap().task_id == keyed.send(5).unwrap().task_id
        assert connection.execute("select 'x'::text").fetchone() == (b"x",)
    assert len(rows.live()) == 1


def test_an_empty_database_is_prepared_all_the_same(empty_database_url: str, program: None) -> None:
    """D-060."""
    app = make_app(empty_database_url)
    assert app.task("twice", twice).send(5).is_ok()
    app.get_broker().close()
