"""The thread that listens to the coordinator while user code runs.

It puts tasks into the inbox, lets waiting ones go when asked (R-041), and ends the process when the coordinator is gone
(R-036) or silent for too long (R-091).
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import cast

from horsies_worker import wire
from horsies_worker.child.execution import Trace

EXIT_COORDINATOR_GONE = 70
EXIT_COORDINATOR_SILENT = 71

type Job = tuple[int, str, str | None, str, Trace | None]
"""(seq, task name, kwargs text, kind, what its span needs)"""


class Keeper:
    """Connection to the coordinator, shared by the listening thread and the one that runs tasks."""

    def __init__(self, connection: socket.socket) -> None:
        self.inbox: SimpleQueue[int | None] = SimpleQueue()
        """Sequence numbers in order; None: end. What is no longer in `waiting` has been withdrawn."""
        self.waiting: dict[int, Job] = {}
        self._connection = connection
        self._buffer = wire.FrameBuffer()
        self._send_lock = threading.Lock()
        self._heard_at = time.monotonic()
        self.flush: Callable[[], None] = lambda: None
        """Sends results that are held back for a moment; called before an answer."""
        self.on_jobs: Callable[[], None] = lambda: None
        """Told when the inbox has got something."""
        self.on_cancel: Callable[[int], None] = lambda seq: None
        """Cancels a running async task."""

    def receive_init(self) -> wire.Init:
        """The first frame's content; blocks until it is there."""
        while True:
            data = self._connection.recv(1 << 16)
            if not data:
                os._exit(EXIT_COORDINATOR_GONE)
            for kind, body in self._buffer.feed(data):
                if kind == wire.INIT:
                    return cast("wire.Init", body)

    def start(self, silence_limit_s: float) -> None:
        """Start listening; a coordinator silent for longer than the limit counts as gone."""
        self._heard_at = time.monotonic()
        threading.Thread(target=self._listen, name="horsies-keeper", daemon=True).start()
        threading.Thread(
            target=self._watch, args=(silence_limit_s,), name="horsies-silence", daemon=True
        ).start()

    def send(self, kind: int, body: object) -> None:
        """Send one frame; ends the process if nobody is there to read it."""
        data = wire.pack(kind, body)
        try:
            with self._send_lock:
                self._connection.sendall(data)
        except OSError:
            os._exit(EXIT_COORDINATOR_GONE)

    def abandon(self) -> None:
        """In a process that a task has forked: it neither holds the connection nor runs anything that waits here.

        Its copy of the connection would hide the executor's end from the coordinator. Should it return from the task
        that it was forked in, it ends with the first result that it cannot send.
        """
        self._connection.close()
        self.waiting.clear()
        self._send_lock = threading.Lock()  # a thread that does not exist in the copy may hold the other one

    def _listen(self) -> None:
        while True:
            try:
                data = self._connection.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                # Nobody would record what runs here, and another worker may soon begin it again.
                os._exit(EXIT_COORDINATOR_GONE)
            self._heard_at = time.monotonic()
            for kind, body in self._buffer.feed(data):
                if kind == wire.RUN:
                    for job in body:
                        self.waiting[job[0]] = job
                        self.inbox.put(job[0])
                    self.on_jobs()
                elif kind == wire.WITHDRAW:
                    self._withdraw(body)
                elif kind == wire.STOP:
                    self.inbox.put(None)
                    self.on_jobs()
                elif kind == wire.CANCEL:
                    self.on_cancel(body)

    def _withdraw(self, seqs: list[int]) -> None:
        # dict.pop is atomic: a job is either popped here, and never begins, or by the thread that runs it.
        let_go = [seq for seq in seqs if self.waiting.pop(seq, None) is not None]
        self.flush()
        self.send(wire.WITHDRAWN, let_go)

    def _watch(self, silence_limit_s: float) -> None:
        while True:
            time.sleep(silence_limit_s / 8)
            if time.monotonic() - self._heard_at > silence_limit_s:
                os._exit(EXIT_COORDINATOR_SILENT)
