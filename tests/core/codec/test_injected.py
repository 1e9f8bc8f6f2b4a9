"""What the workflow engine adds to a task's arguments: K-17, K-34, K-35, W-55, W-56."""

# The tasks of these tests are declared, never run.
# mypy: disable-error-code="empty-body"

import json
from typing import Any

import pytest

from horsies.codec.problems import DecodeError
from horsies.codec.signature import read_signature
from horsies.errors.codes import OperationalErrorCode, OutcomeCode
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContext, WorkflowMeta
from horsies.workflow.node_key import NodeKey
from tests.core.codec.shapes import Order

TYPES: dict[str, Any] = {"load": Order, "count": int}


def task(
    n: int,
    first: TaskResult[Order, TaskError],
    second: TaskResult[int, TaskError] | None = None,
    workflow_ctx: WorkflowContext | None = None,
    workflow_meta: WorkflowMeta | None = None,
) -> TaskResult[int, TaskError]: ...


def plain(n: int) -> TaskResult[int, TaskError]: ...


signature = read_signature(task, "joins", keyword_only=False)
unaware = read_signature(plain, "plain", keyword_only=False)


def _ok(value: object) -> dict[str, Any]:
    return {"__h_task_result__": True, "ok": value, "err": None}


def _result(source: object, inner: object) -> dict[str, Any]:
    return {"__h_taskresult_envelope__": True, "source_task_name": source, "inner": inner}


FIRST = _result("load", _ok({"id": 1}))
META = {"workflow_id": "w", "task_index": 2, "task_name": "joins"}


def _decode(**arguments: object) -> dict[str, object]:
    return signature.decode(json.dumps({"n": 1} | arguments), TYPES.__getitem__)


def test_results_are_read_by_their_source() -> None:
    """K-34"""
    failed = {
        "__h_task_result__": True,
        "ok": None,
        "err": {"error_code": {"__builtin_task_code__": "UPSTREAM_SKIPPED"}},
    }
    assert _decode(first=FIRST, second=_result("count", failed)) == {
        "n": 1,
        "first": TaskResult(ok=Order(id=1)),
        "second": TaskResult(err=TaskError(error_code=OutcomeCode.UPSTREAM_SKIPPED)),
    }


@pytest.mark.parametrize(
    "bad",
    [
        5,
        None,
        _ok(5),
        _result("load", _ok({"id": "x"})),
        _result("load", _ok({})),
        _result("load", {"ok": 1}),
        _result("load", None),
        _result("unknown", _ok(5)),
        _result(None, _ok(5)),
        {"__h_taskresult_envelope__": True, "inner": _ok({"id": 1})},
        {"__h_taskresult_envelope__": 1, "source_task_name": "load", "inner": _ok({"id": 1})},
        {**FIRST, "more": 1},
    ],
)
def test_results_that_cannot_be_read(bad: object) -> None:
    """K-34, K-38"""
    with pytest.raises(DecodeError, match="joins"):
        _decode(first=bad)


def test_a_missing_result() -> None:
    """K-38"""
    with pytest.raises(DecodeError, match="'first'"):
        _decode()
    with pytest.raises(DecodeError, match="not registered"):
        signature.decode(json.dumps({"n": 1, "first": FIRST}))


def test_meta() -> None:
    """K-34, W-56"""
    meta = _decode(first=FIRST, __h_workflow_meta__=META)["workflow_meta"]
    assert meta == WorkflowMeta("w", 2, "joins")
    mapped = _decode(first=FIRST, __h_workflow_meta__={**META, "item_index": 7})["workflow_meta"]
    assert mapped == WorkflowMeta("w", 2, "joins", 7)


def test_context() -> None:
    """K-34, W-55: it holds the listed nodes and no others"""
    sources = {"a": {"source_task_name": "count", "inner": _ok(5)}}
    context = _decode(first=FIRST, __h_workflow_ctx__={**META, "results": sources})["workflow_ctx"]
    assert isinstance(context, WorkflowContext)
    assert (context.workflow_id, context.task_index, context.task_name) == ("w", 2, "joins")
    assert context.result_for(NodeKey[int]("a")) == TaskResult(ok=5)
    assert context.has_result(NodeKey[int]("a"))
    assert not context.has_result(NodeKey[int]("b"))
    with pytest.raises(KeyError, match="'b'"):
        context.result_for(NodeKey[int]("b"))
    assert "'a'" in repr(context)


@pytest.mark.parametrize(
    "added",
    [
        {"__h_workflow_meta__": 5},
        {"__h_workflow_meta__": {}},
        {"__h_workflow_meta__": {**META, "more": 1}},
        {"__h_workflow_meta__": {**META, "task_index": "2"}},
        {"__h_workflow_meta__": {**META, "workflow_id": None}},
        {"__h_workflow_ctx__": 5},
        {"__h_workflow_ctx__": META},
        {"__h_workflow_ctx__": {**META, "results": []}},
        {"__h_workflow_ctx__": {**META, "results": {"a": 5}}},
        {"__h_workflow_ctx__": {**META, "results": {}, "summaries": 5}},
        {"__h_workflow_ctx__": {**META, "results": {}, "summaries": {"a": 5}}},
        {"__h_workflow_ctx__": {**META, "results": {"a": {"inner": _ok(5)}}}},
        {"__h_odd__": 1},
    ],
)
def test_malformed_additions(added: dict[str, object]) -> None:
    """K-28, K-34"""
    with pytest.raises(DecodeError):
        _decode(first=FIRST, **added)


def test_a_result_in_the_context_that_cannot_be_read_is_an_error_there() -> None:
    """05 section 17: the task runs all the same"""
    sources = {"a": {"source_task_name": "unknown", "inner": _ok(5)}}
    context = _decode(first=FIRST, __h_workflow_ctx__={**META, "results": sources})["workflow_ctx"]
    assert isinstance(context, WorkflowContext)
    result = context.result_for(NodeKey[int]("a"))
    assert result.is_err()
    assert result.unwrap_err().error_code is OperationalErrorCode.RESULT_DESERIALIZATION_ERROR


def test_context_for_a_task_that_does_not_ask_is_ignored() -> None:
    """K-35"""
    text = json.dumps({"n": 1, "__h_workflow_ctx__": {"anything": 1}, "__h_workflow_meta__": META})
    assert unaware.decode(text) == {"n": 1}
    with pytest.raises(DecodeError, match="reserved"):
        unaware.decode(json.dumps({"n": 1, "first": FIRST}))
