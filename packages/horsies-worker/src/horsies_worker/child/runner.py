"""Runs tasks one after the other and reports what became of them."""

import threading
import time
from collections.abc import Mapping

from horsies.outcome import RunOutcome, resolution_failure, run_task
from horsies.task import TaskFunction

from horsies_worker import wire
from horsies_worker.begin_marks import BeginMarks
from horsies_worker.child.keeper import Keeper
from horsies_worker.read_ahead import SLOW_TASK_S

FLUSH_AFTER_S = 0.001
FLUSH_RESULTS = 32

type Result = tuple[int, bool, str, str | None, str | None, int]
"""(seq, ok, envelope, error code, message, microseconds)"""


class Runner:
    """The executor's main thread: one `process` task at a time, in the order they came.

    Results are sent when nothing waits, after a millisecond, or before a task that is not known to be quick, so that
    under load many share a message and no result waits for another task's run.
    """

    def __init__(
        self, tasks: Mapping[str, TaskFunction[..., object]], keeper: Keeper, marks: BeginMarks
    ) -> None:
        self._tasks = tasks
        self._keeper = keeper
        self._marks = marks
        self._results: list[Result] = []
        self._results_lock = threading.Lock()
        self._quick: dict[str, bool] = {}
        self._flushed_at = 0.0
        keeper.flush = self.flush

    def run_until_stopped(self) -> None:
        """Returns when the coordinator wants the process to end and nothing is left to run."""
        inbox, waiting = self._keeper.inbox, self._keeper.waiting
        while True:
            seq = inbox.get()
            if seq is None:
                break
            job = waiting.pop(seq, None)
            if job is not None:
                self._run(*job)
            if self._results and (not waiting or self._flush_is_due()):
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Send the results that are held back."""
        with self._results_lock:
            results, self._results = self._results, []
        if results:
            self._keeper.send(wire.DONE, results)
        self._flushed_at = time.perf_counter()

    def _flush_is_due(self) -> bool:
        return len(self._results) >= FLUSH_RESULTS or time.perf_counter() - self._flushed_at > FLUSH_AFTER_S

    def _run(self, seq: int, task_name: str, kwargs: str | None) -> None:
        if self._results and not self._quick.get(task_name, False):
            self.flush()
        task = self._tasks.get(task_name)
        self._marks.set(seq)
        begun = time.perf_counter()
        outcome: RunOutcome = resolution_failure(task_name) if task is None else run_task(task, kwargs)
        seconds = time.perf_counter() - begun
        self._quick[task_name] = seconds < SLOW_TASK_S
        result = (
            seq,
            outcome.ok,
            outcome.envelope,
            outcome.error_code,
            outcome.error_message,
            int(seconds * 1e6),
        )
        with self._results_lock:
            self._results.append(result)
