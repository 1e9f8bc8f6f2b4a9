"""What a task can learn about the workflow it runs in: `WorkflowMeta` and `WorkflowContext`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Never, Protocol

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from horsies.task_result import SubWorkflowSummary, TaskError, TaskResult
from horsies.workflow.node_key import Keyed


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


class WorkflowContextMissingIdError(RuntimeError):
    """A context was asked for a node that has no id yet; in a task it becomes `WORKFLOW_CTX_MISSING_ID`."""


class ChildNode(Protocol):
    """What names a node that runs a child workflow, and knows the type of its output."""

    @property
    def node_id(self) -> str | None:
        """The node's id, if it has one yet."""
        ...

    def read_summary(self, stored: Mapping[str, Any]) -> SubWorkflowSummary:
        """A stored summary of the child, its output decoded."""
        ...


class WorkflowContext:
    """The results of earlier nodes, for the node that asked for them with `workflow_ctx_from`.

    Attributes:
        workflow_id: Id of the workflow.
        task_index: Place of the node among the workflow's nodes, from 0.
        task_name: Name of the node's task.
    """

    __slots__ = ("_results", "_summaries", "task_index", "task_name", "workflow_id")

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
        summaries: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Make a context; the library does this.

        Args:
            workflow_id: Id of the workflow.
            task_index: Place of the node.
            task_name: Name of the node's task.
            results: Results by node id.
            summaries: How child workflows ended, as stored, by the id of their node.
        """
        self.workflow_id = workflow_id
        self.task_index = task_index
        self.task_name = task_name
        self._results = MappingProxyType(dict(results))
        self._summaries = MappingProxyType(dict(summaries))

    def result_for[T](self, node: Keyed[T]) -> TaskResult[T, TaskError]:
        """The result of a node.

        Args:
            node: The node, or its `NodeKey`.

        Returns:
            Its result; an error `UPSTREAM_SKIPPED` if it was skipped.

        Raises:
            KeyError: The node is not among those listed in `workflow_ctx_from`.
            WorkflowContextMissingIdError: The node has no id.
        """
        node_id = _id_of(node)
        if node_id not in self._results:
            _refuse("result", node_id, self._results)
        return self._results[node_id]

    def has_result(self, node: Keyed[Any]) -> bool:
        """Whether the context holds the result of a node; of a node without id it does not."""
        return node.node_id in self._results

    def summary_for(self, node: ChildNode) -> SubWorkflowSummary:
        """How the child workflow of a node ended, whether it succeeded or not.

        Args:
            node: The `SubWorkflowNode`.

        Raises:
            KeyError: The context holds no summary of this node.
            WorkflowContextMissingIdError: The node has no id.
            DecodeError: The stored output is not of the type that the child's definition declares.
        """
        node_id = _id_of(node)
        if node_id not in self._summaries:
            _refuse("summary", node_id, self._summaries)
        return node.read_summary(self._summaries[node_id])

    def has_summary(self, node: Keyed[Any]) -> bool:
        """Whether the context holds the summary of a node's child workflow."""
        return node.node_id in self._summaries

    def model_dump(self, *args: object, **options: object) -> Never:
        """Refused: a context is made for one node and does not travel.

        Raises:
            NotImplementedError: Always.
        """
        _refuse_json(self)

    model_dump_json = model_dump

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(_refuse_json, when_used="json")
        return core_schema.is_instance_schema(cls, serialization=write)

    def __repr__(self) -> str:
        return (
            f"WorkflowContext(workflow_id={self.workflow_id!r}, task_index={self.task_index!r}, "
            f"task_name={self.task_name!r}, nodes={list(self._results)!r})"
        )


class _WithId(Protocol):
    @property
    def node_id(self) -> str | None: ...


def _id_of(node: _WithId) -> str:
    node_id = node.node_id
    if node_id is None:
        raise WorkflowContextMissingIdError(
            "the node has no id yet: it gets one as a class attribute of a WorkflowDefinition, from a "
            "WorkflowSpec it is in, or by node_id=...; or name it by NodeKey('its-id')"
        )
    return node_id


def _refuse(what: str, node_id: str, held: Mapping[str, object]) -> Never:
    known = ", ".join(repr(name) for name in held) or "none"
    raise KeyError(
        f"no {what} of node {node_id!r} in this context, which holds: {known}; "
        "list the node in workflow_ctx_from"
    )


def _refuse_json(context: WorkflowContext) -> Never:
    raise NotImplementedError(
        "a WorkflowContext cannot be written as JSON; take the results out of it with result_for(node)"
    )
