"""The next occurrences of a pattern: pure functions of pattern, instant and time zone."""

import datetime as dt
from collections.abc import Iterator
from itertools import islice
from zoneinfo import ZoneInfo

from horsies.schedule.patterns import AnyPattern, IntervalSchedule
from horsies.schedule.recurrence import Recurrence, recurrence
from horsies.schedule.zones import DAY, EPOCH, FIRST_DAY, LAST_DAY, load_zone, stretches

# Days of one cycle of the calendar: what does not occur within it never does (S-016).
_CALENDAR_CYCLE = 146_097


class NoOccurrenceError(ValueError):
    """A pattern has no occurrence after an instant, in one calendar cycle of 400 years."""


def next_run(pattern: AnyPattern, after: dt.datetime, tz: str | ZoneInfo) -> dt.datetime:
    """The earliest occurrence strictly later than `after`.

    A local time that a clock change skips does not occur on that date. One that a clock change repeats
    occurs once, the first time; hourly schedules, and cron schedules for all 24 hours, occur both times.

    Args:
        pattern: Any schedule pattern.
        after: An instant, with time zone.
        tz: IANA name of the zone whose local clock counts; intervals ignore it.

    Returns:
        The instant, in UTC.

    Raises:
        ValueError: `after` has no time zone, or `tz` is unknown.
        NoOccurrenceError: A ValueError; the pattern never occurs again, such as 02:30 on each last Sunday
            of March where the clock skips that hour.
    """
    for occurrence in iter_runs(pattern, after, tz):
        return occurrence
    raise NoOccurrenceError(
        f"{pattern!r} does not occur in zone {tz} within 400 years after {after.isoformat()}"
    )


def next_runs(pattern: AnyPattern, after: dt.datetime, tz: str | ZoneInfo, n: int) -> list[dt.datetime]:
    """The next `n` occurrences strictly later than `after`, ascending; fewer if no more follow.

    Args:
        pattern: Any schedule pattern.
        after: An instant, with time zone.
        tz: IANA name of the zone whose local clock counts.
        n: How many, 0 or more.

    Raises:
        ValueError: `after` has no time zone, `tz` is unknown, or `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")
    return list(islice(iter_runs(pattern, after, tz), n))


def iter_runs(pattern: AnyPattern, after: dt.datetime, tz: str | ZoneInfo) -> Iterator[dt.datetime]:
    """All occurrences strictly later than `after`, ascending, found one by one.

    Raises:
        ValueError: At once, if `after` has no time zone or `tz` is unknown.
    """
    if after.utcoffset() is None:
        raise ValueError(f"{after.isoformat()} has no time zone, so it is not an instant: add one")
    zone = load_zone(tz)
    start = after.astimezone(dt.UTC)
    if isinstance(pattern, IntervalSchedule):
        return _elapsed(start, pattern.period)
    # Occurrences are whole seconds, so the first candidate is the first whole second after the instant.
    first = (start - EPOCH) // dt.timedelta(seconds=1) + 1
    wanted = recurrence(pattern)  # pyright: ignore[reportArgumentType]  (frozen models are hashable)
    return (EPOCH + dt.timedelta(seconds=second) for second in _occurrences(wanted, zone, first))


def _elapsed(start: dt.datetime, period: dt.timedelta) -> Iterator[dt.datetime]:
    try:
        while True:
            start += period
            yield start
    except OverflowError:
        return


def _occurrences(wanted: Recurrence, zone: dt.tzinfo, start: int) -> Iterator[int]:
    """Every occurrence from `start` on, in UTC seconds.

    Time is walked in UTC, where it never jumps, stretch by stretch; within one the local clock runs evenly,
    so that readings and instants are the same sequence.
    """
    day = max(start // DAY, FIRST_DAY)
    limit = min(day + _CALENDAR_CYCLE, LAST_DAY)
    while day <= limit:
        for stretch in stretches(zone, day):
            first = max(start, stretch.start)
            if first >= stretch.end or (stretch.repeated and not wanted.repeats):
                continue
            for reading in wanted.readings(first + stretch.offset, stretch.end + stretch.offset):
                limit = min(day + _CALENDAR_CYCLE, LAST_DAY)
                yield reading - stretch.offset
        # Local dates are at most a day away from UTC dates.
        match_day = wanted.days.first_from(day, limit)
        if match_day is None:
            return
        day = max(day + 1, match_day - 1)
