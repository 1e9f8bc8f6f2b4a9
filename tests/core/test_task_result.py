"""TaskResult (01 section 1)."""

import copy
import pickle
import typing
from typing import Any

import pytest

from horsies.errors.codes import OutcomeCode
from horsies.result import Err, Ok, is_err, is_ok
from horsies.task_result import (
    TaskError,
    TaskResult,
)

type Outcome = TaskResult[int | None, TaskError]


def success(value: int | None = 1) -> Outcome:
    return TaskResult(ok=value)


def failure(message: str = "m") -> Outcome:
    return TaskResult(err=TaskError(message=message))


# --- TaskResult --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 0, None])
def test_success(value: int | None) -> None:
    """T-01, T-03, T-04: None is a value like any other."""
    result = success(value)
    assert (result.is_ok(), result.is_err()) == (True, False)
    assert (result.ok, result.err) == (value, None)
    assert result.ok_value == result.unwrap() == value
    with pytest.raises(ValueError, match="succeeded"):
        _ = result.err_value
    with pytest.raises(ValueError, match="succeeded"):
        result.unwrap_err()


def test_failure() -> None:
    """T-01, T-03, T-04"""
    error = TaskError(error_code=OutcomeCode.TASK_EXPIRED, message="too late")
    result: Outcome = TaskResult(err=error)
    assert (result.is_ok(), result.is_err()) == (False, True)
    assert (result.ok, result.err) == (None, error)
    assert result.err_value is result.unwrap_err() is error
    with pytest.raises(ValueError, match=r"TASK_EXPIRED.*too late"):
        _ = result.ok_value
    with pytest.raises(ValueError, match=r"TASK_EXPIRED.*too late"):
        result.unwrap()


@pytest.mark.parametrize(
    "keywords", [{}, {"ok": 1, "err": TaskError()}, {"ok": None, "err": None}, {"ok": 1, "err": None}]
)
def test_exactly_one_keyword(keywords: dict[str, Any]) -> None:
    """T-02"""
    with pytest.raises(ValueError, match="exactly one"):
        TaskResult(**keywords)


def test_keyword_only() -> None:
    """01 section 1"""
    build: Any = TaskResult
    with pytest.raises(TypeError):
        build(1)
    with pytest.raises(TypeError):
        build(okay=1)


@pytest.mark.parametrize("result", [success(), failure()])
def test_it_is_neither_ok_nor_err(result: Any) -> None:
    """E-06: another class than the results of the library's calls, and their guards do not take it."""
    assert not isinstance(result, Ok | Err)
    assert not is_ok(result)
    assert not is_err(result)
    assert result != Ok(1)


def test_equality_and_hash() -> None:
    assert success(1) == success(1)
    assert success(1) != success(2)
    assert failure("a") == failure("a")
    assert failure("a") != failure("b")
    assert success(None) != failure()
    assert typing.cast("object", success(1)) != 1
    assert len({success(1), success(1), success(None)}) == 2


def test_repr() -> None:
    assert repr(success(1)) == "TaskResult(ok=1)"
    assert repr(failure("why")).startswith("TaskResult(err=TaskError(")
    assert "why" in repr(failure("why"))


@pytest.mark.parametrize("result", [success(1), success(None), failure()])
def test_copies_and_pickles_are_equal(result: Outcome) -> None:
    assert copy.copy(result) == copy.deepcopy(result) == pickle.loads(pickle.dumps(result)) == result


def test_sides_cannot_be_assigned() -> None:
    result: Any = success()
    for name in ("ok", "err", "ok_value", "err_value", "other"):
        with pytest.raises(AttributeError):
            setattr(result, name, 1)


def test_annotation_can_be_taken_apart() -> None:
    """T-21 rests on this: origin and two parameters are readable, any other number is refused."""
    annotation = TaskResult[int, TaskError]
    assert typing.get_origin(annotation) is TaskResult
    assert typing.get_args(annotation) == (int, TaskError)
    assert annotation(ok=1) == success(1)
    generic: Any = TaskResult
    for parameters in (int, (int, TaskError, str)):
        with pytest.raises(TypeError):
            generic[parameters]
