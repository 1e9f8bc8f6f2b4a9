"""Occurrences around changes of the local clock, in every zone (S-020 to S-024)."""

import datetime as dt
import struct
import zoneinfo
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from horsies.schedule import (
    CronSchedule,
    DailySchedule,
    HourlySchedule,
    MonthlySchedule,
    Weekday,
    WeeklySchedule,
    next_run,
    next_runs,
)
from horsies.schedule.patterns import LocalPattern
from tests.core.schedule.clock_scan import all_zones, clock, offset_changes, scan
from tests.core.schedule.random_patterns import pattern_near

_MARGIN = dt.timedelta(minutes=150)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _agrees_with_scan(random: Random, key: str, moment: dt.datetime, shift: dt.timedelta) -> None:
    """Compare two random patterns with the scan of the clock around a moment."""
    zone = ZoneInfo(key)
    start, end = moment - abs(shift) - _MARGIN, moment + abs(shift) + _MARGIN
    walls = clock(zone, start, end)
    for _ in range(2):
        # Before the change by the old offset: inside a gap, this is a reading that does not exist.
        offset = (moment - dt.timedelta(seconds=1)).astimezone(zone).utcoffset()
        assert offset is not None
        near = moment.replace(tzinfo=None) + offset + dt.timedelta(minutes=random.randint(-90, 90))
        pattern = pattern_near(random, near)
        expected = scan(pattern, walls)
        found = next_runs(pattern, start - dt.timedelta(microseconds=1), key, len(expected) + 1)
        context = f"{pattern!r} in {key} around {moment}"
        assert [each for each in found if each < end] == expected, context
        assert all(earlier < later for earlier, later in pairwise(found)), context
        for _ in range(3):
            after = start + (end - start) * random.random()
            following = next((each for each in expected if each > after), None)
            if following is not None:
                assert next_run(pattern, after, key) == following, context
            elif len(found) > len(expected):
                assert next_run(pattern, after, key) == found[-1], context


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize("quarter", range(4))
def test_occurrences_are_those_a_scan_of_the_local_clock_finds(quarter: int, seed: int) -> None:
    """S-017, S-020, S-021, S-022, S-023, S-024: all zones, random patterns, 2000 clock changes of 1990-2040."""
    random = Random(4 * seed + quarter)
    zones = all_zones()[quarter::4]
    cases: list[tuple[str, dt.datetime, dt.timedelta]] = []
    spare: list[tuple[str, dt.datetime, dt.timedelta]] = []
    for key in zones:
        known = [(key, moment, after - before) for moment, before, after in offset_changes(key)]
        random.shuffle(known)
        cases += known[:2]
        spare += known[2:]
    cases += random.sample(spare, 500 - len(cases))
    for key in zones:
        ordinary = dt.datetime(1990, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=random.randrange(26_000_000))
        cases.append((key, ordinary, dt.timedelta(0)))
    for key, moment, shift in cases:
        _agrees_with_scan(random, key, moment, shift)


@pytest.mark.parametrize(
    "key", ["Pacific/Apia", "Pacific/Kwajalein", "Antarctica/Vostok", "Australia/Lord_Howe"]
)
def test_rare_changes_agree_with_the_scan(key: str) -> None:
    """S-024: dropped dates, shifts of seven hours and of thirty minutes, each with many patterns."""
    random = Random(key)
    for moment, before, after in sorted(offset_changes(key), key=lambda each: abs(each[2] - each[1]))[-6:]:
        for _ in range(10):
            _agrees_with_scan(random, key, moment, after - before)


NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("after", "pattern", "expected"),
    [
        ("2025-03-09 06:00", DailySchedule(time=dt.time(2, 30)), "2025-03-10 06:30"),
        (
            "2025-03-08 12:00",
            WeeklySchedule(days=[Weekday.SUNDAY], time=dt.time(2, 30)),
            "2025-03-16 06:30",
        ),
        ("2025-03-01 00:00", MonthlySchedule(day=9, time=dt.time(2, 30)), "2025-04-09 06:30"),
        ("2025-11-02 04:59", DailySchedule(time=dt.time(1, 30)), "2025-11-02 05:30"),
        ("2025-11-02 05:30", DailySchedule(time=dt.time(1, 30)), "2025-11-03 06:30"),
        ("2025-11-02 06:10", DailySchedule(time=dt.time(1, 30)), "2025-11-03 06:30"),
        ("2025-11-02 05:30", HourlySchedule(minute=30), "2025-11-02 06:30"),
        ("2025-03-09 06:30", HourlySchedule(minute=30), "2025-03-09 07:30"),
        ("2025-01-31 14:00", MonthlySchedule(day=31, time=dt.time(9)), "2025-03-31 13:00"),
    ],
)
def test_the_examples_of_the_specification(after: str, pattern: LocalPattern, expected: str) -> None:
    """S-020, S-021, S-022, S-023: the table of section 2."""
    assert next_run(pattern, utc(after), NEW_YORK) == utc(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # All 24 hours: 01:15 in summer time, then 01:15 in standard time.
        ("15 * * * *", ["2025-11-02 05:15", "2025-11-02 06:15", "2025-11-02 07:15"]),
        ("15 */1 * * *", ["2025-11-02 05:15", "2025-11-02 06:15", "2025-11-02 07:15"]),
        ("15 0-11,12-23 * * *", ["2025-11-02 05:15", "2025-11-02 06:15", "2025-11-02 07:15"]),
        # 23 of 24 hours: the repeated hour once.
        ("15 0-22 * * *", ["2025-11-02 05:15", "2025-11-02 07:15", "2025-11-02 08:15"]),
        ("15,45 1 * * *", ["2025-11-02 05:15", "2025-11-02 05:45", "2025-11-03 06:15"]),
    ],
)
def test_cron_in_a_repeated_hour(text: str, expected: list[str]) -> None:
    """S-021, S-022: whether all 24 hours are selected decides, however they are written."""
    found = next_runs(CronSchedule.parse(text), utc("2025-11-02 05:00"), NEW_YORK, 3)
    assert found == [utc(each) for each in expected]


@pytest.mark.parametrize(
    ("zone", "after", "pattern", "expected"),
    [
        # Half an hour is repeated: 01:45 at +11:00 and again at +10:30.
        (
            "Australia/Lord_Howe",
            "2025-04-05 14:40",
            HourlySchedule(minute=45),
            ["2025-04-05 14:45", "2025-04-05 15:15", "2025-04-05 16:15"],
        ),
        ("Australia/Lord_Howe", "2025-04-05 14:45", DailySchedule(time=dt.time(1, 45)), ["2025-04-06 15:15"]),
        # 30 December 2011 does not exist in Samoa.
        (
            "Pacific/Apia",
            "2011-12-29 00:00",
            DailySchedule(time=dt.time(12)),
            ["2011-12-29 22:00", "2011-12-30 22:00"],
        ),
        ("Pacific/Apia", "2011-12-01 00:00", MonthlySchedule(day=30, time=dt.time(12)), ["2012-01-29 22:00"]),
        # Midnight is skipped, and the first hour of the day is repeated.
        ("America/Sao_Paulo", "2018-11-03 12:00", DailySchedule(time=dt.time(0, 30)), ["2018-11-05 02:30"]),
        (
            "America/Havana",
            "2025-11-01 12:00",
            DailySchedule(time=dt.time(0, 30)),
            ["2025-11-02 04:30", "2025-11-03 05:30"],
        ),
        # The clock goes back from 00:01 to 23:01 of the day before.
        (
            "America/St_Johns",
            "2010-11-06 12:00",
            CronSchedule.parse("0 0,23 * * *"),
            ["2010-11-07 01:30", "2010-11-07 02:30", "2010-11-08 02:30"],
        ),
        ("Asia/Kathmandu", "2025-01-01 00:00", HourlySchedule(minute=0), ["2025-01-01 00:15"]),
    ],
)
def test_unusual_changes(zone: str, after: str, pattern: LocalPattern, expected: list[str]) -> None:
    """S-024."""
    assert next_runs(pattern, utc(after), zone, len(expected)) == [utc(each) for each in expected]


def test_never_earlier_than_an_instant_in_the_second_half_of_a_fold() -> None:
    """S-023: 01:10 standard time is later than 01:50 summer time, whatever the wall clock says."""
    inside = dt.datetime(2025, 11, 2, 1, 10, fold=1, tzinfo=ZoneInfo(NEW_YORK))
    assert next_run(HourlySchedule(minute=50), inside, NEW_YORK) == utc("2025-11-02 06:50")
    assert next_run(CronSchedule.parse("50 1 * * *"), inside, NEW_YORK) == utc("2025-11-03 06:50")
    assert next_run(HourlySchedule(minute=5), inside, NEW_YORK) == utc("2025-11-02 07:05")


def _recorded_changes(file: Path) -> list[int]:
    """Seconds since 1970 of all offset changes recorded in a zone file (RFC 9636)."""
    content = file.read_bytes()

    def header(position: int) -> tuple[int, ...]:
        assert content[position : position + 4] == b"TZif", file
        return struct.unpack(">6l", content[position + 20 : position + 44])

    flags, standard, leaps, times, types, letters = header(0)
    second = 44 + times * 5 + types * 6 + letters + leaps * 8 + standard + flags
    _, _, _, times, types, _ = header(second)
    at = second + 44
    moments = struct.unpack(f">{times}q", content[at : at + 8 * times])
    kinds = content[at + 8 * times : at + 9 * times]
    offsets = [
        struct.unpack(">l", content[start : start + 4])[0]
        for start in range(at + 9 * times, at + 9 * times + 6 * types, 6)
    ]
    states = [(moment, offsets[kind]) for moment, kind in zip(moments, kinds, strict=True)]
    return [later[0] for earlier, later in pairwise(states) if earlier[1] != later[1]]


def test_no_zone_changes_its_offset_twice_within_three_days() -> None:
    """S-024: the search looks for one change per day and relies on this; a new tz release could break it."""
    files = [Path(root, key) for root in zoneinfo.TZPATH for key in all_zones() if Path(root, key).is_file()]
    if not files:
        pytest.skip("the zones of this machine come from a package, not from files")
    for file in files:
        moments = _recorded_changes(file)
        assert all(later - earlier > 3 * 86_400 for earlier, later in pairwise(moments)), file
