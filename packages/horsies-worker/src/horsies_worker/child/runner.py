"""The executor's main thread: takes tasks from the inbox in their order and runs each in its way.

`process` tasks run here, one at a time; `thread` tasks in a pool; `async` tasks on an event loop that has this thread,
once the first of them came, whenever no job blocks it. The coordinator never mixes `process` tasks with the others in
one executor, so the thread changes hands only between them.
"""

import os
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty
from typing import Any, NoReturn

import psutil

from horsies.app import Horsies
from horsies.definition import TaskDefinition
from horsies.outcome import finish_error, unknown_task_error
from horsies.task import TaskFunction
from horsies.workflow.result_types import result_types
from horsies_worker import wire
from horsies_worker.begin_marks import BeginMarks
from horsies_worker.child.event_loop import EventLoopSide
from horsies_worker.child.execution import run_def, run_def_traced
from horsies_worker.child.keeper import Job, Keeper
from horsies_worker.child.prepare import STEP_TASK, run_step
from horsies_worker.child.reporter import Reporter
from horsies_worker.read_ahead import SLOW_TASK_S

EXIT_CRASHED = 72


class Runner:
    """Runs what comes until the coordinator wants the process to end."""

    def __init__(
        self,
        app: Horsies,
        keeper: Keeper,
        marks: BeginMarks,
        concurrency: int,
        memory_limit: int | None,
    ) -> None:
        self._app = app
        self._tasks: Mapping[str, TaskFunction[..., Any]] = app.tasks
        self._ok_types = result_types(app.ok_type_of)
        self._keeper = keeper
        self._marks = marks
        self._reporter = Reporter(keeper, app.config.payload)
        self._quick: dict[str, bool] = {}
        self._concurrency = concurrency
        self._memory_limit = memory_limit
        self._process = psutil.Process()
        self._threads: ThreadPoolExecutor | None = None
        self._loop: EventLoopSide | None = None
        self._put_aside: int | None = None
        """A job that blocks and has come while the event loop has the thread."""
        self._stopping = False

    def run_until_stopped(self) -> None:
        """Returns when the end was asked for and nothing is left to run."""
        while not self._stopping:
            self._run_blocking()
            if self._loop is not None:
                self._run_loop(self._loop)
        if self._loop is not None:
            self._loop.close()
        if self._threads is not None:
            self._threads.shutdown()
        self._reporter.flush()

    def _run_blocking(self) -> None:
        """Run jobs outside of the event loop, until the loop is needed or has been and may go on."""
        inbox, waiting, reporter = self._keeper.inbox, self._keeper.waiting, self._reporter
        if self._put_aside is not None:
            seq, self._put_aside = self._put_aside, None
            self._take(seq)
        while not self._stopping:
            if self._loop is not None and (self._loop.is_busy or inbox.empty()):
                break
            self._take(inbox.get())
            if reporter.holds and (not waiting or reporter.is_due):
                reporter.flush()

    def _run_loop(self, loop: EventLoopSide) -> None:
        """Run async tasks, until there is a job that blocks or the end was asked for."""
        # Before the inbox is looked at, which the loop does first: what is put in from now on wakes the loop.
        self._keeper.on_jobs = loop.wake
        loop.run(self._take_all)
        self._keeper.on_jobs = lambda: None

    def crash(self) -> NoReturn:
        """End the process because of the exception at hand; the crash rule applies to what it runs (R-104).

        Called for the KeyboardInterrupt of a task, which nothing stops (T-49), and for faults of the code around
        tasks. Going on would leave a task behind that never ends.
        """
        traceback.print_exc()
        with suppress(Exception):
            self._reporter.flush()  # what has ended before has not crashed
        os._exit(EXIT_CRASHED)

    def _take_all(self) -> bool:
        """Everything in the inbox up to a job that blocks; whether more may come before the loop has to be left."""
        while not self._stopping and self._put_aside is None:
            try:
                seq = self._keeper.inbox.get_nowait()
            except Empty:
                break
            if seq is not None and self._is_blocking(seq):
                self._put_aside = seq  # it can still be withdrawn
            else:
                self._take(seq)
        self._reporter.flush()
        return not self._stopping and self._put_aside is None

    def _is_blocking(self, seq: int) -> bool:
        """Whether this job runs user code in the main thread."""
        job = self._keeper.waiting.get(seq)
        if job is None:
            return False
        task = self._tasks.get(job[1])
        if task is None:
            return job[1] == STEP_TASK
        return not task.definition.signature.is_async and job[3] != "thread"

    def _take(self, seq: int | None) -> None:
        if seq is None:
            self._stopping = True
            return
        job = self._keeper.waiting.pop(seq, None)
        if job is None:
            return  # withdrawn
        task = self._tasks.get(job[1])
        if task is None and job[1] == STEP_TASK:
            self._run_step(job)
        elif task is None:
            self._marks.set(seq)
            self._reporter.add(seq, job[1], finish_error(unknown_task_error(job[1])), 0.0)
        elif task.definition.signature.is_async:
            self._start_async(job, task.definition)
        elif job[3] == "thread":
            self._start_thread(job, task.definition)
        else:
            if self._reporter.holds and not self._quick.get(task.definition.name, False):
                self._reporter.flush()
            seconds = self._run(job, task.definition)
            self._quick[task.definition.name] = seconds < SLOW_TASK_S

    def _run(self, job: Job, task: TaskDefinition) -> float:
        self._marks.set(job[0])
        begun = time.perf_counter()
        if job[4] is None:
            outcome = run_def(task, job[2], self._ok_types)
        else:
            outcome = run_def_traced(task, job[2], self._ok_types, job[4])
        seconds = time.perf_counter() - begun
        self._reporter.add(job[0], job[1], outcome, seconds)
        self._look_at_memory()
        return seconds

    def _run_step(self, job: Job) -> None:
        self._reporter.flush()
        self._marks.set(job[0])
        begun = time.perf_counter()
        outcome = run_step(self._app, job[2] or "", self._ok_types)
        self._reporter.add(job[0], job[1], outcome, time.perf_counter() - begun)

    def _look_at_memory(self) -> None:
        """After a task, never during one; told once (R-039)."""
        if self._memory_limit is None:
            return
        rss = self.resident_memory()
        if rss is not None and rss >= self._memory_limit:
            self._memory_limit = None
            self._reporter.flush()
            self._keeper.send(wire.TOO_BIG, rss)

    def resident_memory(self) -> int | None:
        """Bytes that this process holds; None if that cannot be read."""
        try:
            rss: int = self._process.memory_info().rss
        except (psutil.Error, OSError):
            return None
        return rss

    def _start_async(self, job: Job, task: TaskDefinition) -> None:
        if self._loop is None:
            self._loop = EventLoopSide(
                self._reporter, self._marks, self._look_at_memory, self._ok_types, self.crash
            )
            self._keeper.on_cancel = self._loop.cancel_soon
        self._loop.start(job[0], task, job[2], job[4])

    def _start_thread(self, job: Job, task: TaskDefinition) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._concurrency, thread_name_prefix="horsies-task")
        self._threads.submit(self._run_in_thread, job, task)

    def _run_in_thread(self, job: Job, task: TaskDefinition) -> None:
        try:
            self._run(job, task)
            self._reporter.flush()
        except BaseException:
            self.crash()  # it would vanish in a future that nobody looks at
