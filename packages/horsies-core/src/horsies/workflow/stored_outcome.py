"""What stored outcomes of workflows and nodes say to whoever asks: pure decisions, for handles."""

from collections.abc import Callable
from typing import Any

from horsies.codec.problems import NoTypeAvailableError, reason_of
from horsies.codec.results import decode_envelope
from horsies.codec.strict import parse_json
from horsies.codec.typed import codec_for
from horsies.errors.codes import (
    BuiltInTaskCode,
    ContractCode,
    OperationalErrorCode,
    OutcomeCode,
    RetrievalCode,
)
from horsies.ops.workflow_read import StoredNode, StoredResult, WorkflowEnd
from horsies.state import WorkflowStatus, WorkflowTaskStatus
from horsies.task_result import SubWorkflowSummary, TaskError, TaskResult
from horsies.workflow.node_info import WorkflowTaskInfo
from horsies.workflow.result_types import child_type

type AnyResult = TaskResult[Any, TaskError]
type Types = Callable[[str], Any]
"""Finds the type of a success value by the name of its source; raises `LookupError` for an unknown one."""

_END_CODES = {
    WorkflowStatus.FAILED: OutcomeCode.WORKFLOW_FAILED,
    WorkflowStatus.CANCELLED: OutcomeCode.WORKFLOW_CANCELLED,
    WorkflowStatus.EXPIRED: OutcomeCode.WORKFLOW_EXPIRED,
}


class UnreadableSummaryError(ValueError):
    """The stored summary of a child workflow cannot be read; the text says which and why."""


def failure(code: BuiltInTaskCode, message: str, cause: BaseException | None = None) -> AnyResult:
    """An error as result."""
    return TaskResult(err=TaskError(error_code=code, message=message, exception=cause))


def not_found(workflow_id: str) -> str:
    """What to say about a workflow that does not exist."""
    return f"there is no workflow {workflow_id}"


def workflow_result(end: WorkflowEnd, workflow_id: str, types: Types) -> AnyResult:
    """What `WorkflowHandle.get` returns (W-32, W-70)."""
    stored = end.workflow
    what = f"workflow {workflow_id} ({stored.name})"
    status = stored.status
    if status is WorkflowStatus.PAUSED:
        return failure(OutcomeCode.WORKFLOW_PAUSED, f"{what} is paused")
    if not status.is_terminal:
        message = f"{what} is {status.value}; it did not end within the time given"
        return failure(RetrievalCode.WAIT_TIMEOUT, message)
    if status is not WorkflowStatus.COMPLETED:
        if stored.error is not None:
            return _decode(stored.error, what, lambda: None)
        return failure(_END_CODES[status], f"{what} ended {status.value}")
    if stored.output_source is None:
        return TaskResult(ok={item.node_id: _last_result(item, types) for item in end.last_nodes})
    if stored.result is None:
        return failure(RetrievalCode.RESULT_NOT_AVAILABLE, f"{what} ended without a stored result")
    source = stored.output_source
    return _decode(stored.result, what, lambda: types(source))


def node_result(stored: StoredResult, types: Types) -> AnyResult:
    """How a node that is COMPLETED or FAILED ended."""
    what = f"node {stored.node_id!r}"
    if stored.result is None:
        return failure(RetrievalCode.RESULT_NOT_AVAILABLE, f"{what} ended without a stored result")
    return _decode(stored.result, what, lambda: types(stored.source))


def asked_result(found: tuple[StoredResult, int] | None, node_id: str, types: Types) -> AnyResult:
    """What `WorkflowHandle.result_for` returns (W-34)."""
    if found is None:
        return failure(RetrievalCode.TASK_NOT_FOUND, f"the workflow has no node {node_id!r}")
    stored, index = found
    if stored.status is WorkflowTaskStatus.SKIPPED:
        error = TaskError(
            error_code=OutcomeCode.UPSTREAM_SKIPPED,
            message=f"node {node_id} was skipped",
            data={"dependency_index": index},
        )
        return TaskResult(err=error)
    if not stored.status.is_terminal:
        message = f"node {node_id!r} is {stored.status.value} and has no result yet"
        return failure(RetrievalCode.RESULT_NOT_READY, message)
    return node_result(stored, types)


def node_info(stored: StoredNode, types: Types) -> WorkflowTaskInfo:
    """A node's record as the user sees it (W-36).

    Raises:
        UnreadableSummaryError: The summary of its child cannot be read.
    """
    outcome = stored.outcome
    return WorkflowTaskInfo(
        node_id=outcome.node_id,
        index=stored.index,
        name=stored.name,
        status=outcome.status,
        result=None if outcome.result is None else node_result(outcome, types),
        started_at=stored.started_at,
        completed_at=stored.completed_at,
        sub_workflow_id=stored.sub_workflow_id,
        sub_workflow_summary=_summary(stored),
    )


def _last_result(stored: StoredResult, types: Types) -> AnyResult | None:
    return None if stored.status is WorkflowTaskStatus.SKIPPED else node_result(stored, types)


def _decode(text: str, what: str, find_type: Callable[[], Any]) -> AnyResult:
    try:
        ok_type = find_type()
    except LookupError:
        ok_type = None
    try:
        return decode_envelope(text, ok_type)
    except NoTypeAvailableError:
        message = f"{what} succeeded, but this process does not know the type of its value; import its task"
        return failure(ContractCode.NO_TYPE_AVAILABLE, message)
    except Exception as problem:  # validators of the declared type are user code
        message = f"the stored result of {what} cannot be read: {problem}"
        return failure(OperationalErrorCode.RESULT_DESERIALIZATION_ERROR, message, problem)


def _summary(stored: StoredNode) -> SubWorkflowSummary | None:
    if stored.sub_workflow_summary is None:
        return None
    try:
        summary = SubWorkflowSummary.model_validate(parse_json(stored.sub_workflow_summary))
        declared = _child_type(stored.definition_key)
        if summary.output is None or declared is None:
            return summary
        return summary.model_copy(update={"output": codec_for(declared).decode_data(summary.output)})
    except Exception as error:  # validators of the declared type are user code
        raise UnreadableSummaryError(
            f"the stored summary of node {stored.outcome.node_id!r} cannot be read: {reason_of(error)}"
        ) from error


def _child_type(definition_key: str | None) -> Any:
    try:
        return None if definition_key is None else child_type(definition_key)
    except LookupError:
        return None
