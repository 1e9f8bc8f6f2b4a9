"""The phases of `Horsies.check`, in order; the first that finds errors is the last that runs."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, Protocol

from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, SourceLocation, TaskDefinitionError
from horsies.errors.report import ValidationReport
from horsies.exception_mapper import reserved_codes, validate_error_code, validate_exception_mapper
from horsies.live_check import check_live
from horsies.locate import check_task_modules
from horsies.retry import RetryPolicy
from horsies.scheduled_send import check_schedules
from horsies.suppression import suppress_sends
from horsies.task import TaskFunction
from horsies.workflow.builders import BuilderRegistry
from horsies.workflow.checks import check_builders, check_definitions, check_undecorated

_logger = logging.getLogger("horsies.check")

type ProcessRole = Literal["producer", "worker", "scheduler"]
"""What a process does with its app."""


class CheckedApp(Protocol):
    """What the phases need of the app."""

    @property
    def config(self) -> AppConfig:
        """Its configuration."""
        ...

    @property
    def role(self) -> ProcessRole:
        """What this process does with it."""
        ...

    @property
    def tasks(self) -> Mapping[str, TaskFunction[..., Any]]:
        """Its registered tasks."""
        ...

    @property
    def workflow_builders(self) -> BuilderRegistry:
        """Its registered workflow builders."""
        ...

    def get_discovered_task_modules(self) -> list[str]:
        """The task modules it lists."""
        ...

    @property
    def modules_listed_at(self) -> SourceLocation | None:
        """Where it lists them."""
        ...

    def get_broker(self) -> Broker:
        """Its way to the database."""
        ...


@dataclass(slots=True)
class Findings:
    """What a check has found.

    Attributes:
        phase: The phase that found the errors, or the last one there is.
        errors: The errors of that phase.
        warnings: What is no error and still worth knowing, one sentence each.
    """

    phase: str = ""
    errors: list[HorsiesError] = field(default_factory=list[HorsiesError])
    warnings: list[str] = field(default_factory=list[str])


type Phase = Callable[[CheckedApp], list[HorsiesError]]


def run_checks(app: CheckedApp, *, live: bool) -> list[HorsiesError]:
    """As `inspect_app`; the warnings go to the log.

    Returns:
        The errors of the first phase that found any; empty if all is well.
    """
    found = inspect_app(app, live=live)
    for warning in found.warnings:
        _logger.warning("%s", warning)
    return found.errors


def inspect_app(app: CheckedApp, *, live: bool) -> Findings:
    """Run the phases with sends suppressed, up to the first that finds errors.

    Args:
        app: The app.
        live: Run the phase that talks to the database too.
    """
    found = Findings()
    with suppress_sends():
        for name, phase in PHASES.items():
            found.phase, found.errors = name, phase(app)
            if found.errors:
                return found
        found.warnings += _task_warnings(app)
        if live:
            found.phase = "database"
            found.errors = _check_database(app, found.warnings)
    return found


def _check_configuration(app: CheckedApp) -> list[HorsiesError]:
    report = ValidationReport("configuration")
    config = app.config
    try:
        # The fields cannot change, but lists and dicts in them can.
        type(config).model_validate(dict(config))
    except HorsiesError as error:
        report.add(error)
    return report.errors


def _import_modules(app: CheckedApp) -> list[HorsiesError]:
    report = ValidationReport("task modules")
    for error in check_task_modules(app.get_discovered_task_modules())[1]:
        if error.code is ErrorCode.CLI_INVALID_ARGS:
            error.with_location(app.modules_listed_at)
        report.add(error)
    return report.errors


def _check_definitions(app: CheckedApp) -> list[HorsiesError]:
    return check_definitions(app, _modules(app))


def _check_undecorated(app: CheckedApp) -> list[HorsiesError]:
    return check_undecorated(_modules(app))


def _modules(app: CheckedApp) -> list[ModuleType]:
    return check_task_modules(app.get_discovered_task_modules())[0]


def _check_error_codes(app: CheckedApp) -> list[HorsiesError]:
    config = app.config
    errors: list[HorsiesError] = [
        ConfigurationError(
            f"AppConfig: {collision}",
            code=ErrorCode.CHECK_RESERVED_CODE_COLLISION,
            help_text="the library's own codes would be mixed up with yours; choose another code",
        )
        for collision in reserved_codes(config.exception_mapper, config.default_unhandled_error_code)
    ]
    for task in app.tasks.values():
        errors += _check_task_codes(task)
    return errors


def _check_task_codes(task: TaskFunction[..., Any]) -> list[HorsiesError]:
    definition = task.definition
    mapper, default = dict(definition.exception_mapper or {}), definition.default_unhandled_error_code
    entries: dict[object, object] = dict(mapper.items())
    problems = validate_exception_mapper(entries)
    if default is not None:
        problem = validate_error_code(default)
        problems += [] if problem is None else [f"default_unhandled_error_code: {problem}"]
    errors: list[HorsiesError] = [
        _task_error(
            task, problem, ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER, "an entry is {ErrorClass: 'CODE'}"
        )
        for problem in problems
    ]
    if not problems:
        errors += [
            _task_error(
                task,
                collision,
                ErrorCode.CHECK_RESERVED_CODE_COLLISION,
                "the library's own codes would be mixed up with yours; choose another code",
            )
            for collision in reserved_codes(mapper, default)
        ]
    problem = _retry_problem(definition.retry_policy)
    if problem is not None:
        errors.append(
            _task_error(
                task,
                problem,
                ErrorCode.TASK_INVALID_OPTIONS,
                "build it with RetryPolicy.fixed or .exponential",
            )
        )
    return errors


def _retry_problem(policy: RetryPolicy | None) -> str | None:
    """What is wrong with a policy that was made or changed past its own checks."""
    if policy is None:
        return None
    try:
        checked = RetryPolicy.model_validate(dict(policy))
    except ValueError as error:
        return f"retry_policy: {error}"
    return None if checked.auto_retry_for else "the retry policy names no error codes to retry"


def _task_error(task: TaskFunction[..., Any], problem: str, code: ErrorCode, help_text: str) -> HorsiesError:
    return TaskDefinitionError(
        f"task {task.task_name!r}: {problem}",
        code=code,
        location=task.definition.location,
        help_text=help_text,
    )


def _check_schedules(app: CheckedApp) -> list[HorsiesError]:
    # A worker runs what comes; a schedule that cannot be fired is no reason for it to stop.
    return [] if app.role == "worker" else check_schedules(app)


def _check_database(app: CheckedApp, warnings: list[str]) -> list[HorsiesError]:
    try:
        broker = app.get_broker()
    except HorsiesError as error:
        return [error]
    errors, advice = check_live(broker)
    warnings += advice
    return errors


def _task_warnings(app: CheckedApp) -> list[str]:
    return [
        f"task {task.task_name!r} has timeout_ms and runs in a thread: when its time is over its whole process is "
        "killed, and the tasks beside it fail with WORKER_CRASHED; executor='process' confines that to the task"
        for task in app.tasks.values()
        if task.definition.executor == "thread" and task.definition.timeout_ms is not None
    ]


PHASES: Mapping[str, Phase] = {
    "configuration": _check_configuration,
    "task modules": _import_modules,
    "workflow definitions": _check_definitions,
    "workflow builders": check_builders,
    "functions that build workflows": _check_undecorated,
    "error codes and retries": _check_error_codes,
    "schedules": _check_schedules,
}
"""Those that need no database (CF-44: 1, 2, 3 to 3.3, 3.5, 3.6); after them, with `live`, the database (4)."""
