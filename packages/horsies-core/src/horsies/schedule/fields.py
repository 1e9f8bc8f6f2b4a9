"""The value fields of a calendar pattern: their names, bounds and the two enums."""

from dataclasses import dataclass
from enum import StrEnum


class Month(StrEnum):
    """A month of the year, in calendar order."""

    JANUARY = "january"
    FEBRUARY = "february"
    MARCH = "march"
    APRIL = "april"
    MAY = "may"
    JUNE = "june"
    JULY = "july"
    AUGUST = "august"
    SEPTEMBER = "september"
    OCTOBER = "october"
    NOVEMBER = "november"
    DECEMBER = "december"


class Weekday(StrEnum):
    """A day of the week; the week begins on Monday."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


MONTHS = tuple(Month)
WEEKDAYS = tuple(Weekday)
LONGEST_MONTH_LENGTHS = {
    month: 29 if month == 2 else 30 if month in {4, 6, 9, 11} else 31 for month in range(1, 13)
}

_NUMBERS: dict[Month | Weekday, int] = {
    **{month: number for number, month in enumerate(MONTHS, start=1)},
    **{weekday: number for number, weekday in enumerate(WEEKDAYS)},
}


@dataclass(frozen=True, slots=True)
class Domain:
    """Name and inclusive bounds of the numbers a field may hold."""

    name: str
    low: int
    high: int

    @property
    def span(self) -> int:
        """The widest step that still reaches a second value."""
        return self.high - self.low


MINUTE = Domain("minute", 0, 59)
HOUR = Domain("hour", 0, 23)
DAY_OF_MONTH = Domain("day_of_month", 1, 31)
MONTH = Domain("month", 1, 12)
DAY_OF_WEEK = Domain("day_of_week", 0, 6)


def number_of(member: Month | Weekday) -> int:
    """The number of a month (1-12) or a weekday (Monday is 0)."""
    return _NUMBERS[member]
