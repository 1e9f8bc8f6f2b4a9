"""Five-field cron text to typed terms and back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import assert_never

from horsies.schedule.cron_reader import Item, read_cron
from horsies.schedule.cron_terms import (
    CronEnumRange,
    CronEnumStep,
    CronEnumValues,
    CronEvery,
    CronRange,
    CronStep,
    CronValues,
    MonthTerm,
    NumericTerm,
    Term,
    WeekdayTerm,
)
from horsies.schedule.day_selectors import (
    AnyDaySelector,
    BothDays,
    ByMonthDay,
    ByWeekday,
    EitherDay,
    EveryDay,
)
from horsies.schedule.fields import MONTHS, WEEKDAYS, Month, Weekday, number_of


@dataclass(frozen=True, slots=True)
class CronFields:
    """The fields of a cron schedule."""

    minute: Sequence[NumericTerm]
    hour: Sequence[NumericTerm]
    month: Sequence[MonthTerm]
    day: AnyDaySelector


def parse_cron(text: str) -> CronFields:
    """Read cron text into typed terms.

    Raises:
        CronTextError: The typed terms cannot express the text.
    """
    items = read_cron(text)
    return CronFields(
        minute=list(_numeric_terms(items.minute)),
        hour=list(_numeric_terms(items.hour)),
        month=list(_month_terms(items.month)),
        day=_selector(items.day_of_month, items.day_of_week),
    )


def format_cron(fields: CronFields) -> str:
    """Write the fields as cron text.

    Raises:
        ValueError: The day selector is BothDays; in cron two restricted day fields mean either.
    """
    match fields.day:
        case EveryDay():
            days = weekdays = "*"
        case ByMonthDay(day_of_month=by_number):
            days, weekdays = _text(by_number), "*"
        case ByWeekday(day_of_week=by_weekday):
            days, weekdays = "*", _weekday_text(by_weekday)
        case EitherDay(day_of_month=by_number, day_of_week=by_weekday):
            days, weekdays = _text(by_number), _weekday_text(by_weekday)
            if "*" in {days, weekdays}:
                days = weekdays = "*"
        case BothDays():
            raise ValueError(
                "BothDays has no cron text: with both day fields restricted, cron runs when either matches"
            )
        case _:
            assert_never(fields.day)
    return f"{_text(fields.minute)} {_text(fields.hour)} {days} {_text(fields.month)} {weekdays}"


def summarize_cron(fields: CronFields) -> str:
    """One line for people (S-015)."""
    match fields.day:
        case EveryDay():
            day = "every day"
        case ByMonthDay(day_of_month=by_number):
            day = f"day {_text(by_number)}"
        case ByWeekday(day_of_week=by_weekday):
            day = f"weekday {_weekday_text(by_weekday)}"
        case EitherDay(day_of_month=by_number, day_of_week=by_weekday):
            day = f"day {_text(by_number)} OR weekday {_weekday_text(by_weekday)}"
        case BothDays(day_of_month=by_number, day_of_week=by_weekday):
            day = f"day {_text(by_number)} AND weekday {_weekday_text(by_weekday)}"
        case _:
            assert_never(fields.day)
    return f"minute {_text(fields.minute)}; hour {_text(fields.hour)}; month {_text(fields.month)}; {day}"


def _numeric_terms(items: Iterable[Item]) -> Iterator[NumericTerm]:
    for values, ranges in _grouped(items):
        if values:
            yield CronValues(values=values)
        for item in ranges:
            if item.is_everything:
                yield CronEvery()
            elif item.star:
                yield CronStep(step=item.step)
            else:
                yield CronRange(start=item.first, end=item.last, step=item.step)


def _month_terms(items: Iterable[Item]) -> Iterator[MonthTerm]:
    for values, ranges in _grouped(items):
        if values:
            yield CronEnumValues[Month](values=[MONTHS[number - 1] for number in values])
        for item in ranges:
            if item.is_everything:
                yield CronEvery()
            elif item.star:
                yield CronEnumStep[Month](step=item.step)
            else:
                start, end = MONTHS[item.first - 1], MONTHS[item.last - 1]
                yield CronEnumRange[Month](start=start, end=end, step=item.step)


def _weekday_terms(items: Iterable[Item]) -> Iterator[WeekdayTerm]:
    for values, ranges in _grouped(items):
        if values:
            yield CronEnumValues[Weekday](values=[WEEKDAYS[number - 1] for number in values])
        for item in ranges:
            start, end = WEEKDAYS[item.first - 1], WEEKDAYS[item.last - 1]
            yield CronEnumRange[Weekday](start=start, end=end, step=item.step)


def _grouped(items: Iterable[Item]) -> Iterator[tuple[list[int], list[Item]]]:
    """Neighbouring single values become one list, in the order of the text."""
    for single, group in groupby(items, key=lambda item: item.first == item.last):
        members = list(group)
        yield ([item.first for item in members], []) if single else ([], members)


def _selector(days: Sequence[Item], weekdays: Sequence[Item]) -> AnyDaySelector:
    any_day = any(item.is_everything for item in days)
    any_weekday = any(item.is_everything for item in weekdays)
    if any_day and any_weekday:
        return EveryDay()
    if any_weekday:
        return ByMonthDay(day_of_month=list(_numeric_terms(days)))
    if any_day:
        return ByWeekday(day_of_week=list(_weekday_terms(weekdays)))
    return EitherDay(day_of_month=list(_numeric_terms(days)), day_of_week=list(_weekday_terms(weekdays)))


def _text(terms: Iterable[Term]) -> str:
    """A field other than the weekday: cron numbers it as the models do."""
    return _joined(_term_text(term) for term in terms)


def _term_text(term: Term) -> str:
    match term:
        case CronEvery():
            return "*"
        case CronStep(step=step) | CronEnumStep(step=step):
            return f"*{_step_text(step)}"
        case CronValues(values=numbers):
            return ",".join(map(str, numbers))
        case CronEnumValues(values=members):
            return ",".join(str(number_of(member)) for member in members)
        case CronRange(start=first, end=last, step=step):
            return f"{first}-{last}{_step_text(step)}"
        case CronEnumRange(start=start, end=end, step=step):
            return f"{number_of(start)}-{number_of(end)}{_step_text(step)}"
        case _:
            assert_never(term)


def _weekday_text(terms: Iterable[WeekdayTerm]) -> str:
    """The weekday field: by names, because cron counts from Sunday."""
    return _joined(_weekday_term_text(term) for term in terms)


def _weekday_term_text(term: WeekdayTerm) -> str:
    match term:
        case CronEvery():
            return "*"
        case CronEnumStep(step=step):
            return f"1-7{_step_text(step)}" if step > 1 else "*"
        case CronEnumValues(values=members):
            return ",".join(member.value[:3] for member in members)
        case CronEnumRange(start=start, end=Weekday.SUNDAY, step=step):
            # By name it would seem to wrap: sun is 0 in cron, and only the number 7 ends a week.
            return f"{number_of(start) + 1}-7{_step_text(step)}"
        case CronEnumRange(start=start, end=end, step=step):
            return f"{start.value[:3]}-{end.value[:3]}{_step_text(step)}"
        case _:
            assert_never(term)


def _step_text(step: int) -> str:
    return f"/{step}" if step > 1 else ""


def _joined(terms: Iterable[str]) -> str:
    texts = list(terms)
    return "*" if "*" in texts else ",".join(texts)
