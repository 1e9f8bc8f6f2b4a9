"""Schedule patterns: what is accepted, what is refused as HRS-205, and JSON (S-010 to S-014)."""

import datetime as dt
import json
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError
from horsies.errors.report import MultipleValidationErrors
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
    IntervalSchedule,
    Month,
    MonthlySchedule,
    SchedulePattern,
    Weekday,
    WeeklySchedule,
)
from horsies.schedule.cron_terms import MonthTerm, NumericTerm
from horsies.schedule.day_selectors import AnyDaySelector
from horsies.schedule.patterns import AnyPattern
from tests.core.schedule.random_patterns import pattern_near

PATTERN: TypeAdapter[AnyPattern] = TypeAdapter(SchedulePattern)
NINE = dt.time(9)


def cron(
    *,
    minute: list[NumericTerm] | None = None,
    hour: list[NumericTerm] | None = None,
    month: list[MonthTerm] | None = None,
    day: AnyDaySelector | None = None,
) -> CronSchedule:
    return CronSchedule(
        minute=[CronEvery()] if minute is None else minute,
        hour=[CronEvery()] if hour is None else hour,
        month=[CronEvery()] if month is None else month,
        day=day or EveryDay(),
    )


def problems(build: Callable[[], object]) -> list[str]:
    """The messages of the HRS-205 errors that building raises."""
    with pytest.raises(HorsiesError) as caught:
        build()
    error = caught.value
    errors = error.report.errors if isinstance(error, MultipleValidationErrors) else [error]
    assert all(isinstance(each, ConfigurationError) for each in errors)
    assert all(each.code is ErrorCode.CONFIG_INVALID_SCHEDULE for each in errors)
    return [each.message for each in errors]


# --- terms, selectors, cron ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CronStep(step=0), "CronStep: step must be at least 1, not 0"),
        (lambda: CronEnumStep[Month](step=-1), "step must be at least 1, not -1"),
        (lambda: CronValues(values=[]), "values is empty"),
        (lambda: CronEnumValues[Weekday](values=[]), "values is empty"),
        (lambda: CronRange(start=10, end=9), "start 10 is after end 9"),
        (lambda: CronRange(start=1, end=9, step=0), "step must be at least 1"),
        (
            lambda: CronEnumRange[Weekday](start=Weekday.FRIDAY, end=Weekday.MONDAY),
            "start friday is after end monday",
        ),
        (
            lambda: CronEnumRange[Month](start=Month.DECEMBER, end=Month.FEBRUARY),
            "start december is after end february",
        ),
        (lambda: cron(minute=[CronValues(values=[60])]), "minute[0].values: 60 is outside 0-59"),
        (lambda: cron(minute=[CronValues(values=[-1])]), "minute[0].values: -1 is outside 0-59"),
        (
            lambda: cron(minute=[CronEvery(), CronRange(start=0, end=60)]),
            "minute[1].end: 60 is outside 0-59",
        ),
        (lambda: cron(minute=[CronStep(step=60)]), "minute[0].step must be at most 59, not 60"),
        (lambda: cron(hour=[CronValues(values=[24])]), "hour[0].values: 24 is outside 0-23"),
        (lambda: cron(hour=[CronStep(step=24)]), "hour[0].step must be at most 23, not 24"),
        (lambda: cron(month=[CronEnumStep[Month](step=12)]), "month[0].step must be at most 11, not 12"),
        (
            lambda: cron(month=[CronEnumRange[Month](start=Month.MAY, end=Month.JUNE, step=12)]),
            "month[0].step must be at most 11",
        ),
        (lambda: cron(minute=[]), "minute is empty"),
        (lambda: cron(hour=[]), "hour is empty"),
        (lambda: cron(month=[]), "month is empty"),
        (lambda: ByMonthDay(day_of_month=[]), "day_of_month is empty"),
        (
            lambda: ByMonthDay(day_of_month=[CronValues(values=[0])]),
            "day_of_month[0].values: 0 is outside 1-31",
        ),
        (lambda: ByMonthDay(day_of_month=[CronStep(step=31)]), "day_of_month[0].step must be at most 30"),
        (lambda: ByWeekday(day_of_week=[]), "day_of_week is empty"),
        (
            lambda: ByWeekday(day_of_week=[CronEnumStep[Weekday](step=7)]),
            "day_of_week[0].step must be at most 6",
        ),
    ],
)
def test_impossible_terms_are_refused(build: Callable[[], object], message: str) -> None:
    """S-012: domains, order, steps and their spans, empty lists."""
    (found,) = problems(build)
    assert message in found


@pytest.mark.parametrize(
    "build",
    [
        lambda: cron(minute=[CronStep(step=59)], hour=[CronStep(step=23)]),
        lambda: cron(month=[CronEnumStep[Month](step=11)]),
        lambda: cron(minute=[CronRange(start=0, end=59, step=59), CronRange(start=5, end=5)]),
        lambda: ByMonthDay(day_of_month=[CronStep(step=30)]),
        lambda: ByWeekday(day_of_week=[CronEnumStep[Weekday](step=6)]),
    ],
)
def test_the_widest_allowed_terms_are_accepted(build: Callable[[], object]) -> None:
    """S-012: the bounds themselves."""
    build()


FEBRUARY: list[MonthTerm] = [CronEnumValues[Month](values=[Month.FEBRUARY])]
FRIDAY = [CronEnumValues[Weekday](values=[Weekday.FRIDAY])]


def test_a_day_that_no_selected_month_has_is_refused() -> None:
    """S-013: for ByMonthDay and BothDays."""
    (found,) = problems(
        lambda: cron(month=FEBRUARY, day=ByMonthDay(day_of_month=[CronRange(start=30, end=31)]))
    )
    assert "day.day_of_month: no selected month has a day 30" in found
    thirty_one: list[NumericTerm] = [CronValues(values=[31])]
    short: list[MonthTerm] = [CronEnumValues[Month](values=[Month.APRIL, Month.JUNE, Month.FEBRUARY])]
    by_number = ByMonthDay(day_of_month=thirty_one)
    both = BothDays(day_of_month=thirty_one, day_of_week=FRIDAY)
    assert len(problems(lambda: cron(month=short, day=by_number))) == 1
    assert len(problems(lambda: cron(month=short, day=both))) == 1


def test_days_that_exist_sometimes_are_accepted() -> None:
    """S-013: February 29, EitherDay, and a list of which some day exists."""
    leap_day: list[NumericTerm] = [CronValues(values=[29])]
    cron(month=FEBRUARY, day=ByMonthDay(day_of_month=leap_day))
    cron(month=FEBRUARY, day=BothDays(day_of_month=leap_day, day_of_week=FRIDAY))
    cron(month=FEBRUARY, day=EitherDay(day_of_month=[CronValues(values=[30])], day_of_week=FRIDAY))
    cron(month=FEBRUARY, day=ByMonthDay(day_of_month=[CronStep(step=7)]))


def test_all_problems_of_one_object_come_together() -> None:
    """S-014: each names its field."""
    found = problems(
        lambda: cron(
            minute=[CronValues(values=[60, 61])],
            hour=[CronStep(step=30)],
            month=[],
        )
    )
    assert [each.removeprefix("CronSchedule: ").split(" ")[0] for each in found] == [
        "minute[0].values:",
        "minute[0].values:",
        "hour[0].step",
        "month",
    ]
    assert len(problems(lambda: CronRange(start=5, end=2, step=0))) == 2


def test_problems_of_nested_json_come_together_too() -> None:
    """S-014: terms read as part of a schedule report with the path of their field."""
    document: dict[str, object] = {
        "type": "cron",
        "minute": [{"kind": "range", "start": 60, "end": 2}],
        "hour": [{"kind": "step", "step": 0}],
        "month": [{"kind": "enum_range", "start": "december", "end": "february"}],
        "day": {"kind": "either_day", "day_of_month": [], "day_of_week": []},
    }
    found = problems(lambda: CronSchedule.model_validate_json(json.dumps(document)))
    assert [each.removeprefix("CronSchedule: ").split(" ")[0] for each in found] == [
        "minute[0].start:",
        "minute[0].start",
        "hour[0].step",
        "month[0].start",
        "day.day_of_month",
        "day.day_of_week",
    ]


def test_enum_terms_without_a_type_argument_are_accepted() -> None:
    """Section 2: `CronEnumValues[E](values)`; which enum it is follows from the values."""
    schedule = CronSchedule(
        minute=[CronEvery()],
        hour=[CronEvery()],
        month=[CronEnumRange(start=Month.MAY, end=Month.JUNE), CronEnumStep(step=2)],
        day=ByWeekday(day_of_week=[CronEnumValues(values=[Weekday.MONDAY])]),
    )
    assert PATTERN.validate_json(schedule.model_dump_json()) == schedule


def test_a_weekday_is_no_month() -> None:
    """Section 2: enum terms belong to their field."""
    with pytest.raises(ValidationError):
        CronSchedule.model_validate(
            {
                "minute": [{"kind": "every"}],
                "hour": [{"kind": "every"}],
                "month": [{"kind": "enum_values", "values": ["monday"]}],
                "day": {"kind": "every_day"},
            }
        )


# --- the other patterns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: IntervalSchedule(seconds=0),
        lambda: IntervalSchedule(seconds=86_401),
        lambda: IntervalSchedule(minutes=1_441),
        lambda: IntervalSchedule(hours=169),
        lambda: IntervalSchedule(days=366),
        lambda: IntervalSchedule.model_validate({"seconds": True}),
        lambda: IntervalSchedule.model_validate({"weeks": 1}),
        lambda: HourlySchedule(minute=60),
        lambda: HourlySchedule(minute=0, second=60),
        lambda: HourlySchedule.model_validate({}),
        lambda: MonthlySchedule(day=0, time=NINE),
        lambda: MonthlySchedule(day=32, time=NINE),
        lambda: DailySchedule.model_validate({"time": 9}),
        lambda: DailySchedule.model_validate({"time": "25:00"}),
        lambda: WeeklySchedule.model_validate({"days": ["someday"], "time": "09:00"}),
        lambda: CronValues.model_validate({"values": ["1"]}),
    ],
)
def test_fields_out_of_their_range_are_reported_by_pydantic(build: Callable[[], object]) -> None:
    """Section 2, fields of the patterns; CF-01: wrong types and values outside the range."""
    with pytest.raises(ValidationError):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (IntervalSchedule, "at least one of seconds, minutes, hours, days"),
        (lambda: WeeklySchedule(days=[], time=NINE), "days is empty"),
        (
            lambda: WeeklySchedule(days=[Weekday.MONDAY, Weekday.SUNDAY, Weekday.MONDAY], time=NINE),
            "days names monday more than once",
        ),
        (lambda: DailySchedule(time=NINE.replace(tzinfo=dt.UTC)), "time carries a time zone"),
        (lambda: MonthlySchedule(day=1, time=NINE.replace(tzinfo=dt.UTC)), "time carries a time zone"),
        (lambda: DailySchedule.model_validate({"time": "09:00Z"}), "time carries a time zone"),
    ],
)
def test_what_pydantic_does_not_check_is_hrs_205(build: Callable[[], object], message: str) -> None:
    """Section 2 and S-010: a time with time zone, no interval at all, no or repeated weekdays."""
    (found,) = problems(build)
    assert message in found


def test_two_problems_of_a_weekly_schedule_come_together() -> None:
    """S-014."""
    assert len(problems(lambda: WeeklySchedule(days=[], time=NINE.replace(tzinfo=dt.UTC)))) == 2


def test_times_are_used_to_the_second() -> None:
    """S-010: microseconds are dropped, also from the stored pattern."""
    assert DailySchedule(time=dt.time(9, 30, 15, 999_999)).time == dt.time(9, 30, 15)
    assert DailySchedule.model_validate({"time": "09:30:15.5"}) == DailySchedule(time=dt.time(9, 30, 15))


@given(st.integers(min_value=0, max_value=2**32))
@settings(deadline=None)
def test_patterns_survive_json(seed: int) -> None:
    """Section 2: each model carries a discriminator and round-trips through JSON."""
    random = Random(seed)
    wall = dt.datetime(2024, 1, 1) + dt.timedelta(minutes=random.randrange(500_000))
    pattern: AnyPattern = pattern_near(random, wall)
    if random.random() < 0.1:
        pattern = IntervalSchedule(hours=random.randint(1, 168), seconds=random.choice([None, 30]))
    text = PATTERN.dump_json(pattern)
    assert json.loads(text)["type"] == pattern.type
    again = PATTERN.validate_json(text)
    assert again == pattern
    assert type(again) is type(pattern)


def test_patterns_cannot_change() -> None:
    """S-012 and S-014 hold for the life of an object: fields are frozen and lists become tuples."""
    values = [1, 2]
    term = CronValues(values=values)
    values.append(99)
    assert term.values == (1, 2)
    with pytest.raises(ValidationError):
        term.values = (99,)
    assert hash(term) == hash(CronValues(values=[1, 2]))
