"""Pooled connections for event loops.

An asynchronous connection works only in the loop it was opened in, so there is one pool for each running
loop; `AsyncPools` finds the right one.
"""

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from horsies.db.connect import (
    OwnedAsyncConnection,
    begin_anew_after_fork,
    connect_async,
    forsake,
    is_silent,
    round_trip_async,
)
from horsies.db.pool import ANSWER_LIMIT_S, IDLE_CHECK_S, SUSPECT, PoolClosed, PoolSettings

type _Turn = asyncio.Future[OwnedAsyncConnection | None]
"""The place in line of a waiting task. None: a place became free, the connection is the task's to open."""

_IDLE = TransactionStatus.IDLE
_BAD = ConnStatus.BAD


class AsyncConnectionPool:
    """Connections shared by the tasks of one event loop; only to be used there.

    `release` every connection that `acquire` gave, in whatever state it is.
    """

    def __init__(self, settings: PoolSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens nothing yet. `clock` is for the age of connections only."""
        self._settings = settings
        self._keep = settings.keep
        self._clock = clock
        self._closed = False
        self._begin()
        begin_anew_after_fork(self)

    def _begin(self) -> None:
        self._home = object()  # marks the connections that release may put back
        self._idle: deque[OwnedAsyncConnection] = deque()
        self._waiters: deque[_Turn] = deque()
        self._all: set[OwnedAsyncConnection] = set()
        self._size = 0  # places taken: open connections and those being opened

    async def acquire(self) -> OwnedAsyncConnection:
        """A connection for the caller alone.

        Raises:
            PoolTimeout: none became free in time.
            PoolClosed: `close` was called.
            psycopg.OperationalError: a new connection was refused or did not come about in time.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return await self._acquire_slowly()
        now = self._clock()
        if now - connection.used_at > IDLE_CHECK_S or now >= connection.expires_at:
            return await self._check(connection, time.monotonic() + self._settings.timeout)
        return connection

    def release(self, connection: OwnedAsyncConnection) -> None:
        """Take a connection back. One that is broken or in a transaction is closed."""
        if connection.home is not self._home or connection.pgconn.transaction_status != _IDLE:
            self._discard(connection)
            return
        connection.used_at = self._clock()
        idle = self._idle
        if self._waiters and self._hand_on(connection):
            return
        idle.append(connection)
        if len(idle) > self._keep:
            self._forget(idle.popleft())
            self._vacate()

    def close(self) -> None:
        """Close unused connections now, the others when released; whoever waits gets `PoolClosed`."""
        self._closed = True
        self._home = object()  # so that release does not put back the connections in use
        idle, self._idle = self._idle, deque()
        for turn in self._waiters:
            if not turn.done():
                turn.set_exception(PoolClosed("the connection pool was closed"))
        self._waiters.clear()
        for connection in idle:
            self._forget(connection)

    @property
    def size(self) -> int:
        """Connections open or being opened."""
        return self._size

    @property
    def waiting(self) -> int:
        """Callers in line."""
        return len(self._waiters)

    def after_fork(self) -> None:
        """In a child: an empty pool; the parent's connections are left alone."""
        inherited = self._all
        self._begin()
        forsake(inherited)

    async def _acquire_slowly(self) -> OwnedAsyncConnection:
        if self._closed:
            raise PoolClosed("the connection pool is closed")
        deadline = time.monotonic() + self._settings.timeout
        if self._size < self._settings.max_size:
            self._size += 1
            return await self._open(deadline)
        connection = await self._wait()
        return await (self._open(deadline) if connection is None else self._check(connection, deadline))

    async def _wait(self) -> OwnedAsyncConnection | None:
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())
            with suppress(ValueError):
                self._waiters.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._settings.wait_expired() from None
            raise

    def _give_back(self, connection: OwnedAsyncConnection | None) -> None:
        if connection is None:
            self._vacate()
        else:
            self.release(connection)

    def _hand_on(self, connection: OwnedAsyncConnection | None) -> bool:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _vacate(self) -> None:
        if not self._hand_on(None):
            self._size -= 1

    async def _open(self, deadline: float) -> OwnedAsyncConnection:
        # The caller has a place.
        settings = self._settings
        try:
            connection = await connect_async(
                settings.conninfo,
                timeout=max(0.0, deadline - time.monotonic()),
                prepare=settings.prepare,
                pooled=settings.pooled,
            )
        except BaseException:
            self._vacate()
            raise
        connection.statement_limit = settings.timeout
        if self._closed:
            connection.pgconn.finish()
            raise PoolClosed("the connection pool was closed")
        connection.expires_at = self._clock() + settings.recycle
        connection.home = self._home
        self._all.add(connection)
        return connection

    async def _check(self, connection: OwnedAsyncConnection, deadline: float) -> OwnedAsyncConnection:
        try:
            if await self._is_good(connection, deadline):
                return connection
        except BaseException:
            self._discard(connection)
            raise
        self._forget(connection)
        return await self._open(deadline)

    async def _is_good(self, connection: OwnedAsyncConnection, deadline: float) -> bool:
        now = self._clock()
        if now >= connection.expires_at:
            return False
        if not self._settings.needs_check(connection, now):
            return True
        try:
            if not is_silent(connection.pgconn):
                return False
            # Half of the time is left for a new connection.
            await round_trip_async(
                connection.pgconn, b"", min(ANSWER_LIMIT_S, (deadline - time.monotonic()) / 2)
            )
        except psycopg.Error:
            return False
        return True

    def _discard(self, connection: OwnedAsyncConnection) -> None:
        if connection not in self._all:
            return  # inherited from the process that forked this one
        if connection.pgconn.status == _BAD:
            for other in self._idle:
                other.used_at = SUSPECT
        self._forget(connection)
        self._vacate()

    def _forget(self, connection: OwnedAsyncConnection) -> None:
        self._all.discard(connection)
        # What AsyncConnection.close() does too, but release() and the pools of ended loops cannot await it.
        connection.pgconn.finish()


class AsyncPools:
    """One pool for each event loop that asks; any thread may."""

    def __init__(self, settings: PoolSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens nothing yet; for the arguments see `AsyncConnectionPool`."""
        self._settings = settings
        self._clock = clock
        self._closed = False
        self._begin()
        begin_anew_after_fork(self)

    def _begin(self) -> None:
        self._lock = Lock()
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnectionPool] = (
            weakref.WeakKeyDictionary()
        )
        # The last answer, as nearly every process has one loop. Weak: neither lives on for our sake.
        self._last: tuple[
            weakref.ref[asyncio.AbstractEventLoop] | None, weakref.ref[AsyncConnectionPool] | None
        ] = (None, None)

    def current(self) -> AsyncConnectionPool:
        """The pool of the running loop.

        Raises:
            RuntimeError: no loop is running in this thread.
            PoolClosed: `close` was called.
        """
        loop = asyncio.get_running_loop()
        last_loop, last_pool = self._last
        if (
            last_loop is not None
            and last_pool is not None
            and last_loop() is loop
            and (pool := last_pool()) is not None
        ):
            return pool
        with self._lock:
            if self._closed:
                raise PoolClosed("the connection pools are closed")
            pool = self._pools.get(loop)
            if pool is None:
                self._sweep()
                pool = self._pools[loop] = AsyncConnectionPool(self._settings, clock=self._clock)
            self._last = (weakref.ref(loop), weakref.ref(pool))
        return pool

    def close(self) -> None:
        """Close all pools, each in its own loop; those of loops that have ended, here."""
        with self._lock:
            self._closed = True
            pools, self._pools = dict(self._pools), weakref.WeakKeyDictionary()
            self._last = (None, None)
        here = _running_loop()
        for loop, pool in pools.items():
            if loop is not here and loop.is_running():
                with suppress(RuntimeError):  # it ended just now
                    loop.call_soon_threadsafe(pool.close)
                    continue
            pool.close()

    def after_fork(self) -> None:
        """In a child: no pools yet. Each pool looks after its own connections."""
        self._begin()

    def _sweep(self) -> None:
        # A loop that has ended may stay in memory for long, and its connections open.
        for loop in [loop for loop in self._pools if loop.is_closed()]:
            self._pools.pop(loop).close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
