"""A second opinion on schedules: look at a local clock minute by minute and ask each reading whether it matches.

Written from the definition of the patterns and without their code, so that both must be wrong alike to agree.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from horsies.schedule import (
    BothDays,
    ByMonthDay,
    ByWeekday,
    CronEnumRange,
    CronEnumStep,
    CronEnumValues,
    CronEvery,
    CronRange,
    CronSchedule,
    CronStep,
    CronValues,
    DailySchedule,
    EitherDay,
    EveryDay,
    HourlySchedule,
    Month,
    MonthlySchedule,
    Weekday,
    WeeklySchedule,
)
from horsies.schedule.cron_terms import Term
from horsies.schedule.patterns import LocalPattern

SECOND = dt.timedelta(seconds=1)
MINUTE = dt.timedelta(minutes=1)
_FIRST_YEAR, _LAST_YEAR = 1990, 2040
# Shorter than the pause that summer time makes for Ramadan; the few shorter periods are left out.
_SAMPLE = dt.timedelta(days=25)
_POSITIONS: dict[Month | Weekday, int] = {
    **{month: number for number, month in enumerate(Month)},
    **{weekday: number for number, weekday in enumerate(Weekday)},
}


def term_matches(term: Term, value: int, low: int) -> bool:
    """Whether a field showing `value`, whose first value is `low`, satisfies the term."""
    match term:
        case CronEvery():
            return True
        case CronStep(step=step) | CronEnumStep(step=step):
            return (value - low) % step == 0
        case CronValues(values=values):
            return value in values
        case CronEnumValues(values=members):
            return value in [_position(member) + low for member in members]
        case CronRange(start=first, end=last, step=step):
            return first <= value <= last and (value - first) % step == 0
        case CronEnumRange(start=first, end=last, step=step):
            begin, end = _position(first) + low, _position(last) + low
            return begin <= value <= end and (value - begin) % step == 0


def scan(pattern: LocalPattern, walls: Iterable[tuple[dt.datetime, dt.datetime]]) -> list[dt.datetime]:
    """All occurrences within consecutive minutes, given as UTC instant and naive local reading."""
    minutes, hours, seconds = _clock_values(pattern)
    both_times = isinstance(pattern, HourlySchedule | CronSchedule) and len(hours) == 24

    @cache
    def on_date(date: dt.date) -> bool:
        return _date_matches(pattern, date)

    seen: set[dt.datetime] = set()
    found: list[dt.datetime] = []
    for instant, wall in walls:
        if wall.minute in minutes and wall.hour in hours and on_date(wall.date()):
            if both_times or wall not in seen:
                found.append(instant + dt.timedelta(seconds=seconds))
            seen.add(wall)
    return found


def clock(zone: ZoneInfo, start: dt.datetime, end: dt.datetime) -> list[tuple[dt.datetime, dt.datetime]]:
    """Each minute from `start` to before `end` with the reading of the zone's clock."""
    minutes = (end - start) // MINUTE
    instants = (start + MINUTE * number for number in range(minutes))
    return [(instant, instant.astimezone(zone).replace(tzinfo=None, fold=0)) for instant in instants]


@cache
def all_zones() -> tuple[str, ...]:
    """Every zone of the tz database on this machine."""
    return tuple(sorted(available_timezones() - {"localtime"}))


@cache
def offset_changes(key: str) -> tuple[tuple[dt.datetime, dt.timedelta, dt.timedelta], ...]:
    """When a zone changed its offset, years 1990-2040: the instant and the offsets before and after."""
    zone = ZoneInfo(key)
    return tuple(_search_changes(zone))


def _search_changes(zone: ZoneInfo) -> Iterator[tuple[dt.datetime, dt.timedelta, dt.timedelta]]:
    start = dt.datetime(_FIRST_YEAR, 1, 1, tzinfo=dt.UTC)
    samples = (dt.datetime(_LAST_YEAR, 12, 31, tzinfo=dt.UTC) - start) // _SAMPLE
    instants = [start + _SAMPLE * number for number in range(samples + 1)]
    offsets = [_offset(zone, instant) for instant in instants]
    for (earlier, before), (later, after) in pairwise(zip(instants, offsets, strict=True)):
        if before == after:
            continue
        low, high = 0, (later - earlier) // SECOND
        while high - low > 1:
            middle = (low + high) // 2
            if _offset(zone, earlier + SECOND * middle) == before:
                low = middle
            else:
                high = middle
        yield earlier + SECOND * high, before, after


def _offset(zone: ZoneInfo, instant: dt.datetime) -> dt.timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _clock_values(pattern: LocalPattern) -> tuple[set[int], set[int], int]:
    """Minutes and hours in which the pattern occurs, and the second."""
    match pattern:
        case HourlySchedule(minute=minute, second=second):
            return {minute}, set(range(24)), second
        case CronSchedule(minute=minutes, hour=hours):
            return (
                {minute for minute in range(60) if _any(minutes, minute, 0)},
                {hour for hour in range(24) if _any(hours, hour, 0)},
                0,
            )
        case _:
            return {pattern.time.minute}, {pattern.time.hour}, pattern.time.second


def _date_matches(pattern: LocalPattern, date: dt.date) -> bool:
    match pattern:
        case HourlySchedule() | DailySchedule():
            return True
        case WeeklySchedule(days=days):
            return list(Weekday)[date.weekday()] in days
        case MonthlySchedule(day=day):
            return date.day == day
        case CronSchedule(month=months):
            return _any(months, date.month, 1) and _day_matches(pattern, date)


def _day_matches(pattern: CronSchedule, date: dt.date) -> bool:
    match pattern.day:
        case EveryDay():
            return True
        case ByMonthDay(day_of_month=numbers):
            return _any(numbers, date.day, 1)
        case ByWeekday(day_of_week=weekdays):
            return _any(weekdays, date.weekday(), 0)
        case EitherDay(day_of_month=numbers, day_of_week=weekdays):
            return _any(numbers, date.day, 1) or _any(weekdays, date.weekday(), 0)
        case BothDays(day_of_month=numbers, day_of_week=weekdays):
            return _any(numbers, date.day, 1) and _any(weekdays, date.weekday(), 0)


def _any(terms: Iterable[Term], value: int, low: int) -> bool:
    return any(term_matches(term, value, low) for term in terms)


def _position(member: Month | Weekday) -> int:
    return _POSITIONS[member]
