"""T-41 with the real libraries: the enqueue belongs to the transaction of whoever sends."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.db import connections as django_connections
from django.db import transaction as django_transaction
from psycopg.pq import TransactionStatus
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from horsies import (
    BrokerErrorCode,
    Err,
    Result,
    RetrievalCode,
    TaskSendError,
    TaskSendErrorCode,
)
from tests.core.cycle_driver import CycleDriver
from tests.core.task_rows import TaskRows
from tests.core.transactions.callers import (
    ASYNC_CALLERS,
    CALLERS,
    AsyncCaller,
    Caller,
    django_database,
    engine,
)

type OpenAsync = Callable[[], AbstractAsyncContextManager[AsyncCaller]]


@pytest.fixture(params=CALLERS, ids=lambda open_it: open_it.__name__)
def caller(request: pytest.FixtureRequest, rows: TaskRows, database_url: str) -> Iterator[Caller]:
    """Each kind of caller, inside a transaction that has written a row."""
    open_it: Callable[[str], AbstractContextManager[Caller]] = request.param
    with open_it(database_url) as found:
        found.execute("insert into orders values (1)")
        yield found


@pytest.fixture(params=ASYNC_CALLERS, ids=lambda open_it: open_it.__name__)
def open_async(request: pytest.FixtureRequest, rows: TaskRows, database_url: str) -> OpenAsync:
    """Opens each kind of caller in an event loop."""
    open_it: Callable[[str], AbstractAsyncContextManager[AsyncCaller]] = request.param
    return lambda: open_it(database_url)


def error_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def orders(rows: TaskRows) -> int:
    return len(rows.execute("select number from orders"))


def refuse_ninety_nine(rows: TaskRows) -> None:
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")


# -- blocking


def test_a_commit_sends_and_the_task_runs(
    caller: Caller, task: Any, rows: TaskRows, worker: CycleDriver
) -> None:
    """T-41: nobody sees the task before the commit; afterwards a worker takes it and the handle has its result."""
    handle = task.with_options(connection=caller.connection).send(5).unwrap()
    assert (rows.count(), orders(rows), worker.claim().ids) == (0, 0, [])
    assert handle.get(timeout_ms=0).err_value.error_code is RetrievalCode.TASK_NOT_FOUND
    caller.commit()
    assert orders(rows) == 1
    (claim,) = worker.claim().claimed
    assert (claim.id, claim.kwargs) == (handle.task_id, '{"weight":5}')
    worker.complete(claim, result='{"__h_task_result__":true,"ok":5,"err":null}')
    assert handle.get(timeout_ms=5000).ok_value == 5


def test_a_rollback_leaves_nothing(caller: Caller, task: Any, rows: TaskRows) -> None:
    """T-41, T-44: no task and no key, in any way of sending; the key is free at once."""
    bound = task.with_options(connection=caller.connection)
    keyed = task.with_options(connection=caller.connection, idempotency_key="k")
    assert bound.send(1).is_ok()
    assert bound.send_many([{"weight": 2}, {"weight": 3}]).is_ok()
    assert bound.schedule(60, 4).is_ok()
    assert keyed.send(5).is_ok()
    caller.rollback()
    assert (rows.count(), orders(rows)) == (0, 0)
    assert rows.execute("select key from horsies.idempotency_keys") == []
    assert task.with_options(idempotency_key="k").send(6).is_ok()


def test_many_in_one_transaction(caller: Caller, task: Any, rows: TaskRows) -> None:
    """T-41, T-42."""
    bound = task.with_options(connection=caller.connection)
    sent = bound.send_many([{"weight": n} for n in range(10)]).unwrap()
    assert rows.count() == 0
    caller.commit()
    assert [str(row["id"]) for row in rows.live()] == [handle.task_id for handle in sent]
    assert bound.send(10).is_ok()  # the first statement of the next transaction
    assert len(rows.live()) == 10
    caller.rollback()
    assert len(rows.live()) == 10


def test_a_key_in_a_transaction(caller: Caller, task: Any, rows: TaskRows) -> None:
    """T-41, T-45, T-46: the same request is the same task; another is refused, and the transaction goes on."""
    keyed = task.with_options(connection=caller.connection, idempotency_key="k")
    first = keyed.send(5).unwrap()
    assert keyed.send(5).unwrap().task_id == first.task_id
    error = error_of(keyed.send(6))
    assert error.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
    assert (error.retryable, error.payload) == (False, None)
    caller.commit()
    assert orders(rows) == 1
    assert rows.one()["idempotency_key"] == "k"
    assert task.with_options(idempotency_key="k").send(5).unwrap().task_id == first.task_id


def test_a_refused_send_leaves_the_transaction_usable(caller: Caller, task: Any, rows: TaskRows) -> None:
    """T-41: a savepoint; what was written before and after it is committed."""
    refuse_ninety_nine(rows)
    bound = task.with_options(connection=caller.connection)
    for refused in (bound.send(99), bound.send_many([{"weight": 7}, {"weight": 99}])):
        assert error_of(refused).code is TaskSendErrorCode.ENQUEUE_FAILED
        assert (error_of(refused).retryable, error_of(refused).payload) == (False, None)
    caller.execute("insert into orders values (2)")
    assert bound.send(5).is_ok()
    caller.commit()
    assert orders(rows) == 2
    assert rows.one()["kwargs"] == '{"weight":5}'


def test_an_async_method_refuses_a_blocking_connection(caller: Caller, task: Any, rows: TaskRows) -> None:
    """T-41: told from the kind of object, before anything is done with it."""

    async def send() -> Any:
        return await task.with_options(connection=caller.connection).send_async(5)

    refused = asyncio.run(send())
    assert error_of(refused).code is TaskSendErrorCode.VALIDATION_FAILED
    caller.commit()
    assert (rows.count(), orders(rows)) == (0, 1)


# -- without a transaction, and what cannot serve


def test_an_autocommit_engine_sends_at_once(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-41: there is no transaction to wait for."""
    with engine(database_url, isolation_level="AUTOCOMMIT") as found, found.connect() as connection:
        assert task.with_options(connection=connection).send(5).is_ok()
        assert rows.count() == 1


def test_django_outside_of_a_transaction_sends_at_once(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-41: Django commits every statement then; with the proxy and with the connection it stands for."""
    with django_database(database_url):
        assert task.with_options(connection=django_connection).send(5).is_ok()
        assert task.with_options(connection=django_connections["default"]).send(6).is_ok()
        assert rows.count() == 2


def test_a_nested_block_of_django_takes_its_sends_along(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-41: what is undone is what the inner block did."""
    with django_database(database_url), django_transaction.atomic():
        bound = task.with_options(connection=django_connection)
        assert bound.send(1).is_ok()
        with django_transaction.atomic():
            assert bound.send(2).is_ok()
            django_transaction.set_rollback(True)
        assert bound.send(3).is_ok()
    assert [row["kwargs"] for row in rows.live()] == ['{"weight":1}', '{"weight":3}']


def test_a_savepoint_of_a_session_takes_its_sends_along(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    with engine(database_url) as found, Session(found) as session:
        bound = task.with_options(connection=session)
        inner = session.begin_nested()
        assert bound.send(1).is_ok()
        inner.rollback()
        assert bound.send(2).is_ok()
        session.commit()
    assert rows.one()["kwargs"] == '{"weight":2}'


def test_a_session_that_has_failed(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-41: the send is refused, and the session is as it was."""
    with engine(database_url) as found, Session(found) as session:
        with pytest.raises(DBAPIError):
            session.execute(text("select 1 / 0"))
        refused = task.with_options(connection=session).send(5)
        assert error_of(refused).code is TaskSendErrorCode.ENQUEUE_FAILED
        assert error_of(refused).retryable is False
        session.rollback()
        assert task.with_options(connection=session).send(5).is_ok()
        session.commit()
    assert rows.one()["kwargs"] == '{"weight":5}'


def test_another_driver(task: Any) -> None:
    """T-41: an unusable object."""
    other = create_engine("sqlite://")
    with other.connect() as connection:
        refused = task.with_options(connection=connection).send(5)
    other.dispose()
    assert error_of(refused).code is TaskSendErrorCode.VALIDATION_FAILED
    assert "sqlite3" in error_of(refused).message


def test_a_database_that_is_gone(task: Any) -> None:
    """T-41: the library connects for us, and cannot either."""
    with engine("postgresql://nobody@127.0.0.1:1/none") as found, Session(found) as session:
        refused = task.with_options(connection=session).send(5)
    assert error_of(refused).code is TaskSendErrorCode.ENQUEUE_FAILED
    assert (error_of(refused).retryable, error_of(refused).payload) == (False, None)


async def test_a_blocking_send_in_an_event_loop(task: Any, rows: TaskRows, database_url: str) -> None:
    """T-36, T-41: refused before the transaction is touched, without the advice to send it outside of it."""
    with psycopg.connect(database_url) as connection:
        error = error_of(task.with_options(connection=connection).send(5))
        assert error.code is TaskSendErrorCode.ASYNC_CONTEXT
        assert "async connection" in error.message
        assert "retry_send" not in error.message
        assert connection.info.transaction_status == TransactionStatus.IDLE
    assert rows.count() == 0


# -- in an event loop


async def test_an_async_commit_sends(
    open_async: OpenAsync, task: Any, rows: TaskRows, worker: CycleDriver
) -> None:
    """T-41."""
    async with open_async() as caller:
        await caller.execute("insert into orders values (1)")
        bound = task.with_options(connection=caller.connection)
        handle = (await bound.send_async(5)).unwrap()
        assert rows.count() == 0
        await caller.commit()
        assert orders(rows) == 1
        assert worker.claim().ids == [handle.task_id]
        many = (await bound.send_many_async([{"weight": 1}, {"weight": 2}])).unwrap()
        assert (await bound.schedule_async(60, 3)).is_ok()
        assert worker.claim().ids == []
        await caller.commit()
        assert worker.claim(9).ids == [handle.task_id for handle in many]


async def test_an_async_rollback_leaves_nothing(open_async: OpenAsync, task: Any, rows: TaskRows) -> None:
    """T-41, T-44."""
    async with open_async() as caller:
        await caller.execute("insert into orders values (1)")
        keyed = task.with_options(connection=caller.connection, idempotency_key="k")
        first = (await keyed.send_async(5)).unwrap()
        assert (await keyed.send_async(5)).unwrap().task_id == first.task_id
        assert (await task.with_options(connection=caller.connection).send_async(1)).is_ok()
        await caller.rollback()
        assert (rows.count(), orders(rows)) == (0, 0)
        assert rows.execute("select key from horsies.idempotency_keys") == []


async def test_a_refused_async_send_leaves_the_transaction_usable(
    open_async: OpenAsync, task: Any, rows: TaskRows
) -> None:
    """T-41, T-46."""
    refuse_ninety_nine(rows)
    async with open_async() as caller:
        await caller.execute("insert into orders values (1)")
        bound = task.with_options(connection=caller.connection)
        refused = await bound.send_async(99)
        assert error_of(refused).code is TaskSendErrorCode.ENQUEUE_FAILED
        keyed = task.with_options(connection=caller.connection, idempotency_key="k")
        assert (await keyed.send_async(5)).is_ok()
        conflict = await keyed.send_async(6)
        assert error_of(conflict).broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
        blocking = task.with_options(connection=caller.connection).send(5)
        assert error_of(blocking).code is TaskSendErrorCode.VALIDATION_FAILED
        await caller.commit()
        assert orders(rows) == 1
        assert rows.one()["kwargs"] == '{"weight":5}'
