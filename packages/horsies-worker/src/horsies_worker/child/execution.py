"""One run of one task: decode, call, encode. The only place where user code is called."""

import asyncio

from horsies.codec.injected import OkTypes
from horsies.codec.problems import DecodeError
from horsies.definition import TaskDefinition
from horsies.outcome import RunOutcome, argument_error, finish_error, finish_exception, finish_return


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
