"""The patterns a schedule can follow; each one defines a set of instants."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from horsies.schedule.cron import CronSchedule
from horsies.schedule.fields import Weekday
from horsies.schedule.parts import Many, SchedulePart


def _clock_reading(value: object) -> object:
    """Refuse a number, which pydantic would take as seconds after midnight: `time=9` is not nine o'clock."""
    if isinstance(value, int | float):
        raise ValueError("give a datetime.time or text such as '09:00', not a number")
    return value


def _whole_second(value: dt.time) -> dt.time:
    return value.replace(microsecond=0)


type LocalTime = Annotated[dt.time, BeforeValidator(_clock_reading), AfterValidator(_whole_second)]


class IntervalSchedule(SchedulePart):
    """Every so much elapsed time; the fields add up and time zones play no part (a day is 86 400 s)."""

    type: Literal["interval"] = "interval"
    seconds: int | None = Field(default=None, strict=True, ge=1, le=86_400)
    minutes: int | None = Field(default=None, strict=True, ge=1, le=1_440)
    hours: int | None = Field(default=None, strict=True, ge=1, le=168)
    days: int | None = Field(default=None, strict=True, ge=1, le=365)

    @property
    def period(self) -> dt.timedelta:
        """Elapsed time between two occurrences."""
        return dt.timedelta(
            days=self.days or 0, hours=self.hours or 0, minutes=self.minutes or 0, seconds=self.seconds or 0
        )

    def _problems(self) -> Iterator[str]:
        if not self.period:
            yield "give at least one of seconds, minutes, hours, days"


class HourlySchedule(SchedulePart):
    """Whenever the local clock shows this minute and second, in a repeated hour both times."""

    type: Literal["hourly"] = "hourly"
    minute: int = Field(strict=True, ge=0, le=59)
    second: int = Field(default=0, strict=True, ge=0, le=59)


class DailySchedule(SchedulePart):
    """Every day at a local time."""

    type: Literal["daily"] = "daily"
    time: LocalTime

    def _problems(self) -> Iterator[str]:
        yield from _time_problems(self.time)


class WeeklySchedule(SchedulePart):
    """On the given weekdays at a local time."""

    type: Literal["weekly"] = "weekly"
    days: Many[Weekday]
    time: LocalTime

    def _problems(self) -> Iterator[str]:
        if not self.days:
            yield "days is empty: give at least one weekday"
        repeated = sorted({day.value for day in self.days if self.days.count(day) > 1})
        if repeated:
            yield f"days names {', '.join(repeated)} more than once"
        yield from _time_problems(self.time)


class MonthlySchedule(SchedulePart):
    """On one day of the month at a local time; months without that day are skipped."""

    type: Literal["monthly"] = "monthly"
    day: int = Field(strict=True, ge=1, le=31)
    time: LocalTime

    def _problems(self) -> Iterator[str]:
        yield from _time_problems(self.time)


type LocalPattern = HourlySchedule | DailySchedule | WeeklySchedule | MonthlySchedule | CronSchedule
type AnyPattern = IntervalSchedule | LocalPattern
type SchedulePattern = Annotated[
    IntervalSchedule | HourlySchedule | DailySchedule | WeeklySchedule | MonthlySchedule | CronSchedule,
    Field(discriminator="type"),
]


def _time_problems(time: dt.time) -> Iterator[str]:
    if time.tzinfo is not None:
        yield "time carries a time zone: give the local time and set the zone on the TaskSchedule"
