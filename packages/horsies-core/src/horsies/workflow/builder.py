"""The typed way to make nodes: `task.node(...)` gives a factory, which takes the task's own parameters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import WorkflowValidationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.declared_task import DeclaredTask
from horsies.workflow.node import Condition, JoinKind, Node
from horsies.workflow.nodes import TaskNode


class NodeOptions(TypedDict, total=False):
    """What `task.node(...)` accepts; see `TaskNode`."""

    waits_for: Sequence[Node[Any]]
    workflow_ctx_from: Sequence[Node[Any]] | None
    args_from: Mapping[str, Node[Any]]
    queue: str | None
    priority: int | None
    allow_failed_deps: bool
    join: JoinKind
    min_success: int | None
    good_until: datetime | None
    node_id: str | None
    skip_when: Condition | None
    run_when: Condition | None


class FromNode:
    """Stands for the result of a node among the arguments of another; made by `from_node`."""

    __slots__ = ("node",)

    def __init__(self, node: Node[Any]) -> None:
        self.node = node

    def __repr__(self) -> str:
        return f"from_node({self.node!r})"


def from_node[T](up: Node[T]) -> TaskResult[T, TaskError]:
    """The result of a node as argument of another node.

        a = fetch.node(node_id="a")(url="u")
        b = parse.node()(raw=from_node(a))

    Args:
        up: The node whose result is taken; the new node will wait for it.

    Returns:
        A marker. Type checkers see the `TaskResult` that the parameter will get.

    Raises:
        WorkflowValidationError: HRS-008, it is not a node.
    """
    if not isinstance(cast("object", up), Node):
        raise WorkflowValidationError(
            f"from_node takes a node, not {up!r}",
            code=ErrorCode.WORKFLOW_INVALID_ARGS_FROM,
            help_text="make a node of the task first: task.node()(...) or TaskNode(fn=task, ...)",
        )
    return cast("TaskResult[T, TaskError]", FromNode(up))


class NodeFactory[**P, T]:
    """Makes nodes of one task; each call makes a new one."""

    __slots__ = ("_options", "_task")

    def __init__(self, task: DeclaredTask[T], options: NodeOptions) -> None:
        """Keep the options.

        Raises:
            TypeError: There is no such option.
        """
        unknown = [name for name in options if name not in NodeOptions.__annotations__]
        if unknown:
            raise TypeError(
                f"node() of task {task.task_name!r} has no option {unknown[0]!r}; the task's own arguments go into "
                f"the second call: task.node(...)({unknown[0]}=...)"
            )
        self._task = task
        self._options = options

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskNode[T]:
        """A node with these arguments, by name; `from_node(other)` takes the result of another node.

        Raises:
            WorkflowValidationError: HRS-026, an argument by position; HRS-021, one that is in `args_from` as well.
        """
        label = f"node of task {self._task.task_name!r}"
        if args:
            raise WorkflowValidationError(
                f"{label}: {len(args)} positional arguments; a node takes its arguments by name",
                code=ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
                help_text="name them: task.node()(url='https://...')",
            )
        options = self._options
        waits_for = list(options.get("waits_for", ()))
        args_from = dict(options.get("args_from", {}))
        static: dict[str, Any] = {}
        report = ValidationReport("node")
        for name, value in cast("dict[str, object]", kwargs).items():
            if name in args_from:
                report.add(
                    WorkflowValidationError(
                        f"{label}: {name!r} is given in the call and in args_from",
                        code=ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP,
                        help_text="keep one of the two",
                    )
                )
            elif isinstance(value, FromNode):
                args_from[name] = value.node
                if not any(node is value.node for node in waits_for):
                    waits_for.append(value.node)
            else:
                static[name] = value
        raise_collected(report)
        given: NodeOptions = {**options, "waits_for": waits_for, "args_from": args_from}
        return TaskNode(self._task, kwargs=static, **given)
