"""Positional and named arguments of a schedule bound to the parameters of its task."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.schedule.models import TaskSchedule


class Parameter(Protocol):
    """What binding needs to know of a task's parameter."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        ...

    @property
    def injected(self) -> bool:
        """Whether the engine fills it, so that a schedule must not."""
        ...


def bind_arguments(schedule: TaskSchedule, parameters: Sequence[Parameter]) -> dict[str, object]:
    """All arguments of a schedule by name, in the order the task declares them (S-003).

    Args:
        schedule: The schedule with its `args` and `kwargs`.
        parameters: Declared parameters of the task, in order.

    Raises:
        ConfigurationError: HRS-205 naming schedule, task and each parameter at fault (S-004).
    """
    declared = [parameter for parameter in parameters if not parameter.injected]
    positional = {parameter.name: value for parameter, value in zip(declared, schedule.args, strict=False)}
    problems = list(_problems(schedule, parameters, declared, positional))
    if problems:
        raise ConfigurationError(
            f"schedule {schedule.name!r}: arguments do not fit task {schedule.task_name!r}: {problems[0]}",
            code=ErrorCode.CONFIG_INVALID_SCHEDULE,
            notes=problems[1:],
        )
    given = {**positional, **schedule.kwargs}
    return {parameter.name: given[parameter.name] for parameter in declared if parameter.name in given}


def _problems(
    schedule: TaskSchedule,
    parameters: Sequence[Parameter],
    declared: Sequence[Parameter],
    positional: dict[str, object],
) -> Iterator[str]:
    if len(schedule.args) > len(declared):
        names = ", ".join(parameter.name for parameter in declared) or "none"
        yield f"{len(schedule.args)} positional values for {len(declared)} parameters ({names})"
    known = {parameter.name for parameter in declared}
    injected = {parameter.name for parameter in parameters if parameter.injected}
    for name in schedule.kwargs:
        if name in injected:
            yield f"parameter {name!r} is filled by the engine and cannot be given"
        elif name not in known:
            yield f"unknown parameter {name!r}"
        elif name in positional:
            yield f"parameter {name!r} is given in args and in kwargs"
    for parameter in declared:
        if parameter.required and parameter.name not in positional and parameter.name not in schedule.kwargs:
            yield f"required parameter {parameter.name!r} is missing"
