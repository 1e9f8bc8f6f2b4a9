"""What a schedule sends: task, queue and arguments settled once, then a row for each slot (S-003, S-031, S-047)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Never, Protocol

from horsies.codec.problems import ArgumentError, EncodeError
from horsies.codec.signature import TaskSignature
from horsies.config.app import AppConfig
from horsies.definition import TaskDefinition
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, NotRegistered
from horsies.ops.enqueue import EnqueueRow
from horsies.ops.schedules import ScheduleRow, row_of
from horsies.payload_limits import oversize
from horsies.schedule.binding import bind_arguments
from horsies.schedule.due import config_hash, slot_task_id
from horsies.schedule.models import TaskSchedule
from horsies.schedule.occurrences import NoOccurrenceError, next_run
from horsies.schedule.zones import load_zone
from horsies.send_errors import enqueue_sha, format_utc
from horsies.send_plan import UNSET, OptionError, SendChoices, SendPlan, plan_for, plan_with
from horsies.sending import new_row
from horsies.task import TaskFunction


class SchedulingApp(Protocol):
    """What schedules need of their app."""

    @property
    def config(self) -> AppConfig:
        """Its configuration."""
        ...

    @property
    def tasks(self) -> Mapping[str, TaskFunction[..., Any]]:
        """Its registered tasks."""
        ...


@dataclass(frozen=True, slots=True)
class ScheduledSend:
    """A schedule that can be fired.

    Attributes:
        schedule: As configured.
        plan: How its task is sent: as by an ordinary send to that queue.
        kwargs: The arguments as JSON text.
        row: What its row in the database says.
    """

    schedule: TaskSchedule
    plan: SendPlan
    kwargs: str | None
    row: ScheduleRow

    def task_at(self, slot: datetime) -> EnqueueRow:
        """The task of a slot: the same row, whoever makes it and whenever (S-044, S-047)."""
        sent_at = format_utc(slot)
        sha = enqueue_sha(self.plan.sha_prefix, self.kwargs, sent_at, None, None, self.plan.options)
        task_id = str(slot_task_id(self.schedule.name, slot))
        return new_row(self.plan, task_id, sha, self.kwargs, sent_at, None)


def settle(app: SchedulingApp, schedule: TaskSchedule) -> ScheduledSend:
    """Check a schedule against its app and settle what it sends.

    Raises:
        ConfigurationError: HRS-205, the first thing found: zone, queue, arguments or their size (S-031, S-033), a
            pattern that never occurs in the zone.
        NotRegistered: HRS-300, there is no such task.
    """
    try:
        load_zone(schedule.timezone)
    except ValueError as problem:
        _refuse(schedule, str(problem))
    task = _task_of(app, schedule)
    plan = _plan(app.config, schedule, task)
    kwargs = _arguments(app.config, schedule, task.signature)
    try:
        next_run(schedule.pattern, datetime.now(UTC), schedule.timezone)
    except NoOccurrenceError:
        _refuse(schedule, f"its pattern never occurs in time zone {schedule.timezone!r}")
    row = row_of(schedule, plan.queue_name, config_hash(schedule.pattern, schedule.timezone))
    return ScheduledSend(schedule, plan, kwargs, row)


def enabled_schedules(config: AppConfig) -> list[TaskSchedule]:
    """The schedules that are looked at: none if scheduling is switched off (S-002)."""
    if config.schedule is None or not config.schedule.enabled:
        return []
    return [schedule for schedule in config.schedule.schedules if schedule.enabled]


def check_schedules(app: SchedulingApp) -> list[HorsiesError]:
    """One error for each enabled schedule that could not be fired."""
    errors: list[HorsiesError] = []
    for schedule in enabled_schedules(app.config):
        try:
            settle(app, schedule)
        except HorsiesError as error:
            errors.append(error)
    return errors


def _task_of(app: SchedulingApp, schedule: TaskSchedule) -> TaskDefinition:
    task = app.tasks.get(schedule.task_name)
    if task is None:
        raise NotRegistered(
            f"schedule {schedule.name!r} names the task {schedule.task_name!r}, which is not registered",
            code=ErrorCode.TASK_NOT_REGISTERED,
            notes=[f"registered tasks: {', '.join(sorted(app.tasks)) or 'none'}"],
            help_text="correct task_name, or list the module that defines it in app.discover_tasks([...])",
        )
    return task.definition


def _plan(config: AppConfig, schedule: TaskSchedule, task: TaskDefinition) -> SendPlan:
    choices = SendChoices(
        good_until=None,
        idempotency_key=None,
        retention_class_key=UNSET,
        priority=None,
        queue_name=schedule.queue_name,
        delay=None,
        connection=None,
    )
    try:
        return plan_with(plan_for(task, config), choices, task, config)
    except OptionError as problem:
        _refuse(schedule, str(problem))


def _arguments(config: AppConfig, schedule: TaskSchedule, signature: TaskSignature) -> str | None:
    bound = bind_arguments(schedule, signature.parameters)
    try:
        text = signature.encode(signature.bind((), bound))
    except (ArgumentError, EncodeError) as problem:
        _refuse(schedule, str(problem))
    size = oversize(schedule.task_name, "kwargs", text, config.payload)
    if size is not None:
        limit = config.payload.reject_bytes
        _refuse(schedule, f"its arguments take {size} bytes, payload.reject_bytes is {limit}")
    return text


def _refuse(schedule: TaskSchedule, problem: str) -> Never:
    raise ConfigurationError(
        f"schedule {schedule.name!r} of task {schedule.task_name!r}: {problem}",
        code=ErrorCode.CONFIG_INVALID_SCHEDULE,
        help_text="correct it in ScheduleConfig.schedules, or give it enabled=False",
    )
