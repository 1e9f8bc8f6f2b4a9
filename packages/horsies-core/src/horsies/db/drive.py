"""The two drivers of operations: one blocks, one awaits. Each `Run` borrows a pooled connection for one statement; an
operation that waits holds none.
"""

from collections.abc import Mapping
from typing import Any, Protocol, assert_never

import psycopg
from psycopg.pq import ExecStatus, PipelineStatus

from horsies.db.async_pool import AsyncConnectionPool
from horsies.db.effects import Effect, Listen, Op, Run, Wait
from horsies.db.listener import Listener, Subscription
from horsies.db.pool import ConnectionPool
from horsies.db.rows import CallersAsyncCursor, CallersCursor
from horsies.db.statement import run_statement, run_statement_async

LISTEN_READY_S = 1.0
"""How long an operation waits for its subscription to be in force before it goes on by polling."""


class StatementSource(Protocol):
    """Where drivers look statements up."""

    def __getitem__(self, name: str) -> bytes:
        """The statement of that name."""
        ...


class Driver:
    """Runs operations behind blocking calls."""

    def __init__(self, statements: StatementSource, pool: ConnectionPool, listener: Listener) -> None:
        self._statements = statements
        self._pool = pool
        self._listener = listener

    def run[R](self, op: Op[R]) -> R:
        """The operation's result; what the database raises is thrown into the operation first."""
        try:
            effect = next(op)
            while True:
                try:
                    answer = self._perform(effect)
                except psycopg.Error as error:
                    effect = op.throw(error)
                else:
                    effect = op.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            op.close()

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Run(name, params):
                connection = self._pool.acquire()
                try:
                    return run_statement(connection, self._statements[name], params)
                finally:
                    self._pool.release(connection)
            case Listen(channel, payload, buffer):
                subscription = self._listener.subscribe(channel, payload, buffer=buffer)
                try:
                    subscription.wait_ready(LISTEN_READY_S)
                except BaseException:  # interrupted: the operation never gets it, so it cannot close it
                    subscription.close()
                    raise
                return subscription
            case Wait(subscription, seconds):
                return _as_subscription(subscription).wait(seconds)
            case _:
                assert_never(effect)


class AsyncDriver:
    """Runs operations in the running event loop."""

    def __init__(self, statements: StatementSource, pool: AsyncConnectionPool, listener: Listener) -> None:
        self._statements = statements
        self._pool = pool
        self._listener = listener

    async def run[R](self, op: Op[R]) -> R:
        """As `Driver.run`; a cancellation is raised inside the operation, so that it releases what it holds."""
        try:
            effect = next(op)
            while True:
                try:
                    answer = await self._perform(effect)
                except psycopg.Error as error:
                    effect = op.throw(error)
                else:
                    effect = op.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            op.close()

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Run(name, params):
                connection = await self._pool.acquire()
                try:
                    return await run_statement_async(connection, self._statements[name], params)
                finally:
                    self._pool.release(connection)
            case Listen(channel, payload, buffer):
                subscription = self._listener.subscribe(channel, payload, buffer=buffer)
                try:
                    await subscription.wait_ready_async(LISTEN_READY_S)
                except BaseException:  # cancelled: the operation never gets it, so it cannot close it
                    subscription.close()
                    raise
                return subscription
            case Wait(subscription, seconds):
                return await _as_subscription(subscription).wait_async(seconds)
            case _:
                assert_never(effect)


def drive_on[R](connection: psycopg.Connection[Any], statements: StatementSource, op: Op[R]) -> R:
    """Run an operation on the caller's connection, in the caller's transaction; it may not wait."""
    try:
        effect = next(op)
        while True:
            effect = op.send(execute(connection, statements[_run(effect).name], _run(effect).params))
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        op.close()


async def drive_on_async[R](
    connection: psycopg.AsyncConnection[Any], statements: StatementSource, op: Op[R]
) -> R:
    """As `drive_on` for an async connection."""
    try:
        effect = next(op)
        while True:
            answer = await execute_async(connection, statements[_run(effect).name], _run(effect).params)
            effect = op.send(answer)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        op.close()


def execute(
    connection: psycopg.Connection[Any], statement: bytes, params: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """The rows of one statement, whatever the caller's connection is set to."""
    with CallersCursor(connection) as cursor:
        cursor.execute(statement, params)
        settle(connection)
        return cursor.fetchall() if _has_rows(cursor) else []


async def execute_async(
    connection: psycopg.AsyncConnection[Any], statement: bytes, params: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """As `execute`."""
    async with CallersAsyncCursor(connection) as cursor:
        await cursor.execute(statement, params)
        await settle_async(connection)
        return await cursor.fetchall() if _has_rows(cursor) else []


def settle(connection: psycopg.Connection[Any]) -> None:
    """Get the answers to all that was sent in pipeline mode, so that errors and the state of the transaction are known.

    Raises:
        psycopg.Error: what the server refused, of the caller's own statements too.
    """
    if _in_pipeline(connection):
        # One inside another waits for the answers when it begins and when it ends.
        with connection.pipeline():
            pass


async def settle_async(connection: psycopg.AsyncConnection[Any]) -> None:
    """As `settle`."""
    if _in_pipeline(connection):
        async with connection.pipeline():
            pass


def _run(effect: Effect) -> Run:
    if not isinstance(effect, Run):
        raise TypeError(
            f"an operation inside the caller's transaction cannot {type(effect).__name__.lower()}"
        )
    return effect


def _as_subscription(value: object) -> Subscription:
    if not isinstance(value, Subscription):
        raise TypeError(f"not a subscription: {value!r}")
    return value


def _in_pipeline(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    return connection.pgconn.pipeline_status != PipelineStatus.OFF


def _has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    # cursor.description would build an object for every column to tell the same.
    return cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK
