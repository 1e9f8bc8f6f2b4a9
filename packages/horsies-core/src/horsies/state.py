"""The statuses of tasks, attempts, workflows and nodes, and every legal move between them, as data.

`None` as a source stands for a record that does not exist yet. docs/STATE_MACHINE.md draws the same moves.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    PENDING = "PENDING"
    CLAIMED = "CLAIMED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended for good."""
        return self in TASK_TERMINAL_STATES


TASK_TERMINAL_STATES = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED}
)


class AttemptOutcome(StrEnum):
    """How one run of a task ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    """With an error; a crash, a timeout and a cancelled run included."""
    WORKER_FAILURE = "WORKER_FAILURE"
    """Before user code or after it: the worker could not reach the task or carry its result."""


class WorkflowStatus(StrEnum):
    """Where a workflow is in its life."""

    PENDING = "PENDING"
    """Reserved: a start writes RUNNING."""
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    PAUSED = "PAUSED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether the workflow has ended; only a retry of its failed nodes opens it again."""
        return self in WORKFLOW_TERMINAL_STATES


WORKFLOW_TERMINAL_STATES = frozenset(
    {WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED, WorkflowStatus.EXPIRED}
)


class WorkflowTaskStatus(StrEnum):
    """Where a node of a workflow is in its life."""

    PENDING = "PENDING"
    READY = "READY"
    """Decided but not enqueued: a prepare step is outstanding, or the workflow is paused."""
    ENQUEUED = "ENQUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def is_terminal(self) -> bool:
        """Whether the node has ended; only a retry of failed nodes opens it again."""
        return self in WORKFLOW_TASK_TERMINAL_STATES


WORKFLOW_TASK_TERMINAL_STATES = frozenset(
    {WorkflowTaskStatus.COMPLETED, WorkflowTaskStatus.FAILED, WorkflowTaskStatus.SKIPPED}
)


class OnError(StrEnum):
    """What a failed node does to its workflow."""

    FAIL = "fail"
    """The rest of the graph is resolved, then the workflow fails."""
    PAUSE = "pause"
    """The workflow stops until somebody resumes or cancels it."""


TASK_TRANSITIONS: Mapping[TaskStatus | None, frozenset[TaskStatus]] = MappingProxyType(
    {
        None: frozenset({TaskStatus.PENDING}),
        TaskStatus.PENDING: frozenset(
            {TaskStatus.CLAIMED, TaskStatus.RUNNING, TaskStatus.EXPIRED, TaskStatus.CANCELLED}
        ),
        TaskStatus.CLAIMED: frozenset(
            {TaskStatus.RUNNING, TaskStatus.PENDING, TaskStatus.EXPIRED, TaskStatus.CANCELLED}
        ),
        TaskStatus.RUNNING: frozenset(
            {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.PENDING, TaskStatus.CANCELLED}
        ),
        TaskStatus.COMPLETED: frozenset(),
        TaskStatus.FAILED: frozenset(),
        TaskStatus.CANCELLED: frozenset(),
        TaskStatus.EXPIRED: frozenset(),
    }
)

WORKFLOW_TRANSITIONS: Mapping[WorkflowStatus | None, frozenset[WorkflowStatus]] = MappingProxyType(
    {
        None: frozenset({WorkflowStatus.RUNNING}),
        WorkflowStatus.PENDING: frozenset({WorkflowStatus.CANCELLED}),
        WorkflowStatus.RUNNING: frozenset(
            {
                WorkflowStatus.COMPLETED,
                WorkflowStatus.FAILED,
                WorkflowStatus.PAUSED,
                WorkflowStatus.CANCELLED,
                WorkflowStatus.EXPIRED,
            }
        ),
        WorkflowStatus.PAUSED: frozenset(
            {WorkflowStatus.RUNNING, WorkflowStatus.CANCELLED, WorkflowStatus.EXPIRED}
        ),
        WorkflowStatus.FAILED: frozenset({WorkflowStatus.RUNNING}),
        WorkflowStatus.COMPLETED: frozenset(),
        WorkflowStatus.CANCELLED: frozenset(),
        WorkflowStatus.EXPIRED: frozenset(),
    }
)

WORKFLOW_TASK_TRANSITIONS: Mapping[WorkflowTaskStatus | None, frozenset[WorkflowTaskStatus]] = (
    MappingProxyType(
        {
            None: frozenset({WorkflowTaskStatus.PENDING}),
            WorkflowTaskStatus.PENDING: frozenset({WorkflowTaskStatus.READY, WorkflowTaskStatus.SKIPPED}),
            WorkflowTaskStatus.READY: frozenset(
                {
                    WorkflowTaskStatus.ENQUEUED,
                    WorkflowTaskStatus.RUNNING,
                    WorkflowTaskStatus.SKIPPED,
                    WorkflowTaskStatus.FAILED,
                    WorkflowTaskStatus.PENDING,
                }
            ),
            WorkflowTaskStatus.ENQUEUED: frozenset(
                {
                    WorkflowTaskStatus.RUNNING,
                    WorkflowTaskStatus.FAILED,
                    WorkflowTaskStatus.SKIPPED,
                    WorkflowTaskStatus.PENDING,
                }
            ),
            WorkflowTaskStatus.RUNNING: frozenset(
                {WorkflowTaskStatus.COMPLETED, WorkflowTaskStatus.FAILED, WorkflowTaskStatus.SKIPPED}
            ),
            WorkflowTaskStatus.FAILED: frozenset({WorkflowTaskStatus.PENDING}),
            WorkflowTaskStatus.SKIPPED: frozenset({WorkflowTaskStatus.PENDING}),
            WorkflowTaskStatus.COMPLETED: frozenset(),
        }
    )
)
