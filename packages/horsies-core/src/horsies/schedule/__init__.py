"""Schedules: their patterns, the next occurrences of a pattern, and the models an app is configured with."""

from horsies.schedule.cron import CronSchedule
from horsies.schedule.cron_reader import CronTextError
from horsies.schedule.cron_terms import (
    CronEnumRange,
    CronEnumStep,
    CronEnumValues,
    CronEvery,
    CronRange,
    CronStep,
    CronValues,
)
from horsies.schedule.day_selectors import BothDays, ByMonthDay, ByWeekday, EitherDay, EveryDay
from horsies.schedule.fields import Month, Weekday
from horsies.schedule.models import ScheduleConfig, TaskSchedule
from horsies.schedule.occurrences import NoOccurrenceError, next_run, next_runs
from horsies.schedule.patterns import (
    DailySchedule,
    HourlySchedule,
    IntervalSchedule,
    MonthlySchedule,
    SchedulePattern,
    WeeklySchedule,
)

__all__ = [
    "BothDays",
    "ByMonthDay",
    "ByWeekday",
    "CronEnumRange",
    "CronEnumStep",
    "CronEnumValues",
    "CronEvery",
    "CronRange",
    "CronSchedule",
    "CronStep",
    "CronTextError",
    "CronValues",
    "DailySchedule",
    "EitherDay",
    "EveryDay",
    "HourlySchedule",
    "IntervalSchedule",
    "Month",
    "MonthlySchedule",
    "NoOccurrenceError",
    "ScheduleConfig",
    "SchedulePattern",
    "TaskSchedule",
    "Weekday",
    "WeeklySchedule",
    "next_run",
    "next_runs",
]
