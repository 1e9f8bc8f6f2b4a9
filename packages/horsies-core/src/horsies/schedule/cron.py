"""CronSchedule: minutes, hours, days and months chosen by typed terms."""

from collections.abc import Iterator
from typing import Literal, Self

from horsies.errors.diagnostic import ConfigurationError
from horsies.schedule.cron_reader import CronTextError
from horsies.schedule.cron_terms import MonthTerm, NumericTerm, field_problems, selected
from horsies.schedule.cron_text import CronFields, format_cron, parse_cron, summarize_cron
from horsies.schedule.day_selectors import BothDays, ByMonthDay, DaySelector, selector_problems
from horsies.schedule.fields import DAY_OF_MONTH, HOUR, LONGEST_MONTH_LENGTHS, MINUTE, MONTH
from horsies.schedule.parts import Many, SchedulePart


class CronSchedule(SchedulePart):
    """Every local minute that matches minute, hour, month and day, at second 0.

    Attributes:
        minute: Terms over 0-59.
        hour: Terms over 0-23.
        month: Terms over the months.
        day: A day selector.

    Example:
        Every four hours, a quarter past, on working days::

            CronSchedule(
                minute=[CronValues(values=[15])],
                hour=[CronStep(step=4)],
                month=[CronEvery()],
                day=ByWeekday(day_of_week=[CronEnumRange(start=Weekday.MONDAY, end=Weekday.FRIDAY)]),
            )

        or ``CronSchedule.parse("15 */4 * * mon-fri")``.
    """

    type: Literal["cron"] = "cron"
    minute: Many[NumericTerm]
    hour: Many[NumericTerm]
    month: Many[MonthTerm]
    day: DaySelector

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read five-field cron text.

        Understood are numbers, names of months and weekdays, `*`, lists, ranges and steps. Sunday is
        0 or 7. When both day fields are restricted, either may match. `5/15` means `5-59/15`.
        A day of month such as `*/2` counts as restricted.

        Raises:
            CronTextError: A ValueError (and HRS-205) listing what the typed terms cannot express,
                among them `@daily` and the like, `L`, `W`, `#`, `?` and ranges that wrap.
        """
        fields = parse_cron(text)
        try:
            return cls(minute=fields.minute, hour=fields.hour, month=fields.month, day=fields.day)
        except ConfigurationError as error:
            raise CronTextError(text, [error.message]) from None

    def __str__(self) -> str:
        """Equivalent five-field cron text.

        Raises:
            ValueError: The day selector is BothDays, which cron text cannot say.
        """
        return format_cron(self._fields())

    def summary(self) -> str:
        """One line that shows minute, hour, month and the day selector with OR or AND (S-015)."""
        return summarize_cron(self._fields())

    def _fields(self) -> CronFields:
        return CronFields(self.minute, self.hour, self.month, self.day)

    def _problems(self) -> Iterator[str]:
        problems = [
            *field_problems(self.minute, MINUTE),
            *field_problems(self.hour, HOUR),
            *field_problems(self.month, MONTH),
            *selector_problems(self.day, "day."),
        ]
        yield from problems or self._impossible_days()

    def _impossible_days(self) -> Iterator[str]:
        """Days of the month that none of the months has (S-013)."""
        if not isinstance(self.day, ByMonthDay | BothDays):
            return
        months = selected(self.month, MONTH)
        longest = max(LONGEST_MONTH_LENGTHS[month] for month in months)
        first = min(selected(self.day.day_of_month, DAY_OF_MONTH))
        if first > longest:
            yield f"day.day_of_month: no selected month has a day {first} or later, so this would never run"
