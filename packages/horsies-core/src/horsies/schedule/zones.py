"""Time zones as the search needs them: stretches of UTC time in which the local clock runs evenly.

Seconds are counted from 1970 in UTC, and for a local clock from its own 1970-01-01 00:00; days likewise.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

DAY = 86_400
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EPOCH_ORDINAL = EPOCH.toordinal()
# A zone is at most a day away from UTC, so that near both ends of the calendar it has no local date.
FIRST_DAY = dt.date.min.toordinal() - EPOCH_ORDINAL + 2
LAST_DAY = dt.date.max.toordinal() - EPOCH_ORDINAL - 2

# Files of a zone directory that are not IANA zones: the setting of the host, and copies with leap seconds.
_NOT_ZONES = ("localtime", "posixrules", "posix/", "right/")


@dataclass(frozen=True, slots=True)
class Stretch:
    """UTC time with one offset.

    Attributes:
        start: First second.
        end: Second after the last.
        offset: Local clock minus UTC, in seconds.
        repeated: The local clock has shown these readings before.
    """

    start: int
    end: int
    offset: int
    repeated: bool


def load_zone(zone: str | ZoneInfo) -> dt.tzinfo:
    """The zone of an IANA name.

    Raises:
        ValueError: There is no such zone on this machine.
    """
    if isinstance(zone, ZoneInfo):
        return zone
    if zone == "UTC":  # also where no zone database is installed
        return dt.UTC
    try:
        if zone.startswith(_NOT_ZONES):
            raise LookupError(zone)
        return ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        raise ValueError(
            f"unknown time zone {zone!r}: give an IANA name such as 'Europe/Berlin'"
            " (zones come from the operating system or the tzdata package)"
        ) from None


@lru_cache(maxsize=4096)
def stretches(zone: dt.tzinfo, day: int) -> tuple[Stretch, ...]:
    """The UTC day as stretches, in order.

    No zone of the tz database has ever changed its offset twice within three days, so comparing the ends of
    a day finds every change, and a repeated reading belongs to a change of this day or of the day before.
    """
    start, end = day * DAY, (day + 1) * DAY
    changed_before, repeated_to = _change(zone, day - 1)[::3]
    change, before, after, repeated_until = _change(zone, day)
    cuts = sorted({start, end, *(cut for cut in (repeated_to, change, repeated_until) if start < cut < end)})
    return tuple(
        Stretch(
            first,
            last,
            before if first < change else after,
            changed_before <= first < repeated_to or change <= first < repeated_until,
        )
        for first, last in pairwise(cuts)
    )


@lru_cache(maxsize=4096)
def _change(zone: dt.tzinfo, day: int) -> tuple[int, int, int, int]:
    """The offset change of a UTC day: when, offsets before and after, until when readings repeat."""
    low, high = day * DAY, (day + 1) * DAY
    before, after = _offset(zone, low), _offset(zone, high)
    if before == after:
        return low, before, after, low
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high, before, after, high + max(before - after, 0)


def _offset(zone: dt.tzinfo, second: int) -> int:
    offset = (EPOCH + dt.timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())
