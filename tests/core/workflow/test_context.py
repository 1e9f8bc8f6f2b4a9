"""What a task and a condition see of earlier nodes (W-55, W-56)."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from horsies import (
    ContractCode,
    OutcomeCode,
    SubWorkflowSummary,
    TaskError,
    TaskResult,
    WorkflowContext,
    WorkflowMeta,
    WorkflowStatus,
)
from horsies.codec.problems import DecodeError
from horsies.outcome import finish_exception
from horsies.workflow.context import WorkflowContextMissingIdError
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.node_key import NodeKey
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import Order, app, number, text

SKIPPED: TaskResult[int, TaskError] = TaskResult(err=TaskError(error_code=OutcomeCode.UPSTREAM_SKIPPED))


@app.task("shop.orders")
def orders() -> TaskResult[list[Order], TaskError]:
    return TaskResult(ok=[])


class Child(WorkflowDefinition[list[Order]]):
    name = "child"
    definition_key = "tests.context.child"
    only = TaskNode(fn=orders)

    class Meta:
        output = "only"


class Untyped(WorkflowDefinition):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]
    name = "untyped"
    definition_key = "tests.context.untyped"
    only = TaskNode(fn=orders)


def summary(output: object, **changes: Any) -> dict[str, Any]:
    """A summary as it is stored."""
    return {
        "status": "COMPLETED",
        "output": output,
        "total_tasks": 3,
        "completed_tasks": 2,
        "failed_tasks": 0,
        "skipped_tasks": 1,
        "error_summary": None,
    } | changes


def context(**parts: Any) -> WorkflowContext:
    results: dict[str, Any] = {"up": TaskResult(ok=3), "skipped": SKIPPED}
    return WorkflowContext(
        workflow_id="w-1", task_index=2, task_name="shop.observe", **{"results": results, **parts}
    )


def test_a_context_says_where_it_belongs() -> None:
    """W-55."""
    seen = context()
    assert (seen.workflow_id, seen.task_index, seen.task_name) == ("w-1", 2, "shop.observe")


def test_meta_says_where_the_task_runs() -> None:
    """W-56."""
    meta = WorkflowMeta("w-1", 2, "shop.observe")
    assert (meta.workflow_id, meta.task_index, meta.task_name, meta.item_index) == (
        "w-1",
        2,
        "shop.observe",
        None,
    )
    with pytest.raises(AttributeError):
        meta.task_index = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_results_by_node_and_by_key() -> None:
    """W-55: the given node, the spec's own, or a key."""
    up = TaskNode(fn=number, node_id="up")
    spec = WorkflowSpec("w", [up])
    key: NodeKey[int] = NodeKey("up")
    for node in (up, up.key(), key):
        assert context().result_for(node) == TaskResult(ok=3)
        assert context().has_result(node)
    assert context().result_for(spec.tasks[0]) == TaskResult(ok=3)
    assert context().result_for(NodeKey[int]("skipped")) == SKIPPED


def test_other_nodes_are_not_in_it() -> None:
    """W-55: KeyError, naming what is."""
    other = TaskNode(fn=number, node_id="other")
    with pytest.raises(
        KeyError, match=r"no result of node 'other'.*holds: 'up', 'skipped'.*workflow_ctx_from"
    ):
        context().result_for(other)
    assert not context().has_result(other)
    with pytest.raises(KeyError, match="holds: none"):
        context(results={}).result_for(other)


def test_a_node_without_an_id_cannot_be_looked_up() -> None:
    """W-55: has_... return False instead."""
    node, child = TaskNode(fn=number), SubWorkflowNode(workflow_def=Child)
    with pytest.raises(WorkflowContextMissingIdError, match="has no id yet"):
        context().result_for(node)
    with pytest.raises(WorkflowContextMissingIdError, match="has no id yet"):
        context().summary_for(child)
    assert not context().has_result(node)
    assert not context().has_summary(child)


def test_uncaught_it_becomes_the_error_of_the_task() -> None:
    """W-55: err WORKFLOW_CTX_MISSING_ID, whatever the mappers say."""
    with pytest.raises(WorkflowContextMissingIdError) as caught:
        context().result_for(TaskNode(fn=number))
    outcome = finish_exception(text.definition, caught.value)
    assert outcome.error_code == ContractCode.WORKFLOW_CTX_MISSING_ID
    assert not outcome.ok


def test_summaries_give_the_output_as_the_child_declares_it() -> None:
    """W-55, W-87."""
    child = SubWorkflowNode(workflow_def=Child, node_id="child")
    seen = context(summaries={"child": summary([{"lines": [1]}])})
    assert seen.has_summary(child)
    assert seen.summary_for(child) == SubWorkflowSummary(
        status=WorkflowStatus.COMPLETED,
        output=[Order([1])],
        total_tasks=3,
        completed_tasks=2,
        failed_tasks=0,
        skipped_tasks=1,
    )


def test_summaries_of_failed_children() -> None:
    """W-55, W-87: no output then."""
    child = SubWorkflowNode(workflow_def=Child, node_id="child")
    stored = summary(None, status="FAILED", failed_tasks=1, error_summary="out of paper")
    found = context(summaries={"child": stored}).summary_for(child)
    assert (found.status, found.output, found.error_summary) == (WorkflowStatus.FAILED, None, "out of paper")


def test_the_output_of_a_child_without_type_stays_json() -> None:
    child: SubWorkflowNode[Any] = SubWorkflowNode(workflow_def=Untyped, node_id="child")
    assert context(summaries={"child": summary([{"lines": [1]}])}).summary_for(child).output == [
        {"lines": [1]}
    ]


@pytest.mark.parametrize("stored", [summary([{"rows": 1}]), summary(5), {"status": "COMPLETED"}])
def test_a_summary_that_cannot_be_read(stored: dict[str, Any]) -> None:
    child = SubWorkflowNode(workflow_def=Child, node_id="child")
    with pytest.raises(DecodeError, match="the stored summary of <SubWorkflowNode 'child'"):
        context(summaries={"child": stored}).summary_for(child)


def test_a_summary_that_is_not_there() -> None:
    """W-55."""
    child = SubWorkflowNode(workflow_def=Child, node_id="child")
    assert not context().has_summary(child)
    with pytest.raises(KeyError, match="no summary of node 'child'"):
        context().summary_for(child)


def test_a_context_holds_what_it_was_made_of() -> None:
    """W-55: built anew for each node; later changes do not reach it."""
    results = {"up": TaskResult[int, TaskError](ok=1)}
    seen = context(results=results)
    results.clear()
    assert seen.has_result(NodeKey("up"))


def test_a_context_is_not_written_as_json() -> None:
    """W-55."""
    with pytest.raises(NotImplementedError, match="cannot be written as JSON"):
        context().model_dump_json()
    with pytest.raises(NotImplementedError, match="cannot be written as JSON"):
        context().model_dump(mode="json")
    adapter = TypeAdapter(WorkflowContext)
    with pytest.raises(PydanticSerializationError, match="NotImplementedError: a WorkflowContext cannot"):
        adapter.dump_json(context())
    with pytest.raises(TypeError):
        json.dumps(context())
    assert adapter.validate_python(seen := context()) is seen


def test_the_repr_names_nodes_and_no_results() -> None:
    assert repr(context()) == (
        "WorkflowContext(workflow_id='w-1', task_index=2, task_name='shop.observe', nodes=['up', 'skipped'])"
    )
