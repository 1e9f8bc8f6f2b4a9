"""What a waiter holds of the listener: a flag set by its thread, awaited by a thread or an event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Protocol, Self


class Signal:
    """A flag that threads and event loops can wait for. Any thread may set it; one at a time waits.

    Without a lock: who waits enters the line and then looks at the flag, who sets it does so and then wakes
    the line.
    """

    __slots__ = ("_is_set", "_sleepers")

    def __init__(self) -> None:
        self._is_set = False
        self._sleepers: deque[Callable[[], object]] = deque()

    def set(self) -> None:
        """Set the flag and wake whoever waits."""
        self._is_set = True
        while self._sleepers:
            with suppress(IndexError):
                self._sleepers.popleft()()

    def take(self) -> bool:
        """Whether the flag was set; it is not any more."""
        # Cleared only if it was seen: a flag set in between must stay.
        if self._is_set:
            self._is_set = False
            return True
        return False

    def wait(self, timeout_s: float) -> None:
        """Block until the flag is set, or the time is over."""
        gate = threading.Lock()
        gate.acquire()
        wake = gate.release
        self._sleepers.append(wake)
        try:
            if not self._is_set:
                gate.acquire(timeout=min(max(0.0, timeout_s), threading.TIMEOUT_MAX))
        finally:
            with suppress(ValueError):
                self._sleepers.remove(wake)

    async def wait_async(self, timeout_s: float) -> None:
        """As `wait`, in the running event loop."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        wake = partial(_wake, loop, woken)
        self._sleepers.append(wake)
        timer = loop.call_later(max(0.0, timeout_s), _resolve, woken)
        try:
            if not self._is_set:
                await woken
        finally:
            timer.cancel()
            with suppress(ValueError):
                self._sleepers.remove(wake)


class Source(Protocol):
    """What a subscription asks of its listener."""

    @property
    def connected(self) -> bool:
        """Whether messages come in."""
        ...

    def in_force(self, subscription: "Subscription") -> bool:
        """Whether the server sends what this subscription waits for."""
        ...

    def out_of_reach(self) -> bool:
        """Whether the last attempt to listen failed."""
        ...

    def unsubscribe(self, subscription: "Subscription") -> None:
        """Forget it; harmless if that was done already."""
        ...


class Subscription:
    """The messages of one channel, or those with one payload. One thread or task at a time waits on it.

    Order matters: subscribe, `wait_ready`, read what may already be there, then `wait`. A wake-up says "look
    again", not what happened: it also follows a reconnection, since messages may have been missed before it.
    """

    __slots__ = ("__weakref__", "_listener", "_payloads", "_settled", "_woken", "channel", "key")

    def __init__(self, listener: Source, channel: str, key: str | None, buffer: int) -> None:
        self.channel = channel
        self.key = key
        self._listener = listener
        self._woken = Signal()
        self._settled = Signal()
        self._payloads: deque[str] = deque(maxlen=buffer)

    @property
    def ready(self) -> bool:
        """Whether LISTEN is in force: from now on nothing is missed without a wake-up."""
        return self._listener.in_force(self)

    @property
    def connected(self) -> bool:
        """Whether the listener has a connection; if not, poll more often."""
        return self._listener.connected

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until LISTEN is in force; False, at once, while the database cannot be reached."""
        if not (self.ready or self._listener.out_of_reach()):
            self._settled.wait(timeout_s)
        return self._settle()

    async def wait_ready_async(self, timeout_s: float) -> bool:
        """As `wait_ready`, in the running event loop."""
        if not (self.ready or self._listener.out_of_reach()):
            await self._settled.wait_async(timeout_s)
        return self._settle()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a wake-up, one that came since the last wait included; False when the time is over."""
        self._woken.wait(timeout_s)
        return self._woken.take()

    async def wait_async(self, timeout_s: float) -> bool:
        """As `wait`, in the running event loop and without a thread."""
        await self._woken.wait_async(timeout_s)
        return self._woken.take()

    def drain(self) -> list[str]:
        """The payloads kept since the last call; the oldest may have been dropped."""
        payloads: list[str] = []
        with suppress(IndexError):
            while True:
                payloads.append(self._payloads.popleft())
        return payloads

    def close(self) -> None:
        """End the subscription; again is harmless."""
        self._listener.unsubscribe(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def deliver(self, payload: str) -> None:
        """For the listener: a message came."""
        self._payloads.append(payload)
        self._woken.set()

    def wake(self) -> None:
        """For the listener: look again."""
        self._woken.set()

    def settle(self) -> None:
        """For the listener: LISTEN is in force, or will not be for now."""
        self._settled.set()

    def _settle(self) -> bool:
        ready = self.ready
        if ready and not self._payloads:
            # Its owner reads now, which covers all that came before.
            self._woken.take()
        return ready


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(_resolve, woken)


def _resolve(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
