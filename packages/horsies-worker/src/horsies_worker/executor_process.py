"""The coordinator's end of one executor process: start it, feed it, hear from it, notice its death at once."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Literal, Protocol

from horsies_worker import wire
from horsies_worker.begin_marks import BeginMarks
from horsies_worker.flight import Flight

START_TIMEOUT_S = 120.0
REAP_TIMEOUT_S = 10.0


type KillReason = Literal["timeout", "cancel"]


class ExecutorStartError(RuntimeError):
    """An executor ended, or said why it cannot work, before it was ready."""

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ExecutorEvents(Protocol):
    """What the owner of executors is told."""

    def results_came(self, executor: "ExecutorProcess", results: list[tuple[Any, ...]]) -> None:
        """Runs have ended: (seq, ok, envelope, error code, message, microseconds, trace context) each."""
        ...

    def withdrawn(self, executor: "ExecutorProcess", flights: list[Flight]) -> None:
        """The executor has agreed never to begin these."""
        ...

    def executor_died(
        self, executor: "ExecutorProcess", begun: list[Flight], not_begun: list[Flight]
    ) -> None:
        """The process is gone; what it had, parted by its begin marks."""
        ...

    def executor_ready(self) -> None:
        """A replacement can take tasks."""
        ...

    def executor_too_big(self, executor: "ExecutorProcess", rss: int) -> None:
        """It holds more memory than it may (bytes)."""
        ...


class ExecutorProcess(asyncio.Protocol):
    """One process and the tasks it has been given, in their order."""

    def __init__(self, place: int, events: ExecutorEvents) -> None:
        self.place = place
        self.name = f"executor-{place}"
        self.flights: dict[int, Flight] = {}
        self.ready = False
        self.killed_for: KillReason | None = None
        """Why this worker itself has ended it, if it was for the sake of a task."""
        self.taken = 0
        """Tasks it was ever given."""
        self.first_in_line_at = 0.0
        """When the task that is first in line got there, on the monotonic clock."""
        self._events = events
        self._marks = _new_marks(self.name)
        self._buffer = wire.FrameBuffer()
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._started: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting any more when a start fails, as after a stop signal.
        self._started.add_done_callback(lambda started: started.cancelled() or started.exception())
        self._asked_back: set[int] = set()
        self._ending = False
        self._has_exited = asyncio.Event()
        self._burial: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()

    # -- life

    async def start(self, init: wire.Init) -> int | None:
        """Start the process and wait until it can take tasks; its settled resident memory in bytes, None if unreadable.

        Raises:
            ExecutorStartError: it died, named a failing hook or import, or took too long.
        """
        try:
            self._socket = self._spawn()
        except (OSError, RuntimeError) as error:
            # Of the limits on processes, memory, descriptors and threads.
            self._marks.close()
            self.gone.set()
            raise ExecutorStartError(f"{self.name} could not be started: {error}", None) from error
        await asyncio.get_running_loop().create_connection(lambda: self, sock=self._socket)
        self._send(wire.INIT, init)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                rss = await asyncio.shield(self._started)
        except TimeoutError:
            self.kill()
            raise ExecutorStartError(
                f"{self.name} was not ready within {START_TIMEOUT_S:.0f} s", None
            ) from None
        self.ready = True
        return rss

    def _spawn(self) -> socket.socket:
        """Start the process and watch it; our end of the connection. Nothing is left behind when this raises."""
        ours, theirs = socket.socketpair()
        try:
            fds = (theirs.fileno(), self._marks.fd)
            self._popen = subprocess.Popen(  # noqa: S603 - our own module; takes a millisecond
                [sys.executable, "-m", "horsies_worker.child", *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"HORSIES_CHILD_PROCESS": "1"},
            )
            self._watch(self._popen)
        except BaseException:
            ours.close()
            if self._popen is not None:
                self._popen.kill()
                self._popen.wait()
            raise
        finally:
            theirs.close()
        return ours

    def _watch(self, popen: subprocess.Popen[bytes]) -> None:
        """Notice the end of the process itself: the connection stays open in what a task has forked, if not closed."""
        loop = asyncio.get_running_loop()
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self._pidfd = os.pidfd_open(popen.pid)
                loop.add_reader(self._pidfd, self._exited)
                return

        def wait() -> None:
            popen.wait()
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(self._exited)

        threading.Thread(target=wait, name=f"{self.name}-end", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return self._popen.pid if self._popen else 0

    @property
    def end(self) -> str:
        """How the process ended, for messages."""
        code = None if self._popen is None else self._popen.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        return f"killed by {signal.Signals(-code).name}"

    def stop(self) -> None:
        """Let it end once nothing is running in it."""
        self._ending = True
        self.ready = False
        self._send(wire.STOP, None)

    def kill(self, reason: KillReason | None = None) -> None:
        """SIGKILL; `executor_died` or, after `stop`, only `gone` follows."""
        self.ready = False
        self.killed_for = self.killed_for or reason
        if self._popen is not None and self._popen.poll() is None:
            with suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGKILL)

    # -- work

    def run(self, flights: list[Flight]) -> None:
        """Send tasks; they run after those already here, in this order."""
        if not self.flights:
            self.first_in_line_at = time.monotonic()
        self.taken += len(flights)
        for flight in flights:
            self._marks.clear(flight.seq)
            flight.place = self.place
            self.flights[flight.seq] = flight
        self._send(wire.RUN, [(f.seq, f.task_name, f.kwargs, f.kind, f.trace) for f in flights])

    @property
    def lane(self) -> Literal["process", "shared"] | None:
        """What it runs now: one `process` task at a time, or `thread` and `async` tasks together; None when idle."""
        head = self.head()
        if head is None:
            return None
        return "process" if head.kind == "process" else "shared"

    def cancel(self, seq: int) -> None:
        """Cancel a running async task."""
        self._send(wire.CANCEL, seq)

    def ask_back(self, seqs: list[int]) -> None:
        """Ask for tasks that have not begun; `withdrawn` names those that the executor lets go."""
        new = [seq for seq in seqs if seq not in self._asked_back]
        if new:
            self._asked_back.update(new)
            self._send(wire.WITHDRAW, new)

    def beat(self) -> None:
        """Tell it that the coordinator lives."""
        self._send(wire.BEAT, None)

    def begun(self, seq: int) -> bool:
        """Whether user code of this task has begun."""
        return self._marks.begun(seq)

    def head(self) -> Flight | None:
        """The task that is first in line."""
        return next(iter(self.flights.values()), None)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        for kind, body in self._buffer.feed(data):
            if kind == wire.DONE:
                self._events.results_came(self, body)
            elif kind == wire.WITHDRAWN:
                self._let_go(body)
            elif kind == wire.TOO_BIG:
                self._events.executor_too_big(self, body)
            elif kind == wire.READY and not self._started.done():
                self._started.set_result(body)
            elif kind == wire.START_FAILED and not self._started.done():
                exit_code, text = body
                self._started.set_exception(ExecutorStartError(text, exit_code))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: the process has ended or is about to."""
        self.ready = False
        self._transport = None
        self._bury_once()

    def _exited(self) -> None:
        """The process has ended: what it has still sent counts (R-042), whoever else holds the connection."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._has_exited.set()
        if self._burial is not None:
            return
        while data := self._left_unread():
            self.data_received(data)
        if self._transport is not None:
            self._transport.abort()
        else:
            self._bury_once()

    def _left_unread(self) -> bytes:
        try:
            return b"" if self._socket is None else self._socket.recv(1 << 18)
        except OSError:  # BlockingIOError: that was all
            return b""

    def _bury_once(self) -> None:
        if self._burial is None:
            self._burial = asyncio.get_running_loop().create_task(self._bury())

    def take(self, seq: int) -> Flight | None:
        """The flight whose result has come; the next one is first in line from now on."""
        flight = self.flights.pop(seq, None)
        self._asked_back.discard(seq)
        self.first_in_line_at = time.monotonic()
        return flight

    async def _bury(self) -> None:
        popen = self._popen
        assert popen is not None
        try:
            async with asyncio.timeout(REAP_TIMEOUT_S):
                await self._has_exited.wait()
        except TimeoutError:
            popen.kill()
            await self._has_exited.wait()
        popen.wait()
        flights = list(self.flights.values())
        self.flights.clear()
        begun = [f for f in flights if self._marks.begun(f.seq)]
        not_begun = [f for f in flights if not self._marks.begun(f.seq)]
        self._marks.close()
        if not self._started.done():
            code = popen.returncode
            self._started.set_exception(
                ExecutorStartError(f"{self.name} ended with exit code {code} while starting", code)
            )
        elif not self._ending or flights:
            self._events.executor_died(self, begun, not_begun)
        self.gone.set()

    def _let_go(self, seqs: list[int]) -> None:
        flights = [flight for seq in seqs if (flight := self.flights.pop(seq, None))]
        self._asked_back.difference_update(seqs)
        self.taken -= len(flights)
        self._events.withdrawn(self, flights)

    def _send(self, kind: int, body: object) -> None:
        if self._transport is not None:
            self._transport.write(wire.pack(kind, body))


def _new_marks(name: str) -> BeginMarks:
    try:
        return BeginMarks()
    except OSError as error:
        raise ExecutorStartError(f"{name} could not be started: {error}", None) from error
