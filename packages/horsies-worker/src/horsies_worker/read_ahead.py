"""How many tasks may wait behind a running one in an executor (R-041); pure arithmetic.

A row read ahead is RUNNING although its code has not begun, so the window is bounded by time: what an executor should
finish within two cycles, at most 50 ms of work and 128 rows, and nothing for a task that is slow or not measured yet.
"""

from dataclasses import dataclass, field

MAX_ROWS = 128
MAX_WORK_S = 0.050
SLOW_TASK_S = 0.010
WITHDRAW_AFTER_S = 0.050
"""What has waited so long behind a running task is asked back."""

_WEIGHT = 0.2  # of the newest measurement in a moving average


@dataclass(slots=True)
class ReadAhead:
    """Measured durations of one worker's tasks, and the depth that follows from them."""

    durations: dict[str, float] = field(default_factory=dict[str, float])
    cycle_s: float = 0.002
    task_s: float = SLOW_TASK_S
    depth_limit: int = 1

    def task_took(self, task_name: str, seconds: float) -> None:
        """A run of `task_name` has ended."""
        before = self.durations.get(task_name)
        self.durations[task_name] = seconds if before is None else before + _WEIGHT * (seconds - before)

    def cycle_took(self, seconds: float) -> None:
        """A round trip has been answered."""
        self.cycle_s += _WEIGHT * (seconds - self.cycle_s)

    def is_quick(self, task_name: str) -> bool:
        """Whether tasks may wait behind this one, and this one behind others."""
        return self.durations.get(task_name, SLOW_TASK_S) < SLOW_TASK_S

    def batch_came(self, task_names: list[str]) -> None:
        """Adapt to what the last claim brought: rows that may not be read ahead cost a hand-back, so the limit grows by
        doubling while all are quick and falls at once when one is not.
        """
        slow = 0
        for name in task_names:
            seconds = self.durations.get(name, SLOW_TASK_S)
            if seconds >= SLOW_TASK_S:
                slow += 1
            else:
                self.task_s += (seconds - self.task_s) / 16
        if slow:
            self.depth_limit = 1
        elif task_names:
            self.depth_limit = min(self.depth_limit * 2, MAX_ROWS)

    def depth(self) -> int:
        """Rows an executor may hold, the running one included: a power of two, so that it rarely changes."""
        per_task = max(self.task_s, 1e-6)
        by_work = int(MAX_WORK_S / per_task)
        by_cycles = int(2 * self.cycle_s / per_task) + 1
        rows = max(1, min(self.depth_limit, by_work, by_cycles, MAX_ROWS))
        return 1 << (rows.bit_length() - 1)
