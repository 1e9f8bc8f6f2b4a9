"""Day selectors of a cron schedule: which days of a month count, by number, by weekday, or by both."""

from collections.abc import Iterator
from typing import Annotated, Literal, assert_never

from pydantic import Field

from horsies.schedule.cron_terms import NumericTerm, WeekdayTerm, field_problems
from horsies.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK
from horsies.schedule.parts import Many, SchedulePart


class EveryDay(SchedulePart):
    """Every day."""

    kind: Literal["every_day"] = "every_day"


class ByMonthDay(SchedulePart):
    """Days by their number in the month; a month without such a day is skipped."""

    kind: Literal["by_month_day"] = "by_month_day"
    day_of_month: Many[NumericTerm]

    def _problems(self) -> Iterator[str]:
        yield from selector_problems(self)


class ByWeekday(SchedulePart):
    """Days by weekday."""

    kind: Literal["by_weekday"] = "by_weekday"
    day_of_week: Many[WeekdayTerm]

    def _problems(self) -> Iterator[str]:
        yield from selector_problems(self)


class EitherDay(SchedulePart):
    """Days that match by their number, by weekday, or both."""

    kind: Literal["either_day"] = "either_day"
    day_of_month: Many[NumericTerm]
    day_of_week: Many[WeekdayTerm]

    def _problems(self) -> Iterator[str]:
        yield from selector_problems(self)


class BothDays(SchedulePart):
    """Days that match by their number and by weekday, such as a Friday the 13th."""

    kind: Literal["both_days"] = "both_days"
    day_of_month: Many[NumericTerm]
    day_of_week: Many[WeekdayTerm]

    def _problems(self) -> Iterator[str]:
        yield from selector_problems(self)


type AnyDaySelector = EveryDay | ByMonthDay | ByWeekday | EitherDay | BothDays
type DaySelector = Annotated[
    EveryDay | ByMonthDay | ByWeekday | EitherDay | BothDays, Field(discriminator="kind")
]


def selector_problems(selector: AnyDaySelector, prefix: str = "") -> Iterator[str]:
    """Yield the problems of a selector's fields (S-012)."""
    match selector:
        case EveryDay():
            pass
        case ByMonthDay(day_of_month=by_number):
            yield from field_problems(by_number, DAY_OF_MONTH, prefix)
        case ByWeekday(day_of_week=by_weekday):
            yield from field_problems(by_weekday, DAY_OF_WEEK, prefix)
        case (
            EitherDay(day_of_month=by_number, day_of_week=by_weekday)
            | BothDays(day_of_month=by_number, day_of_week=by_weekday)
        ):
            yield from field_problems(by_number, DAY_OF_MONTH, prefix)
            yield from field_problems(by_weekday, DAY_OF_WEEK, prefix)
        case _:
            assert_never(selector)
