"""Arguments of schedules bound to parameters (S-003, S-004)."""

from dataclasses import dataclass

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.schedule import HourlySchedule, TaskSchedule
from horsies.schedule.binding import bind_arguments


@dataclass(frozen=True)
class Declared:
    name: str
    required: bool = True
    injected: bool = False


PARAMETERS = (
    Declared("workflow_ctx", required=False, injected=True),
    Declared("region"),
    Declared("limit", required=False),
    Declared("dry_run", required=False),
)


def schedule(*args: object, **kwargs: object) -> TaskSchedule:
    return TaskSchedule(
        name="sync", task_name="crm.sync", pattern=HourlySchedule(minute=0), args=args, kwargs=kwargs
    )


def problem(scheduled: TaskSchedule) -> str:
    with pytest.raises(ConfigurationError) as caught:
        bind_arguments(scheduled, PARAMETERS)
    assert caught.value.code is ErrorCode.CONFIG_INVALID_SCHEDULE
    return str(caught.value)


def test_positions_and_names_bind_alike() -> None:
    """S-003: engine-injected parameters are skipped, the result knows names only, in declared order."""
    by_position = bind_arguments(schedule("eu", 5), PARAMETERS)
    by_name = bind_arguments(schedule(limit=5, region="eu"), PARAMETERS)
    mixed = bind_arguments(schedule("eu", limit=5), PARAMETERS)
    assert list(by_position.items()) == list(by_name.items()) == list(mixed.items())
    assert list(by_position.items()) == [("region", "eu"), ("limit", 5)]


def test_defaults_stay_with_the_task() -> None:
    """S-003: only what was given travels."""
    assert bind_arguments(schedule("eu"), PARAMETERS) == {"region": "eu"}
    assert bind_arguments(schedule(), ()) == {}


@pytest.mark.parametrize(
    ("scheduled", "text"),
    [
        (schedule("eu", 1, True, "more"), "4 positional values for 3 parameters (region, limit, dry_run)"),
        (schedule("eu", region="us"), "'region' is given in args and in kwargs"),
        (schedule(limit=1), "required parameter 'region' is missing"),
        (schedule("eu", speed=9), "unknown parameter 'speed'"),
        (schedule("eu", workflow_ctx=None), "'workflow_ctx' is filled by the engine"),
    ],
)
def test_arguments_that_do_not_fit_name_schedule_task_and_parameter(
    scheduled: TaskSchedule, text: str
) -> None:
    """S-004."""
    found = problem(scheduled)
    assert text in found
    assert "'sync'" in found
    assert "'crm.sync'" in found


def test_all_misfits_of_a_schedule_are_one_error() -> None:
    """S-004, S-031: one error per schedule with every problem."""
    found = problem(schedule(limit=1, speed=9, colour="red"))
    assert "'region' is missing" in found
    assert "'speed'" in found
    assert "'colour'" in found
