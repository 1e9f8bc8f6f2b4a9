"""Running one statement on a connection of the library's own, on libpq directly.

The driver's general cursor adapts parameters by type, describes columns and sets up a wait with timers: some 100 µs of
processor time a statement, which is half of what a send costs altogether. Here parameters travel as text whose type the
server knows from where it stands, and the wait is one poll.
"""

import asyncio
import re
import select
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cache

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult

from horsies.db.connect import OwnedAsyncConnection, OwnedConnection, wait_async
from horsies.db.effects import Row
from horsies.db.rows import dumped, rows_of
from horsies.db.time_limit import StatementTimeout

_PLACEHOLDER = re.compile(rb"%\((\w+)\)s")
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_NO_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as the server takes it, the order of its parameters, and a name to prepare it under."""

    name: bytes
    text: bytes
    parameters: tuple[str, ...]

    def values(self, params: Mapping[str, object]) -> list[bytes | None]:
        """The parameters as text, in their order."""
        return [encoded(params[name]) for name in self.parameters]

    def changed(self, values: list[bytes | None], params: Mapping[str, object]) -> list[bytes | None]:
        """`values` with some parameters of another value; the list itself stays as it is."""
        if not params:
            return values
        changed = values.copy()
        for name, value in params.items():
            changed[self.parameters.index(name)] = encoded(value)
        return changed


@cache
def prepared(statement: bytes) -> Prepared:
    """The server's form of a statement with placeholders `%(name)s`; the same object for the same text."""
    order = list(dict.fromkeys(match.decode() for match in _PLACEHOLDER.findall(statement)))
    text = _PLACEHOLDER.sub(lambda match: b"$%d" % (order.index(match[1].decode()) + 1), statement)
    return Prepared(b"h%x" % (hash(statement) & 0xFFFFFFFFFFFF), text.replace(b"%%", b"%"), tuple(order))


def encoded(value: object) -> bytes | None:
    """A parameter as text.

    Raises:
        psycopg.DataError: No database can take it.
    """
    if value is None:
        return None
    if type(value) is str:
        if "\0" in value:  # the server would take what comes before it
            raise psycopg.DataError("a text holds the character U+0000, which PostgreSQL cannot store")
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise psycopg.DataError("a text holds a lone surrogate, which UTF-8 cannot carry") from error
    if type(value) is bool:
        return b"t" if value else b"f"
    if type(value) is int or type(value) is float:
        return b"%r" % value
    # Dates, lists and what else the driver has an adapter for.
    return dumped(value)


def run_statement(connection: OwnedConnection, statement: bytes, params: Mapping[str, object]) -> list[Row]:
    """The rows of one statement.

    Raises:
        psycopg.Error: what the server refused, or (`StatementTimeout`) no answer within the connection's limit; after a
            failure that is not the server's refusal the connection is of no use any more.
    """
    limit = connection.statement_limit or _NO_LIMIT_S
    deadline = time.monotonic() + limit
    poller = select.poll()
    fd = connection.pgconn.socket
    conversation = _conversation(connection, prepared(statement), params)
    try:
        while True:
            poller.register(fd, next(conversation))
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise StatementTimeout(f"the database did not answer a statement within {limit:.0f} s")
    except StopIteration as end:
        rows: list[Row] = end.value
        return rows


async def run_statement_async(
    connection: OwnedAsyncConnection, statement: bytes, params: Mapping[str, object]
) -> list[Row]:
    """As `run_statement`, in the running event loop."""
    limit = connection.statement_limit or _NO_LIMIT_S
    fd = connection.pgconn.socket
    conversation = _conversation(connection, prepared(statement), params)
    try:
        async with asyncio.timeout(limit):
            while True:
                await wait_async(fd, next(conversation))
    except StopIteration as end:
        rows: list[Row] = end.value
        return rows
    except TimeoutError:
        raise StatementTimeout(f"the database did not answer a statement within {limit:.0f} s") from None


def _conversation(
    connection: OwnedConnection | OwnedAsyncConnection, statement: Prepared, params: Mapping[str, object]
) -> Generator[int, None, list[Row]]:
    """Yields the poll events it needs before it can go on; returns the rows."""
    pgconn = connection.pgconn
    if connection.prepare_threshold is None:
        pgconn.send_query_params(statement.text, statement.values(params))
    else:
        if statement.name not in connection.statement_names:
            pgconn.send_prepare(statement.name, statement.text)
            yield from _answer(pgconn)
            connection.statement_names.add(statement.name)
        pgconn.send_query_prepared(statement.name, statement.values(params))
    result = yield from _answer(pgconn)
    if result.status != pq.ExecStatus.TUPLES_OK:
        return []
    return rows_of(connection.loader, result)


def _answer(pgconn: PGconn) -> Generator[int, None, PGresult]:
    while pgconn.flush():
        yield select.POLLOUT
    last: PGresult | None = None
    while True:
        while pgconn.is_busy():
            yield select.POLLIN
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        last = result
    assert last is not None
    if last.status in _FAILED:
        raise error_from_result(last)
    return last
