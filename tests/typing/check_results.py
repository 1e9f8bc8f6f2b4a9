"""What type checkers infer for results; mypy and pyright read this file, running it changes nothing.

Covers E-02, the signatures of 04 section 1, T-01, T-03, T-04.
"""

from collections.abc import Callable
from typing import Any, assert_type

from horsies.result import Err, Ok, Result, as_async_result, as_result, do, do_async, is_err, is_ok
from horsies.send_errors import TaskSendError, TaskSendResult
from horsies.task_result import SubWorkflowError, TaskError, TaskResult


def guards_narrow_both_branches(result: Result[int, str]) -> None:
    if is_ok(result):
        assert_type(result, Ok[int])
        assert_type(result.ok_value, int)
    else:
        assert_type(result, Err[str])
    if is_err(result):
        assert_type(result, Err[str])
        assert_type(result.err_value, str)
    else:
        assert_type(result, Ok[int])


def match_narrows(result: Result[int, str]) -> int:
    match result:
        case Ok(value):
            assert_type(value, int)
            return value
        case Err(error):
            assert_type(error, str)
            return len(error)


def sides_are_taken(result: Result[int, str]) -> None:
    assert_type(result.ok(), int | None)
    assert_type(result.err(), str | None)
    assert_type(result.unwrap(), int)
    assert_type(result.unwrap_err(), str)
    assert_type(result.expect("a number"), int)
    assert_type(result.expect_err("an error"), str)
    assert_type(result.unwrap_or(None), int | None)
    assert_type(result.unwrap_or_else(len), int)
    assert_type(result.unwrap_or_else(lambda error: error.encode()), int | bytes)
    assert_type(result.unwrap_or_raise(ValueError), int)


def results_are_mapped(result: Result[int, str]) -> None:
    assert_type(result.map(lambda value: f"{value}"), Ok[str] | Err[str])
    assert_type(result.map_err(lambda error: error.encode()), Ok[int] | Err[bytes])
    assert_type(result.map_or(None, lambda value: value + 1), int | None)
    assert_type(result.map_or_else(lambda: b"", lambda value: f"{value}"), str | bytes)
    assert_type(result.inspect(print).inspect_err(print), Ok[int] | Err[str])


def results_are_chained(result: Result[int, str]) -> None:
    def next_step(value: int) -> Result[bytes, ValueError]:
        return Ok(bytes(value)) if value >= 0 else Err(ValueError(value))

    def rescue(error: str) -> Result[float, KeyError]:
        return Ok(0.5) if error else Err(KeyError())

    assert_type(result.and_then(next_step), Ok[bytes] | Err[ValueError] | Err[str])
    assert_type(result.or_else(rescue), Ok[int] | Ok[float] | Err[KeyError])
    chained: Result[int, str] = do(Ok(a + b) for a in result for b in result)
    assert_type(chained, Ok[int] | Err[str])


async def results_are_awaited(result: Result[int, str]) -> None:
    async def text(value: int) -> str:
        return str(value)

    async def next_step(value: int) -> Result[bytes, str]:
        return Ok(bytes(value))

    assert_type(await result.map_async(text), Ok[str] | Err[str])
    assert_type(await result.and_then_async(next_step), Ok[bytes] | Err[str])
    chained: Result[str, str] = await do_async(Ok(await text(value)) for value in result)
    assert_type(chained, Ok[str] | Err[str])


async def decorated_functions_keep_their_parameters() -> None:
    @as_result(ValueError)
    def parse(text: str, *, base: int = 10) -> int:
        return int(text, base)

    @as_async_result(ValueError)
    async def fetch(text: str) -> int:
        return int(text)

    assert_type(parse("ff", base=16), Ok[int] | Err[ValueError])
    assert_type(await fetch("1"), Ok[int] | Err[ValueError])


def results_are_covariant(result: Result[int, ValueError]) -> Result[float, Exception]:
    return result


def sends_are_results(result: TaskSendResult[int]) -> None:
    if is_err(result):
        assert_type(result.err_value, TaskSendError)
    else:
        assert_type(result.ok_value, int)


def add(a: int, b: int) -> TaskResult[int, TaskError]:
    if b < 0:
        return TaskResult(err=TaskError(error_code="NEGATIVE"))
    return TaskResult(ok=a + b)


def one_expression(a: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=a) if a else TaskResult(err=TaskError())


def no_value() -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


def containers_take_the_declared_type() -> TaskResult[dict[str, object], TaskError]:
    return TaskResult(ok={"a": 1, "b": None})


def a_wider_value_type(result: TaskResult[int, SubWorkflowError]) -> TaskResult[float | None, TaskError]:
    return result


def anything() -> TaskResult[Any, TaskError]:
    return TaskResult(ok={"a": 1})


def sides_of_a_task_result() -> None:
    result = add(1, 2)
    assert_type(result.ok, int | None)
    assert_type(result.err, TaskError | None)
    assert_type(result.ok_value, int)
    assert_type(result.err_value, TaskError)
    assert_type(result.unwrap(), int)
    assert_type(result.unwrap_err(), TaskError)
    assert_type(TaskResult[int, TaskError](ok=1), TaskResult[int, TaskError])


def value_type_of[**P, T](function: Callable[P, TaskResult[T, TaskError]]) -> Callable[P, T]:
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs).unwrap()

    return call


def the_value_type_can_be_read_off() -> None:
    assert_type(value_type_of(add)(1, b=2), int)
