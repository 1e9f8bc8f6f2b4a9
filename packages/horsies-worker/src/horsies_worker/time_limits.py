"""Time limits of runs: `timeout_ms`, from the moment a task is first in line in its executor (T-53, R-080 to R-083)."""

import asyncio
import logging

from horsies_worker.executor_process import ExecutorProcess, KillReason
from horsies_worker.flight import Flight

logger = logging.getLogger("horsies.worker")

CANCEL_GRACE_S = 5.0
"""What a cancelled async task has to end by itself before its process is killed."""


class TimeLimits:
    """Stops runs whose time is up. A result that comes first wins."""

    def __init__(self) -> None:
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._over: dict[str, Flight] = {}

    def begin(self, executor: ExecutorProcess, flight: Flight) -> None:
        """The flight is first in line from now on."""
        if flight.timeout_ms is not None and flight.seq not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[flight.seq] = loop.call_later(
                flight.timeout_ms / 1000, self._time_is_up, executor, flight
            )

    def end(self, flight: Flight) -> bool:
        """The run has ended; whether its time was up."""
        timer = self._timers.pop(flight.seq, None)
        if timer is not None:
            timer.cancel()
        return self._over.pop(flight.id, None) is not None

    def _time_is_up(self, executor: ExecutorProcess, flight: Flight) -> None:
        if executor.flights.get(flight.seq) is not flight:
            return
        logger.warning("task %s (%s) ran over its %s ms", flight.id, flight.task_name, flight.timeout_ms)
        self._over[flight.id] = flight
        stop_run(executor, flight, "timeout")


def stop_run(executor: ExecutorProcess, flight: Flight, reason: KillReason) -> None:
    """Cancel an async task, and kill its process if it does not end; kill at once what cannot be cancelled (R-081)."""
    if flight.kind != "async":
        executor.kill(reason)
        return
    executor.cancel(flight.seq)
    asyncio.get_running_loop().call_later(CANCEL_GRACE_S, _kill_if_still_there, executor, flight, reason)


def _kill_if_still_there(executor: ExecutorProcess, flight: Flight, reason: KillReason) -> None:
    if executor.flights.get(flight.seq) is flight:
        executor.kill(reason)
