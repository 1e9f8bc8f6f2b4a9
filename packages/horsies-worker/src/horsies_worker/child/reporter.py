"""Sends results to the coordinator, several to a message where many end at once."""

import threading
import time

from horsies.config.payload import PayloadPolicy
from horsies.outcome import RunOutcome
from horsies.payload_limits import oversize
from horsies_worker import wire
from horsies_worker.child.keeper import Keeper

FLUSH_AFTER_S = 0.001
FLUSH_RESULTS = 32

type Result = tuple[int, bool, str, str | None, str | None, int, str | None]
"""(seq, ok, envelope, error code, message, microseconds, trace context for a retry)"""


class Reporter:
    """Collects results; whoever runs tasks decides when to flush. Safe for several threads."""

    def __init__(self, keeper: Keeper, limits: PayloadPolicy) -> None:
        self._keeper = keeper
        self._limits = limits
        self._results: list[Result] = []
        self._lock = threading.Lock()
        self._flushed_at = time.perf_counter()
        keeper.flush = self.flush

    def add(self, seq: int, task_name: str, outcome: RunOutcome, seconds: float) -> None:
        """Keep one result for the next message; a large one is kept too, with a warning (CF-21)."""
        oversize(task_name, "result", outcome.envelope, self._limits)
        result = (
            seq,
            outcome.ok,
            outcome.envelope,
            outcome.error_code,
            outcome.error_message,
            int(seconds * 1e6),
            outcome.trace_context,
        )
        with self._lock:
            self._results.append(result)

    @property
    def holds(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._results)

    @property
    def is_due(self) -> bool:
        """Whether enough has gathered, or for long enough."""
        return len(self._results) >= FLUSH_RESULTS or time.perf_counter() - self._flushed_at > FLUSH_AFTER_S

    def flush(self) -> None:
        """Send what has gathered."""
        with self._lock:
            results, self._results = self._results, []
        self._flushed_at = time.perf_counter()
        if results:
            self._keeper.send(wire.DONE, results)
