"""The kinds of nodes that run code: `TaskNode` runs a task, `SubWorkflowNode` a workflow of its own.

A new kind derives from `Node` (or `CallNode` if it hands arguments to user code), joins `AnyNode`, and says in `kind`
how it is stored; the checks ask a node, not for its class.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias, cast

from horsies.codec.problems import DecodeError, reason_of
from horsies.codec.typed import codec_for
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import WorkflowValidationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.task_result import SubWorkflowSummary
from horsies.workflow.call_signature import NO_PARAMETERS, CallSignature, signature_of_task
from horsies.workflow.declared_task import DeclaredTask
from horsies.workflow.definition_base import DefinitionBase, facts_of, name_of
from horsies.workflow.node import Condition, JoinKind, Node, NodeKind
from horsies.workflow.type_fit import UNKNOWN

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENGINE_PARAMETERS = frozenset(("workflow_ctx", "workflow_meta"))


class CallNode[T](Node[T]):
    """A node that hands arguments to user code.

    Attributes:
        kwargs: Static arguments by parameter name.
        args_from: Parameter name to the node whose result it takes, as a `TaskResult`.
        kwargs_json: The static arguments as they are stored; only in nodes of a spec.
    """

    __slots__ = ("args_from", "kwargs", "kwargs_json")

    kwargs: Mapping[str, Any]
    args_from: Mapping[str, Node[Any]]
    kwargs_json: str | None

    injects_context: ClassVar[bool]
    """Whether the code can take a `workflow_ctx`."""

    @property
    def signature(self) -> CallSignature:
        """The parameters of the code."""
        return NO_PARAMETERS

    @property
    def filled_in(self) -> set[str]:
        """Parameters that neither `kwargs` nor `args_from` has to give."""
        return set()


class TaskNode[T](CallNode[T]):
    """Runs a task.

        load = TaskNode(fn=load_rows, kwargs={"day": "2024-05-01"})
        total = TaskNode(fn=sum_rows, waits_for=[load], args_from={"rows": load})

    Attributes:
        fn: The task.
        args: Always empty once the node is made; see the constructor.
        queue: The queue to go to instead of the task's own.
        priority: 1 (first) to 100, instead of the queue's.
        good_until: The task must have started by then, else it expires; an aware datetime.
    """

    __slots__ = ("args", "fn", "good_until", "priority", "queue")

    kind: ClassVar[NodeKind] = "task"
    injects_context: ClassVar[bool] = True

    fn: DeclaredTask[T]
    args: Sequence[Any]
    queue: str | None
    priority: int | None
    good_until: datetime | None

    def __init__(
        self,
        fn: DeclaredTask[T],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = _NOTHING,
        *,
        waits_for: Sequence[Node[Any]] = (),
        args_from: Mapping[str, Node[Any]] = _NOTHING,
        workflow_ctx_from: Sequence[Node[Any]] | None = None,
        skip_when: Condition | None = None,
        run_when: Condition | None = None,
        queue: str | None = None,
        priority: int | None = None,
        allow_failed_deps: bool = False,
        join: JoinKind = "all",
        min_success: int | None = None,
        good_until: datetime | None = None,
        node_id: str | None = None,
        index: int | None = None,
    ) -> None:
        """Make a node.

        Args:
            fn: The decorated task.
            args: Static arguments by position; they are kept by name, in `kwargs`.
            kwargs: Static arguments by name.
            waits_for: The nodes it depends on.
            args_from: Parameter name to the node whose result it takes, as a `TaskResult`.
            workflow_ctx_from: The nodes whose results its `workflow_ctx` holds.
            skip_when: Takes the context; skips the node if it returns something true.
            run_when: Takes the context; skips the node unless it returns something true.
            queue: Another queue than the task's own.
            priority: 1 (first) to 100, instead of the queue's.
            allow_failed_deps: Run although dependencies failed or were skipped.
            join: `"all"`, `"any"` or `"quorum"` of the dependencies have to succeed.
            min_success: How many, for `"quorum"`.
            good_until: The task must have started by then, else it expires; an aware datetime.
            node_id: What to call the node; made up if left out.
            index: Set by the spec.

        Raises:
            WorkflowValidationError: HRS-026, more values than parameters, or one given by name as well; HRS-021, one
                is in `args_from` as well.
        """
        if not isinstance(cast("object", fn), DeclaredTask):
            raise TypeError(f"fn of a TaskNode is a function decorated with @app.task, not {fn!r}")
        super().__init__(
            waits_for=waits_for,
            workflow_ctx_from=workflow_ctx_from,
            skip_when=skip_when,
            run_when=run_when,
            join=join,
            min_success=min_success,
            allow_failed_deps=allow_failed_deps,
            node_id=node_id,
            index=index,
        )
        self.fn = fn
        self.args = ()
        self.args_from = dict(args_from)
        self.kwargs = _bind_positions(self, args, kwargs) if args else dict(kwargs)
        self.kwargs_json = None
        self.queue = queue
        self.priority = priority
        self.good_until = good_until

    @property
    def name(self) -> str:
        """The task's name."""
        return self.fn.task_name

    @property
    def ok_type(self) -> Any:
        """The declared type of the task's success value."""
        return self.fn.task_ok_type

    @property
    def signature(self) -> CallSignature:
        """The task's parameters."""
        return signature_of_task(self.fn.definition.signature)

    @property
    def filled_in(self) -> set[str]:
        """The engine's own parameters, the context only where there is one."""
        return {"workflow_meta", "workflow_ctx"} if self.workflow_ctx_from else {"workflow_meta"}


class SubWorkflowNode[T](CallNode[T]):
    """Runs another workflow, built from its definition when the node is reached.

        report = SubWorkflowNode(workflow_def=Report, kwargs={"month": 5}, waits_for=[load])

    Attributes:
        workflow_def: The definition class; `kwargs` and `args_from` go to its `build_with`.
    """

    __slots__ = ("workflow_def",)

    kind: ClassVar[NodeKind] = "subworkflow"
    injects_context: ClassVar[bool] = False

    workflow_def: type[DefinitionBase[T]]

    def __init__(
        self,
        workflow_def: type[DefinitionBase[T]],
        kwargs: Mapping[str, Any] = _NOTHING,
        *,
        waits_for: Sequence[Node[Any]] = (),
        args_from: Mapping[str, Node[Any]] = _NOTHING,
        workflow_ctx_from: Sequence[Node[Any]] | None = None,
        skip_when: Condition | None = None,
        run_when: Condition | None = None,
        join: JoinKind = "all",
        min_success: int | None = None,
        allow_failed_deps: bool = False,
        node_id: str | None = None,
        index: int | None = None,
    ) -> None:
        """Make a node.

        Args:
            workflow_def: The definition class.
            kwargs: Static arguments of its `build_with`.
            waits_for: The nodes it depends on.
            args_from: Parameter of `build_with` to the node whose result it takes, as a `TaskResult`.
            workflow_ctx_from: The nodes whose results the conditions see.
            skip_when: Takes the context; skips the node if it returns something true.
            run_when: Takes the context; skips the node unless it returns something true.
            join: `"all"`, `"any"` or `"quorum"` of the dependencies have to succeed.
            min_success: How many, for `"quorum"`.
            allow_failed_deps: Run although dependencies failed or were skipped.
            node_id: What to call the node; made up if left out.
            index: Set by the spec.
        """
        given: Any = workflow_def
        if not (isinstance(given, type) and issubclass(given, DefinitionBase)):
            raise TypeError(
                f"workflow_def of a SubWorkflowNode is a WorkflowDefinition class, not {workflow_def!r}"
            )
        super().__init__(
            waits_for=waits_for,
            workflow_ctx_from=workflow_ctx_from,
            skip_when=skip_when,
            run_when=run_when,
            join=join,
            min_success=min_success,
            allow_failed_deps=allow_failed_deps,
            node_id=node_id,
            index=index,
        )
        self.workflow_def = workflow_def
        self.args_from = dict(args_from)
        self.kwargs = dict(kwargs)
        self.kwargs_json = None

    @property
    def name(self) -> str:
        """The child workflow's name; that of the class if it has none."""
        return name_of(self.workflow_def) or self.workflow_def.__name__

    @property
    def ok_type(self) -> Any:
        """The T of the child's `WorkflowDefinition[T]`; `UNKNOWN` if it has none."""
        return facts_of(self.workflow_def).output_type

    @property
    def signature(self) -> CallSignature:
        """The parameters of the definition's `build_with`."""
        build = facts_of(self.workflow_def).build
        return NO_PARAMETERS if build is None else build.call

    def read_summary(self, stored: Mapping[str, Any]) -> SubWorkflowSummary:
        """A stored summary of the child, its output decoded by the declared type.

        Args:
            stored: The summary as JSON data.

        Raises:
            DecodeError: It is no summary, or its output is not of that type.
        """
        try:
            summary_data = SubWorkflowSummary.model_validate(stored)
            if summary_data.output is None or self.ok_type is UNKNOWN:
                return summary_data
            output = codec_for(self.ok_type).decode_data(summary_data.output)
            return summary_data.model_copy(update={"output": output})
        except Exception as error:  # validators of the declared type are user code
            raise DecodeError(f"the stored summary of {self!r} cannot be read: {reason_of(error)}") from error


# Plain unions, not `type` statements: their members can be asked for with get_args.
AnyNode: TypeAlias = TaskNode[Any] | SubWorkflowNode[Any]  # noqa: UP040


def _bind_positions(node: TaskNode[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in node.signature.parameters if name not in _ENGINE_PARAMETERS]
    label = f"node of task {node.name!r}"
    report = ValidationReport("node")
    if len(args) > len(names):
        report.add(
            WorkflowValidationError(
                f"{label}: {len(args)} positional values, but the task has {len(names)} parameters",
                code=ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
                notes=[f"its parameters: {', '.join(names) or 'none'}"],
                help_text="give static arguments by name: kwargs={...}",
            )
        )
    for name in names[: len(args)]:
        if name in kwargs:
            report.add(
                WorkflowValidationError(
                    f"{label}: {name!r} is given by position in args and by name in kwargs",
                    code=ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
                    help_text="give it once, best by name: kwargs={...}",
                )
            )
        if name in node.args_from:
            report.add(
                WorkflowValidationError(
                    f"{label}: {name!r} has a static value in args and a source in args_from",
                    code=ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP,
                    help_text="keep one of the two",
                )
            )
    raise_collected(report)
    return dict(zip(names, args, strict=False)) | dict(kwargs)
