"""One of the worker's own database connections, kept for its life; one statement at a time, each with a time limit.

Driven on libpq directly: a cycle's latency is what a waiting caller feels, and the driver's general cursor (adapting
parameters, describing columns, a timer for every wait) takes three times the processor time of what is needed here.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult

from horsies.db.connect import OwnedAsyncConnection, connect_async, round_trip_async
from horsies.db.effects import Row
from horsies.db.rows import RowLoader, row_loader, rows_of
from horsies.db.statement import Prepared, prepared

CONNECT_TIMEOUT_S = 30.0
STATEMENT_LIMIT_S = 60.0
SERVER_SHARE = 0.9
"""Of that limit; then a server that is told of it gives a statement up."""


class Link:
    """A connection that can be opened again."""

    def __init__(self, conninfo: str, *, prepare: bool, server_gives_up: bool = False) -> None:
        """Opens nothing.

        Args:
            conninfo: Where to.
            prepare: Whether statements may be prepared; not through a pooler that changes servers.
            server_gives_up: The server drops a statement a little before this side does, so that one that waited for a
                lock cannot take effect after its sender has gone on. Left out where statements are not prepared: behind
                such a pooler the setting would be left to others.
        """
        self._conninfo = conninfo
        self._prepare = prepare
        self._server_gives_up = server_gives_up and prepare
        self._connection: OwnedAsyncConnection | None = None
        self._names: set[bytes] = set()
        self._loader: RowLoader
        self._turn = asyncio.Lock()
        self._fd = -1
        self._answer: asyncio.Future[PGresult] | None = None
        self._last: PGresult | None = None
        self.on_error: Callable[[], None] = lambda: None
        """Told of each statement that failed."""
        self.answered_at = 0.0
        """When the last statement was answered, on the monotonic clock."""

    async def connect(self) -> None:
        """Open it.

        Raises:
            psycopg.OperationalError: refused, or no answer in time.
        """
        connection = await connect_async(
            self._conninfo, timeout=CONNECT_TIMEOUT_S, prepare=False, pooled=not self._prepare
        )
        if self._server_gives_up:
            await _set_limit(connection.pgconn)
        self._connection = connection
        self._names.clear()
        self._loader = row_loader(connection)
        # libpq does not tell the socket of a connection that was lost, and the loop must let go of it all the same.
        self._fd = connection.fileno()
        asyncio.get_running_loop().add_reader(self._fd, self._read, connection.pgconn)

    async def reconnect(self) -> None:
        """Close what is left of the connection and open a new one."""
        async with self._turn:
            self._drop()
            await self.connect()

    async def execute(self, statement: bytes, params: Mapping[str, object]) -> list[Row]:
        """The rows of one statement; after a failure of the connection it is opened anew by the next caller.

        Raises:
            psycopg.Error: what the database answered, or that it did not within the limit.
        """
        ready = prepared(statement)
        return await self.execute_ready(ready, ready.values(params))

    async def execute_ready(self, statement: Prepared, values: Sequence[bytes | None]) -> list[Row]:
        """As `execute`, for parameters that are text already."""
        async with self._turn:
            try:
                if self._connection is None:
                    await self.connect()
                assert self._connection is not None
                rows = await self._run(self._connection.pgconn, statement, values)
                self.answered_at = time.monotonic()
                return rows
            except BaseException as error:
                if isinstance(error, psycopg.Error):
                    self.on_error()
                # Only a connection that is ready for the next statement is kept; a read may have dropped it already.
                if not self._is_idle():
                    self._drop()
                raise

    async def close(self) -> None:
        """Close it."""
        async with self._turn:
            self._drop()

    async def _run(self, pgconn: PGconn, statement: Prepared, values: Sequence[bytes | None]) -> list[Row]:
        if not self._prepare:
            pgconn.send_query_params(statement.text, values)
        else:
            if statement.name not in self._names:
                pgconn.send_prepare(statement.name, statement.text)
                await self._result(pgconn)
                self._names.add(statement.name)
            pgconn.send_query_prepared(statement.name, values)
        result = await self._result(pgconn)
        if result.status != pq.ExecStatus.TUPLES_OK:
            return []
        return rows_of(self._loader, result)

    async def _result(self, pgconn: PGconn) -> PGresult:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[PGresult] = loop.create_future()
        self._answer, self._last = answer, None
        if pgconn.flush():
            # More than the socket takes at once: the rest goes as soon as it has room.
            loop.add_writer(self._fd, self._write, pgconn)
        limit = loop.call_later(STATEMENT_LIMIT_S, _no_answer, answer)
        try:
            result = await answer
        finally:
            limit.cancel()
        if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
            raise error_from_result(result)
        return result

    def _read(self, pgconn: PGconn) -> None:
        answer = self._answer
        try:
            pgconn.consume_input()
            if answer is None or answer.done():
                return
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    if self._last is None:
                        raise psycopg.OperationalError("the connection was closed")
                    answer.set_result(self._last)
                    return
                self._last = result
        except psycopg.Error as error:
            asyncio.get_running_loop().remove_reader(self._fd)
            if answer is not None and not answer.done():
                answer.set_exception(error)
            else:
                self._drop()

    def _write(self, pgconn: PGconn) -> None:
        try:
            if not pgconn.flush():
                asyncio.get_running_loop().remove_writer(self._fd)
        except psycopg.Error as error:
            asyncio.get_running_loop().remove_writer(self._fd)
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)

    def _is_idle(self) -> bool:
        connection = self._connection
        return connection is None or connection.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        self._fd = -1
        connection.pgconn.finish()


async def _set_limit(pgconn: PGconn) -> None:
    """Unless the server has a lower limit already."""
    limit_ms = int(STATEMENT_LIMIT_S * SERVER_SHARE * 1000)
    command = (
        f"select set_config('statement_timeout', '{limit_ms}', false)"
        f" where current_setting('statement_timeout')::interval not between '1 ms' and '{limit_ms} ms'"
    )
    try:
        await round_trip_async(pgconn, command.encode(), CONNECT_TIMEOUT_S)
    except BaseException:
        pgconn.finish()
        raise


def _no_answer(answer: asyncio.Future[PGresult]) -> None:
    if not answer.done():
        answer.set_exception(psycopg.OperationalError(f"no answer within {STATEMENT_LIMIT_S:.0f} s"))
