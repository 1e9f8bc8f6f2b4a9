"""The phases of `Horsies.check`, in order; the first that finds errors is the last that runs."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, Protocol

from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError, TaskDefinitionError
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

    def get_broker(self) -> Broker:
        """Its way to the database."""
        ...


type Phase = Callable[[CheckedApp], list[HorsiesError]]


def run_checks(app: CheckedApp, *, live: bool) -> list[HorsiesError]:
    """Run the phases with sends suppressed.

    Args:
        app: The app.
        live: Run the phases that talk to the database too.

    Returns:
        The errors of the first phase that found any; empty if all is well.
    """
    with suppress_sends():
        for phase in (*PHASES, *(LIVE_PHASES if live else ())):
            errors = phase(app)
            if errors:
                return errors
    return []


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


def _check_database(app: CheckedApp) -> list[HorsiesError]:
    try:
        broker = app.get_broker()
    except HorsiesError as error:
        return [error]
    return check_live(broker)


PHASES: tuple[Phase, ...] = (
    _check_configuration,
    _import_modules,
    _check_definitions,
    check_builders,
    _check_undecorated,
    _check_error_codes,
    _check_schedules,
)
"""Those that need no database (CF-44: 1, 2, 3 to 3.3, 3.5, 3.6)."""

LIVE_PHASES: tuple[Phase, ...] = (_check_database,)
"""Those that do (CF-44: 4)."""
