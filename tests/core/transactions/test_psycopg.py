"""Enqueueing in the caller's own transaction (T-41)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from horsies import (
    Err,
    Horsies,
    Result,
    RetrievalCode,
    TaskResult,
    TaskSendError,
    TaskSendErrorCode,
)
from horsies.connections import UnusableConnectionError, connection_problem, unwrap, unwrap_async
from tests.core.apps import make_app
from tests.core.task_rows import TaskRows
from tests.core.transactions.conftest import register


def error_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def orders(rows: TaskRows) -> int:
    return len(rows.execute("select number from orders"))


# -- commit and rollback


@pytest.mark.parametrize("first", ["order", "task"])
def test_the_row_comes_with_the_callers_commit(
    app: Horsies, rows: TaskRows, database_url: str, first: str
) -> None:
    """T-41: also when the enqueue is the first statement of an implicit transaction."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        if first == "order":
            connection.execute("insert into orders values (1)")
        handle = task.with_options(connection=connection).send(5).unwrap()
        if first == "task":
            connection.execute("insert into orders values (1)")
        assert rows.count() == 0
        connection.commit()
    assert str(rows.one()["id"]) == handle.task_id
    assert orders(rows) == 1


@pytest.mark.parametrize("first", ["order", "task"])
def test_the_row_vanishes_with_the_callers_rollback(
    app: Horsies, rows: TaskRows, database_url: str, first: str
) -> None:
    """T-41."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        if first == "order":
            connection.execute("insert into orders values (1)")
        assert task.with_options(connection=connection).send(5).is_ok()
        connection.rollback()
    assert rows.count() == 0
    assert orders(rows) == 0


def test_in_a_transaction_block(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41: psycopg's own blocks, nested too, on an autocommit connection."""
    task = register(app)
    with psycopg.connect(database_url, autocommit=True) as connection:
        with connection.transaction():
            assert task.with_options(connection=connection).send(1).is_ok()
            with connection.transaction(force_rollback=True):
                assert task.with_options(connection=connection).send(2).is_ok()
            assert rows.count() == 0
        assert [row["kwargs"] for row in rows.live()] == ['{"weight":1}']


def test_an_autocommit_connection_commits_by_itself(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    task = register(app)
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert task.with_options(connection=connection).send(5).is_ok()
        assert len(rows.live()) == 1


async def test_an_async_connection(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    task = register(app)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        assert (await task.with_options(connection=connection).send_async(1)).is_ok()
        assert rows.count() == 0
        await connection.rollback()
        assert (await task.with_options(connection=connection).send_async(2)).is_ok()
        await connection.commit()
        assert [row["kwargs"] for row in rows.live()] == ['{"weight":2}']
        await connection.set_autocommit(True)
        assert (await task.with_options(connection=connection).send_async(3)).is_ok()
        assert len(rows.live()) == 2


def test_the_wake_up_comes_with_the_commit(app: Horsies, database_url: str) -> None:
    """T-41, D-040."""
    task = register(app)
    with (
        psycopg.connect(database_url, autocommit=True) as listening,
        psycopg.connect(database_url) as connection,
    ):
        listening.execute('listen "horsies:q:default"')
        assert task.with_options(connection=connection).send(5).is_ok()
        assert list(listening.notifies(timeout=0.1)) == []
        connection.commit()
        assert len(list(listening.notifies(timeout=10, stop_after=1))) == 1


def test_until_the_commit_there_is_no_task(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41: TASK_NOT_FOUND, not remembered."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        handle = task.with_options(connection=connection).send(5).unwrap()
        assert handle.get().err_value.error_code is RetrievalCode.TASK_NOT_FOUND
        connection.commit()
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    assert handle.get() == TaskResult(ok=5)


def test_many_and_delayed_sends(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41, T-42."""
    with psycopg.connect(database_url) as connection:
        task = register(app).with_options(connection=connection)
        assert task.send_many([{"weight": 1}, {"weight": 2}]).is_ok()
        assert task.schedule(60, 3).is_ok()
        assert rows.count() == 0
        connection.commit()
    assert len(rows.live()) == 3


def test_any_row_factory_will_do(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41: the caller's settings are neither used nor changed."""
    task = register(app)
    with psycopg.Connection[dict[str, Any]].connect(database_url, row_factory=dict_row) as connection:
        chosen = task.with_options(connection=connection, idempotency_key="k")
        assert chosen.send(5).unwrap().task_id == chosen.send(5).unwrap().task_id
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}
        connection.commit()
    assert len(rows.live()) == 1


def test_the_first_send_makes_the_schema(empty_database_url: str) -> None:
    """D-060: also when it is one in a transaction of the caller's."""
    app = make_app(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("select 1")
        assert register(app).with_options(connection=connection).send(5).is_ok()
        connection.rollback()
        assert connection.execute("select count(*) from horsies.tasks").fetchone() == (0,)
    app.get_broker().close()


async def test_the_first_async_send_makes_the_schema(empty_database_url: str) -> None:
    """D-060."""
    app = make_app(empty_database_url)
    async with await psycopg.AsyncConnection.connect(empty_database_url) as connection:
        assert (await register(app).with_options(connection=connection).send_async(5)).is_ok()
    await app.get_broker().close_async()


# -- failures


def test_a_refused_row_leaves_the_transaction_usable(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41: a savepoint; not retryable, no payload."""
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")
    task = register(app)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into orders values (1)")
        error = error_of(task.with_options(connection=connection).send(99))
        assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
        assert error.retryable is False
        assert error.payload is None
        assert error.task_id is not None
        assert isinstance(error.exception, psycopg.errors.CheckViolation)
        assert task.with_options(connection=connection).send(5).is_ok()
        connection.commit()
    assert orders(rows) == 1
    assert [row["kwargs"] for row in rows.live()] == ['{"weight":5}']


async def test_a_refused_row_on_an_async_connection(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")
    task = register(app)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("insert into orders values (1)")
        error = error_of(await task.with_options(connection=connection).send_async(99))
        assert (error.code, error.retryable, error.payload) == (TaskSendErrorCode.ENQUEUE_FAILED, False, None)
        await connection.commit()
    assert orders(rows) == 1


def test_a_closed_connection(app: Horsies, database_url: str) -> None:
    """T-41: not retryable either, since the transaction is lost."""
    connection = psycopg.connect(database_url)
    connection.close()
    error = error_of(register(app).with_options(connection=connection).send(5))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert (error.retryable, error.payload) == (False, None)


def test_a_transaction_that_has_failed_already(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    with psycopg.connect(database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        error = error_of(register(app).with_options(connection=connection).send(5))
        assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
        assert error.retryable is False
    assert rows.count() == 0


def test_nothing_is_resent_on_the_callers_connection(database_url: str) -> None:
    """T-43: not for connection=."""
    app = make_app(database_url, resend_on_transient_err=True)
    connection = psycopg.connect(database_url)
    connection.close()
    assert error_of(register(app).with_options(connection=connection).send(5)).retryable is False


# -- objects that cannot serve


def assert_invalid(sent: Result[Any, TaskSendError], *parts: str) -> None:
    error = error_of(sent)
    assert error.code is TaskSendErrorCode.VALIDATION_FAILED
    assert error.task_id is None
    for part in parts:
        assert part in error.message


@pytest.mark.parametrize("connection", [object(), "postgresql://x", 5, psycopg, psycopg.Connection])
def test_an_object_that_is_no_connection(connection: Any) -> None:
    """T-41."""
    task = register(make_app()).with_options(connection=connection)
    assert_invalid(task.send(5), "psycopg", "SQLAlchemy", "Django")
    assert_invalid(task.schedule(1, 5))
    assert_invalid(task.send_many([{"weight": 5}]))
    assert_invalid(asyncio.run(task.send_async(5)))


async def test_sync_and_async_do_not_mix(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        assert_invalid(await task.with_options(connection=connection).send_async(5), "without _async")
    async with await psycopg.AsyncConnection.connect(database_url) as later:
        assert_invalid(task.with_options(connection=later).send(5), "_async")
        assert_invalid(task.with_options(connection=later).send_many([{"weight": 5}]), "_async")
    assert rows.count() == 0


# -- what other libraries wrap around a connection: their shapes, not the libraries


class Raw:
    """As the pool's proxy in SQLAlchemy."""

    def __init__(self, driver_connection: Any) -> None:
        self.driver_connection = driver_connection


class WrappedConnection:
    """The attributes of a SQLAlchemy Connection that are used."""

    def __init__(self, driver_connection: Any) -> None:
        self._raw = Raw(driver_connection)
        self.begun = False

    @property
    def connection(self) -> Raw:
        return self._raw

    def exec_driver_sql(self, statement: str) -> None:
        raise AssertionError(statement)

    def in_transaction(self) -> bool:
        return self.begun

    def begin(self) -> None:
        assert not self.begun
        self.begun = True


class AnySession:
    """What tells a session of SQLAlchemy; nobody asks it."""

    def get_bind(self) -> None:
        raise AssertionError


class WrappedSession(AnySession):
    """The attributes of a Session."""

    def __init__(self, connection: WrappedConnection) -> None:
        self._connection = connection

    def connection(self) -> WrappedConnection:
        self._connection.begun = True
        return self._connection


class WrappedAsyncConnection:
    """Those of a SQLAlchemy AsyncConnection."""

    def __init__(self, driver_connection: Any) -> None:
        self.sync_connection = object()
        self._raw = Raw(driver_connection)
        self.begun = False

    async def get_raw_connection(self) -> Raw:
        return self._raw

    def in_transaction(self) -> bool:
        return self.begun

    async def begin(self) -> None:
        self.begun = True


class WrappedAsyncSession(AnySession):
    """Those of a SQLAlchemy AsyncSession."""

    def __init__(self, connection: WrappedAsyncConnection) -> None:
        self._connection = connection

    async def connection(self) -> WrappedAsyncConnection:
        self._connection.begun = True
        return self._connection


class WrappedDjango:
    """Those of Django's connection, which connects when it is first used."""

    __module__ = "django.utils.connection"

    def __init__(self, driver_connection: Any) -> None:
        self._later = driver_connection
        self.connection: Any = None

    def ensure_connection(self) -> None:
        self.connection = self._later


def wrapped_session(driver_connection: Any) -> WrappedSession:
    return WrappedSession(WrappedConnection(driver_connection))


@pytest.mark.parametrize("kind", [WrappedConnection, wrapped_session, WrappedDjango])
def test_wrapped_connections(app: Horsies, rows: TaskRows, database_url: str, kind: Any) -> None:
    """T-41."""
    with psycopg.connect(database_url) as connection:
        wrapper = kind(connection)
        assert unwrap(wrapper) is connection
        assert register(app).with_options(connection=wrapper).send(5).is_ok()
        assert rows.count() == 0
        connection.commit()
    assert len(rows.live()) == 1


async def test_wrapped_async_connections(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    task = register(app)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        wrapped = WrappedAsyncConnection(connection)
        for wrapper in (wrapped, WrappedAsyncSession(wrapped)):
            assert await unwrap_async(wrapper) is connection
            assert (await task.with_options(connection=wrapper).send_async(5)).is_ok()
            assert_invalid(task.with_options(connection=wrapper).send(5), "_async")
        assert rows.count() == 0
        await connection.commit()
    assert len(rows.live()) == 2


def test_a_wrapper_is_told_that_a_transaction_is_open(database_url: str) -> None:
    """T-41: else its commit would do nothing."""
    with psycopg.connect(database_url) as connection:
        wrapper = WrappedConnection(connection)
        unwrap(wrapper)
        assert wrapper.begun
        unwrap(wrapper)


class OtherDriver:
    """A connection of another driver."""


@pytest.mark.parametrize("kind", [WrappedConnection, WrappedDjango])
def test_another_driver_below(app: Horsies, kind: Any) -> None:
    """T-41: an unusable object."""
    wrapper = kind(OtherDriver())
    with pytest.raises(UnusableConnectionError, match="OtherDriver"):
        unwrap(wrapper)
    assert_invalid(register(app).with_options(connection=wrapper).send(5), "OtherDriver")


async def test_another_async_driver_below(app: Horsies) -> None:
    """T-41."""
    wrapper = WrappedAsyncConnection(OtherDriver())
    assert_invalid(await register(app).with_options(connection=wrapper).send_async(5), "OtherDriver")


@pytest.mark.parametrize("key", [None, "k"])
async def test_tasks_of_one_loop_may_share_a_connection(
    app: Horsies, rows: TaskRows, database_url: str, key: str | None
) -> None:
    """T-41: sends that run at the same time take turns; what was answered Ok is there, and nothing else."""
    task = register(app).with_options
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        keys = [key and f"{key}{number}" for number in range(8)]
        sends = [task(connection=connection, idempotency_key=each).send_async(5) for each in keys]
        ids = [sent.unwrap().task_id for sent in await asyncio.gather(*sends)]
    assert sorted(ids) == sorted(str(row["id"]) for row in rows.live())


def test_threads_may_share_a_connection(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-41."""
    with psycopg.connect(database_url) as connection, ThreadPoolExecutor(4) as pool:
        task = register(app).with_options(connection=connection)
        ids = [sent.unwrap().task_id for sent in pool.map(task.send, range(40))]
        connection.commit()
    assert sorted(ids) == sorted(str(row["id"]) for row in rows.live())


class NoTouching(AnySession):
    """An object whose properties must not be read to find out what it is."""

    @property
    def connection(self) -> Any:
        raise AssertionError


def test_kinds_are_told_without_touching() -> None:
    """T-41: a property may connect."""
    assert connection_problem(NoTouching(), is_async=False) is None
    assert connection_problem(NoTouching(), is_async=True) is not None


class LibraryError(Exception):
    """What SQLAlchemy raises around a driver's error."""

    def __init__(self, orig: BaseException | None) -> None:
        super().__init__("the library cannot connect")
        self.orig = orig


class FailingSession(AnySession):
    """A session that cannot connect."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connection(self) -> Any:
        raise self._error


def test_a_wrapper_that_cannot_connect(app: Horsies) -> None:
    """T-41: a failure of the database, whatever the library makes of it."""
    cause = psycopg.OperationalError("refused")
    task = register(app)
    error = error_of(task.with_options(connection=FailingSession(LibraryError(cause))).send(5))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert (error.retryable, error.payload, error.exception) == (False, None, cause)
    broken = FailingSession(LibraryError(None))
    assert_invalid(task.with_options(connection=broken).send(5), "the library cannot connect")
