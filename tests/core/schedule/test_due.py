"""What a due schedule fires (S-044, S-052, S-056, S-060, S-061, S-065, S-066)."""

import datetime as dt
import uuid
from collections.abc import Iterator
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from horsies.schedule import (
    CronSchedule,
    DailySchedule,
    HourlySchedule,
    IntervalSchedule,
    NoOccurrenceError,
    next_run,
)
from horsies.schedule import due as due_module
from horsies.schedule.due import (
    EXAMINED_PER_TICK,
    FirePlan,
    StalledScheduleError,
    config_hash,
    plan_fire,
    slot_task_id,
)
from horsies.schedule.occurrences import iter_runs
from horsies.schedule.patterns import AnyPattern

HOUR = dt.timedelta(hours=1)
EVERY_MINUTE = CronSchedule.parse("* * * * *")


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def at(hour: int) -> dt.datetime:
    return utc("2025-06-01 00:00") + HOUR * hour


def hours(*numbers: int) -> tuple[dt.datetime, ...]:
    return tuple(map(at, numbers))


def plan(
    pattern: AnyPattern,
    next_run_at: dt.datetime | None,
    now: dt.datetime,
    *,
    catch_up: bool = False,
    max_runs: int = 100,
    examine: int = EXAMINED_PER_TICK,
    tz: str = "UTC",
) -> FirePlan:
    return plan_fire(next_run_at, now, pattern, tz, catch_up=catch_up, max_runs=max_runs, examine=examine)


@pytest.mark.parametrize("pattern", [IntervalSchedule(hours=1), HourlySchedule(minute=0)])
def test_the_worked_example(pattern: AnyPattern) -> None:
    """S-060, S-061: section 6, hourly, last 10:00, back at 13:30."""
    ten, half_past_one = at(10), utc("2025-06-01 13:30")
    latest_only = plan(pattern, ten, half_past_one)
    assert latest_only == FirePlan(hours(13), 3, at(14), backlog=False)
    everything = plan(pattern, ten, half_past_one, catch_up=True)
    assert everything == FirePlan(hours(10, 11, 12, 13), 0, at(14), backlog=False)
    assert everything.steps == (hours(10, 11), hours(11, 12), hours(12, 13), hours(13, 14))


@pytest.mark.parametrize("catch_up", [False, True])
@pytest.mark.parametrize("pattern", [IntervalSchedule(hours=1), HourlySchedule(minute=0)])
def test_not_due_fires_nothing(pattern: AnyPattern, catch_up: bool) -> None:
    """Section 6: due when `next_run_at <= now`."""
    before = utc("2025-06-01 09:59:59.999999")
    assert plan(pattern, at(10), before, catch_up=catch_up) == FirePlan((), 0, at(10), backlog=False)
    assert plan(pattern, at(10), at(10), catch_up=catch_up).slots == hours(10)


def test_a_missing_next_run_is_due_in_the_current_second() -> None:
    """S-056."""
    now = utc("2025-06-01 10:00:30.700000")
    second = utc("2025-06-01 10:00:30")
    assert plan(HourlySchedule(minute=0), None, now) == FirePlan((second,), 0, at(11), backlog=False)
    interval = plan(IntervalSchedule(seconds=1), None, now, catch_up=True)
    assert interval == FirePlan((second,), 0, second + dt.timedelta(seconds=1), backlog=False)


def test_catching_up_is_capped_and_goes_on_where_it_stopped() -> None:
    """S-061: oldest first, the rest on following ticks."""
    now = utc("2025-06-01 20:30")
    first = plan(HourlySchedule(minute=0), at(10), now, catch_up=True, max_runs=4)
    assert first == FirePlan(hours(10, 11, 12, 13), 0, at(14), backlog=True)
    fired = [*first.slots]
    while first.backlog:
        first = plan(HourlySchedule(minute=0), first.next_run_at, now, catch_up=True, max_runs=4)
        fired += first.slots
    assert fired == list(hours(*range(10, 21)))
    assert first.next_run_at == at(21)


def test_a_cap_that_is_just_reached_leaves_no_backlog() -> None:
    """S-061."""
    exact = plan(HourlySchedule(minute=0), at(10), at(13), catch_up=True, max_runs=4)
    assert exact.slots == hours(10, 11, 12, 13)
    assert not exact.backlog


def test_intervals_jump_over_a_long_backlog() -> None:
    """S-065: a hundred years of seconds, counted and not walked; the phase is kept."""
    start = utc("1925-01-01 00:00:00.250000")
    now = utc("2025-01-01 00:00")
    found = plan(IntervalSchedule(seconds=1), start, now, examine=1)
    seconds = (now - start) // dt.timedelta(seconds=1)
    assert found.missed == seconds
    assert found.slots == (start + dt.timedelta(seconds=seconds),)
    assert found.next_run_at == found.slots[0] + dt.timedelta(seconds=1) > now
    assert not found.backlog


def test_a_long_backlog_is_skipped_in_bounded_steps() -> None:
    """S-065: progress is saved, nothing stale fires, then the latest slot does."""
    start, now = utc("2025-01-01 00:00"), utc("2025-01-01 04:10:30")
    first = plan(EVERY_MINUTE, start, now, examine=100)
    assert first == FirePlan((), 100, utc("2025-01-01 01:40"), backlog=True)
    second = plan(EVERY_MINUTE, first.next_run_at, now, examine=100)
    assert second == FirePlan((), 100, utc("2025-01-01 03:20"), backlog=True)
    third = plan(EVERY_MINUTE, second.next_run_at, now, examine=100)
    assert third == FirePlan((utc("2025-01-01 04:10"),), 50, utc("2025-01-01 04:11"), backlog=False)
    assert first.missed + second.missed + third.missed + 1 == 251


def test_at_most_100_000_slots_are_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-065."""
    looked_at = 0

    def counted(pattern: AnyPattern, after: dt.datetime, tz: str) -> Iterator[dt.datetime]:
        nonlocal looked_at
        del pattern, tz
        while True:
            looked_at += 1
            after += dt.timedelta(minutes=1)
            yield after

    monkeypatch.setattr(due_module, "iter_runs", counted)
    start = utc("2020-01-01 00:00")
    found = plan_fire(start, utc("2025-01-01 00:00"), EVERY_MINUTE, "UTC", catch_up=False, max_runs=1)
    assert looked_at == 100_000
    assert found == FirePlan((), 100_000, start + dt.timedelta(minutes=100_000), backlog=True)


def test_slots_around_a_clock_change_are_those_of_the_pattern() -> None:
    """S-060, S-020, S-022: due slots follow the rules of section 2."""
    half_hourly = CronSchedule.parse("30 * * * *")
    found = plan(
        half_hourly, utc("2025-11-02 04:30"), utc("2025-11-02 07:00"), catch_up=True, tz="America/New_York"
    )
    assert found.slots == (utc("2025-11-02 04:30"), utc("2025-11-02 05:30"), utc("2025-11-02 06:30"))
    skipped = plan(
        DailySchedule(time=dt.time(2, 30)),
        utc("2025-03-08 07:30"),
        utc("2025-03-10 00:00"),
        catch_up=True,
        tz="America/New_York",
    )
    assert skipped.slots == (utc("2025-03-08 07:30"),)
    assert skipped.next_run_at == utc("2025-03-10 06:30")


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 */3 * * *", "30 1 * * *", "5 1,2 * * mon"]),
    st.datetimes(dt.datetime(2024, 10, 25), dt.datetime(2025, 4, 5)),
    st.integers(0, 3_000),
    st.integers(1, 50),
    st.booleans(),
)
@settings(deadline=None)
def test_ticks_consume_every_due_slot_once(
    text: str, start: dt.datetime, minutes: int, limit: int, catch_up: bool
) -> None:
    """S-060, S-061, S-065: whatever the bounds, each due slot is fired or counted as missed, none twice."""
    pattern, zone = CronSchedule.parse(text), "Europe/London"
    begin = next_run(pattern, start.replace(tzinfo=dt.UTC), zone)
    now = begin + dt.timedelta(minutes=minutes)
    due = [begin, *takewhile(lambda slot: slot <= now, iter_runs(pattern, begin, zone))]
    fired: list[dt.datetime] = []
    missed, reached, backlog = 0, begin, True
    while backlog:
        found = plan(pattern, reached, now, catch_up=catch_up, max_runs=limit, examine=limit, tz=zone)
        assert found.next_run_at > reached
        assert not (found.slots and found.backlog and not catch_up)
        fired += found.slots
        missed, reached, backlog = missed + found.missed, found.next_run_at, found.backlog
    assert fired == (due if catch_up else due[-1:])
    assert len(fired) + missed == len(due)
    assert reached == next_run(pattern, due[-1], zone) > now


@pytest.mark.parametrize("catch_up", [False, True])
def test_a_calculation_that_stands_still_is_an_error(monkeypatch: pytest.MonkeyPatch, catch_up: bool) -> None:
    """S-066."""

    def standing_still(pattern: AnyPattern, after: dt.datetime, tz: str) -> Iterator[dt.datetime]:
        del pattern, tz
        while True:
            yield after

    monkeypatch.setattr(due_module, "iter_runs", standing_still)
    with pytest.raises(StalledScheduleError, match="2025-06-01T10:00:00"):
        plan(HourlySchedule(minute=0), at(10), at(12), catch_up=catch_up)


@pytest.mark.parametrize("catch_up", [False, True])
def test_a_pattern_that_ends_is_an_error(monkeypatch: pytest.MonkeyPatch, catch_up: bool) -> None:
    """S-055, S-066: without a next slot the row cannot advance."""

    def ending(pattern: AnyPattern, after: dt.datetime, tz: str) -> Iterator[dt.datetime]:
        del pattern, tz
        return iter([after + HOUR])

    monkeypatch.setattr(due_module, "iter_runs", ending)
    with pytest.raises(NoOccurrenceError):
        plan(HourlySchedule(minute=0), at(10), at(15), catch_up=catch_up)


def test_an_unknown_zone_is_an_error() -> None:
    """S-055, S-025."""
    with pytest.raises(ValueError, match="Nowhere/Land"):
        plan(HourlySchedule(minute=0), at(10), at(15), tz="Nowhere/Land")


def test_the_configuration_hash_covers_pattern_and_zone() -> None:
    """S-052: and it is the same in every process and version."""
    daily = DailySchedule(time=dt.time(9))
    assert config_hash(daily, "UTC") == config_hash(DailySchedule(time=dt.time(9, 0, 0, 5)), "UTC")
    assert config_hash(daily, "UTC") == "42cee6c73589d885988d097230396eeb47afad982017cef96287e9cdd6225c13"
    assert config_hash(CronSchedule.parse("15 */4 * * mon-fri"), "Europe/Berlin") == (
        "bd0249b2cec69a2e4c407ac0600fc63e2030b93befaa905c7e3916d04cb5d375"
    )
    different = {
        config_hash(daily, "UTC"),
        config_hash(daily, "Etc/UTC"),
        config_hash(DailySchedule(time=dt.time(9, 1)), "UTC"),
        config_hash(HourlySchedule(minute=9), "UTC"),
        config_hash(IntervalSchedule(hours=9), "UTC"),
    }
    assert len(different) == 5


def test_the_task_id_of_a_slot_never_changes() -> None:
    """S-044: UUIDv5 of a fixed namespace, name and instant; the spelling of the instant plays no part."""
    slot = utc("2025-06-01 10:00")
    found = slot_task_id("nightly report", slot)
    assert found == uuid.UUID("451d610e-e4bd-5c83-a554-0f79c7dec0bb")
    assert found.version == 5
    assert found == uuid.uuid5(due_module.SLOT_NAMESPACE, "nightly report:2025-06-01T10:00:00.000000+00:00")
    assert slot_task_id("nightly report", slot.astimezone(ZoneInfo("Asia/Tokyo"))) == found
    assert slot_task_id("nightly", slot) != found
    assert slot_task_id("nightly report", slot + dt.timedelta(microseconds=1)) != found
    with pytest.raises(ValueError, match="no time zone"):
        slot_task_id("nightly report", dt.datetime(2025, 6, 1))
