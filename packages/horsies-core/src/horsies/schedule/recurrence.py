"""A local pattern as days and times of day: the search passes over days without looking at times."""

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from horsies.schedule.cron import CronSchedule
from horsies.schedule.cron_terms import selected
from horsies.schedule.day_selectors import (
    AnyDaySelector,
    BothDays,
    ByMonthDay,
    ByWeekday,
    EitherDay,
    EveryDay,
)
from horsies.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, number_of
from horsies.schedule.patterns import (
    DailySchedule,
    HourlySchedule,
    LocalPattern,
    MonthlySchedule,
    WeeklySchedule,
)
from horsies.schedule.zones import DAY, EPOCH_ORDINAL

_ALL_MONTHS = frozenset(range(1, 13))
_ANY = frozenset(range(32))


@dataclass(frozen=True, slots=True)
class DaySet:
    """Local dates by month, day of month and weekday.

    Attributes:
        months: Months that count, 1-12.
        numbers: Days of the month that count.
        weekdays: Weekdays that count, Monday 0.
        either: A day needs the number or the weekday, else both.
    """

    months: frozenset[int] = _ALL_MONTHS
    numbers: frozenset[int] = _ANY
    weekdays: frozenset[int] = _ANY
    either: bool = False

    def __contains__(self, day: int) -> bool:
        date = dt.date.fromordinal(day + EPOCH_ORDINAL)
        return date.day in self.in_month(date.year, date.month)

    def in_month(self, year: int, month: int) -> tuple[int, ...]:
        """The matching days of one month."""
        if month not in self.months:
            return ()
        first = dt.date(year, month, 1)
        following = dt.date(year, month + 1, 1) if month < 12 else dt.date(year, 12, 31)
        length = (following - first).days + (month == 12)
        return _matching_numbers(self, length, first.weekday())

    def matches(self, number: int, weekday: int) -> bool:
        """Whether a day with this number and weekday counts, in a month that does."""
        by_number, by_weekday = number in self.numbers, weekday in self.weekdays
        return by_number or by_weekday if self.either else by_number and by_weekday

    def first_from(self, day: int, limit: int) -> int | None:
        """The first matching day from `day` up to `limit`, both included."""
        date = dt.date.fromordinal(day + EPOCH_ORDINAL)
        year, month, earliest = date.year, date.month, date.day
        end = dt.date.fromordinal(limit + EPOCH_ORDINAL)
        while (year, month) <= (end.year, end.month):
            for number in self.in_month(year, month):
                if number >= earliest:
                    found = dt.date(year, month, number).toordinal() - EPOCH_ORDINAL
                    return found if found <= limit else None
            earliest = 1
            year, month = self._next_month(year, month)
        return None

    def _next_month(self, year: int, month: int) -> tuple[int, int]:
        later = [each for each in self.months if each > month]
        return (year, min(later)) if later else (year + 1, min(self.months))


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a local pattern asks of a local clock.

    Attributes:
        days: Matching dates.
        times: Matching times as seconds after midnight, ascending.
        repeats: Fires again when the clock shows a time for the second time (S-022), else the first time
            only (S-021).
    """

    days: DaySet
    times: tuple[int, ...]
    repeats: bool

    def readings(self, start: int, end: int) -> Iterator[int]:
        """Matching readings of the local clock from `start` to before `end`, ascending."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            if day in self.days:
                midnight = day * DAY
                first = bisect_left(self.times, start - midnight)
                last = bisect_left(self.times, end - midnight)
                for time in self.times[first:last]:
                    yield midnight + time


@lru_cache(maxsize=512)
def recurrence(pattern: LocalPattern) -> Recurrence:
    """The days and times of a pattern."""
    match pattern:
        case HourlySchedule(minute=minute, second=second):
            times = tuple(hour * 3600 + minute * 60 + second for hour in range(24))
            return Recurrence(DaySet(), times, repeats=True)
        case DailySchedule(time=time):
            return Recurrence(DaySet(), (_seconds(time),), repeats=False)
        case WeeklySchedule(days=days, time=time):
            weekdays = frozenset(map(number_of, days))
            return Recurrence(DaySet(weekdays=weekdays), (_seconds(time),), repeats=False)
        case MonthlySchedule(day=day, time=time):
            return Recurrence(DaySet(numbers=frozenset({day})), (_seconds(time),), repeats=False)
        case CronSchedule(minute=minutes, hour=hours, month=months, day=selector):
            chosen = sorted(selected(hours, HOUR))
            return Recurrence(
                _selected_days(selector, selected(months, MONTH)),
                _times(chosen, sorted(selected(minutes, MINUTE))),
                repeats=len(chosen) == 24,
            )
        case _:
            assert_never(pattern)


def _selected_days(selector: AnyDaySelector, months: frozenset[int]) -> DaySet:
    match selector:
        case EveryDay():
            return DaySet(months)
        case ByMonthDay(day_of_month=by_number):
            return DaySet(months, selected(by_number, DAY_OF_MONTH))
        case ByWeekday(day_of_week=by_weekday):
            return DaySet(months, weekdays=selected(by_weekday, DAY_OF_WEEK))
        case EitherDay(day_of_month=by_number, day_of_week=by_weekday):
            return DaySet(
                months, selected(by_number, DAY_OF_MONTH), selected(by_weekday, DAY_OF_WEEK), either=True
            )
        case BothDays(day_of_month=by_number, day_of_week=by_weekday):
            return DaySet(months, selected(by_number, DAY_OF_MONTH), selected(by_weekday, DAY_OF_WEEK))
        case _:
            assert_never(selector)


@lru_cache(maxsize=4096)
def _matching_numbers(days: DaySet, length: int, first_weekday: int) -> tuple[int, ...]:
    """The matching days of a month with so many days and such a weekday (Monday 0) on its first."""
    return tuple(
        number for number in range(1, length + 1) if days.matches(number, (first_weekday + number - 1) % 7)
    )


def _times(hours: Iterable[int], minutes: Sequence[int]) -> tuple[int, ...]:
    return tuple(hour * 3600 + minute * 60 for hour in hours for minute in minutes)


def _seconds(time: dt.time) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second
