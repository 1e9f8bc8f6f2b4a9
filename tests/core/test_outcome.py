"""What a run becomes, stored and in a direct call alike (01 section 7)."""

import asyncio
import json
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer

from horsies import ContractCode, OperationalErrorCode, OutcomeCode, TaskError, TaskFunction, TaskResult
from horsies.codec.results import decode_envelope
from horsies.outcome import (
    RunOutcome,
    argument_error,
    finish_error,
    finish_exception,
    finish_return,
    unknown_task_error,
)
from tests.core.apps import make_app


class Parcel(BaseModel):
    weight: int


class Unwritable(BaseModel):
    name: str

    @field_serializer("name")
    def _write(self, name: str) -> str:
        raise RuntimeError(f"cannot write {name}")


class SpecialError(KeyError):
    pass


class TalklessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def task_that(
    behave: Callable[[], Any], ok_type: Any = int, *, is_async: bool = False, **options: Any
) -> TaskFunction[..., Any]:
    """A task whose function does and returns what `behave` does."""

    def pack() -> Any:
        return behave()

    async def pack_later() -> Any:
        await asyncio.sleep(0)
        return behave()

    function: Any = pack_later if is_async else pack
    function.__annotations__["return"] = TaskResult[ok_type, TaskError]
    app = make_app(
        exception_mapper={LookupError: "APP_LOOKUP", KeyError: "APP_KEY", OSError: "TASK_TIMEOUT"},
        default_unhandled_error_code=options.pop("app_default", "UNHANDLED_EXCEPTION"),
    )
    register: Any = app.task
    task: TaskFunction[..., Any] = register("t", function, **options)
    return task


def raising(error: BaseException) -> Callable[[], Any]:
    def behave() -> Any:
        raise error

    return behave


def returning(value: Any) -> Callable[[], Any]:
    return lambda: value


def run_stored(behave: Callable[[], Any], ok_type: Any = int, **options: Any) -> RunOutcome:
    """One run, as an executor does it."""
    task = task_that(behave, ok_type, **options)
    try:
        returned = task.definition.function()
    except Exception as error:
        return finish_exception(task.definition, error)
    return finish_return(task.definition, returned)


def run_everywhere(
    behave: Callable[[], Any], ok_type: Any = int, **options: Any
) -> TaskResult[Any, TaskError]:
    """The result of a stored run, after checking that both kinds of direct call give the same."""
    stored = run_stored(behave, ok_type, **options)
    result = decode_envelope(stored.envelope, ok_type)
    assert stored.ok is result.is_ok()
    call = task_that(behave, ok_type, **options)
    call_async = task_that(behave, ok_type, is_async=True, **options)
    for direct in (call(), asyncio.run(call_async())):
        assert direct.is_ok() is result.is_ok()
        if result.is_err():
            assert direct.err.error_code == result.err_value.error_code == _code(stored)
            assert direct.err.message.replace("pack_later", "pack") == result.err_value.message
            assert direct.err.message.replace("pack_later", "pack") == stored.error_message
            assert direct.err.data == result.err_value.data
        else:
            assert direct.ok == result.ok
            assert type(direct.ok) is type(result.ok)
    return result


def _code(stored: RunOutcome) -> str | None:
    assert stored.error_code is None or type(stored.error_code) is str
    return stored.error_code


# -- T-47: values


@pytest.mark.parametrize(
    ("ok_type", "value", "expected"),
    [
        (int, 3, 3),
        (int, "3", 3),
        (type(None), None, None),
        (Parcel, {"weight": "4"}, Parcel(weight=4)),
        (float, 1, 1.0),
    ],
)
def test_the_coerced_value_is_the_result(ok_type: Any, value: Any, expected: Any) -> None:
    """T-47, K-18."""
    result = run_everywhere(returning(TaskResult(ok=value)), ok_type)
    assert result.ok_value == expected
    assert type(result.ok_value) is type(expected)


def test_a_success_has_no_error_beside_it() -> None:
    """T-60."""
    stored = run_stored(returning(TaskResult(ok=3)))
    assert stored.ok is True
    assert stored.error_code is None
    assert stored.error_message is None
    assert json.loads(stored.envelope) == {"__h_task_result__": True, "ok": 3, "err": None}


@pytest.mark.parametrize(("ok_type", "value"), [(int, "three"), (int, None), (Parcel, {"weight": "much"})])
def test_a_value_of_another_type_is_a_mismatch(ok_type: Any, value: Any) -> None:
    """T-47, K-39."""
    error = run_everywhere(returning(TaskResult(ok=value)), ok_type).err_value
    assert error.error_code is ContractCode.RETURN_TYPE_MISMATCH
    assert set(error.data) == {"variant", "expected_type", "actual_value", "validation_errors"}
    assert error.data["variant"] == "ok"
    assert error.data["validation_errors"]


def test_a_value_that_cannot_be_encoded() -> None:
    """K-40."""
    stored = run_stored(returning(TaskResult(ok=Unwritable(name="x"))), Unwritable)
    assert stored.ok is False
    assert stored.error_code == "WORKER_SERIALIZATION_ERROR"
    assert stored.error_message is not None
    assert "Unwritable" in stored.error_message


def test_nan_cannot_be_stored() -> None:
    """K-04, K-40."""
    error = run_everywhere(returning(TaskResult(ok=float("nan"))), float).err_value
    assert error.error_code is OperationalErrorCode.WORKER_SERIALIZATION_ERROR


# -- T-47: returned errors


@pytest.mark.parametrize(
    "error",
    [
        TaskError(error_code="STORE_BUSY", message="later", data={"shelf": 3}),
        TaskError(error_code=OutcomeCode.TASK_TIMEOUT, message="took too long"),
        TaskError(message="without code"),
        TaskError(),
    ],
)
def test_a_returned_error_is_recorded_as_it_is(error: TaskError) -> None:
    """T-47; the mapper is not asked (T-51)."""
    stored = run_stored(returning(TaskResult(err=error)))
    assert stored.ok is False
    assert decode_envelope(stored.envelope, None).err_value == error
    assert stored.error_code == (None if error.error_code is None else str(error.error_code))
    assert stored.error_message == error.message
    assert task_that(returning(TaskResult(err=error)))().err is error


def test_a_returned_error_ignores_mapper_and_defaults() -> None:
    """T-51."""
    error = TaskError(error_code="MINE", exception=KeyError("x"))
    assert run_stored(returning(TaskResult(err=error)), app_default="OTHER").error_code == "MINE"


def test_an_err_of_another_type_is_a_mismatch() -> None:
    """T-47."""
    error = run_everywhere(returning(TaskResult(err="oops"))).err_value
    assert error.error_code is ContractCode.RETURN_TYPE_MISMATCH
    assert error.data["variant"] == "err"
    assert error.data["expected_type"] == "TaskError"


def test_an_error_that_cannot_be_encoded() -> None:
    """K-32: what stands beside the envelope agrees with it."""
    stored = finish_error(TaskError(error_code="MINE", data=object()))
    assert stored.ok is False
    assert stored.error_code == "WORKER_SERIALIZATION_ERROR"
    found = decode_envelope(stored.envelope, None).err_value
    assert found.error_code is OperationalErrorCode.WORKER_SERIALIZATION_ERROR
    assert found.message == stored.error_message


# -- T-48


@pytest.mark.parametrize("value", [None, 3, "done", (1, 2), TaskError(error_code="X"), TaskResult])
def test_anything_but_a_task_result(value: Any) -> None:
    """T-48."""
    error = run_everywhere(returning(value)).err_value
    assert error.error_code is OperationalErrorCode.TASK_EXCEPTION
    assert "pack" in str(error.message)


# -- T-49, T-51


def test_an_uncaught_exception() -> None:
    """T-49."""
    error = run_everywhere(raising(ValueError("too heavy"))).err_value
    assert error.error_code is OperationalErrorCode.UNHANDLED_EXCEPTION
    assert str(error.message).startswith("Unhandled exception in task pack:")
    assert "too heavy" in str(error.message)
    assert error.data == {"exception_type": "ValueError"}
    assert isinstance(error.exception, dict)
    assert error.exception["type"] == "ValueError"
    assert error.exception["message"] == "too heavy"
    assert "raise error" in error.exception["traceback"]


def test_a_direct_call_keeps_the_exception() -> None:
    """T-49, T-11."""
    cause = ValueError("too heavy")
    error = task_that(raising(cause))().err
    assert error.exception is cause


@pytest.mark.parametrize("exception", [SystemExit(3), GeneratorExit()])
def test_a_def_task_cannot_end_its_caller(exception: BaseException) -> None:
    """T-49: BaseException except KeyboardInterrupt."""
    error = task_that(raising(exception))().err
    assert error.error_code is OperationalErrorCode.UNHANDLED_EXCEPTION
    assert error.data == {"exception_type": type(exception).__name__}


def test_an_async_task_cannot_end_its_caller() -> None:
    """T-49."""
    result = asyncio.run(task_that(raising(SystemExit(3)), is_async=True)())
    assert result.err.data == {"exception_type": "SystemExit"}


def test_a_keyboard_interrupt_propagates() -> None:
    """T-49, E-01."""
    with pytest.raises(KeyboardInterrupt):
        task_that(raising(KeyboardInterrupt()))()


async def test_a_cancellation_propagates() -> None:
    """E-01."""

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    started = asyncio.Event()

    async def endless() -> TaskResult[int, TaskError]:
        started.set()
        await wait_for_ever()
        return TaskResult(ok=1)

    call = asyncio.create_task(_awaited(make_app().task("endless", endless)))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def _awaited(task: Any) -> Any:
    return await task()


def test_an_exception_without_words() -> None:
    """T-49: a broken __str__ hides nothing."""
    error = run_everywhere(raising(TalklessError())).err_value
    assert error.data == {"exception_type": "TalklessError"}


def test_the_tasks_mapper_goes_first() -> None:
    """T-51."""
    options: dict[str, Any] = {
        "exception_mapper": {KeyError: "TASK_KEY"},
        "default_unhandled_error_code": "MINE",
    }
    assert run_everywhere(raising(KeyError("x")), **options).err_value.error_code == "TASK_KEY"
    assert run_everywhere(raising(LookupError("x")), **options).err_value.error_code == "APP_LOOKUP"
    assert run_everywhere(raising(ValueError("x")), **options).err_value.error_code == "MINE"


class Codes(StrEnum):
    BUSY = "STORE_BUSY"


class MixedCodes(str, Enum):  # noqa: UP042 - what programs have that are older than StrEnum
    BUSY = "STORE_BUSY"


@pytest.mark.parametrize("code", [Codes.BUSY, MixedCodes.BUSY])
def test_a_member_of_a_string_enum_stands_for_its_value(code: str) -> None:
    """T-51: as a mapped code and as the default."""
    mapped = run_everywhere(raising(KeyError("x")), exception_mapper={KeyError: code})
    assert mapped.err_value.error_code == "STORE_BUSY"
    default = run_everywhere(raising(ValueError("x")), default_unhandled_error_code=code)
    assert default.err_value.error_code == "STORE_BUSY"


def test_the_exact_class_counts() -> None:
    """T-51: no subclasses."""
    error = run_everywhere(raising(SpecialError("x")), app_default="APP_DEFAULT").err_value
    assert error.error_code == "APP_DEFAULT"


def test_a_mapped_built_in_value_becomes_the_member() -> None:
    """T-51."""
    error = run_everywhere(raising(OSError("x"))).err_value
    assert error.error_code is OutcomeCode.TASK_TIMEOUT


# -- the worker's own ends


def test_arguments_that_cannot_be_decoded() -> None:
    """K-38."""
    stored = finish_error(argument_error("pack", ValueError("no such field")))
    assert stored.error_code == "WORKER_SERIALIZATION_ERROR"
    assert stored.error_message is not None
    assert "pack" in stored.error_message
    assert "no such field" in stored.error_message


def test_a_name_nobody_knows() -> None:
    """T-49: name unknown in the worker."""
    stored = finish_error(unknown_task_error("pack"))
    assert stored.error_code == "WORKER_RESOLUTION_ERROR"
    assert stored.error_message is not None
    assert "'pack'" in stored.error_message


# -- direct calls


def test_a_direct_call_takes_arguments_like_the_function() -> None:
    def ship(weight: int, *, to: str = "here") -> TaskResult[str, TaskError]:
        return TaskResult(ok=f"{weight} {to}")

    task = make_app().task("ship", ship)
    assert task(3) == TaskResult(ok="3 here")
    assert task(weight=3, to="there") == TaskResult(ok="3 there")


def test_a_call_that_does_not_fit_is_the_callers_mistake() -> None:
    """As with any function: it raises TypeError, while one raised inside becomes an error (T-49)."""

    def ship(weight: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=weight)

    task: Any = make_app().task("ship", ship)
    with pytest.raises(TypeError, match="weight"):
        task()
    inside = task_that(raising(TypeError("inside")))
    assert inside().err.error_code is OperationalErrorCode.UNHANDLED_EXCEPTION


async def test_an_async_call_that_does_not_fit() -> None:
    async def ship(weight: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=weight)

    task: Any = make_app().task("ship", ship)
    with pytest.raises(TypeError, match="positional"):
        await task(1, 2)
