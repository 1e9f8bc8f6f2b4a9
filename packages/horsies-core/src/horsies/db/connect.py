"""Opening connections within a time limit, asking whether one still answers, letting go of them after a fork.

Built on psycopg's public libpq wrapper where `Connection.connect` is too coarse: it knows only whole seconds,
at least two, and gives that time to every address of a host anew.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, Connection, pq
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_attempts, conninfo_attempts_async, conninfo_to_dict, make_conninfo
from psycopg.errors import ConnectionTimeout, error_from_result
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow, tuple_row

from horsies.db.rows import ADAPTERS, RowLoader, row_loader
from horsies.db.time_limit import limited

type Attempt = dict[str, Any]
"""The parameters of one connection attempt: one address of one host."""

_OWN_SETTINGS = (
    b"set datestyle = iso; set timezone = 'UTC'; set default_transaction_isolation = 'read committed'"
)
"""How values are written and what every transaction relies on (D-047), whatever the database, the role, the environment
or the URL say. Not sent with the greeting: a pooler in session mode refuses `options` there."""
_TRACKED_SETTINGS = (
    (b"DateStyle", (b"ISO, MDY", b"ISO, DMY", b"ISO, YMD"), b"set datestyle = iso"),
    (b"TimeZone", (b"UTC", b"Etc/UTC"), b"set timezone = 'UTC'"),
)
"""Those that a pooler in transaction mode keeps apart for its clients: name, values that will do, command."""

_SUCCESS = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY, pq.ExecStatus.TUPLES_OK)


class OwnedConnection(Connection[TupleRow]):
    """A connection of the library's own, with what a pool notes on it."""

    home: object = None
    used_at: float = 0.0
    expires_at: float = 0.0
    statement_limit: float | None = None
    """Seconds after which a statement is given up (D-007)."""

    @property
    def adapters(self) -> AdaptersMap:
        """The library's, in place of a copy of those the program has for all its connections."""
        return ADAPTERS

    @cached_property
    def statement_names(self) -> set[bytes]:
        """Names of the statements prepared on this connection by `statement.py`."""
        return set()

    @cached_property
    def loader(self) -> RowLoader:
        """Loads the values of its results."""
        return row_loader(self)

    def wait[R](self, gen: Generator[Any, Any, R], *args: Any, **kwargs: Any) -> R:
        """Psycopg's own, within the time limit."""
        limit = self.statement_limit
        return super().wait(gen if limit is None else limited(gen, limit), *args, **kwargs)

    def __del__(self, *_: object) -> None:
        """Does not warn: such a connection is kept for as long as its process lives."""


class OwnedAsyncConnection(AsyncConnection[TupleRow]):
    """The same for event loops."""

    home: object = None
    used_at: float = 0.0
    expires_at: float = 0.0
    statement_limit: float | None = None
    """Seconds after which a statement is given up (D-007)."""

    @property
    def adapters(self) -> AdaptersMap:
        """The library's, in place of a copy of those the program has for all its connections."""
        return ADAPTERS

    @cached_property
    def statement_names(self) -> set[bytes]:
        """Names of the statements prepared on this connection by `statement.py`."""
        return set()

    @cached_property
    def loader(self) -> RowLoader:
        """Loads the values of its results."""
        return row_loader(self)

    async def wait[R](self, gen: Generator[Any, Any, R], *args: Any, **kwargs: Any) -> R:
        """Psycopg's own, within the time limit."""
        limit = self.statement_limit
        return await super().wait(gen if limit is None else limited(gen, limit), *args, **kwargs)

    def __del__(self, *_: object) -> None:
        """Does not warn: such a connection is kept for as long as its event loop lives."""


def connect(conninfo: str, *, timeout: float, prepare: bool, pooled: bool = False) -> OwnedConnection:
    """Open an autocommit connection with the settings that the library's statements need.

    All addresses of all hosts together get `timeout` seconds; finding a host's addresses is left to the
    system's resolver, which has limits of its own.

    Args:
        conninfo: libpq connection string.
        timeout: Seconds.
        prepare: Whether its statements are prepared.
        pooled: Whether it leads to a pooler in transaction mode. A setting could stay behind for others there, so that
            only those are made, and only if needed, that such a pooler keeps for each client.

    Raises:
        psycopg.OperationalError: refused, or (`ConnectionTimeout`) no answer in time.
    """
    failure: psycopg.OperationalError = ConnectionTimeout("no time was left to connect to the database")
    deadline = time.monotonic() + timeout
    for attempt, share in _shares(conninfo_attempts(_parameters(conninfo)), deadline):
        try:
            connection = OwnedConnection(_open(attempt, share, pooled), tuple_row)
        except psycopg.OperationalError as error:
            failure = error
        else:
            connection.autocommit = True
            connection.prepare_threshold = 0 if prepare else None
            return connection
    raise failure


async def connect_async(
    conninfo: str, *, timeout: float, prepare: bool, pooled: bool = False
) -> OwnedAsyncConnection:
    """As `connect`, for the running event loop; finding addresses counts against the time too."""
    failure: psycopg.OperationalError = ConnectionTimeout("no time was left to connect to the database")
    deadline = time.monotonic() + timeout
    try:
        async with asyncio.timeout(timeout):
            attempts = await conninfo_attempts_async(_parameters(conninfo))
    except TimeoutError:
        raise ConnectionTimeout(f"the database host was not resolved within {timeout:.1f} s") from None
    for attempt, share in _shares(attempts, deadline):
        try:
            connection = OwnedAsyncConnection(await _open_async(attempt, share, pooled), tuple_row)
        except psycopg.OperationalError as error:
            failure = error
        else:
            await connection.set_autocommit(True)
            connection.prepare_threshold = 0 if prepare else None
            return connection
    raise failure


def round_trip(pgconn: PGconn, command: bytes, timeout: float) -> None:
    """Send `command` (several statements or none at all will do) and wait for the end of its answer.

    Raises:
        psycopg.Error: what the server refused; or no answer within `timeout` seconds (`ConnectionTimeout`),
        and
            then the connection is of no use any more.
    """
    deadline = time.monotonic() + timeout
    for events in _conversation(pgconn, command):
        if not _wait(pgconn.socket, events, deadline):
            raise ConnectionTimeout(f"the database did not answer within {timeout:.1f} s")


async def round_trip_async(pgconn: PGconn, command: bytes, timeout: float) -> None:
    """As `round_trip`, for the running event loop."""
    try:
        async with asyncio.timeout(timeout):
            for events in _conversation(pgconn, command):
                await wait_async(pgconn.socket, events)
    except TimeoutError:
        raise ConnectionTimeout(f"the database did not answer within {timeout:.1f} s") from None


def is_silent(pgconn: PGconn) -> bool:
    """Whether the server has said nothing unasked; to an idle client that is nearly always goodbye."""
    return not _wait(pgconn.socket, select.POLLIN, 0.0)


class ForkAware(Protocol):
    """Something that must begin anew in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_fork_aware: WeakSet[ForkAware] = WeakSet()
_inherited: list[object] = []


def begin_anew_after_fork(it: ForkAware) -> None:
    """Have `it` told in every child forked from now on."""
    _fork_aware.add(it)


def forsake(connections: Iterable[OwnedConnection | OwnedAsyncConnection | Connection[Any]]) -> None:
    """In a forked child: let go of the parent's connections without a word to the server.

    The sockets are shared with the parent: closing such a connection properly would say goodbye in the
    parent's name. So a dead socket is put in the place of each. That also gives up this process's share of
    them: otherwise a server would not notice the parent's death, and keep its locks, while a child lives.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # With the other end closed, whoever still uses such a connection gets an error instead of waiting.
        theirs.close()
        for connection in connections:
            # Kept for ever: a thread of the parent may have been inside libpq, so nothing may be freed here.
            _inherited.append(connection)
            with suppress(psycopg.Error, OSError):
                os.dup2(ours.fileno(), connection.pgconn.socket, inheritable=False)


def _tell_the_child() -> None:
    for it in list(_fork_aware):
        it.after_fork()


os.register_at_fork(after_in_child=_tell_the_child)


def _parameters(conninfo: str) -> Attempt:
    # Whatever the environment or an old database suggests: names and JSON texts need all of Unicode.
    return {**conninfo_to_dict(conninfo), "client_encoding": "UTF8"}


def _shares(attempts: list[Attempt], deadline: float) -> Iterator[tuple[Attempt, float]]:
    # A host that never answers must leave time for the next one.
    for index, attempt in enumerate(attempts):
        share = max(0.0, deadline - time.monotonic()) / (len(attempts) - index)
        asked = float(attempt.get("connect_timeout") or 0)
        yield attempt, min(share, asked) if asked > 0 else share


def _open(attempt: Attempt, timeout: float, pooled: bool) -> PGconn:
    deadline = time.monotonic() + timeout
    pgconn = pq.PGconn.connect_start(make_conninfo("", **attempt).encode())
    try:
        for events in _opening(pgconn, pooled):
            if not _wait(pgconn.socket, events, deadline):
                raise _no_answer(attempt, timeout)
    except BaseException:
        pgconn.finish()
        raise
    return pgconn


async def _open_async(attempt: Attempt, timeout: float, pooled: bool) -> PGconn:
    pgconn = pq.PGconn.connect_start(make_conninfo("", **attempt).encode())
    try:
        async with asyncio.timeout(timeout):
            for events in _opening(pgconn, pooled):
                await wait_async(pgconn.socket, events)
    except BaseException as error:
        # Also when the caller was cancelled: a server's process that waits for half a greeting takes part in nothing,
        # and whoever drops a database waits for it until the server's authentication_timeout.
        pgconn.finish()
        if isinstance(error, TimeoutError):
            raise _no_answer(attempt, timeout) from None
        raise
    return pgconn


def _opening(pgconn: PGconn, pooled: bool) -> Generator[int]:
    # Yields the poll events it needs before it can go on.
    yield from _greeting(pgconn)
    settings = _tracked_settings(pgconn) if pooled else _OWN_SETTINGS
    if settings:
        yield from _conversation(pgconn, settings)


def _tracked_settings(pgconn: PGconn) -> bytes:
    return b";".join(
        command for name, good, command in _TRACKED_SETTINGS if pgconn.parameter_status(name) not in good
    )


def _greeting(pgconn: PGconn) -> Generator[int]:
    state = pq.PollingStatus.WRITING
    while pgconn.status != pq.ConnStatus.BAD:
        if state == pq.PollingStatus.OK:
            pgconn.nonblocking = 1
            return
        yield select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT
        state = pq.PollingStatus(pgconn.connect_poll())
    raise psycopg.OperationalError(f"connection failed: {pgconn.get_error_message()}")


def _no_answer(attempt: Attempt, timeout: float) -> ConnectionTimeout:
    place = f"host {attempt.get('host') or attempt.get('hostaddr')!r}, port {attempt.get('port') or 5432}"
    return ConnectionTimeout(
        f"the database at {place} did not answer within {timeout:.1f} s;"
        " is the address right, and no firewall in the way?"
    )


def _conversation(pgconn: PGconn, command: bytes) -> Generator[int]:
    # Yields the poll events it needs before it can go on.
    pgconn.send_query(command)
    while pgconn.flush():
        yield select.POLLOUT
    while True:
        while pgconn.is_busy():
            yield select.POLLIN
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return
        if result.status not in _SUCCESS:
            raise error_from_result(result)


def _wait(fd: int, events: int, deadline: float) -> bool:
    poller = select.poll()
    poller.register(fd, events)
    return bool(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))


async def wait_async(fd: int, events: int) -> None:
    """Until the socket is ready for `events` (of poll)."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (
        (loop.add_reader, loop.remove_reader)
        if events == select.POLLIN
        else (loop.add_writer, loop.remove_writer)
    )
    add(fd, _resolve, ready)
    try:
        await ready
    finally:
        remove(fd)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
