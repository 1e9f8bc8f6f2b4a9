"""One run of one task: decode, call, encode. The only place where user code is called."""

import asyncio

from horsies.codec.injected import OkTypes
from horsies.codec.problems import DecodeError
from horsies.definition import TaskDefinition
from horsies.outcome import RunOutcome, argument_error, finish_error, finish_exception, finish_return
from horsies.tracing import RunTrace, is_loaded

type Trace = tuple[str | None, str, str, int]
"""The fields of a `RunTrace`."""


def run_def(task: TaskDefinition, kwargs: str | None, ok_types: OkTypes) -> RunOutcome:
    """Run a `def` task. KeyboardInterrupt propagates, everything else becomes the outcome.

    Args:
        task: The task.
        kwargs: Its stored arguments.
        ok_types: Finds the types of the results that a workflow gives it.
    """
    try:
        arguments = task.signature.decode(kwargs, ok_types)
    except DecodeError as problem:
        return finish_error(argument_error(task.name, problem))
    try:
        returned = task.function(**arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as exception:
        return finish_exception(task, exception)
    return finish_return(task, returned)


async def run_async_def(task: TaskDefinition, kwargs: str | None, ok_types: OkTypes) -> RunOutcome:
    """Run an `async def` task; a cancellation by the coordinator is an outcome like any exception."""
    try:
        arguments = task.signature.decode(kwargs, ok_types)
    except DecodeError as problem:
        return finish_error(argument_error(task.name, problem))
    try:
        returned = await task.function(**arguments)
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit, GeneratorExit, asyncio.CancelledError) as exception:
        return finish_exception(task, exception)
    return finish_return(task, returned)


def run_def_traced(task: TaskDefinition, kwargs: str | None, ok_types: OkTypes, trace: Trace) -> RunOutcome:
    """As `run_def`, in a consumer span if the app uses OpenTelemetry (R-142)."""
    if not is_loaded():
        return run_def(task, kwargs, ok_types)
    from horsies.spans import running  # imports OpenTelemetry, which most apps do not have

    with running(task.name, RunTrace(*trace)) as span:
        outcome = run_def(task, kwargs, ok_types)
        if not outcome.ok:
            outcome.trace_context = span.failed(outcome.error_code, outcome.error_message, outcome.envelope)
    return outcome


async def run_async_def_traced(
    task: TaskDefinition, kwargs: str | None, ok_types: OkTypes, trace: Trace
) -> RunOutcome:
    """As `run_async_def`, in a consumer span if the app uses OpenTelemetry (R-142)."""
    if not is_loaded():
        return await run_async_def(task, kwargs, ok_types)
    from horsies.spans import running  # as above

    with running(task.name, RunTrace(*trace)) as span:
        outcome = await run_async_def(task, kwargs, ok_types)
        if not outcome.ok:
            outcome.trace_context = span.failed(outcome.error_code, outcome.error_message, outcome.envelope)
    return outcome
