"""Workflow builders: functions that return a spec, registered so that `app.check()` can try them."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter as Kind
from typing import Any, cast
from weakref import WeakSet

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError, SourceLocation, WorkflowValidationError
from horsies.workflow.spec import WorkflowSpec, is_spec

type BuilderFunction = Callable[..., WorkflowSpec[Any]]

_decorated: WeakSet[Any] = WeakSet()


@dataclass(frozen=True, slots=True)
class Builder:
    """One registered function.

    Attributes:
        function: The function.
        cases: Keyword arguments of the calls that `check` makes; whatever was given.
        location: Where it is defined.
    """

    function: BuilderFunction
    cases: object
    location: SourceLocation | None

    @property
    def label(self) -> str:
        """The builder in messages."""
        return f"workflow builder {getattr(self.function, '__qualname__', self.function)!s}"


class BuilderRegistry:
    """The builders of one app, in order; the same function again, as after a re-import, replaces the earlier one."""

    def __init__(self) -> None:
        self._builders: dict[object, Builder] = {}

    def add(self, function: BuilderFunction, cases: object) -> None:
        """Keep a function."""
        location = SourceLocation.from_function(function)
        spot: object = function
        if location is not None:
            name = getattr(function, "__qualname__", "")
            spot = (os.path.realpath(location.file), location.line, name)
        self._builders[spot] = Builder(function, cases, location)
        _decorated.add(function)

    def __iter__(self) -> Iterator[Builder]:
        return iter(list(self._builders.values()))


def is_decorated(function: object) -> bool:
    """Whether a function is a builder of any app."""
    return function in _decorated


def run_builder(builder: Builder, found: list[WorkflowSpec[Any]]) -> Iterator[HorsiesError]:
    """Call a builder as its cases say: HRS-027 to HRS-029, and errors of horsies as they are.

    Args:
        builder: The builder.
        found: Gets the specs that were built.
    """
    try:
        parameters = inspect.signature(builder.function).parameters
    except (TypeError, ValueError) as error:
        yield _error(
            builder, ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION, f"has no readable signature: {error}"
        )
        return
    hidden = [name for name, item in parameters.items() if item.kind is Kind.POSITIONAL_ONLY]
    required = [name for name, item in parameters.items() if _is_required(item)]
    if not required:
        yield from _call(builder, {}, "", found)
    elif any(name in hidden for name in required):
        yield _error(
            builder,
            ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION,
            f"has the positional-only parameter {hidden[0]!r}, and cases are passed by name",
        )
    elif not builder.cases:
        yield _error(
            builder,
            ErrorCode.WORKFLOW_CHECK_CASES_REQUIRED,
            f"needs values for {', '.join(repr(name) for name in required)}, and has no cases",
            f"@app.workflow_builder(cases=[{{{', '.join(f'{name!r}: ...' for name in required)}}}])",
        )
    else:
        yield from _run_cases(builder, parameters, required, found)


def _run_cases(
    builder: Builder,
    parameters: Mapping[str, inspect.Parameter],
    required: Sequence[str],
    found: list[WorkflowSpec[Any]],
) -> Iterator[HorsiesError]:
    cases: object = builder.cases
    if not isinstance(cases, list | tuple):
        yield _case_error(builder, f"has cases that are a {type(cases).__name__}, not a list of dicts")
        return
    for number, case in enumerate(cast("Sequence[object]", cases), 1):
        problem = _case_problem(case, parameters, required)
        if problem is not None:
            yield _case_error(builder, f"has case {number} that {problem}")
        else:
            yield from _call(builder, cast("dict[str, Any]", case), f" (case {number})", found)


def _case_problem(
    case: object, parameters: Mapping[str, inspect.Parameter], required: Sequence[str]
) -> str | None:
    if not isinstance(case, dict):
        return f"is a {type(case).__name__}, not a dict of parameter names to values"
    given = cast("dict[object, object]", case)
    by_name = {name for name, item in parameters.items() if _is_named(item)}
    takes_anything = any(item.kind is Kind.VAR_KEYWORD for item in parameters.values())
    unknown = [name for name in given if not (name in by_name or (takes_anything and isinstance(name, str)))]
    if unknown:
        return f"gives {unknown[0]!r}, which is no parameter; there are {', '.join(sorted(by_name))}"
    lacking = [name for name in required if name not in given]
    return f"lacks {', '.join(repr(name) for name in lacking)}" if lacking else None


def _call(
    builder: Builder, arguments: Mapping[str, Any], case: str, found: list[WorkflowSpec[Any]]
) -> Iterator[HorsiesError]:
    returned, error = call_for_spec(lambda: builder.function(**arguments))
    if isinstance(error, HorsiesError):
        yield error
    elif error is not None:
        yield _error(
            builder,
            ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION,
            f"raised {type(error).__name__}{case}: {error}",
            cause=error,
        )
    elif returned is None:
        yield _error(
            builder,
            ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION,
            f"did not return a WorkflowSpec{case}",
            "return app.workflow(...)",
        )
    else:
        found.append(returned)


def call_for_spec(call: Callable[[], object]) -> tuple[WorkflowSpec[Any] | None, BaseException | None]:
    """Run user code that should return a spec.

    Returns:
        The spec if it returned one, and what it raised.
    """
    try:
        returned = call()
    except (Exception, SystemExit) as error:
        return None, error
    if inspect.iscoroutine(returned):
        returned.close()  # it will never be awaited, and must not warn about that
    return (returned, None) if is_spec(returned) else (None, None)


def _is_named(item: inspect.Parameter) -> bool:
    return item.kind in (Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY)


def _is_required(item: inspect.Parameter) -> bool:
    return item.default is Kind.empty and item.kind not in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD)


def _case_error(builder: Builder, problem: str) -> HorsiesError:
    return _error(
        builder,
        ErrorCode.WORKFLOW_CHECK_CASE_INVALID,
        problem,
        "a case is a dict with a value for each required parameter: cases=[{'count': 3}]",
    )


def _error(
    builder: Builder,
    code: ErrorCode,
    problem: str,
    help_text: str | None = None,
    *,
    cause: BaseException | None = None,
) -> HorsiesError:
    error = WorkflowValidationError(
        f"{builder.label} {problem}", code=code, location=builder.location, help_text=help_text
    )
    error.__cause__ = cause
    return error
