"""Pause, resume and list schedules: on the app, on the broker, and by functions; no scheduler needs to run (S-075)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from horsies.actions import (
    Database,
    TaskActionError,
    TaskActionErrorCode,
    TaskActionResult,
    action_failure,
    storable,
)
from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.db.effects import Op
from horsies.ops import schedules
from horsies.ops.schedules import ScheduleChange, ScheduleInfo, ScheduleRow
from horsies.result import Err, Ok
from horsies.schedule.patterns import AnyPattern
from horsies.transient import DATABASE_FAILURES, is_transient, reason

type Configured = tuple[ScheduleRow, AnyPattern] | None
"""What an app at hand knows of a schedule."""


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule after a pause or resume.

    Attributes:
        name: The schedule.
        paused: Whether it is paused now.
        changed: Whether the call changed that.
    """

    name: str
    paused: bool
    changed: bool


async def pause_schedule(
    broker: Database, name: str, by: str | None = None
) -> TaskActionResult[ScheduleState]:
    """Stop a schedule from firing, until it is resumed.

    Slots in between are not missed: they are never fired, not even by a schedule that catches up.

    Args:
        broker: The way to the database.
        name: The schedule's name.
        by: Who asks, for the record; any text.

    Returns:
        `Ok`; `Err` with `SCHEDULE_NOT_FOUND`, `DB_OPERATION_FAILED`, `SCHEMA_INCOMPATIBLE`.
    """
    return await _Change(name, by, paused=True).carry_out_async(lambda: broker)


def pause_schedule_sync(
    broker: Database, name: str, by: str | None = None
) -> TaskActionResult[ScheduleState]:
    """As `pause_schedule`, blocking."""
    return _Change(name, by, paused=True).carry_out(lambda: broker)


async def resume_schedule(
    broker: Database, name: str, by: str | None = None
) -> TaskActionResult[ScheduleState]:
    """Let a schedule fire again, from its next run after now. Arguments and results as those of `pause_schedule`."""
    return await _Change(name, by, paused=False).carry_out_async(lambda: broker)


def resume_schedule_sync(
    broker: Database, name: str, by: str | None = None
) -> TaskActionResult[ScheduleState]:
    """As `resume_schedule`, blocking."""
    return _Change(name, by, paused=False).carry_out(lambda: broker)


class ScheduleCalls(ABC):
    """Mixed into `Broker`. Nothing here raises for what the database does."""

    @abstractmethod
    def schedule_database(self) -> Database:
        """The way to the database."""

    def configured_schedule(self, name: str) -> Configured:
        """What is known here of an enabled schedule."""
        return None

    def pause_schedule(self, name: str, by: str | None = None) -> TaskActionResult[ScheduleState]:
        """Stop a schedule from firing, until it is resumed.

        Slots in between are not missed: they are never fired, not even by a schedule that catches up.

        Args:
            name: The schedule's name.
            by: Who asks, for the record; any text.

        Returns:
            `Ok`; `Err` with `SCHEDULE_NOT_FOUND`, `DB_OPERATION_FAILED`, `SCHEMA_INCOMPATIBLE`.
        """
        return self._change(name, by, paused=True).carry_out(self.schedule_database)

    async def pause_schedule_async(self, name: str, by: str | None = None) -> TaskActionResult[ScheduleState]:
        """As `pause_schedule`, for event loops."""
        return await self._change(name, by, paused=True).carry_out_async(self.schedule_database)

    def resume_schedule(self, name: str, by: str | None = None) -> TaskActionResult[ScheduleState]:
        """Let a schedule fire again, from its next run after now. Arguments and results as for `pause_schedule`."""
        return self._change(name, by, paused=False).carry_out(self.schedule_database)

    async def resume_schedule_async(
        self, name: str, by: str | None = None
    ) -> TaskActionResult[ScheduleState]:
        """As `resume_schedule`, for event loops."""
        return await self._change(name, by, paused=False).carry_out_async(self.schedule_database)

    def list_schedules(self) -> BrokerResult[list[ScheduleInfo]]:
        """Read where every schedule stands, by name; those that no scheduler has run with yet are not known."""
        try:
            return Ok(self.schedule_database().run(schedules.list_schedules()))
        except DATABASE_FAILURES as error:
            return Err(_unread(error))

    async def list_schedules_async(self) -> BrokerResult[list[ScheduleInfo]]:
        """As `list_schedules`, for event loops."""
        try:
            return Ok(await self.schedule_database().run_async(schedules.list_schedules()))
        except DATABASE_FAILURES as error:
            return Err(_unread(error))

    def _change(self, name: str, by: str | None, *, paused: bool) -> "_Change":
        return _Change(name, by, paused=paused, configured=self.configured_schedule(name))


@dataclass(frozen=True, slots=True)
class _Change:
    """A pause or resume that is to be carried out."""

    name: str
    by: str | None
    paused: bool
    configured: Configured = None

    def carry_out(self, database: Callable[[], Database]) -> TaskActionResult[ScheduleState]:
        if storable(self.name) != self.name:
            return Err(self._not_found())
        try:
            broker = database()
            return self._judge(broker.run(self._op(broker.now)))
        except (*DATABASE_FAILURES, ValueError) as error:
            return Err(self._failed(error))

    async def carry_out_async(self, database: Callable[[], Database]) -> TaskActionResult[ScheduleState]:
        if storable(self.name) != self.name:
            return Err(self._not_found())
        try:
            broker = database()
            return self._judge(await broker.run_async(self._op(broker.now)))
        except (*DATABASE_FAILURES, ValueError) as error:
            return Err(self._failed(error))

    def _op(self, now: datetime | None) -> Op[ScheduleChange]:
        if self.paused:
            return schedules.pause_schedule(self.name, storable(self.by), self.configured, now)
        return schedules.resume_schedule(self.name, storable(self.by), now)

    def _judge(self, done: ScheduleChange) -> TaskActionResult[ScheduleState]:
        if not done.known and self.configured is None:
            return Err(self._not_found())
        return Ok(ScheduleState(self.name, self.paused, done.changed))

    def _not_found(self) -> TaskActionError:
        message = (
            f"there is no schedule {self.name!r}: no scheduler has run with it, and no app at hand has it in its"
            " configuration"
        )
        return TaskActionError(TaskActionErrorCode.SCHEDULE_NOT_FOUND, message)

    def _failed(self, error: Exception) -> TaskActionError:
        what = f"schedule {self.name!r} could not be {'paused' if self.paused else 'resumed'}"
        return action_failure(what, error)


def _unread(error: Exception) -> BrokerOperationError:
    return BrokerOperationError(
        BrokerErrorCode.MONITORING_QUERY_FAILED,
        f"the schedules could not be read: {reason(error)}",
        retryable=is_transient(error),
        exception=error,
    )
