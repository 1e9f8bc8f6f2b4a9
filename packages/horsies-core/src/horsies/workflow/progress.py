"""WorkflowProgress: how far a workflow is, in numbers."""

from dataclasses import dataclass

from horsies.state import WorkflowStatus, WorkflowTaskStatus


@dataclass(frozen=True, slots=True)
class WorkflowProgress:
    """How far a workflow was when it was read; all numbers are of one moment.

    Attributes:
        workflow_id: The workflow's id.
        status: Where it is in its life.
        total: Its nodes; a child workflow counts as one, with `include_children` its nodes count as well.
        counts: How many of them are in each state; every state has an entry.
        items_total: Items of its map nodes.
        items_done: Those of them that have ended.
    """

    workflow_id: str
    status: WorkflowStatus
    total: int
    counts: dict[WorkflowTaskStatus, int]
    items_total: int = 0
    items_done: int = 0

    @property
    def terminal(self) -> int:
        """The nodes that have ended: completed, failed or skipped."""
        return sum(number for status, number in self.counts.items() if status.is_terminal)

    @property
    def fraction(self) -> float:
        """The part of the nodes that has ended, from 0.0 to 1.0."""
        return self.terminal / self.total if self.total else 0.0
