"""Cron text: what is read, what is refused with which reason, and that croniter agrees (S-018)."""

import datetime as dt
from random import Random

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
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
    CronTextError,
    CronValues,
    EitherDay,
    EveryDay,
    Month,
    Weekday,
    next_runs,
)
from horsies.schedule.recurrence import recurrence
from tests.core.schedule.random_patterns import cron_schedule, cron_text

NOON = dt.datetime(2025, 6, 1, 12, tzinfo=dt.UTC)
seeds = st.integers(min_value=0, max_value=2**32)


def same_set(one: CronSchedule, other: CronSchedule) -> bool:
    """Whether two schedules select the same times of the same days, over all layouts of a year."""
    first, second = (
        recurrence(each)  # pyright: ignore[reportArgumentType]  (frozen models are hashable)
        for each in (one, other)
    )
    months = [(year, month) for year in range(2000, 2028) for month in range(1, 13)]
    return (first.times, first.repeats) == (second.times, second.repeats) and all(
        first.days.in_month(*month) == second.days.in_month(*month) for month in months
    )


def test_the_example_is_read_into_terms_and_given_back() -> None:
    """S-018."""
    schedule = CronSchedule.parse("15 */4 * * *")
    assert schedule == CronSchedule(
        minute=[CronValues(values=[15])],
        hour=[CronStep(step=4)],
        month=[CronEvery()],
        day=EveryDay(),
    )
    assert str(schedule) == "15 */4 * * *"
    weekdays = CronSchedule.parse("15 */4 * * mon-fri")
    assert weekdays.day == ByWeekday(
        day_of_week=[CronEnumRange[Weekday](start=Weekday.MONDAY, end=Weekday.FRIDAY)]
    )
    assert str(weekdays) == "15 */4 * * mon-fri"


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "0 0 1 1 *",
        "0,30 9-17 * * mon-fri",
        "5-55/10 0-23/2 1-7,15 1-11/2 *",
        "0 0 13 * fri",
        "*/2 */3 */5 */6 *",
        "1 2 3,4,8-9,30 * sat,sun",
        "0 12 * * 5-7",
        "0 12 29 2 *",
    ],
)
def test_text_in_plain_form_is_given_back_as_it_was(text: str) -> None:
    """S-018: `str()` of what was read."""
    assert str(CronSchedule.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  0   0\t1 JAN *  ", "0 0 1 1 *"),
        ("0 0 * jan-mar,DEC SUN", "0 0 * 1-3,12 sun"),
        ("0 0 * * 0", "0 0 * * sun"),
        ("0 0 * * 7", "0 0 * * sun"),
        ("0 0 * * 0-5", "0 0 * * sun,mon-fri"),
        ("0 0 * * sun-mon", "0 0 * * sun,mon"),
        ("0 0 * * fri-sun", "0 0 * * 5-7"),
        ("0 0 * * 6-0", "0 0 * * 6-7"),
        ("0 0 * * 0-6", "0 0 * * sun,mon-sat"),
        ("0 0 * * 0-7", "0 0 * * 1-7"),
        ("0 0 * * 7-7", "0 0 * * sun"),
        # From Sunday, as cron counts; the typed step would count from Monday.
        ("0 0 * * */2", "0 0 * * sun,tue,thu,sat"),
        ("0 0 * * 0-4/2", "0 0 * * sun,tue,thu"),
        ("5/15 * 20/5 3/4 1/2", "5-59/15 * 20-31/5 3-12/4 mon-sat/2"),
        ("*/1 0-23 * * *", "* 0-23 * * *"),
        ("5,* 7-7 * * *", "* 7 * * *"),
        ("1,1 0 * * *", "1,1 0 * * *"),
    ],
)
def test_other_spellings_are_read(text: str, plain: str) -> None:
    """S-018: names, Sunday 0 or 7, steps, lists with a star."""
    schedule = CronSchedule.parse(text)
    assert str(schedule) == plain
    assert CronSchedule.parse(plain) == schedule


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("0 0 * * *", EveryDay()),
        ("0 0 */1 * */1", EveryDay()),
        ("0 0 13 * *", ByMonthDay(day_of_month=[CronValues(values=[13])])),
        ("0 0 * * fri", ByWeekday(day_of_week=[CronEnumValues[Weekday](values=[Weekday.FRIDAY])])),
        (
            "0 0 13 * fri",
            EitherDay(
                day_of_month=[CronValues(values=[13])],
                day_of_week=[CronEnumValues[Weekday](values=[Weekday.FRIDAY])],
            ),
        ),
        (
            "0 0 */10 * fri",
            EitherDay(
                day_of_month=[CronStep(step=10)],
                day_of_week=[CronEnumValues[Weekday](values=[Weekday.FRIDAY])],
            ),
        ),
    ],
)
def test_two_restricted_day_fields_mean_either(text: str, selector: object) -> None:
    """S-018."""
    assert CronSchedule.parse(text).day == selector


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@daily", "write '0 0 * * *'"),
        ("@Hourly", "write '0 * * * *'"),
        ("@reboot", "write the five fields out"),
        ("", "there are 0"),
        ("0 0 * *", "there are 4"),
        ("0 0 0 * * *", "no seconds, no years"),
        ("0 0 L * *", "last day"),
        ("0 0 L-3 * *", "last day"),
        ("0 0 LW * *", "nearest working day"),
        ("0 0 15W * *", "nearest working day"),
        ("0 0 * * 5L", "last day"),
        ("0 0 * * friL", "last day"),
        ("0 0 * * fri#2", "n-th weekday"),
        ("0 0 ? * mon", "write '*'"),
        ("50-10 * * * *", "wraps"),
        ("0 22-4 * * *", "wraps"),
        ("0 0 * dec-feb *", "wraps"),
        ("0 0 * * fri-mon", "wraps"),
        ("60 * * * *", "minute: 60 is outside 0-59"),
        ("0 24 * * *", "hour: 24 is outside 0-23"),
        ("0 0 0 * *", "day_of_month: 0 is outside 1-31"),
        ("0 0 1 13 *", "month: 13 is outside 1-12"),
        ("0 0 * * 8", "day_of_week: 8 is outside 0-7"),
        ("*/60 * * * *", "must be 1-59"),
        ("*/0 * * * *", "must be 1-59"),
        ("0 0 * * */7", "must be 1-6"),
        ("1-5/ * * * *", "not a number"),
        ("1,,2 * * * *", "not a number"),
        ("-5 * * * *", "not a number"),
        ("mon * * * *", "not a number"),
        ("0 0 * monday *", "not a number"),
        ("0 0 * jul-aug-sep *", "not a number"),
        ("0 0 30 feb *", "no selected month has a day 30"),
        ("٣ * * * *", "not a number"),
    ],
)
def test_what_typed_terms_cannot_say_is_refused_with_the_reason(text: str, reason: str) -> None:
    """S-018, S-012, S-013: a ValueError that is HRS-205 too."""
    with pytest.raises(ValueError, match="cannot read the cron text") as caught:
        CronSchedule.parse(text)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.code is ErrorCode.CONFIG_INVALID_SCHEDULE
    assert reason in str(caught.value)


def test_all_problems_of_a_text_are_reported_together() -> None:
    """S-014."""
    with pytest.raises(CronTextError) as caught:
        CronSchedule.parse("60 25-3 L dec-feb 9,fri")
    assert [reason.partition(":")[0] for reason in caught.value.reasons] == [
        "minute",
        "hour",
        "day_of_month",
        "month",
        "day_of_week",
    ]
    assert all(reason in str(caught.value) for reason in caught.value.reasons)


def test_july_is_a_month_and_no_last_day() -> None:
    """S-018: a name that ends with an L."""
    assert CronSchedule.parse("0 0 1 jul *").month == (CronEnumValues[Month](values=[Month.JULY]),)


def test_both_days_has_no_text_but_a_summary() -> None:
    """S-018, S-015."""
    both = CronSchedule(
        minute=[CronValues(values=[0, 30])],
        hour=[CronRange(start=8, end=18, step=2)],
        month=[CronEnumRange[Month](start=Month.MARCH, end=Month.MAY)],
        day=BothDays(
            day_of_month=[CronValues(values=[13])],
            day_of_week=[CronEnumValues[Weekday](values=[Weekday.FRIDAY])],
        ),
    )
    with pytest.raises(ValueError, match="BothDays has no cron text"):
        str(both)
    assert both.summary() == "minute 0,30; hour 8-18/2; month 3-5; day 13 AND weekday fri"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("15 */4 * * *", "minute 15; hour */4; month *; every day"),
        ("15 4 1,15 * *", "minute 15; hour 4; month *; day 1,15"),
        ("15 4 * 12 mon-fri", "minute 15; hour 4; month 12; weekday mon-fri"),
        ("15 4 1 * sun", "minute 15; hour 4; month *; day 1 OR weekday sun"),
    ],
)
def test_the_summary_is_one_line(text: str, summary: str) -> None:
    """S-015."""
    assert CronSchedule.parse(text).summary() == summary


@given(seeds)
@settings(deadline=None)
def test_what_was_read_survives_writing_and_reading(seed: int) -> None:
    """S-018: `parse(str(p)) == p` for what parse produced."""
    schedule = CronSchedule.parse(cron_text(Random(seed)))
    assert CronSchedule.parse(str(schedule)) == schedule


@given(seeds)
@settings(deadline=None)
def test_text_of_any_schedule_is_equivalent(seed: int) -> None:
    """S-018: whatever the terms, the text selects the same minutes and days."""
    schedule = cron_schedule(Random(seed))
    if isinstance(schedule.day, BothDays):
        with pytest.raises(ValueError, match="BothDays"):
            str(schedule)
    else:
        assert same_set(CronSchedule.parse(str(schedule)), schedule)


@pytest.mark.parametrize(
    "selector",
    [
        EitherDay(day_of_month=[CronEvery()], day_of_week=[CronEnumValues[Weekday](values=[Weekday.MONDAY])]),
        EitherDay(day_of_month=[CronStep(step=1)], day_of_week=[CronEnumStep[Weekday](step=2)]),
        EitherDay(day_of_month=[CronValues(values=[3])], day_of_week=[CronEnumStep[Weekday](step=1)]),
        EitherDay(day_of_month=[CronRange(start=1, end=31)], day_of_week=[CronEnumStep[Weekday](step=2)]),
        ByMonthDay(day_of_month=[CronValues(values=[3]), CronEvery()]),
        ByWeekday(day_of_week=[CronEnumStep[Weekday](step=2)]),
        ByWeekday(day_of_week=[CronEnumRange[Weekday](start=Weekday.SATURDAY, end=Weekday.SUNDAY)]),
    ],
)
def test_text_of_unusual_selectors_is_equivalent(selector: EitherDay | ByMonthDay | ByWeekday) -> None:
    """S-018: also where one side of "either" is every day, and steps that count from Monday."""
    schedule = CronSchedule(
        minute=[CronValues(values=[0])], hour=[CronValues(values=[0])], month=[CronEvery()], day=selector
    )
    assert same_set(CronSchedule.parse(str(schedule)), schedule)


@pytest.mark.parametrize("seed", range(4))
def test_croniter_finds_the_same_occurrences(seed: int) -> None:
    """S-018: the text as written, and the text written back, against another implementation."""
    random = Random(seed)
    for _ in range(150):
        text = cron_text(random)
        schedule = CronSchedule.parse(text)
        start = NOON + dt.timedelta(minutes=random.randrange(2_000_000))
        expected = next_runs(schedule, start, "UTC", 12)
        for written in (text, str(schedule)):
            other = croniter(written, start)
            assert [other.get_next(dt.datetime) for _ in range(12)] == expected, (text, written)
