"""Fires what one schedule owes, slot by slot, each in a transaction of its own (08 section 6)."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import psycopg

from horsies.actions import Database
from horsies.ops.schedules import DueSchedule, FireOutcome, fire_slot, pass_slots
from horsies.schedule.due import FirePlan, StalledScheduleError, plan_fire
from horsies.scheduled_send import ScheduledSend
from horsies.transient import reason
from horsies_scheduler.failures import is_outage, is_permanent
from horsies_scheduler.metrics import ErrorKind, SchedulerMetrics

logger = logging.getLogger("horsies.scheduler")

_REFUSED: dict[FireOutcome, str] = {
    "different": "a task of this slot exists with other content (PAYLOAD_MISMATCH)",
    "unreadable": "a task of this slot is being written by somebody else",
}


class Firing:
    """Fires schedules. What goes wrong with one is logged and counted; only an outage is raised."""

    def __init__(self, database: Database, metrics: SchedulerMetrics, may_fire: Callable[[], bool]) -> None:
        """Args: may_fire: asked before every slot."""
        self._database = database
        self._metrics = metrics
        self._may_fire = may_fire

    async def fire(self, send: ScheduledSend, due: DueSchedule) -> None:
        """Fire the slots that are due and wanted, in order, up to the first that fails.

        Raises:
            psycopg.Error: the database is away.
        """
        schedule = send.schedule
        try:
            plan = plan_fire(
                due.next_run_at,
                due.now,
                schedule.pattern,
                schedule.timezone,
                catch_up=schedule.catch_up_missed,
                max_runs=schedule.max_catch_up_runs,
            )
        except (ValueError, OverflowError, StalledScheduleError) as problem:
            self._fail(due, "calculation", "its slots cannot be computed", problem)
            return
        if plan.slots:
            await self._fire_all(send, due, plan)
        elif plan.missed:
            await self._drop(due, plan)

    async def _fire_all(self, send: ScheduledSend, due: DueSchedule, plan: FirePlan) -> None:
        missed = plan.missed
        for slot, following in plan.steps:
            if not self._may_fire() or not await self._fire_one(send, due, slot, following, missed):
                return
            if slot == plan.slots[0]:
                _announce(due.name, plan)
            due, missed = replace(due, next_run_at=following), 0

    async def _fire_one(
        self, send: ScheduledSend, due: DueSchedule, slot: datetime, following: datetime, missed: int
    ) -> bool:
        """Whether the slot is done and the next one may follow."""
        task = send.task_at(slot)
        try:
            outcome = await self._database.run_async(
                fire_slot(due, task, slot, following, missed, self._database.now)
            )
        except psycopg.Error as error:
            if is_outage(error):
                raise
            if is_permanent(error):
                await self._give_up(due, slot, following, missed, reason(error))
            else:
                self._fail(due, "transient", f"slot {slot.isoformat()} is tried again", error)
            return False
        if outcome in ("inserted", "same"):
            self._metrics.fired[due.name] += outcome == "inserted"
            self._metrics.missed[due.name] += missed
            logger.debug("schedule %r: slot %s is task %s", due.name, slot.isoformat(), task.id)
            return True
        if outcome == "different":
            await self._give_up(due, slot, following, missed, _REFUSED[outcome])
        elif outcome == "unreadable":
            self._metrics.failed(due.name, "transient")
            logger.warning("schedule %r: slot %s: %s", due.name, slot.isoformat(), _REFUSED[outcome])
        else:
            logger.debug("schedule %r has moved on without this scheduler", due.name)
        return False

    async def _give_up(
        self, due: DueSchedule, slot: datetime, following: datetime, missed: int, why: str
    ) -> None:
        """A slot that can never be sent: noted, and passed over (S-062, S-063)."""
        self._metrics.failed(due.name, "permanent")
        text = f"slot {slot.isoformat()} was given up: {why}"
        logger.error("schedule %r: %s", due.name, text, extra={"schedule": due.name})
        await self._pass(due, following, missed, text)

    async def _drop(self, due: DueSchedule, plan: FirePlan) -> None:
        """A backlog too long for one tick: what was looked at is dropped, and nothing stale is fired (S-065)."""
        if await self._pass(due, plan.next_run_at, plan.missed, None):
            _announce(due.name, plan)

    async def _pass(self, due: DueSchedule, following: datetime, missed: int, error: str | None) -> bool:
        try:
            moved = await self._database.run_async(
                pass_slots(due, following, missed, error, self._database.now)
            )
        except psycopg.Error as failure:
            if is_outage(failure):
                raise
            self._fail(due, "transient", "its row could not be moved on", failure)
            return False
        if moved:
            self._metrics.missed[due.name] += missed
        return moved

    def _fail(self, due: DueSchedule, kind: ErrorKind, what: str, error: Exception) -> None:
        self._metrics.failed(due.name, kind)
        logger.error("schedule %r: %s: %s", due.name, what, reason(error), extra={"schedule": due.name})


def _announce(name: str, plan: FirePlan) -> None:
    extra = {"schedule": name}
    if plan.missed:
        rest = "" if plan.slots else "; there are more, and nothing fires until it has caught up"
        logger.warning("schedule %r: %d missed slots are dropped%s", name, plan.missed, rest, extra=extra)
    if len(plan.slots) > 1:
        logger.warning("schedule %r catches up on %d slots", name, len(plan.slots), extra=extra)
    if plan.slots and plan.backlog:
        logger.warning("schedule %r: a backlog remains for the next tick", name, extra=extra)
