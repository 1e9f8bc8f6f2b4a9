"""TaskSchedule and ScheduleConfig: fields, defaults, and JSON (S-001 to S-003)."""

import datetime as dt

import pytest
from pydantic import ValidationError

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.schedule import (
    DailySchedule,
    HourlySchedule,
    ScheduleConfig,
    TaskSchedule,
    Weekday,
    WeeklySchedule,
)

NINE = dt.time(9)


def test_defaults_of_a_task_schedule() -> None:
    """Section 1, table of TaskSchedule."""
    schedule = TaskSchedule(name="nightly", task_name="report", pattern=DailySchedule(time=NINE))
    assert schedule.args == ()
    assert schedule.kwargs == {}
    assert schedule.queue_name is None
    assert schedule.enabled is True
    assert schedule.timezone == "UTC"
    assert schedule.catch_up_missed is False
    assert schedule.max_catch_up_runs == 100


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "n" * 256},
        {"name": "a\0b"},
        {"name": 5},
        {"max_catch_up_runs": 0},
        {"max_catch_up_runs": 10_001},
        {"pattern": {"type": "sometimes"}},
        {"args": "eu"},
        {"kwargs": {1: 2}},
        {"cron": "* * * * *"},
    ],
)
def test_bad_fields_of_a_task_schedule_are_refused(change: dict[str, object]) -> None:
    """Section 1: ranges, types and unknown fields."""
    good: dict[str, object] = {
        "name": "n" * 255,
        "task_name": "t",
        "pattern": {"type": "hourly", "minute": 5},
    }
    TaskSchedule.model_validate(good)
    with pytest.raises(ValidationError):
        TaskSchedule.model_validate(good | change)


@pytest.mark.parametrize("args", [["eu", 5], ("eu", 5)])
def test_args_are_a_list_or_a_tuple(args: list[object] | tuple[object, ...]) -> None:
    """S-003."""
    schedule = TaskSchedule(name="n", task_name="t", pattern=HourlySchedule(minute=0), args=args)
    assert schedule.args == ("eu", 5)


def test_defaults_and_range_of_the_configuration() -> None:
    """Section 1, ScheduleConfig; CF-36: an empty list is valid."""
    config = ScheduleConfig()
    assert (config.enabled, config.schedules, config.check_interval_seconds) == (True, [], 1)
    assert ScheduleConfig(check_interval_seconds=60).check_interval_seconds == 60
    for seconds in (0, 61):
        with pytest.raises(ValidationError):
            ScheduleConfig(check_interval_seconds=seconds)
    with pytest.raises(ValidationError):
        ScheduleConfig.model_validate({"interval": 1})


def test_repeated_names_are_listed() -> None:
    """S-001, CF-36."""

    def named(name: str) -> TaskSchedule:
        return TaskSchedule(name=name, task_name="t", pattern=HourlySchedule(minute=0))

    with pytest.raises(ConfigurationError) as caught:
        ScheduleConfig(schedules=[named(name) for name in ("a", "b", "a", "c", "c", "c")])
    assert caught.value.code is ErrorCode.CONFIG_INVALID_SCHEDULE
    assert caught.value.message == "ScheduleConfig: schedules use a name more than once: 'a', 'c'"


def test_zone_and_arguments_are_not_checked_when_built() -> None:
    """S-002, S-031: that belongs to the check of the app, which leaves out disabled schedules."""
    TaskSchedule(
        name="n", task_name="nowhere", pattern=HourlySchedule(minute=0), timezone="Not/AZone", enabled=False
    )


def test_nested_schedules_are_read_from_json() -> None:
    """Section 1 and 2: a whole configuration as data."""
    config = ScheduleConfig.model_validate_json(
        '{"schedules": [{"name": "a", "task_name": "t", "pattern": {"type": "weekly", "days": ["monday"],'
        ' "time": "09:00"}}]}'
    )
    assert config.schedules[0].pattern == WeeklySchedule(days=[Weekday.MONDAY], time=NINE)
