"""The sender process of one system: reads JSON commands on stdin, answers on stdout.

Runs in the environment of the system it sends to, so it uses the standard library only.
"""

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Protocol

from benchmarks.marks import Marks, from_environment

FINISH_TIMEOUT = 60.0
BODY_TIMEOUT = 30.0


class Producer(Protocol):
    """What is needed to measure enqueueing; `n` is the task's argument and the slot of its mark."""

    def setup(self) -> None:
        """Create tables where the system has some; the database is new."""
        ...

    def send_each(self, first: int, count: int) -> None:
        """One call, and one commit, per task."""
        ...

    def send_bulk(self, first: int, count: int) -> bool:
        """The system's bulk call; False when it has none."""
        ...


class Sender(Producer, Protocol):
    """What a system with workers has to offer."""

    def hold(self, first: int, count: int) -> None:
        """Enqueue in such a way that no worker sees the tasks yet."""
        ...

    def release(self) -> int:
        """Make all held tasks visible at once; the time (ns) just before."""
        ...

    def finished(self) -> int:
        """Tasks whose end is stored."""
        ...

    def send_timed(self, n: int) -> int:
        """Send one task; the time (ns) at which the call began."""
        ...

    def round_trip(self, n: int) -> tuple[int, int] | None:
        """Send one task and wait for its result; both times (ns). None: the system keeps no results."""
        ...


class _Producing:
    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    def setup(self) -> None:
        self.producer.setup()

    def enqueue_each(self, first: int, count: int) -> dict[str, float]:
        return self._timed(lambda: self.producer.send_each(first, count))

    def enqueue_bulk(self, first: int, count: int) -> dict[str, float] | None:
        supported = True

        def call() -> None:
            nonlocal supported
            supported = self.producer.send_bulk(first, count)

        took = self._timed(call)
        return took if supported else None

    @staticmethod
    def _timed(call: Callable[[], None]) -> dict[str, float]:
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


class Sending(_Producing):
    """The commands of a system with workers."""

    def __init__(self, sender: Sender, marks: Marks) -> None:
        super().__init__(sender)
        self.sender = sender
        self.marks = marks

    def hold(self, first: int, count: int) -> None:
        self.sender.hold(first, count)

    def release(self) -> int:
        return self.sender.release()

    def finished(self) -> int:
        return self.sender.finished()

    def wait_finished(self, target: int) -> int:
        """Wait until `target` ends are stored; the time (ns) at which that was seen."""
        deadline = time.monotonic() + FINISH_TIMEOUT
        while True:
            count = self.sender.finished()
            now = time.time_ns()
            if count >= target:
                return now
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} of {target} ends stored within {FINISH_TIMEOUT:g} s")
            time.sleep(0.002)

    def latency(self, first: int, count: int, gap_ms: tuple[float, float]) -> list[int]:
        """Delays (ns) from the send call's beginning to the body's, one task at a time."""
        delays: list[int] = []
        for n in range(first, first + count):
            began = self.sender.send_timed(n)
            self.marks.wait(n, 1, BODY_TIMEOUT, poll=0.0005)
            delays.append(self.marks[n] - began)
            time.sleep(random.uniform(*gap_ms) / 1000)
        return delays

    def results(self, first: int, count: int, gap_ms: tuple[float, float]) -> list[int] | None:
        """Delays (ns) from the send call's beginning to the result in the sender's hands."""
        delays: list[int] = []
        for n in range(first, first + count):
            times = self.sender.round_trip(n)
            if times is None:
                return None
            delays.append(times[1] - times[0])
            time.sleep(random.uniform(*gap_ms) / 1000)
        return delays


def serve(sender: Sender) -> None:
    """Answer all commands until stdin ends."""
    answer(Sending(sender, from_environment()))


def serve_producer(producer: Producer) -> None:
    """Answer the commands about enqueueing until stdin ends."""
    answer(_Producing(producer))


def answer(session: _Producing) -> None:
    """Answer commands, each by the method of its name, until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    for line in sys.stdin:
        command = json.loads(line)
        operation = command.pop("op")
        try:
            answer = {"value": getattr(session, operation)(**command)}
        except Exception as error:  # the run goes on with the other systems
            answer = {"error": f"{operation}: {type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
