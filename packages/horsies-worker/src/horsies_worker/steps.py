"""Steps of recovery and upkeep, and the pure decisions about them: which is due, what a failure means (07 §8)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from horsies.transient import is_transient, reason

logger = logging.getLogger("horsies.worker")

MAX_FAILURES = 3
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a reaper does.

    Attributes:
        name: For log lines.
        every_s: Seconds between two runs.
        run: Does it once.
        judges_silence: It takes silent workers for dead; so it waits after a start and after an outage until the
            living ones have had time to beat (R-117).
    """

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]
    judges_silence: bool = False


@dataclass(slots=True)
class StepRecord:
    """What is remembered of a step."""

    ran_at: float = NEVER
    failures: int = 0  # in a row, of the kind that does not pass by itself

    @property
    def switched_off(self) -> bool:
        """Whether this process has given it up (R-118)."""
        return self.failures >= MAX_FAILURES


@dataclass(slots=True)
class Agenda:
    """The steps, when they ran, and until when nobody may be taken for dead. `now` is a monotonic time."""

    steps: Sequence[Step]
    quiet_s: float
    quiet_until: float = NEVER
    records: dict[str, StepRecord] = field(default_factory=dict[str, StepRecord])

    def begin_quiet(self, now: float) -> None:
        """After a start or an outage."""
        self.quiet_until = now + self.quiet_s

    def record(self, step: Step) -> StepRecord:
        """What is remembered of a step."""
        return self.records.setdefault(step.name, StepRecord())

    def due(self, now: float) -> list[Step]:
        """The steps to run now, in order."""
        return [step for step in self.steps if self._is_due(step, now)]

    def succeeded(self, step: Step, now: float) -> None:
        """A step ran to its end."""
        record = self.record(step)
        record.ran_at, record.failures = now, 0

    def failed(self, step: Step, now: float, error: Exception) -> None:
        """A step did not run to its end. An outage says nothing about the step, but workers may not have beaten."""
        record = self.record(step)
        record.ran_at = now
        if is_transient(error):
            self.begin_quiet(now)
            logger.warning("%s is put off, the database does not answer: %s", step.name, reason(error))
            return
        record.failures += 1
        if record.switched_off:
            logger.critical(
                "%s failed %d times in a row and is switched off in this process: %s",
                *(step.name, record.failures, reason(error)),
            )
        else:
            logger.error("%s failed (%d in a row): %s", step.name, record.failures, reason(error))

    def _is_due(self, step: Step, now: float) -> bool:
        record = self.record(step)
        if record.switched_off or (step.judges_silence and now < self.quiet_until):
            return False
        return now >= record.ran_at + step.every_s
