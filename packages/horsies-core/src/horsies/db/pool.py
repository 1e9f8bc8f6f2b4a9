"""Pooled connections for threads.

A send has about 30 µs to spend on top of its insert, so taking and giving back a connection that was used
lately costs one deque operation each, without a lock and without a round trip. Connections are opened by
whoever needs one: a producer gets no thread, and learns at once that its server refuses.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from horsies.db.connect import (
    OwnedAsyncConnection,
    OwnedConnection,
    begin_anew_after_fork,
    connect,
    forsake,
    is_silent,
    round_trip,
)

IDLE_CHECK_S = 5.0
"""A connection unused for longer is asked before it is used again."""
ANSWER_LIMIT_S = 3.0
"""How long that answer may take; a new connection must still fit into the caller's time."""
SUSPECT = float("-inf")
"""`used_at` of a connection to be checked whatever its age: another one just turned out to be broken."""

_IDLE = TransactionStatus.IDLE
_BAD = ConnStatus.BAD


class PoolTimeout(psycopg.OperationalError):
    """All connections were in use for the whole time a caller may wait."""


class PoolClosed(psycopg.InterfaceError):
    """The pool was closed."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What both kinds of pool need to know.

    Attributes:
        conninfo: libpq connection string, keepalives included.
        max_size: connections open at most.
        keep: unused connections kept open at most.
        timeout: seconds a caller waits for a connection, whether for a free one or for a new one.
        recycle: seconds after which a connection is replaced.
        pre_ping: whether a connection unused for some seconds is checked before use.
        prepare: whether statements are prepared.
        pooled: whether connections lead to a pooler in transaction mode.
    """

    conninfo: str = field(repr=False)
    max_size: int
    keep: int
    timeout: float
    recycle: float
    pre_ping: bool
    prepare: bool
    pooled: bool = False

    def wait_expired(self) -> PoolTimeout:
        """The error for a caller whose time is up."""
        return PoolTimeout(
            f"all {self.max_size} pooled connections were in use for {self.timeout:.1f} s;"
            " raise pool_size or max_overflow, or hold connections for a shorter time"
        )

    def needs_check(self, connection: OwnedConnection | OwnedAsyncConnection, now: float) -> bool:
        """Whether an unused connection must prove itself first."""
        used_at = connection.used_at
        return used_at == SUSPECT or (self.pre_ping and now - used_at > IDLE_CHECK_S)


class _Waiter:
    """A thread in line, asleep on a gate; it gets a connection, the right to open one, or the pool closed."""

    __slots__ = ("closed", "connection", "gate")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.connection: OwnedConnection | None = None
        self.closed = False


class ConnectionPool:
    """Connections shared by threads. `release` whatever `acquire` gave, in whatever state it is."""

    def __init__(self, settings: PoolSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens nothing yet. `clock` is for the age of connections only."""
        self._settings = settings
        self._keep = settings.keep
        self._clock = clock
        self._closed = False
        self._begin()
        begin_anew_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._home = object()  # marks the connections that release may put back
        self._idle: deque[OwnedConnection] = deque()
        self._waiters: deque[_Waiter] = deque()
        self._all: set[OwnedConnection] = set()
        self._size = 0  # places taken: open connections and those being opened

    def acquire(self) -> OwnedConnection:
        """A connection for the caller alone.

        Raises:
            PoolTimeout: none became free in time.
            PoolClosed: `close` was called.
            psycopg.OperationalError: a new connection was refused or did not come about in time.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._acquire_slowly()
        now = self._clock()
        if now - connection.used_at > IDLE_CHECK_S or now >= connection.expires_at:
            return self._check(connection, time.monotonic() + self._settings.timeout)
        return connection

    def release(self, connection: OwnedConnection) -> None:
        """Take a connection back. One that is broken or in a transaction is closed."""
        if connection.home is not self._home or connection.pgconn.transaction_status != _IDLE:
            self._discard(connection)
            return
        connection.used_at = self._clock()
        idle = self._idle
        idle.append(connection)
        # Only now: a waiter enters the line, then looks at the deque again, so one of the two sees the other.
        if self._waiters or len(idle) > self._keep:
            self._settle()

    def close(self) -> None:
        """Close unused connections now, the others when released; whoever waits gets `PoolClosed`."""
        with self._lock:
            self._closed = True
            # What is released from now on is closed: by its home, or just after it was put back.
            self._home = object()
            self._keep = -1
            while self._waiters:
                waiter = self._waiters.popleft()
                waiter.closed = True
                waiter.gate.release()
        self._settle()

    @property
    def size(self) -> int:
        """Connections open or being opened."""
        return self._size

    @property
    def waiting(self) -> int:
        """Callers in line."""
        return len(self._waiters)

    def after_fork(self) -> None:
        """In a child: an empty pool of its own; the parent's connections are left alone."""
        inherited = self._all
        self._begin()
        forsake(inherited)

    def _acquire_slowly(self) -> OwnedConnection:
        deadline = time.monotonic() + self._settings.timeout
        waiter: _Waiter | None = None
        connection: OwnedConnection | None = None
        with self._lock:
            if self._closed:
                raise PoolClosed("the connection pool is closed")
            try:
                connection = self._idle.pop()
            except IndexError:
                if self._size < self._settings.max_size:
                    self._size += 1
                else:
                    waiter = _Waiter()
                    self._waiters.append(waiter)
                    self._serve()
        if waiter is not None:
            connection = self._wait(waiter, deadline)
        return self._open(deadline) if connection is None else self._check(connection, deadline)

    def _wait(self, waiter: _Waiter, deadline: float) -> OwnedConnection | None:
        # None: a place became free, the connection is the caller's to open.
        try:
            waiter.gate.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except BaseException:
            if not self._leave(waiter):
                self._give_back(waiter)
            raise
        if self._leave(waiter):
            raise self._settings.wait_expired()
        if waiter.closed:
            raise PoolClosed("the connection pool was closed")
        return waiter.connection

    def _leave(self, waiter: _Waiter) -> bool:
        with self._lock:
            try:
                self._waiters.remove(waiter)
            except ValueError:
                return False
        return True

    def _give_back(self, waiter: _Waiter) -> None:
        if waiter.connection is not None:
            self.release(waiter.connection)
        elif not waiter.closed:
            self._vacate()

    def _serve(self) -> None:
        # With the lock held: the first in line get what is there.
        while self._waiters:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            waiter = self._waiters.popleft()
            waiter.connection = connection
            waiter.gate.release()

    def _settle(self) -> None:
        surplus: list[OwnedConnection] = []
        with self._lock:
            self._serve()
            with suppress(IndexError):  # another thread took it meanwhile
                while len(self._idle) > self._keep:
                    surplus.append(self._idle.popleft())
        for connection in surplus:
            self._forget(connection)
            self._vacate()

    def _vacate(self) -> None:
        with self._lock:
            if self._waiters:
                self._waiters.popleft().gate.release()
            else:
                self._size -= 1

    def _open(self, deadline: float) -> OwnedConnection:
        # The caller has a place.
        settings = self._settings
        try:
            connection = connect(
                settings.conninfo,
                timeout=max(0.0, deadline - time.monotonic()),
                prepare=settings.prepare,
                pooled=settings.pooled,
            )
        except BaseException:
            self._vacate()
            raise
        connection.statement_limit = settings.timeout
        connection.expires_at = self._clock() + settings.recycle
        with self._lock:
            if not self._closed:
                connection.home = self._home
                self._all.add(connection)
                return connection
        connection.close()
        raise PoolClosed("the connection pool was closed")

    def _check(self, connection: OwnedConnection, deadline: float) -> OwnedConnection:
        try:
            if self._is_good(connection, deadline):
                return connection
        except BaseException:
            self._discard(connection)
            raise
        self._forget(connection)
        return self._open(deadline)

    def _is_good(self, connection: OwnedConnection, deadline: float) -> bool:
        now = self._clock()
        if now >= connection.expires_at:
            return False
        if not self._settings.needs_check(connection, now):
            return True
        try:
            if not is_silent(connection.pgconn):
                return False
            # Half of the time is left for a new connection.
            round_trip(connection.pgconn, b"", min(ANSWER_LIMIT_S, (deadline - time.monotonic()) / 2))
        except psycopg.Error:
            return False
        return True

    def _discard(self, connection: OwnedConnection) -> None:
        if connection not in self._all:
            return  # inherited from the process that forked this one
        if connection.pgconn.status == _BAD:
            for other in self._idle.copy():
                other.used_at = SUSPECT
        self._forget(connection)
        self._vacate()

    def _forget(self, connection: OwnedConnection) -> None:
        with self._lock:
            self._all.discard(connection)
        connection.close()
