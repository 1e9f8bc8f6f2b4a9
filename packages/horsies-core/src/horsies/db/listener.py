"""One listening connection for all waiters of a process, served by one thread; a subscription starts both.

Nothing depends on a message arriving: waiters also look by themselves now and then. Nothing here grows with
what is not read: a waiter has one flag, and as many payloads as it asked for.
"""

import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn

from horsies.db.connect import begin_anew_after_fork, forsake, round_trip
from horsies.db.subscription import Subscription

__all__ = ["Listener", "ListenerTimes", "Subscription"]

logger = logging.getLogger("horsies.listener")


@dataclass(frozen=True, slots=True)
class ListenerTimes:
    """All in seconds.

    Attributes:
        silence: without any message for so long, the connection must prove itself by a round trip. answer:
        how long the server may take to answer. unlisten: how long LISTEN outlives a channel's last
        subscription, so that one `get` after another costs the
            server nothing.
        linger: how long the connection outlives the last subscription of all.
        backoff_first: pause before the first attempt to reconnect; it doubles up to
        backoff_last.
    """

    silence: float = 30.0
    answer: float = 10.0
    unlisten: float = 1.0
    linger: float = 60.0
    backoff_first: float = 0.1
    backoff_last: float = 5.0


@dataclass(slots=True)
class _Channel:
    subscriptions: dict[str | None, set[Subscription]] = field(
        default_factory=dict[str | None, set[Subscription]]
    )
    listening: bool = False
    unused_since: float = 0.0

    def all(self) -> Iterator[Subscription]:
        for some in self.subscriptions.values():
            yield from some


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the thread does next: these statements, then wait until something happens or `look_again`."""

    listen: tuple[str, ...]
    unlisten: tuple[str, ...]
    look_again: float


class Listener:
    """Wakes subscriptions. All methods may be called from any thread."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], *, times: ListenerTimes | None = None
    ) -> None:
        """Opens nothing yet.

        Args:
            connect: opens an autocommit connection that can LISTEN (not through a transaction pooler), within
            a bounded
                time.
            times: other than the usual times.
        """
        self._connect = connect
        self._times = times or ListenerTimes()
        self._closed = False
        self._begin()
        begin_anew_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}
        self._count = 0
        self._unused_since = 0.0
        self._tidy_planned = False
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._connected = False
        self._failures = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection that listens."""
        return self._connected

    def subscribe(self, channel: str, key: str | None = None, *, buffer: int = 0) -> Subscription:
        """Begin to wait for messages; returns at once, see `Subscription.wait_ready`.

        Args:
            channel: the channel's name, see `horsies.channels`.
            key: wake only for messages with this payload; None: for all.
            buffer: how many payloads are kept for `Subscription.drain`.

        Raises:
            psycopg.InterfaceError: the listener was closed.
        """
        subscription = Subscription(self, channel, key, buffer)
        with self._lock:
            if self._closed:
                raise psycopg.InterfaceError("the listener is closed")
            state = self._channels.setdefault(channel, _Channel())
            state.subscriptions.setdefault(key, set()).add(subscription)
            self._count += 1
            if self._thread is None:
                self._start()
            elif not state.listening:
                self._nudge()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """What `Subscription.close` does."""
        with self._lock:
            state = self._channels.get(subscription.channel)
            some = state.subscriptions.get(subscription.key) if state else None
            if state is None or some is None or subscription not in some:
                return
            some.remove(subscription)
            self._count -= 1
            if not some:
                del state.subscriptions[subscription.key]
            if not state.subscriptions:
                self._unused_since = state.unused_since = time.monotonic()
                if not self._tidy_planned:
                    self._tidy_planned = True
                    self._nudge()

    def in_force(self, subscription: Subscription) -> bool:
        """Whether LISTEN is in force for it."""
        with self._lock:
            state = self._channels.get(subscription.channel)
            return (
                state is not None
                and state.listening
                and subscription in state.subscriptions.get(subscription.key, ())
            )

    def out_of_reach(self) -> bool:
        """Whether the last attempt to listen failed."""
        return self._failures > 0 or self._thread is None

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread and wake all subscriptions; waits for the thread, but no longer than `timeout_s`."""
        with self._lock:
            self._closed = True
            thread = self._thread
            subscriptions = [one for state in self._channels.values() for one in state.all()]
            self._nudge()
        for subscription in subscriptions:
            subscription.settle()
            subscription.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def after_fork(self) -> None:
        """In a child: no subscriptions, no thread; the parent's connection is left alone."""
        pipe, connection = self._pipe, self._connection
        self._begin()
        for fd in pipe or ():
            os.close(fd)
        forsake([connection] if connection else [])

    # With the lock held

    def _start(self) -> None:
        self._failures = 0
        self._tidy_planned = False
        try:
            self._pipe = os.pipe()
            for fd in self._pipe:
                os.set_blocking(fd, False)
            self._thread = threading.Thread(target=self._run, name="horsies-listener", daemon=True)
            self._thread.start()
        except (OSError, RuntimeError) as error:  # no file left, no thread left, or the interpreter ends
            logger.warning("no listening thread, waiters poll: %s", error)
            self._stop()

    def _nudge(self) -> None:
        if self._pipe is not None:
            with suppress(BlockingIOError):  # full: the thread will look anyway
                os.write(self._pipe[1], b"\0")

    def _stop(self) -> None:
        for fd in self._pipe or ():
            os.close(fd)
        self._pipe = None
        self._thread = None
        self._connected = False
        self._channels = {name: state for name, state in self._channels.items() if state.subscriptions}
        for state in self._channels.values():
            state.listening = False

    def _ended(self, now: float, linger: float) -> bool:
        # Deciding and ending are one step: a subscription comes before it, or starts the next thread.
        if self._closed or (not self._count and now >= self._unused_since + linger):
            self._stop()
            return True
        return False

    # In the listener's thread

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    if self._ended(time.monotonic(), 0.0):
                        return
                try:
                    self._listen()
                    return
                except Exception as error:  # of any kind: waiters count on this thread
                    self._lost(error)
                self._pause()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._stop()

    def _listen(self) -> None:
        """Serve one connection until there is no more to do. Whatever is raised means: reconnect."""
        connection = self._connection = self._connect()
        try:
            poller = select.poll()
            pipe = self._pipe[0] if self._pipe else -1
            poller.register(pipe, select.POLLIN)
            poller.register(connection.pgconn.socket, select.POLLIN)
            heard = time.monotonic()
            while (plan := self._plan()) is not None:
                if plan.listen or plan.unlisten:
                    self._ask(connection.pgconn, _commands(connection.pgconn, plan))
                    self._activate(plan.listen)
                    heard = time.monotonic()
                self._dispatch(connection.pgconn)
                ask_at = heard + self._times.silence
                ready = {fd for fd, _ in poller.poll(_ms_until(min(ask_at, plan.look_again)))}
                if pipe in ready:
                    _drain(pipe)
                if connection.pgconn.socket in ready:
                    connection.pgconn.consume_input()
                    heard = time.monotonic()
                elif time.monotonic() >= ask_at:
                    self._ask(connection.pgconn, b"")
                    heard = time.monotonic()
        finally:
            if self._connection is connection:
                self._connection = None
            connection.close()

    def _plan(self) -> _Plan | None:
        now = time.monotonic()
        listen: list[str] = []
        unlisten: list[str] = []
        with self._lock:
            if self._ended(now, self._times.linger):
                return None
            look_again = now + 3600.0 if self._count else self._unused_since + self._times.linger
            self._tidy_planned = False
            for name, state in list(self._channels.items()):
                if state.subscriptions:
                    if not state.listening:
                        listen.append(name)
                elif not state.listening:
                    del self._channels[name]
                elif now >= state.unused_since + self._times.unlisten:
                    unlisten.append(name)
                    # Before the statement goes out: a new subscription must not take this LISTEN for its own.
                    del self._channels[name]
                else:
                    self._tidy_planned = True
                    look_again = min(look_again, state.unused_since + self._times.unlisten)
        return _Plan(tuple(listen), tuple(unlisten), look_again)

    def _activate(self, names: tuple[str, ...]) -> None:
        with self._lock:
            self._failures = 0
            self._connected = True
            for name in names:
                state = self._channels[name]  # only this thread removes channels
                state.listening = True
                for subscription in state.all():
                    # Wake, too: whoever did not wait for this moment may have missed something before it. Under
                    # the lock: whoever finds itself ready has this wake-up behind it.
                    subscription.wake()
                    subscription.settle()

    def _ask(self, pgconn: PGconn, command: bytes) -> None:
        round_trip(pgconn, command, self._times.answer)

    def _dispatch(self, pgconn: PGconn) -> None:
        while (message := pgconn.notifies()) is not None:
            payload = message.extra.decode(errors="replace")
            with self._lock:
                state = self._channels.get(message.relname.decode(errors="replace"))
                if state is None:
                    continue
                found = [*state.subscriptions.get(payload, ()), *state.subscriptions.get(None, ())]
            for subscription in found:
                subscription.deliver(payload)

    def _lost(self, error: Exception) -> None:
        with self._lock:
            if self._closed:
                return
            self._connected = False
            self._failures += 1
            waiting = [one for state in self._channels.values() for one in state.all()]
            for state in self._channels.values():
                state.listening = False
        # One line per outage: polling goes on meanwhile.
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        logger.log(level, "no listening connection, waiters poll until there is one: %s", error)
        for subscription in waiting:
            subscription.settle()

    def _pause(self) -> None:
        times = self._times
        longest = min(times.backoff_last, times.backoff_first * 2.0 ** min(self._failures - 1, 30))
        # Not all processes at the same moment.
        until = time.monotonic() + longest * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
        pipe = self._pipe[0] if self._pipe else -1
        poller = select.poll()
        poller.register(pipe, select.POLLIN)
        while time.monotonic() < until:
            with self._lock:
                if self._closed or not self._count:
                    return
            if poller.poll(_ms_until(until)):
                _drain(pipe)


def _commands(pgconn: PGconn, plan: _Plan) -> bytes:
    escape = pq.Escaping(pgconn).escape_identifier
    return b";".join(
        [b"unlisten " + bytes(escape(name.encode())) for name in plan.unlisten]
        + [b"listen " + bytes(escape(name.encode())) for name in plan.listen]
    )


def _ms_until(moment: float) -> int:
    # Rounded up: a moment that is almost there is not worth a busy loop.
    return max(0, int((moment - time.monotonic()) * 1000) + 1)


def _drain(pipe: int) -> None:
    with suppress(BlockingIOError):
        while os.read(pipe, 4096):
            pass
