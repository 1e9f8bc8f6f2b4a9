"""The rows of the configured schedules: made, brought up to date, kept so while this process leads (S-050 to S-059)."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import batched

import psycopg

from horsies.actions import Database
from horsies.ops.schedules import (
    KnownSchedule,
    ScheduleRow,
    add_schedules,
    adopt_schedule,
    database_time,
    disable_schedules,
    known_schedules,
)
from horsies.schedule.occurrences import next_run
from horsies.scheduled_send import ScheduledSend
from horsies.transient import reason
from horsies_scheduler.failures import is_outage
from horsies_scheduler.leader import group_of
from horsies_scheduler.metrics import SchedulerMetrics

logger = logging.getLogger("horsies.scheduler")

LOOK_INTERVAL_S = 30.0
ROWS_AT_ONCE = 500
NAMES_SHOWN = 20


class ScheduleRows:
    """Keeps the rows in step with the configuration, for as long as this process leads.

    Who begins to lead makes all rows of its schedules its own. From then on only those that nobody else looks after:
    of two releases that run side by side, each with a leader, the one that began last has what both know. Once it is
    gone the other has to find that out, or nobody would fire them.

    Attributes:
        group: The group of schedulers with these schedules.
    """

    def __init__(
        self,
        database: Database,
        sends: Iterable[ScheduledSend],
        disabled: Collection[str],
        metrics: SchedulerMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: disabled: names that the configuration has switched off; clock: seconds, for the pace only."""
        self._database = database
        self._sends = {send.schedule.name: send for send in sends}
        self._disabled = frozenset(disabled)
        self._metrics = metrics
        self._clock = clock
        self.group = group_of([*self._sends, *self._disabled])
        self._strangers_named = False
        self._disabled_elsewhere: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """This process leads from now on: the rows may be as another configuration left them."""
        # Names whose rows are made ours whoever has them: all of them at first, then those with which that failed.
        self._unsettled: set[str] = {*self._sends, *self._disabled}
        self._look_at = float("-inf")

    async def keep(self) -> None:
        """Look at all rows at the beginning and from time to time, in between at those that failed.

        Raises:
            psycopg.Error: the database is away.
        """
        if self._clock() >= self._look_at:
            await self._look()
            self._look_at = self._clock() + LOOK_INTERVAL_S
        elif self._unsettled:
            rows = await self._database.run_async(known_schedules(self.group, self._unsettled))
            sends = {name: send for name, send in self._sends.items() if name in self._unsettled}
            await self._bring_up_to_date(rows, sends)

    async def _look(self) -> None:
        rows = await self._database.run_async(known_schedules(self.group))
        self._name_strangers({row.name for row in rows} - self._sends.keys() - self._disabled)
        left = {row.name for row in rows if not row.enabled and not self._is_ours(row)}
        self._name_disabled(left & self._sends.keys())
        await self._bring_up_to_date(rows, self._sends)

    async def _bring_up_to_date(
        self, rows: Iterable[KnownSchedule], sends: Mapping[str, ScheduledSend]
    ) -> None:
        known = {row.name: row for row in rows}
        ours = [row for row in known.values() if self._is_ours(row)]
        disabled = [row.name for row in ours if row.enabled and row.name in self._disabled]
        if disabled:
            await self._database.run_async(disable_schedules(disabled, self.group, self._database.now))
        failed = await self._create([send for name, send in sends.items() if name not in known])
        for row in ours:
            send = sends.get(row.name)
            if send is not None and _differs(row, send.row) and not await self._adopt(row, send):
                failed.add(row.name)
        self._unsettled = failed

    def _is_ours(self, row: KnownSchedule) -> bool:
        """Whether its schedule is configured here, and this process has to see to the row."""
        configured = row.name in self._sends or row.name in self._disabled
        return configured and (row.name in self._unsettled or not row.led_by_others)

    async def _create(self, sends: Sequence[ScheduledSend]) -> set[str]:
        """Make rows; the names of those that could not be made."""
        if not sends:
            return set()
        rows, failed = await self._with_next_runs(sends)
        for batch in batched(rows, ROWS_AT_ONCE):
            try:
                await self._database.run_async(add_schedules(batch, self.group))
            except psycopg.Error as error:
                if is_outage(error):
                    raise
                # One of them is refused; the others get their rows one by one.
                failed.update([row[0].name for row in batch if not await self._create_one(row)])
        return failed

    async def _create_one(self, row: tuple[ScheduleRow, datetime]) -> bool:
        try:
            await self._database.run_async(add_schedules([row], self.group))
        except psycopg.Error as error:
            return self._fail(row[0].name, error)
        return True

    async def _with_next_runs(
        self, sends: Sequence[ScheduledSend]
    ) -> tuple[list[tuple[ScheduleRow, datetime]], set[str]]:
        now = await self._database.run_async(database_time(self._database.now))
        found: list[tuple[ScheduleRow, datetime]] = []
        failed: set[str] = set()
        for send in sends:
            try:
                found.append((send.row, _first_run(send, now)))
            except (ValueError, OverflowError) as problem:
                self._fail(send.row.name, problem)
                failed.add(send.row.name)
        return found, failed

    async def _adopt(self, known: KnownSchedule, send: ScheduledSend) -> bool:
        """Make a row this configuration's; a new pattern or zone, or being enabled again, starts it over."""
        row, name = send.row, known.name
        now = await self._database.run_async(database_time(self._database.now))
        try:
            changed = known.config_hash != row.config_hash
            first = _first_run(send, now) if changed or not known.enabled else None
            await self._database.run_async(adopt_schedule(known, row, self.group, first, self._database.now))
        except (psycopg.Error, ValueError, OverflowError) as problem:
            return self._fail(name, problem)
        if not known.enabled:
            logger.info("schedule %r was disabled and fires again", name, extra={"schedule": name})
        if changed and known.task_name != row.task_name:
            logger.warning(
                "schedule %r was that of task %r with another pattern: do two apps use the same name? It starts over"
                " with task %r",
                *(name, known.task_name, row.task_name),
                extra={"schedule": name},
            )
        elif changed:
            logger.warning(
                "schedule %r has another pattern or time zone than before and starts over; slots missed under the"
                " old one are dropped",
                name,
                extra={"schedule": name},
            )
        return True

    def _name_strangers(self, names: Collection[str]) -> None:
        if not names or self._strangers_named:
            return
        self._strangers_named = True
        logger.warning(
            "%d schedules in the database are not in this app's configuration and are left alone: %s",
            len(names),
            _listed(names),
        )

    def _name_disabled(self, names: set[str]) -> None:
        new = names - self._disabled_elsewhere
        self._disabled_elsewhere = names
        if new:
            logger.warning(
                "disabled by a scheduler of another release or app, and not fired here as long as that one leads: %s",
                _listed(new),
            )

    def _fail(self, name: str, error: Exception) -> bool:
        if is_outage(error):
            raise error
        self._metrics.failed(name, "row")
        logger.error(
            "the row of schedule %r could not be made or brought up to date; it is tried again at the next tick: %s",
            name,
            reason(error),
            extra={"schedule": name},
        )
        return False


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:NAMES_SHOWN]))
    return shown + (f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else "")


def _differs(known: KnownSchedule, row: ScheduleRow) -> bool:
    stored = (known.config_hash, known.task_name, known.queue_name, known.enabled)
    return stored != (row.config_hash, row.task_name, row.queue_name, True)


def _first_run(send: ScheduledSend, now: datetime) -> datetime:
    return next_run(send.schedule.pattern, now, send.schedule.timezone)
