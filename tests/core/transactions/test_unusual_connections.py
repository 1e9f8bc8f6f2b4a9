"""Callers whose connections are not as psycopg makes them by default (T-41): other cursors, encodings, pipelines."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.pq import PipelineStatus

from horsies import BrokerErrorCode, Err, Horsies, Result, TaskError, TaskResult, TaskSendErrorCode
from tests.core.task_rows import TaskRows

type Connect = Callable[[str], psycopg.Connection[Any]]
type Task = Any


@pytest.fixture
def note(app: Horsies) -> Task:
    """A task whose argument is a text."""

    def note(text: str) -> TaskResult[str, TaskError]:
        return TaskResult(ok=text)

    return app.task("note", note)


def code_of(sent: Result[Any, Any]) -> TaskSendErrorCode:
    assert isinstance(sent, Err)
    code: TaskSendErrorCode = sent.err_value.code
    return code


def orders(rows: TaskRows) -> int:
    return len(rows.execute("select number from orders"))


# -- other cursors


@pytest.mark.parametrize("cursor_factory", [psycopg.RawCursor, psycopg.ClientCursor])
def test_any_cursor_factory_will_do(
    task: Task, rows: TaskRows, database_url: str, cursor_factory: Any
) -> None:
    """T-41: the caller's settings are neither used nor changed."""
    with psycopg.connect(database_url, cursor_factory=cursor_factory) as connection:
        keyed = task.with_options(connection=connection, idempotency_key="k")
        assert keyed.send(5).unwrap().task_id == keyed.send(5).unwrap().task_id
        assert task.with_options(connection=connection).send_many([{"weight": 1}, {"weight": 2}]).is_ok()
        assert connection.cursor_factory is cursor_factory
        connection.commit()
    assert len(rows.live()) == 3


async def test_any_async_cursor_factory_will_do(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    connecting = psycopg.AsyncConnection.connect(database_url, cursor_factory=psycopg.AsyncRawCursor)
    async with await connecting as connection:
        keyed = task.with_options(connection=connection, idempotency_key="k")
        first, second = await keyed.send_async(5), await keyed.send_async(5)
        assert first.unwrap().task_id == second.unwrap().task_id
        await connection.commit()
    assert len(rows.live()) == 1


# -- other encodings


def test_a_text_that_the_encoding_lacks(note: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: an unusable object; the transaction goes on."""
    with psycopg.connect(database_url, client_encoding="latin1") as connection:
        connection.execute("insert into orders values (1)")
        bound = note.with_options(connection=connection)
        sent = bound.send("\u20ac")
        assert code_of(sent) is TaskSendErrorCode.VALIDATION_FAILED
        assert "LATIN1" in sent.err_value.message
        assert (
            code_of(bound.send_many([{"text": "\u20ac"}, {"text": "e"}]))
            is TaskSendErrorCode.VALIDATION_FAILED
        )
        assert bound.send("\u00e9").is_ok()
        connection.commit()
    assert orders(rows) == 1
    assert [row["kwargs"] for row in rows.live()] == ['{"text":"\u00e9"}']


async def test_a_text_that_the_encoding_lacks_async(note: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: also where nothing was begun yet."""
    connecting = psycopg.AsyncConnection.connect(database_url, client_encoding="latin1")
    async with await connecting as connection:
        bound = note.with_options(connection=connection)
        assert code_of(await bound.send_async("\u20ac")) is TaskSendErrorCode.VALIDATION_FAILED
        await connection.execute("insert into orders values (1)")
        await connection.commit()
        await connection.set_autocommit(True)
        assert code_of(await bound.send_async("\u20ac")) is TaskSendErrorCode.VALIDATION_FAILED
        assert (await bound.send_async("e")).is_ok()
    assert (orders(rows), len(rows.live())) == (1, 1)


# -- pipelines


def test_sends_in_a_pipeline(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: each learns what became of it, and what the caller has queued stays in its order."""
    with psycopg.connect(database_url) as connection, connection.pipeline():
        keyed = task.with_options(connection=connection, idempotency_key="k")
        first = keyed.send(1).unwrap()
        assert keyed.send(1).unwrap().task_id == first.task_id
        connection.execute("insert into orders values (1)")
        assert keyed.send(2).err_value.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
        assert task.with_options(connection=connection).send_many([{"weight": 3}, {"weight": 4}]).is_ok()
        last = connection.execute("select max(number) from orders")
        assert connection.pgconn.pipeline_status == PipelineStatus.ON
        assert (rows.count(), orders(rows)) == (0, 0)
        assert last.fetchone() == (1,)
    assert (len(rows.live()), orders(rows)) == (3, 1)


def test_a_refused_row_in_a_pipeline(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: the failure is the send's own, not the caller's at some later statement."""
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")
    with psycopg.connect(database_url) as connection, connection.pipeline():
        connection.execute("insert into orders values (1)")
        bound = task.with_options(connection=connection)
        assert code_of(bound.send(99)) is TaskSendErrorCode.ENQUEUE_FAILED
        assert bound.send(5).is_ok()
    assert orders(rows) == 1
    assert [row["kwargs"] for row in rows.live()] == ['{"weight":5}']


def test_a_pipeline_that_has_failed(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: what was queued before fails when it is waited for; nothing is raised."""
    with psycopg.connect(database_url) as connection:
        with connection.pipeline():
            connection.execute("select 1 / 0")
            sent = task.with_options(connection=connection).send(5)
            assert code_of(sent) is TaskSendErrorCode.ENQUEUE_FAILED
            assert isinstance(sent.err_value.exception, psycopg.errors.DivisionByZero)
        connection.rollback()
        assert task.with_options(connection=connection).send(5).is_ok()
    assert len(rows.live()) == 1


def test_a_pipeline_without_a_transaction(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41: the enqueue commits by itself."""
    with psycopg.connect(database_url, autocommit=True) as connection, connection.pipeline():
        connection.execute("insert into orders values (1)")
        keyed = task.with_options(connection=connection, idempotency_key="k")
        assert keyed.send(1).is_ok()
        assert (len(rows.live()), orders(rows)) == (1, 1)
        with connection.transaction():
            assert keyed.send(2).err_value.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
            assert task.with_options(connection=connection).send(3).is_ok()
        assert connection.execute("select 1").fetchone() == (1,)
    assert len(rows.live()) == 2


async def test_async_sends_in_a_pipeline(task: Task, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")
    async with await psycopg.AsyncConnection.connect(database_url) as connection, connection.pipeline():
        keyed = task.with_options(connection=connection, idempotency_key="k")
        first = (await keyed.send_async(1)).unwrap()
        assert (await keyed.send_async(1)).unwrap().task_id == first.task_id
        assert code_of(await task.with_options(connection=connection).send_async(99)) is (
            TaskSendErrorCode.ENQUEUE_FAILED
        )
        await connection.execute("insert into orders values (1)")
        assert rows.count() == 0
    assert (len(rows.live()), orders(rows)) == (1, 1)
