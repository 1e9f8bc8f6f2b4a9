"""Checking schedules: what is wrong, which code, and that nothing is done (08 sections 1 and 3)."""

from typing import Any

import pytest

from horsies import (
    BothDays,
    CronEnumValues,
    CronRange,
    CronSchedule,
    ErrorCode,
    Horsies,
    HorsiesError,
    PayloadPolicy,
    ScheduleConfig,
    TaskError,
    TaskResult,
    Weekday,
    WorkflowContext,
)
from tests.core.apps import UNREACHABLE, make_app
from tests.scheduler.stage import every_hour, scheduling_app

BAD = ErrorCode.CONFIG_INVALID_SCHEDULE


def check(*schedules: Any, **settings: Any) -> list[HorsiesError]:
    return scheduling_app(UNREACHABLE, *schedules, **settings).check()


def test_a_good_schedule_passes() -> None:
    """S-031, CF-44"""
    assert check(every_hour(queue_name="bulk", args=("eu",)), every_hour("none")) == []


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"timezone": "Mars/Olympus"}, BAD, "unknown time zone 'Mars/Olympus'"),
        ({"task_name": "repotr"}, ErrorCode.TASK_NOT_REGISTERED, "repotr"),
        ({"queue_name": "nope"}, BAD, "nope"),
        ({"args": ("eu", 1, 2)}, BAD, "3 positional values for 2 parameters"),
        ({"args": ("eu",), "kwargs": {"region": "us"}}, BAD, "'region' is given in args and in kwargs"),
        ({"kwargs": {"regoin": "us"}}, BAD, "unknown parameter 'regoin'"),
        ({"task_name": "other"}, BAD, "required parameter 'n' is missing"),
        ({"kwargs": {"depth": "deep"}}, BAD, "depth"),
        ({"kwargs": {"region": object()}}, BAD, "region"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], code: ErrorCode, words: str) -> None:
    """S-004, S-031, K-37: the error names schedule, task and parameter."""
    (error,) = check(every_hour("nightly", **settings))
    text = "\n".join([error.message, *error.notes])
    assert error.code is code
    assert words in text
    assert "nightly" in text
    assert settings.get("task_name", "report") in text


def test_an_unknown_task_comes_with_those_there_are() -> None:
    """S-031: HRS-300, available names listed."""
    (error,) = check(every_hour(task_name="nothing"))
    assert error.notes == ["registered tasks: other, report"]


def test_the_first_failure_wins_and_each_schedule_has_one() -> None:
    """S-031: zone before task before queue before arguments; one error for each bad schedule."""
    errors = check(
        every_hour("a", timezone="No", task_name="no", queue_name="no", args=(1, 2, 3)),
        every_hour("b", task_name="no", queue_name="no", args=(1, 2, 3)),
        every_hour("c", queue_name="no", args=(1, 2, 3)),
        every_hour("d", args=(1, 2, 3)),
        every_hour("fine"),
    )
    assert [error.code for error in errors] == [BAD, ErrorCode.TASK_NOT_REGISTERED, BAD, BAD]
    words = ["time zone", "not registered", "queue_name 'no'", "3 positional"]
    assert all(word in error.message for word, error in zip(words, errors, strict=True))


def test_a_queue_cannot_be_given_without_queues() -> None:
    """S-031: queue_name is for CUSTOM mode."""
    app = make_app(schedule=ScheduleConfig(schedules=[every_hour(queue_name="mail")]))
    _define(app)
    assert [error.code for error in app.check()] == [BAD]


def _define(app: Horsies) -> None:
    @app.task("report")
    def report() -> TaskResult[int, TaskError]:  # pyright: ignore[reportUnusedFunction]
        return TaskResult(ok=1)


def test_what_only_a_workflow_can_give() -> None:
    """S-031, S-003: engine-injected and TaskResult parameters are refused; positions skip the former."""
    app = make_app(
        schedule=ScheduleConfig(
            schedules=[
                every_hour("context", task_name="flow", args=(1,), kwargs={"workflow_ctx": None}),
                every_hour("fits", task_name="flow", args=(1,)),
                every_hour("result", task_name="after", kwargs={"before": TaskResult[int, TaskError](ok=1)}),
                every_hour("missing", task_name="after"),
            ]
        )
    )

    @app.task("flow")
    def flow(  # pyright: ignore[reportUnusedFunction]
        workflow_ctx: WorkflowContext | None = None, n: int = 0
    ) -> TaskResult[int, TaskError]:
        return TaskResult(ok=n)

    @app.task("after")
    def after(before: TaskResult[int, TaskError]) -> TaskResult[int, TaskError]:  # pyright: ignore[reportUnusedFunction]
        return before

    context, result, missing = app.check()
    assert "'workflow_ctx' is filled by the engine" in context.message
    assert "'before' is filled by the engine" in result.message
    assert "'before', which only a workflow can fill in" in missing.message


def test_a_pattern_that_never_occurs() -> None:
    """S-031, S-013: 02:30 on the last Sunday of March, which Berlin's clocks skip every year, and others do not."""
    last_sunday = BothDays(
        day_of_month=[CronRange(start=25, end=31)], day_of_week=[CronEnumValues(values=[Weekday.SUNDAY])]
    )
    pattern = CronSchedule.parse("30 2 * 3 *").model_copy(update={"day": last_sunday})
    (error,) = check(*(every_hour(zone, pattern=pattern, timezone=zone) for zone in ("Europe/Berlin", "UTC")))
    assert error.code is BAD
    assert (
        error.message
        == "schedule 'Europe/Berlin' of task 'report': its pattern never occurs in time zone 'Europe/Berlin'"
    )


@pytest.mark.parametrize("size", [30, 31])
def test_arguments_can_be_too_large(size: int) -> None:
    """S-033, CF-21: found when the app is checked."""
    policy = PayloadPolicy(warn_bytes=None, reject_bytes=30)
    region = "x" * (size - len('{"region":""}'))
    errors = check(every_hour(kwargs={"region": region}), payload=policy)
    assert [error.code for error in errors] == [BAD] * (size > 30)
    assert all("31 bytes" in error.message for error in errors)


def test_the_disabled_are_not_looked_at() -> None:
    """S-002"""
    bad = every_hour(timezone="No", enabled=False)
    assert check(bad) == []
    app = make_app(schedule=ScheduleConfig(enabled=False, schedules=[every_hour(timezone="No")]))
    assert app.check() == []


def test_not_in_the_worker_s_role() -> None:
    """CF-44: phase 3.6 is not the worker's."""
    app = scheduling_app(UNREACHABLE, every_hour(timezone="No"))
    app.role = "worker"
    assert app.check() == []
    app.role = "scheduler"
    assert [error.code for error in app.check()] == [BAD]
