"""What a task can learn about the workflow it runs in: `WorkflowMeta` and `WorkflowContext`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from horsies.task_result import TaskError, TaskResult


@dataclass(frozen=True, slots=True)
class WorkflowMeta:
    """Which workflow and which of its nodes a task runs for.

    Attributes:
        workflow_id: Id of the workflow.
        task_index: Place of the node among the workflow's nodes, from 0.
        task_name: Name of the node's task.
        item_index: Place of the item, from 0, if the task runs for one item of a map.
    """

    workflow_id: str
    task_index: int
    task_name: str
    item_index: int | None = None


class WorkflowContext:
    """The results of earlier nodes, for the node that asked for them.

    Attributes:
        workflow_id: Id of the workflow.
        task_index: Place of the node among the workflow's nodes, from 0.
        task_name: Name of the node's task.
    """

    __slots__ = ("_results", "task_index", "task_name", "workflow_id")

    workflow_id: str
    task_index: int
    task_name: str

    def __init__(
        self,
        *,
        workflow_id: str,
        task_index: int,
        task_name: str,
        results: Mapping[str, TaskResult[Any, TaskError]],
    ) -> None:
        self.workflow_id = workflow_id
        self.task_index = task_index
        self.task_name = task_name
        self._results = MappingProxyType(dict(results))

    def result_for(self, node: str) -> TaskResult[Any, TaskError]:
        """The result of a node, by its node id.

        Raises:
            KeyError: This node is not among those the context was asked for.
        """
        try:
            return self._results[node]
        except KeyError:
            known = ", ".join(repr(name) for name in self._results) or "none"
            raise KeyError(f"no result of node {node!r} in this context; it holds: {known}") from None

    def has_result(self, node: str) -> bool:
        """Whether the context holds the result of a node, by its node id."""
        return node in self._results

    def __repr__(self) -> str:
        return (
            f"WorkflowContext(workflow_id={self.workflow_id!r}, task_index={self.task_index!r}, "
            f"task_name={self.task_name!r}, nodes={list(self._results)!r})"
        )
