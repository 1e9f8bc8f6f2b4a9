"""Result envelopes and errors on the wire: K-29 to K-33, K-41 to K-43, T-10 to T-12."""

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from horsies.codec import StrictJsonError
from horsies.codec.problems import DecodeError, NoTypeAvailableError
from horsies.codec.results import (
    UNENCODABLE_ERROR,
    decode_envelope,
    decode_task_error,
    decode_task_result,
    encode_task_result,
    failure_envelope,
    settle_failure,
    success_envelope,
    validate_task_result_envelope,
)
from horsies.codec.typed import codec_for
from horsies.errors.codes import BUILTIN_CODE_REGISTRY, OperationalErrorCode, OutcomeCode
from horsies.state import WorkflowStatus
from horsies.task_result import SubWorkflowError, SubWorkflowSummary, TaskError, TaskResult
from tests.core.codec.shapes import Order, Picky

SUMMARY = SubWorkflowSummary(
    status=WorkflowStatus.FAILED, total_tasks=3, completed_tasks=1, failed_tasks=1, skipped_tasks=1
)


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        (int, 5, '{"__h_task_result__":true,"ok":5,"err":null}'),
        (type(None), None, '{"__h_task_result__":true,"ok":null,"err":null}'),
        (Order, Order(id=1), '{"__h_task_result__":true,"ok":{"id":1,"lines":[],"at":null},"err":null}'),
        (str, ',"err":null}', '{"__h_task_result__":true,"ok":",\\"err\\":null}","err":null}'),
    ],
)
def test_successes(declared: Any, value: object, text: str) -> None:
    """K-29, K-30"""
    envelope = success_envelope(codec_for(declared).encode(value))
    assert envelope == text
    assert decode_envelope(envelope, declared) == TaskResult(ok=value)
    spaced = json.dumps(json.loads(envelope), indent=1)
    assert decode_envelope(spaced, declared) == TaskResult(ok=value)
    result: TaskResult[Any, TaskError] = TaskResult(ok=value)
    assert encode_task_result(result, declared) == json.loads(text)
    assert decode_task_result(json.loads(text), declared) == result


codes = st.none() | st.sampled_from(sorted(BUILTIN_CODE_REGISTRY.values(), key=str)) | st.just("MY_CODE")
data = (
    st.none()
    | st.integers()
    | st.dates()
    | st.dictionaries(st.just("a"), st.lists(st.datetimes(), max_size=2))
)


@given(code=codes, message=st.none() | st.text(st.characters(codec="utf-8")), extra=data)
def test_failures(code: Any, message: str | None, extra: Any) -> None:
    """K-30, K-31, section 7: an error reads back without any declared type"""
    for error in (
        TaskError(error_code=code, message=message, data=extra),
        SubWorkflowError(
            error_code=code, message=message, data=extra, sub_workflow_id="w", sub_workflow_summary=SUMMARY
        ),
    ):
        envelope = failure_envelope(error)
        for declared in (int, None):
            back = decode_envelope(envelope, declared).err_value
            assert back == error
            assert type(back) is type(error)
        assert settle_failure(error) == (error, envelope)
        result: TaskResult[Any, TaskError] = TaskResult(err=error)
        assert decode_task_result(encode_task_result(result, int), int) == result
        assert decode_task_error(json.loads(envelope)["err"]) == error


def test_an_error_on_the_wire() -> None:
    """Section 7, K-33"""
    error = TaskError(error_code=OutcomeCode.TASK_TIMEOUT, message="ä", data=date(2026, 1, 1))
    assert json.loads(failure_envelope(error)) == {
        "__h_task_result__": True,
        "ok": None,
        "err": {
            "error_code": {"__builtin_task_code__": "TASK_TIMEOUT"},
            "message": "ä",
            "data": {"__h_tag__": "date", "v": "2026-01-01"},
            "exception": None,
        },
    }
    child = SubWorkflowError(sub_workflow_id="w", sub_workflow_summary=SUMMARY)
    assert json.loads(failure_envelope(child))["err"]["sub_workflow_id"] == "w"
    assert isinstance(
        decode_task_error({"sub_workflow_id": "w", "sub_workflow_summary": SUMMARY.model_dump()}),
        SubWorkflowError,
    )


def test_an_exception_travels_as_texts() -> None:
    """T-11"""
    envelope = failure_envelope(TaskError(exception=KeyError("\ud800")))
    exception = decode_envelope(envelope, None).err_value.exception
    assert isinstance(exception, dict)
    assert exception.keys() == {"type", "module", "message", "repr", "traceback"}
    assert exception["type"] == "KeyError"


class OwnError(TaskError):
    more: int = 1


def test_fields_of_a_subclass_do_not_make_an_error_unreadable() -> None:
    """K-19, K-30"""
    assert decode_envelope(failure_envelope(OwnError(message="x")), int).err_value == TaskError(message="x")


class Unprintable:
    def __str__(self) -> str:
        raise OSError

    __repr__ = __str__


@pytest.mark.parametrize(
    "bad",
    [
        TaskError(data=(1, 2)),
        TaskError(data={"__h_tag__": 1}),
        TaskError(data={1: 2}),
        TaskError(data=float("nan")),
        TaskError(data="\ud800"),
        TaskError(data={"\ud800": 1}),
        TaskError(data=Unprintable()),
        TaskError(exception={"a": Unprintable()}),
        TaskError(exception={"__h_x": 1}),
        TaskError.model_construct(error_code=object()),
        object(),
    ],
)
def test_an_error_that_cannot_be_written(bad: Any) -> None:
    """K-32: something is stored all the same, and what was stored is told"""
    stored, envelope = settle_failure(bad)
    assert stored is UNENCODABLE_ERROR
    assert failure_envelope(bad) == envelope
    assert decode_envelope(envelope, None).err_value == stored
    assert stored.error_code is OperationalErrorCode.WORKER_SERIALIZATION_ERROR
    if isinstance(bad, TaskError):
        with pytest.raises(Exception, match=r"."):
            encode_task_result(TaskResult(err=bad), int)


def test_a_message_that_utf8_cannot_carry_is_told_roughly() -> None:
    """K-05, K-32: the error is worth more than its exact text"""
    error = TaskError(error_code="X", message="file \udcff")
    back = decode_envelope(failure_envelope(error), None).err_value
    assert back.error_code == "X"
    assert back.message == "file \\udcff"


def test_an_error_whose_data_contains_itself() -> None:
    """K-32"""
    loop: list[Any] = []
    loop.append(loop)
    assert settle_failure(TaskError(data=loop))[0] is UNENCODABLE_ERROR


ENVELOPE = {"__h_task_result__": True, "ok": None, "err": None}


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"ok": 1, "err": None},
        {"__h_task_result__": True, "ok": 1},
        {**ENVELOPE, "more": 1},
        {**ENVELOPE, "__h_task_result__": 1},
        {**ENVELOPE, "__h_task_result__": "true"},
        {**ENVELOPE, "ok": 1, "err": {"message": "x"}},
        {**ENVELOPE, "err": "x"},
        {**ENVELOPE, "err": {"message": 5}},
        {**ENVELOPE, "err": {"more": 5}},
        {**ENVELOPE, "err": {"error_code": 5}},
        {**ENVELOPE, "err": {"error_code": "TASK_TIMEOUT"}},
        {**ENVELOPE, "err": {"error_code": {"__builtin_task_code__": "TASK_TIMEOUT", "x": 1}}},
        {**ENVELOPE, "err": {"error_code": {"__builtin_task_code__": "NOPE"}}},
        {**ENVELOPE, "err": {"error_code": {"code": "NOPE"}}},
        {**ENVELOPE, "err": {"data": {"__h_x": 1}}},
        {**ENVELOPE, "err": {"data": {"__h_tag__": "nope", "v": 1}}},
        {**ENVELOPE, "err": {"exception": {"__h_tag__": "date", "v": "2026-01-01"}}},
        {**ENVELOPE, "err": {"sub_workflow_id": "w"}},
        {**ENVELOPE, "ok": "x"},
        {**ENVELOPE, "ok": {"__h_tag__": "date", "v": "2026-01-01"}},
    ],
)
def test_envelopes_that_are_none(raw: Any) -> None:
    """K-29, K-41, section 7"""
    with pytest.raises((StrictJsonError, ValidationError)):
        decode_task_result(raw, int)
    with pytest.raises(DecodeError):
        decode_envelope(json.dumps(raw), int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nope",
        '{"__h_task_result__":true,"ok":5,"x":1,"err":null}',
        '{"__h_task_result__":true,"ok":5 5,"err":null}',
        '{"__h_task_result__":true,"ok":,"err":null}',
        '{"__h_task_result__":true,"ok":NaN,"err":null}',
        '{"__h_task_result__":true,"ok":5,"err":null}}',
    ],
)
def test_text_that_is_no_envelope(text: str) -> None:
    """K-29, K-41"""
    for declared in (int, Any):
        with pytest.raises(DecodeError):
            decode_envelope(text, declared)


def test_a_validator_that_raises_anything_else() -> None:
    """K-41"""
    with pytest.raises(DecodeError, match="TypeError"):
        decode_envelope(success_envelope('{"a":-1}'), Picky)


def test_a_success_needs_its_type() -> None:
    """K-31, K-43"""
    for text in (success_envelope("5"), success_envelope("null")):
        with pytest.raises(NoTypeAvailableError):
            decode_envelope(text, None)
    assert decode_envelope(success_envelope("null"), type(None)) == TaskResult(ok=None)


def test_the_envelope_alone() -> None:
    """K-29"""
    assert validate_task_result_envelope(dict(ENVELOPE)) == ENVELOPE
    whole = {**ENVELOPE, "ok": {"anything": [datetime]}}
    assert validate_task_result_envelope(whole) == whole
    for raw in (None, {}, {**ENVELOPE, "x": 1}, {**ENVELOPE, "ok": 1, "err": 1}):
        with pytest.raises(StrictJsonError):
            validate_task_result_envelope(raw)
