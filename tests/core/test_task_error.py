"""TaskError and SubWorkflowError: codes, dumping and loading, flattened exceptions (01 section 2)."""

import json
import typing
from enum import Enum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from horsies.errors.codes import BUILTIN_CODE_REGISTRY, BuiltInTaskCode, OperationalErrorCode, OutcomeCode
from horsies.state import WorkflowStatus
from horsies.task_result import (
    SubWorkflowError,
    SubWorkflowSummary,
    TaskError,
    flatten_exception,
)

# --- error_code --------------------------------------------------------------------------------------------


class Shop(StrEnum):
    BUSY = "SHOP_BUSY"
    CRASHED = "WORKER_CRASHED"


class Number(Enum):
    ONE = 1


def test_every_field_is_optional() -> None:
    """01 section 2"""
    error = TaskError()
    assert (error.error_code, error.message, error.data, error.exception) == (None, None, None, None)


@pytest.mark.parametrize("code", [*BUILTIN_CODE_REGISTRY.values(), None, "SHOP_BUSY", "lower case", ""])
def test_codes_that_are_kept(code: BuiltInTaskCode | str | None) -> None:
    """T-05"""
    assert TaskError(error_code=code).error_code is code


@pytest.mark.parametrize("value", BUILTIN_CODE_REGISTRY)
def test_reserved_values_are_refused_as_text(value: str) -> None:
    """T-06: a ValueError naming the member to pass."""
    with pytest.raises(ValidationError, match=rf"pass the member \w+Code\.{value}") as caught:
        TaskError(error_code=value)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(ValidationError):
        TaskError.model_validate_json(json.dumps({"error_code": value}))


@pytest.mark.parametrize("code", [Shop.BUSY, Shop.CRASHED])
def test_members_of_other_enums_are_refused(code: Shop) -> None:
    """T-07: also where the value is a reserved one."""
    with pytest.raises(ValidationError, match=f"pass the plain string '{code.value}'"):
        TaskError(error_code=code)


@pytest.mark.parametrize("code", BUILTIN_CODE_REGISTRY.values())
def test_the_dict_form_becomes_the_member(code: BuiltInTaskCode) -> None:
    """T-08"""
    loaded = TaskError.model_validate({"error_code": {"__builtin_task_code__": code.value}})
    assert loaded.error_code is code


@pytest.mark.parametrize(
    "code",
    [
        {},
        {"code": "WORKER_CRASHED"},
        {"__builtin_task_code__": "SHOP_BUSY"},
        {"__builtin_task_code__": None},
        {"__builtin_task_code__": 1},
        {"__builtin_task_code__": ["WORKER_CRASHED"]},
        {"__builtin_task_code__": "WORKER_CRASHED", "more": 1},
    ],
)
def test_other_dicts_are_refused(code: dict[str, object]) -> None:
    """T-09; the extra key: 03 section 7."""
    with pytest.raises(ValidationError, match="__builtin_task_code__"):
        TaskError.model_validate({"error_code": code})


@pytest.mark.parametrize("code", [1, 1.5, True, b"X", ["X"], Number.ONE, object()])
def test_other_types_are_refused(code: object) -> None:
    """01 section 2: a built-in member or a plain str, nothing else; nothing is converted."""
    with pytest.raises(ValidationError):
        TaskError.model_validate({"error_code": code})


def test_unknown_fields_are_refused() -> None:
    """04 section 8: wrong TaskError arguments raise ValidationError."""
    with pytest.raises(ValidationError, match="code"):
        TaskError(code="X")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValidationError, match="message"):
        TaskError(message=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- dump and load -----------------------------------------------------------------------------------------


class Ticket(BaseModel):
    error: TaskError
    history: list[TaskError] = []


codes = st.none() | st.sampled_from(list(BUILTIN_CODE_REGISTRY.values())) | st.text()
errors = st.builds(
    TaskError,
    error_code=codes.filter(lambda code: type(code) is not str or code not in BUILTIN_CODE_REGISTRY),
    message=st.none() | st.text(),
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)


@given(errors)
def test_dump_and_load_restore_the_error(error: TaskError) -> None:
    """T-10: Python and JSON mode."""
    for dumped in (error.model_dump(), error.model_dump(mode="json")):
        again = TaskError.model_validate(dumped)
        assert again == error
        assert type(again.error_code) is type(error.error_code)
    again = TaskError.model_validate_json(error.model_dump_json())
    assert again == error
    assert type(again.error_code) is type(error.error_code)


@given(errors, st.lists(errors, max_size=2))
def test_dump_and_load_of_nested_models(error: TaskError, history: list[TaskError]) -> None:
    """T-10: nested models included."""
    ticket = Ticket(error=error, history=history)
    assert Ticket.model_validate(ticket.model_dump()) == ticket
    assert Ticket.model_validate_json(ticket.model_dump_json()) == ticket


@pytest.mark.parametrize("mode", ["python", "json"])
def test_codes_in_a_dump(mode: str) -> None:
    """T-10: a built-in code is the one-key dict, a user's code the plain string."""
    builtin = TaskError(error_code=OperationalErrorCode.WORKER_CRASHED).model_dump(mode=mode)
    assert builtin["error_code"] == {"__builtin_task_code__": "WORKER_CRASHED"}
    assert type(builtin["error_code"]["__builtin_task_code__"]) is str
    assert TaskError(error_code="SHOP_BUSY").model_dump(mode=mode)["error_code"] == "SHOP_BUSY"
    assert TaskError().model_dump(mode=mode)["error_code"] is None


def raised(exception: BaseException) -> BaseException:
    try:
        raise exception
    except BaseException as caught:
        return caught


def test_exception_in_a_dump() -> None:
    """T-11: Python mode keeps the object, JSON mode flattens it; loading leaves the dict."""
    cause = raised(ValueError("low level"))
    error = TaskError(exception=cause)
    assert error.exception is cause
    assert error.model_dump()["exception"] is cause
    flat = error.model_dump(mode="json")["exception"]
    assert flat == flatten_exception(cause)
    assert TaskError.model_validate_json(error.model_dump_json()).exception == flat
    again = TaskError.model_validate({"exception": flat})
    assert again.exception == flat
    assert again.model_dump(mode="json")["exception"] == flat
    assert again.model_dump()["exception"] == flat
    assert Ticket(error=error).model_dump(mode="json")["error"]["exception"] == flat


@pytest.mark.parametrize("value", ["ValueError", 1, ["x"], ValueError, {1: "x"}])
def test_other_exception_values_are_refused(value: object) -> None:
    """01 section 2"""
    with pytest.raises(ValidationError, match="exception"):
        TaskError.model_validate({"exception": value})


# --- flattening --------------------------------------------------------------------------------------------


def test_flattened_exception() -> None:
    """T-11: five texts; causes and notes are in the traceback."""
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise json.JSONDecodeError("outer", "doc", 0) from inner
    except json.JSONDecodeError as caught:
        caught.add_note("seen by the shop")
        flat = flatten_exception(caught)
    assert list(flat) == ["type", "module", "message", "repr", "traceback"]
    assert flat["type"] == "JSONDecodeError"
    assert flat["module"] == "json.decoder"
    assert flat["message"] == "outer: line 1 column 1 (char 0)"
    assert flat["repr"].startswith("JSONDecodeError(")
    assert "KeyError: 'inner'" in flat["traceback"]
    assert "test_flattened_exception" in flat["traceback"]
    assert "seen by the shop" in flat["traceback"]


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise SystemExit(1)


class WrongTypeError(Exception):
    def __str__(self) -> str:
        return typing.cast("str", 7)


class Meta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise LookupError


class StrangeError(Exception, metaclass=Meta):
    pass


class RecursiveError(Exception):
    def __str__(self) -> str:
        return str(self)


@pytest.mark.parametrize(
    "exception",
    [
        HostileError(),
        WrongTypeError(),
        StrangeError("x"),
        RecursiveError(),
        ValueError("surrogate \udcff"),
        OSError(2, "no file", "name \udcff"),
        ValueError("zero \0"),
        ExceptionGroup("several", [ValueError("a"), HostileError()]),
        KeyboardInterrupt(),
        ValueError(),
    ],
    ids=lambda exception: type(exception).__name__,
)
def test_any_exception_can_be_flattened(exception: BaseException) -> None:
    """T-11: five strings that UTF-8 can carry, whatever the exception does."""
    exception = raised(exception)
    flat = flatten_exception(exception)
    assert set(flat) == {"type", "module", "message", "repr", "traceback"}
    assert all(type(text) is str and text.encode("utf-8") is not None for text in flat.values())
    assert flat["type"] == type(exception).__name__
    assert flat["traceback"]
    assert json.loads(TaskError(exception=exception).model_dump_json())["exception"] == flat


def test_unavailable_texts_say_why() -> None:
    flat = flatten_exception(raised(HostileError()))
    assert flat["message"] == "<unavailable: RuntimeError>"
    assert flat["repr"] == "<unavailable: SystemExit>"


def test_an_interrupt_is_not_swallowed() -> None:
    """E-01: KeyboardInterrupt propagates, also out of a __str__."""

    class StoppedError(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flatten_exception(StoppedError())


def test_exceptions_that_are_their_own_cause() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in flatten_exception(first)["traceback"]


# --- SubWorkflowError --------------------------------------------------------------------------------------


def summary(**changes: Any) -> SubWorkflowSummary:
    fields: dict[str, Any] = {
        "status": WorkflowStatus.FAILED,
        "total_tasks": 3,
        "completed_tasks": 1,
        "failed_tasks": 1,
        "skipped_tasks": 1,
        "error_summary": "no paper",
    }
    return SubWorkflowSummary(**{**fields, **changes})


def test_sub_workflow_error() -> None:
    """T-12: a TaskError with two required fields, restored by dump and load."""
    error = SubWorkflowError(
        error_code=OutcomeCode.SUBWORKFLOW_FAILED, sub_workflow_id="id", sub_workflow_summary=summary()
    )
    assert isinstance(error, TaskError)
    assert SubWorkflowError.model_validate(error.model_dump()) == error
    assert SubWorkflowError.model_validate_json(error.model_dump_json()) == error
    for missing in ("sub_workflow_id", "sub_workflow_summary"):
        with pytest.raises(ValidationError, match=missing):
            SubWorkflowError.model_validate({k: v for k, v in error.model_dump().items() if k != missing})


def test_summary() -> None:
    """W-87: the fields; a summary is a record of the past and cannot be changed."""
    assert list(SubWorkflowSummary.model_fields) == [
        *(
            "status",
            "output",
            "total_tasks",
            "completed_tasks",
            "failed_tasks",
            "skipped_tasks",
            "error_summary",
        )
    ]
    done = summary(status="COMPLETED", output={"a": 1}, error_summary=None)
    assert done.status is WorkflowStatus.COMPLETED
    with pytest.raises(ValidationError):
        done.total_tasks = 4  # pyright: ignore[reportAttributeAccessIssue]
