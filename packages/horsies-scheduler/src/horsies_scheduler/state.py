"""The rows of the configured schedules: made, brought up to date, made again if deleted (S-050 to S-059)."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
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
    missing_schedules,
)
from horsies.schedule.occurrences import next_run
from horsies.scheduled_send import ScheduledSend
from horsies.transient import reason
from horsies_scheduler.failures import is_outage
from horsies_scheduler.metrics import SchedulerMetrics

logger = logging.getLogger("horsies.scheduler")

LOOK_INTERVAL_S = 30.0
ROWS_AT_ONCE = 500
NAMES_SHOWN = 20


class ScheduleRows:
    """Keeps the rows in step with the configuration, for as long as this process leads."""

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
        self._to_compare = True
        self._look_at = 0.0
        self._strangers_named = False

    def begin(self) -> None:
        """This process leads from now on: the rows may be as another configuration left them."""
        self._to_compare = True

    async def keep(self) -> None:
        """Do what there is to do: all of it at the beginning and after a failure, else look for deleted rows.

        Raises:
            psycopg.Error: the database is away.
        """
        if self._to_compare:
            self._to_compare = not await self._compare()
        elif self._clock() >= self._look_at:
            missing = await self._database.run_async(missing_schedules(self._sends.keys()))
            self._to_compare = not await self._create([self._sends[name] for name in missing])
        else:
            return
        self._look_at = self._clock() + LOOK_INTERVAL_S

    async def _compare(self) -> bool:
        """Bring all rows up to date; whether that worked for every one."""
        known = {row.name: row for row in await self._database.run_async(known_schedules())}
        self._name_strangers(sorted(known.keys() - self._sends.keys() - self._disabled))
        disabled = [name for name in self._disabled if name in known and known[name].enabled]
        if disabled:
            await self._database.run_async(disable_schedules(disabled, self._database.now))
        complete = await self._create([send for name, send in self._sends.items() if name not in known])
        for name, send in self._sends.items():
            if name in known and _differs(known[name], send.row):
                complete &= await self._adopt(known[name], send)
        return complete

    async def _create(self, sends: Sequence[ScheduledSend]) -> bool:
        if not sends:
            return True
        rows, complete = await self._with_next_runs(sends)
        for batch in batched(rows, ROWS_AT_ONCE):
            try:
                await self._database.run_async(add_schedules(batch))
            except psycopg.Error as error:
                if is_outage(error):
                    raise
                # One of them is refused; the others get their rows one by one.
                complete = all([await self._create_one(row) for row in batch]) and complete
        return complete

    async def _create_one(self, row: tuple[ScheduleRow, datetime]) -> bool:
        try:
            await self._database.run_async(add_schedules([row]))
        except psycopg.Error as error:
            return self._fail(row[0].name, error)
        return True

    async def _with_next_runs(
        self, sends: Sequence[ScheduledSend]
    ) -> tuple[list[tuple[ScheduleRow, datetime]], bool]:
        now = await self._database.run_async(database_time(self._database.now))
        found: list[tuple[ScheduleRow, datetime]] = []
        for send in sends:
            try:
                found.append((send.row, _first_run(send, now)))
            except (ValueError, OverflowError) as problem:
                self._fail(send.row.name, problem)
        return found, len(found) == len(sends)

    async def _adopt(self, known: KnownSchedule, send: ScheduledSend) -> bool:
        """Make a row this configuration's; a new pattern or zone, or being enabled again, starts it over."""
        row, name = send.row, known.name
        now = await self._database.run_async(database_time(self._database.now))
        try:
            changed = known.config_hash != row.config_hash
            first = _first_run(send, now) if changed or not known.enabled else None
            await self._database.run_async(adopt_schedule(known, row, first, self._database.now))
        except (psycopg.Error, ValueError, OverflowError) as problem:
            return self._fail(name, problem)
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

    def _name_strangers(self, names: Sequence[str]) -> None:
        if not names or self._strangers_named:
            return
        self._strangers_named = True
        shown = ", ".join(map(repr, names[:NAMES_SHOWN]))
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        logger.warning(
            "%d schedules in the database are not in this app's configuration and are left alone: %s%s",
            len(names),
            shown,
            more,
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


def _differs(known: KnownSchedule, row: ScheduleRow) -> bool:
    stored = (known.config_hash, known.task_name, known.queue_name, known.enabled)
    return stored != (row.config_hash, row.task_name, row.queue_name, True)


def _first_run(send: ScheduledSend, now: datetime) -> datetime:
    return next_run(send.schedule.pattern, now, send.schedule.timezone)
