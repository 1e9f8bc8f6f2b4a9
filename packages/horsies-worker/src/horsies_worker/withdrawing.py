"""Asks back what waits behind a task that turned out slow (R-041)."""

import asyncio
import time
from collections.abc import Callable, Iterable

from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.read_ahead import WITHDRAW_AFTER_S


class WaitingWatch:
    """Looks at the executors for as long as something waits in one of them."""

    def __init__(self, executors: Callable[[], Iterable[ExecutorProcess]]) -> None:
        self._executors = executors
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something waits."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WITHDRAW_AFTER_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for executor in self._executors():
            if executor.lane == "process" and len(executor.flights) > 1:
                if now - executor.first_in_line_at > WITHDRAW_AFTER_S:
                    executor.ask_back(list(executor.flights)[1:])
                self.begin()
