"""Async tasks of an executor: one event loop, which runs whenever nothing else needs the main thread.

It is stopped, not closed, for a job that blocks: such a job may run a loop of its own, which Python refuses inside a
running one. The same loop goes on afterwards, with whatever async tasks have left in it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from horsies.codec.injected import OkTypes
from horsies.definition import TaskDefinition
from horsies_worker.begin_marks import BeginMarks
from horsies_worker.child.execution import Trace, run_async_def, run_async_def_traced
from horsies_worker.child.reporter import Reporter


class EventLoopSide:
    """Starts async tasks and reports their ends; all methods but `wake` and `cancel_soon` belong to the loop."""

    def __init__(
        self,
        reporter: Reporter,
        marks: BeginMarks,
        after_task: Callable[[], None],
        ok_types: OkTypes,
        crash: Callable[[], NoReturn],
    ) -> None:
        self._reporter = reporter
        self._marks = marks
        self._after_task = after_task
        self._ok_types = ok_types
        self._crash = crash
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._flush_planned = False

    def run(self, on_wake: Callable[[], bool]) -> None:
        """Run the loop until `on_wake` answers False and no task is left; it is called at once and at every `wake`."""
        self._on_wake = on_wake
        self._loop.call_soon(self._woken)
        # It is not made the thread's current loop: a `def` task in between finds the thread as in a new process.
        self._loop.run_forever()

    def close(self) -> None:
        """No task comes any more."""
        try:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    @property
    def is_busy(self) -> bool:
        """Whether tasks have begun, or wait to begin once the loop runs."""
        return bool(self._tasks)

    def wake(self) -> None:
        """From another thread: there is something in the inbox."""
        self._loop.call_soon_threadsafe(self._woken)

    def cancel_soon(self, seq: int) -> None:
        """From another thread: cancel a task."""
        self._loop.call_soon_threadsafe(self._cancel, seq)

    def start(self, seq: int, task: TaskDefinition, kwargs: str | None, trace: Trace | None) -> None:
        """Begin a task; in a running loop, one that never waits has ended when this returns, without a turn of it."""
        run = self._run(seq, task, kwargs, trace)
        begun = asyncio.Task(run, loop=self._loop, name=task.name, eager_start=True)
        if not begun.done():
            self._tasks[seq] = begun

    async def _run(self, seq: int, task: TaskDefinition, kwargs: str | None, trace: Trace | None) -> None:
        try:
            self._marks.set(seq)
            begun = time.perf_counter()
            if trace is None:
                outcome = await run_async_def(task, kwargs, self._ok_types)
            else:
                outcome = await run_async_def_traced(task, kwargs, self._ok_types, trace)
            self._reporter.add(seq, task.name, outcome, time.perf_counter() - begun)
            self._tasks.pop(seq, None)
            self._after_task()
        except BaseException:
            self._crash()  # the loop would only log it, and the task would never end
        if not self._flush_planned:
            # At the end of this turn of the loop, so that tasks that end together share a message.
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        try:
            self._reporter.flush()
        except BaseException:
            self._crash()  # as above
        if not self._tasks:
            self._woken()

    def _woken(self) -> None:
        try:
            more = self._on_wake()
        except BaseException:
            self._crash()  # as above
        if not more and not self._tasks:
            self._loop.stop()

    def _cancel(self, seq: int) -> None:
        task = self._tasks.get(seq)
        if task is not None:
            task.cancel()
