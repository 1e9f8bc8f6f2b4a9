"""What a scheduler counts (S-074). Labels are names of configured schedules, so there are as many as it has."""

from collections import Counter
from typing import Literal

type ErrorKind = Literal["calculation", "row", "transient", "permanent"]


class SchedulerMetrics:
    """Counters of one scheduler; everything happens in its event loop.

    Attributes:
        leader: Whether it leads.
        fired: Tasks enqueued, by schedule.
        missed: Slots dropped for being late, by schedule.
        errors: Failures by schedule and kind. `calculation`: no slot could be computed; `row`: its row could not be
            made or brought up to date; `transient`: a slot is tried again; `permanent`: a slot was given up.
        lag_s: Seconds the oldest due slot was late when the last tick began.
    """

    def __init__(self) -> None:
        self.leader = False
        self.fired: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.errors: Counter[tuple[str, ErrorKind]] = Counter()
        self.lag_s = 0.0

    def failed(self, schedule: str, kind: ErrorKind) -> None:
        """Something went wrong with a schedule."""
        self.errors[schedule, kind] += 1
