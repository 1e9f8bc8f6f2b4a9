"""What can be read about one node of a workflow."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from horsies.state import WorkflowTaskStatus
from horsies.task_result import SubWorkflowSummary, TaskError, TaskResult


@dataclass(frozen=True, slots=True)
class WorkflowTaskInfo:
    """One node, as it was when it was read.

    Attributes:
        node_id: The node's id.
        index: Place in the workflow, from 0.
        name: Name of its task, or of its child workflow.
        status: Where it is in its life.
        result: How it ended; `None` unless it is COMPLETED or FAILED.
        started_at: When its task's last run could begin, or its child was made (database time).
        completed_at: When it ended (database time).
        sub_workflow_id: Id of its child workflow, if it has one.
        sub_workflow_summary: How that ended, once it has.
    """

    node_id: str
    index: int
    name: str
    status: WorkflowTaskStatus
    result: TaskResult[Any, TaskError] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    sub_workflow_id: str | None = None
    sub_workflow_summary: SubWorkflowSummary | None = None
