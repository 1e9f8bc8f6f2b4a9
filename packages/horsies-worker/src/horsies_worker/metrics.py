"""What a worker counts. Counting is a dictionary update: text for Prometheus is made when it is asked for (R-141)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

UNREGISTERED = "(unregistered)"
"""The task label of names that are not registered here: anybody may send any name, and each label is kept for ever."""

DURATION_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)
WAIT_BOUNDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0)
PASS_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


@dataclass(slots=True)
class Histogram:
    """Observations by size.

    Attributes:
        bounds: Upper bounds of the buckets, ascending; one more bucket holds the rest.
        counts: Observations in each bucket.
        total: Sum of all observations.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list[int])
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class WorkerMetrics:
    """Counters of one worker; everything happens in its event loop."""

    def __init__(
        self,
        registered: Container[str],
        slots: Callable[[], Mapping[str, int]],
    ) -> None:
        """Start at zero.

        Args:
            registered: Names of tasks that get a label of their own.
            slots: Tells how many places there are by state, when asked.
        """
        self._registered = registered
        self.slots = slots
        self.finished: Counter[tuple[str, str, str]] = Counter()
        """By task, queue and outcome (a terminal status)."""
        self.duration = Histogram(DURATION_BOUNDS)
        self.queue_wait = Histogram(WAIT_BOUNDS)
        self.claim_pass = Histogram(PASS_BOUNDS)
        self.retries = 0
        self.restarts: Counter[str] = Counter()
        self.db_errors = 0

    def task_claimed(self, waited_s: float) -> None:
        """A task was claimed after waiting so long for a worker."""
        self.queue_wait.observe(max(0.0, waited_s))

    def task_finished(self, task_name: str, queue: str, outcome: str, run_s: float | None) -> None:
        """A task ended for good; `run_s` is None if user code never ran."""
        label = task_name if task_name in self._registered else UNREGISTERED
        self.finished[label, queue, outcome] += 1
        if run_s is not None:
            self.duration.observe(run_s)

    def task_retried(self, run_s: float) -> None:
        """A run failed and is followed by another."""
        self.retries += 1
        self.duration.observe(run_s)

    def pass_took(self, seconds: float) -> None:
        """A cycle with the database took so long."""
        self.claim_pass.observe(seconds)

    def executor_restarted(self, reason: str) -> None:
        """An executor was replaced: `crash`, `timeout`, `cancel`, `count` or `memory`."""
        self.restarts[reason] += 1

    def database_failed(self) -> None:
        """A statement of the worker failed."""
        self.db_errors += 1
