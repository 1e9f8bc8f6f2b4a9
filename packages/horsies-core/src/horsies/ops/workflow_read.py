"""Observe one workflow: its end, waiting for it, its nodes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from horsies.channels import workflow_done
from horsies.db.effects import Listen, Op, Row, Run, Wait
from horsies.ops.read import POLL_DEAF_S, POLL_S
from horsies.state import WorkflowStatus, WorkflowTaskStatus


class WorkflowNotFoundError(LookupError):
    """There is no such workflow."""


@dataclass(frozen=True, slots=True)
class StoredWorkflow:
    """What is stored of a workflow's outcome.

    Attributes:
        output_source: Name under which the type of its output is found; `None` without an output node.
        result: Envelope of its output, once it is COMPLETED.
        error: Envelope of its error.
    """

    status: WorkflowStatus
    name: str
    output_source: str | None
    result: str | None
    error: str | None

    @property
    def is_settled(self) -> bool:
        """Whether there is no point in waiting: it has ended, or it is paused."""
        return self.status.is_terminal or self.status is WorkflowStatus.PAUSED


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What is stored of a node's outcome.

    Attributes:
        source: Name under which the type of its success value is found.
        result: Envelope; `None` unless it is COMPLETED or FAILED.
    """

    node_id: str
    status: WorkflowTaskStatus
    source: str
    result: str | None


@dataclass(frozen=True, slots=True)
class StoredNode:
    """One node's record.

    Attributes:
        outcome: How it ended, if it has.
        name: Name of its task, or of its child workflow.
        sub_workflow_summary: JSON text.
        definition_key: Of its child workflow.
    """

    outcome: StoredResult
    index: int
    name: str
    started_at: datetime | None
    completed_at: datetime | None
    sub_workflow_id: str | None
    sub_workflow_summary: str | None
    definition_key: str | None


@dataclass(frozen=True, slots=True)
class StoredGraphNode:
    """One node's place in the graph, and where it is in its life.

    Attributes:
        kind: As stored: "task" or "subworkflow".
        name: Name of its task, or of its child workflow.
        waits_for: Indices of its dependencies.
        join: As stored: "all", "any" or "quorum".
        status: As stored.
    """

    kind: str
    node_id: str
    name: str
    waits_for: Sequence[int]
    join: str
    min_success: int | None
    allow_failed_deps: bool
    has_conditions: bool
    is_output: bool
    status: str


@dataclass(frozen=True, slots=True)
class WorkflowEnd:
    """A workflow and, if it is COMPLETED without an output node, the results that stand for its output."""

    workflow: StoredWorkflow
    last_nodes: Sequence[StoredResult] = ()


def read_workflow(workflow_id: str, *, mark: bool = False) -> Op[StoredWorkflow]:
    """The stored outcome; `mark` asks that its end be announced.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    rows: list[Row] = yield Run("read_workflow", {"id": workflow_id, "mark": mark})
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    status, *rest = rows[0]
    return StoredWorkflow(WorkflowStatus(status), *rest)


def wait_end(schema: str, workflow_id: str, timeout_s: float | None) -> Op[WorkflowEnd]:
    """The outcome once the workflow has ended or is paused, or what is there when the time is up.

    Subscribe, mark, read, in this order, as for tasks (D-047).

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    stored = yield from read_workflow(workflow_id)
    if not stored.is_settled and (deadline is None or time.monotonic() < deadline):
        subscription = yield Listen(workflow_done(schema), workflow_id)
        try:
            while True:
                stored = yield from read_workflow(workflow_id, mark=True)
                left = None if deadline is None else deadline - time.monotonic()
                if stored.is_settled or (left is not None and left <= 0):
                    break
                pause = POLL_S if subscription.connected else POLL_DEAF_S
                yield Wait(subscription, pause if left is None else min(pause, left))
        finally:
            subscription.close()
    if stored.status is WorkflowStatus.COMPLETED and stored.output_source is None:
        rows: list[Row] = yield Run("read_last_nodes", {"id": workflow_id})
        return WorkflowEnd(stored, [_result(row) for row in rows])
    return WorkflowEnd(stored)


def read_node(workflow_id: str, node_id: str) -> Op[tuple[StoredResult, int] | None]:
    """One node's outcome and index; `None` if the workflow has no such node.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    rows: list[Row] = yield Run("read_node", {"id": workflow_id, "node_id": node_id})
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    return None if rows[0][0] is None else (_result(rows[0][:4]), rows[0][4])


def read_results(workflow_id: str) -> Op[list[StoredResult]]:
    """The outcomes of the nodes that are COMPLETED or FAILED, by index.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    rows: list[Row] = yield Run("read_results", {"id": workflow_id})
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    return [_result(row) for row in rows if row[0] is not None]


def read_nodes(workflow_id: str) -> Op[list[StoredNode]]:
    """The records of all nodes, by index.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    rows: list[Row] = yield Run("read_nodes", {"id": workflow_id})
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    return [StoredNode(_result(row[:4]), *row[4:]) for row in rows]


def read_progress(
    workflow_id: str, *, include_children: bool
) -> Op[tuple[WorkflowStatus, dict[WorkflowTaskStatus, int]]]:
    """A workflow's status, and how many of its nodes are in each state, of one moment.

    Args:
        workflow_id: The workflow's id.
        include_children: Count the nodes of its present child workflows too, at any depth.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    params = {"id": workflow_id, "include_children": include_children}
    rows: list[Row] = yield Run("read_progress", params)
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    counts = dict.fromkeys(WorkflowTaskStatus, 0)
    counts |= {WorkflowTaskStatus(state): number for _, state, number in rows}
    return WorkflowStatus(rows[0][0]), counts


def read_graph(workflow_id: str) -> Op[list[StoredGraphNode]]:
    """What is needed to draw a workflow, by index.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
    """
    rows: list[Row] = yield Run("read_graph", {"id": workflow_id})
    if not rows:
        raise WorkflowNotFoundError(workflow_id)
    return [StoredGraphNode(*row) for row in rows]


def _result(row: Row) -> StoredResult:
    node_id, status, source, result = row
    return StoredResult(node_id, WorkflowTaskStatus(status), source, result)
