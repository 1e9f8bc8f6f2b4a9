"""Next occurrences away from clock changes: intervals, bounds of the search, misuse."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from horsies.schedule import (
    BothDays,
    CronEnumRange,
    CronEnumValues,
    CronRange,
    CronSchedule,
    CronValues,
    DailySchedule,
    IntervalSchedule,
    Month,
    MonthlySchedule,
    NoOccurrenceError,
    Weekday,
    WeeklySchedule,
    next_run,
    next_runs,
    occurrences,
    zones,
)
from horsies.schedule.recurrence import DaySet
from horsies.schedule.zones import Stretch


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def both_days(days: list[int], weekday: Weekday, month: Month, hour: int, minute: int) -> CronSchedule:
    return CronSchedule(
        minute=[CronValues(values=[minute])],
        hour=[CronValues(values=[hour])],
        month=[CronEnumValues[Month](values=[month])],
        day=BothDays(
            day_of_month=[CronValues(values=days)], day_of_week=[CronEnumValues[Weekday](values=[weekday])]
        ),
    )


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many months the search looked at, and how many days it looked at with their times of day."""
    counts: Counter[str] = Counter()
    in_month, stretches = DaySet.in_month, zones.stretches

    def counted_months(self: DaySet, year: int, month: int) -> tuple[int, ...]:
        counts["months"] += 1
        return in_month(self, year, month)

    def counted_days(zone: dt.tzinfo, day: int) -> tuple[Stretch, ...]:
        counts["days"] += 1
        return stretches(zone, day)

    monkeypatch.setattr(DaySet, "in_month", counted_months)
    monkeypatch.setattr(occurrences, "stretches", counted_days)
    return counts


@pytest.mark.parametrize(
    ("pattern", "seconds"),
    [
        (IntervalSchedule(seconds=1), 1),
        (IntervalSchedule(minutes=90), 5_400),
        (IntervalSchedule(days=1, hours=2, minutes=3, seconds=4), 93_784),
        (IntervalSchedule(seconds=86_400, minutes=1_440, hours=168, days=365), 2 * 86_400 + 372 * 86_400),
    ],
)
def test_an_interval_is_elapsed_time_from_the_instant(pattern: IntervalSchedule, seconds: int) -> None:
    """Section 2, IntervalSchedule: the fields add up, fractions of the instant are kept, zones play no part."""
    after = utc("2025-03-08 12:00:00.250000")
    expected = [after + dt.timedelta(seconds=seconds * count) for count in (1, 2, 3)]
    assert next_runs(pattern, after, "America/New_York", 3) == expected
    assert next_run(pattern, after, "UTC") == expected[0]


def test_a_day_of_an_interval_is_86400_seconds_across_a_clock_change() -> None:
    """Section 2: `days=1` is 86 400 s."""
    noon = dt.datetime(2025, 3, 8, 12, tzinfo=ZoneInfo("America/New_York"))
    following = next_run(IntervalSchedule(days=1), noon, "America/New_York")
    assert following == utc("2025-03-09 17:00")
    assert following.astimezone(ZoneInfo("America/New_York")).hour == 13


def test_occurrences_are_strictly_later_and_in_utc() -> None:
    """Section 2: strictly later, compared as instants; the result is UTC."""
    pattern = DailySchedule(time=dt.time(9, 0, 30))
    at_nine = utc("2025-06-01 09:00:30")
    assert next_run(pattern, at_nine, "UTC") == utc("2025-06-02 09:00:30")
    assert next_run(pattern, at_nine - dt.timedelta(microseconds=1), "UTC") == at_nine
    assert next_run(pattern, at_nine + dt.timedelta(microseconds=1), "UTC") == utc("2025-06-02 09:00:30")
    berlin = at_nine.astimezone(ZoneInfo("Europe/Berlin"))
    following = next_run(pattern, berlin, "UTC")
    assert following == utc("2025-06-02 09:00:30")
    assert following.tzinfo is dt.UTC


def test_months_without_the_day_are_skipped() -> None:
    """Section 2, MonthlySchedule: never moved to the end of the month."""
    found = next_runs(MonthlySchedule(day=31, time=dt.time(0)), utc("2024-01-31 00:00"), "UTC", 4)
    assert found == [utc(f"2024-{month}-31 00:00") for month in ("03", "05", "07", "08")]
    leap = next_runs(MonthlySchedule(day=29, time=dt.time(0)), utc("2025-01-29 00:00"), "UTC", 2)
    assert leap == [utc("2025-03-29 00:00"), utc("2025-04-29 00:00")]


def test_weekly_runs_on_each_of_its_days() -> None:
    """Section 2, WeeklySchedule."""
    pattern = WeeklySchedule(days=[Weekday.FRIDAY, Weekday.MONDAY], time=dt.time(6))
    found = next_runs(pattern, utc("2025-06-02 06:00"), "UTC", 3)
    assert found == [utc("2025-06-06 06:00"), utc("2025-06-09 06:00"), utc("2025-06-13 06:00")]


def test_the_29th_of_february_on_a_friday_is_found_without_looking_at_every_day(
    examined: Counter[str],
) -> None:
    """S-016: only Februaries are looked at, and times of day only around the one matching date."""
    pattern = both_days([29], Weekday.FRIDAY, Month.FEBRUARY, 0, 0)
    assert next_runs(pattern, utc("2025-06-01 00:00"), "Europe/Berlin", 1) == [utc("2036-02-28 23:00")]
    assert examined["months"] <= 20
    assert examined["days"] <= 4


def test_a_yearly_schedule_is_found_without_looking_at_every_day(examined: Counter[str]) -> None:
    """S-016."""
    assert next_run(CronSchedule.parse("0 0 1 jan *"), utc("2025-01-01 00:00"), "UTC") == utc(
        "2026-01-01 00:00"
    )
    assert examined["months"] <= 12
    assert examined["days"] <= 4


def test_the_search_ends_after_one_calendar_cycle(examined: Counter[str]) -> None:
    """S-016: 02:30 on the last Sunday of March is skipped every year in Berlin."""
    pattern = CronSchedule(
        minute=[CronValues(values=[30])],
        hour=[CronValues(values=[2])],
        month=[CronEnumValues[Month](values=[Month.MARCH])],
        day=BothDays(
            day_of_month=[CronRange(start=25, end=31)],
            day_of_week=[CronEnumRange(start=Weekday.SUNDAY, end=Weekday.SUNDAY)],
        ),
    )
    with pytest.raises(NoOccurrenceError, match="Europe/Berlin within 400 years"):
        next_run(pattern, utc("2025-01-01 00:00"), "Europe/Berlin")
    assert next_runs(pattern, utc("2025-01-01 00:00"), "Europe/Berlin", 3) == []
    assert examined["days"] <= 2 * 3 * 401
    assert next_run(pattern, utc("2025-01-01 00:00"), "UTC") == utc("2025-03-30 02:30")


def test_the_bound_is_counted_from_each_occurrence() -> None:
    """S-016: a search over several cycles goes on as long as something occurs."""
    pattern = both_days([29], Weekday.MONDAY, Month.FEBRUARY, 0, 0)
    found = next_runs(pattern, utc("2000-01-01 00:00"), "UTC", 40)
    assert len(found) == 40
    assert found[-1].year > 2400
    assert all((each.month, each.day, each.weekday()) == (2, 29, 0) for each in found)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia", "America/Los_Angeles"])
def test_the_search_ends_at_the_end_of_the_calendar(zone: str) -> None:
    """S-016: no occurrence is no error of the calendar."""
    every_minute = CronSchedule.parse("* * * * *")
    late = utc("9999-12-31 23:58")
    assert next_runs(every_minute, late, zone, 5) == []
    assert next_runs(IntervalSchedule(days=365), late, zone, 5) == []
    assert next_run(every_minute, utc("0001-01-01 00:00"), zone) < utc("0001-01-05 00:00")


def test_public_functions_need_no_database_and_are_pure() -> None:
    """S-017: the same answer every time, and n says how many."""
    pattern, after = CronSchedule.parse("*/20 9-17 * * mon-fri"), utc("2025-06-06 16:50")
    first = next_runs(pattern, after, "Europe/Paris", 50)
    assert first == next_runs(pattern, after, "Europe/Paris", 50)
    assert len(first) == 50
    assert next_runs(pattern, after, "Europe/Paris", 0) == []
    stepped = [after]
    for _ in range(50):
        stepped.append(next_run(pattern, stepped[-1], "Europe/Paris"))
    assert stepped[1:] == first


@pytest.mark.parametrize(
    "call",
    [
        lambda: next_run(DailySchedule(time=dt.time(9)), dt.datetime(2025, 1, 1), "UTC"),
        lambda: next_run(IntervalSchedule(seconds=1), dt.datetime(2025, 1, 1), "UTC"),
        lambda: next_runs(DailySchedule(time=dt.time(9)), dt.datetime(2025, 1, 1), "UTC", 1),
    ],
)
def test_a_naive_datetime_is_refused(call: Callable[[], object]) -> None:
    """S-025."""
    with pytest.raises(ValueError, match="no time zone"):
        call()


@pytest.mark.parametrize(
    "zone",
    ["Europe/Atlantis", "", "EST6", "../UTC", "Europe", "europe/berlin\0", "right/UTC", "localtime", "ü"],
)
def test_an_unknown_zone_is_named(zone: str) -> None:
    """S-025: also for intervals, and also what is a file but not a zone."""
    for pattern in (IntervalSchedule(hours=1), DailySchedule(time=dt.time(9))):
        with pytest.raises(ValueError, match="unknown time zone") as caught:
            next_run(pattern, utc("2025-01-01 00:00"), zone)
        assert repr(zone) in str(caught.value)


def test_a_negative_number_of_occurrences_is_refused() -> None:
    """S-017."""
    with pytest.raises(ValueError, match="0 or more"):
        next_runs(DailySchedule(time=dt.time(9)), utc("2025-01-01 00:00"), "UTC", -1)


def test_every_field_of_a_cron_schedule_restricts() -> None:
    """Section 2, CronSchedule and S-011: local minutes that match all fields; terms are united."""
    pattern = CronSchedule(
        minute=[CronValues(values=[30, 0]), CronValues(values=[0])],
        hour=[CronRange(start=22, end=23)],
        month=[CronEnumValues[Month](values=[Month.DECEMBER]), CronEnumValues[Month](values=[Month.JANUARY])],
        day=CronSchedule.parse("0 0 31 * *").day,
    )
    found = next_runs(pattern, utc("2025-12-31 21:59"), "UTC", 5)
    assert found == [
        utc("2025-12-31 22:00"),
        utc("2025-12-31 22:30"),
        utc("2025-12-31 23:00"),
        utc("2025-12-31 23:30"),
        utc("2026-01-31 22:00"),
    ]
