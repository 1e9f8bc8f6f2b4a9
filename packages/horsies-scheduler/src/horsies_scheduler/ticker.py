"""One tick: read what is due, fire it, oldest first (08 section 6)."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from horsies.actions import Database
from horsies.ops.schedules import DueSchedule, due_schedules, seconds_to_next
from horsies.scheduled_send import ScheduledSend
from horsies_scheduler.failures import is_outage
from horsies_scheduler.firing import Firing
from horsies_scheduler.metrics import SchedulerMetrics

logger = logging.getLogger("horsies.scheduler")

LANES = 4
"""Schedules fired at a time: 10,000 due at once take 2.6 s, one by one 4.8 s (two cores, shared with the server)."""
LEAST_PAUSE_S = 0.05
WAKE_LATE_S = 0.001
"""A timer that runs out a moment early would find nothing due."""


class Ticker:
    """Fires the due ones of the configured schedules."""

    def __init__(
        self,
        database: Database,
        sends: Iterable[ScheduledSend],
        metrics: SchedulerMetrics,
        may_fire: Callable[[], bool] = lambda: True,
    ) -> None:
        """Args: may_fire: asked before every slot; once it is false, the tick ends."""
        self._database = database
        self._sends = {send.schedule.name: send for send in sends}
        self._metrics = metrics
        self._may_fire = may_fire
        self._firing = Firing(database, metrics, may_fire)
        self._taken: dict[str, str] = {}

    async def tick(self) -> None:
        """Fire what is due now. One schedule's failure stops neither the others nor the tick (S-055).

        Raises:
            psycopg.Error: the database is away.
        """
        found = await self._database.run_async(due_schedules(self._database.now))
        due = [each for each in found if each.name in self._sends]
        late = ((each.now - each.next_run_at).total_seconds() for each in due if each.next_run_at is not None)
        self._metrics.lag_s = max(late, default=0.0)
        waiting = iter([each for each in due if self._is_ours(each)])
        failures = await asyncio.gather(*(self._fire_from(waiting) for _ in range(min(LANES, len(due)))))
        for failure in failures:
            if failure is not None:
                raise failure

    async def pause(self, at_most: float) -> float:
        """Seconds until the next tick: until a slot is due, but neither too soon nor later than the next look.

        Waiting for the look alone would, at a period near the interval between looks, now and then find two slots due
        and drop one of them.

        Raises:
            psycopg.Error: the database is away.
        """
        if at_most <= LEAST_PAUSE_S:
            return at_most
        wait = await self._database.run_async(seconds_to_next(self._database.now))
        return at_most if wait is None else min(at_most, max(LEAST_PAUSE_S, wait + WAKE_LATE_S))

    async def _fire_from(self, waiting: Iterator[DueSchedule]) -> Exception | None:
        """Fire one after the other; what it returns is the failure of the connection that ended it."""
        for due in waiting:
            if not self._may_fire():
                return None
            try:
                await self._firing.fire(self._sends[due.name], due)
            except Exception as error:
                if is_outage(error):
                    return error
                self._metrics.failed(due.name, "transient")
                logger.exception("schedule %r could not be fired", due.name, extra={"schedule": due.name})
        return None

    def _is_ours(self, due: DueSchedule) -> bool:
        """Whether no scheduler with another configuration took the row over, to fire it by its own pattern (S-059)."""
        if due.config_hash == self._sends[due.name].row.config_hash:
            self._taken.pop(due.name, None)
            return True
        if self._taken.get(due.name) != due.config_hash:
            self._taken[due.name] = due.config_hash
            logger.warning(
                "schedule %r was taken over by a scheduler that has another pattern or time zone for it; it does not"
                " fire here as long as that one leads",
                due.name,
                extra={"schedule": due.name},
            )
        return False
