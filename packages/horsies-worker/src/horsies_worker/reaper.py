"""The reaper: every so often it recovers what silent workers left, ends what is overdue, keeps the house (07 §8).

Every worker has one; a try-lock of each step lets one at a time work, and nothing breaks without it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from horsies.config import RecoveryConfig
from horsies.db.effects import Op
from horsies.ops import recover
from horsies.ops.recover import Recovered, RegisteredPolicy
from horsies_worker.steps import Agenda, Step

logger = logging.getLogger("horsies.worker")


class OpRunner(Protocol):
    """Runs operations on the worker's connection."""

    async def run[R](self, op: Op[R]) -> R:
        """The operation's result."""
        ...


class Reaper:
    """Runs due steps, one after the other, until cancelled."""

    name = "reaper"

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        check_interval_s: float,
        heartbeat_interval_s: float,
        clock: Callable[[], float] = time.monotonic,
        is_cut_off: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make it.

        Args:
            steps: What it does.
            check_interval_s: Seconds between two passes.
            heartbeat_interval_s: Seconds between two heartbeats of this worker.
            clock: Tells the time.
            is_cut_off: Whether this worker's own heartbeats have not been answered for too long.
        """
        self.agenda = Agenda(steps, quiet_s=2 * heartbeat_interval_s)
        self._check_interval_s = check_interval_s
        self._clock = clock
        self._is_cut_off = is_cut_off

    async def run(self) -> None:
        """Run until cancelled."""
        self.agenda.begin_quiet(self._clock())
        while True:
            await self.once()
            await asyncio.sleep(self._check_interval_s)

    async def once(self) -> None:
        """One pass."""
        if self._is_cut_off():
            # As after an outage: a process that stood still would take itself and others for dead.
            self.note_outage()
        for step in self.agenda.due(self._clock()):
            try:
                await step.run()
            except Exception as error:
                self.agenda.failed(step, self._clock(), error)
            else:
                self.agenda.succeeded(step, self._clock())

    def note_outage(self) -> None:
        """The database did not answer somebody else in this process."""
        self.agenda.begin_quiet(self._clock())


def recovery_steps(
    config: RecoveryConfig, lease_ms: int, runner: OpRunner, registered: RegisteredPolicy
) -> list[Step]:
    """R-110, R-112, R-113, as far as they are switched on.

    Args:
        config: Thresholds and switches.
        lease_ms: How long a silent worker keeps what it holds claimed (CF-17).
        runner: Runs operations.
        registered: Task name to retry policy of its registration.
    """
    every_s = config.check_interval_ms / 1000

    async def requeue_claimed() -> None:
        threshold_ms = min(lease_ms, config.claimed_stale_threshold_ms)
        _report("handed back from silent workers", await runner.run(recover.requeue_claimed(threshold_ms)))

    async def fail_running() -> None:
        op = recover.fail_stale_running(config.running_stale_threshold_ms, registered=registered)
        _report("recovered from workers that are gone", await runner.run(op))

    async def expire_pending() -> None:
        _report("expired while waiting", await runner.run(recover.expire_pending()))

    steps = [Step("the expiry of waiting tasks", every_s, expire_pending)]
    if config.auto_requeue_stale_claimed:
        steps.append(Step("the return of claimed tasks", every_s, requeue_claimed, judges_silence=True))
    if config.auto_fail_stale_running:
        steps.append(Step("the recovery of running tasks", every_s, fail_running, judges_silence=True))
    return steps


def _report(what: str, done: Recovered) -> None:
    if done.handled:
        logger.warning("%d tasks %s, %d of them will run again", done.handled, what, done.retried)
    _report_refused(done.refused)


def _report_refused(refused: Mapping[str, str]) -> None:
    for task_id, why in refused.items():
        logger.error("task %s could not be recovered and is tried again in the next pass: %s", task_id, why)
