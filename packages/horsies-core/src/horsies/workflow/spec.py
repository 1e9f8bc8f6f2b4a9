"""WorkflowSpec: a checked, frozen graph of nodes, ready to be started as often as one likes."""

from collections.abc import Sequence
from typing import Any, TypeGuard, overload

from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.state import OnError
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.building import note_spec
from horsies.workflow.definition_base import DefinitionBase
from horsies.workflow.freeze import copy_nodes, copy_policy, freeze_value, write
from horsies.workflow.host import WorkflowHost
from horsies.workflow.mermaid import Direction, draw, graph_of
from horsies.workflow.node import Node
from horsies.workflow.policy import SuccessPolicy, read_on_error
from horsies.workflow.spec_base import SpecBase
from horsies.workflow.start import (
    WorkflowStartResult,
    retry_spec,
    retry_spec_async,
    start_spec,
    start_spec_async,
)
from horsies.workflow.start_errors import WorkflowStartError
from horsies.workflow.validate import validate
from horsies.workflow.validate.draft import Draft

type NodeResults = dict[str, TaskResult[Any, TaskError] | None]
"""The success value of a workflow without output node: by node id, the results of the nodes nothing depends on."""


class WorkflowSpec[T](SpecBase[T]):
    """A workflow as a graph of nodes. `T` is the success value of its output node.

        load = TaskNode(fn=load_rows)
        total = TaskNode(fn=sum_rows, waits_for=[load], args_from={"rows": load})
        spec = app.workflow("etl", [load, total], output=total)

    The spec keeps frozen copies: what is later done to the nodes and values it was made of does not reach it, and
    nothing in it can be set or deleted. The given nodes learn their `index` and `node_id`, so that they can be used
    to look up results.

    Attributes:
        name: The workflow's name.
        tasks: The nodes, in order.
        on_error: What a failed node does to the workflow.
        output: The node whose result is the workflow's result.
        success_policy: When the workflow succeeds although nodes failed.
        definition_key: The key of the definition it was built from.
        workflow_def_cls: The definition class it was built from.
        resend_on_transient_err: Repeat a start up to three times when the database connection failed.
    """

    __slots__ = (
        "__weakref__",
        "_broker",
        "_host",
        "definition_key",
        "name",
        "on_error",
        "output",
        "resend_on_transient_err",
        "success_policy",
        "tasks",
        "workflow_def_cls",
    )

    _broker: Broker | None
    _host: WorkflowHost | None

    @overload
    def __init__(
        self: "WorkflowSpec[NodeResults]",
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        output: None = None,
        success_policy: SuccessPolicy | None = None,
        definition_key: str | None = None,
        workflow_def_cls: type[DefinitionBase[Any]] | None = None,
        broker: Broker | None = None,
        resend_on_transient_err: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str,
        output: Node[T],
        success_policy: SuccessPolicy | None = None,
        definition_key: str | None = None,
        workflow_def_cls: type[DefinitionBase[Any]] | None = None,
        broker: Broker | None = None,
        resend_on_transient_err: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        *,
        output: Node[T],
        success_policy: SuccessPolicy | None = None,
        definition_key: str | None = None,
        workflow_def_cls: type[DefinitionBase[Any]] | None = None,
        broker: Broker | None = None,
        resend_on_transient_err: bool = False,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        output: Node[Any] | None = None,
        success_policy: SuccessPolicy | None = None,
        definition_key: str | None = None,
        workflow_def_cls: type[DefinitionBase[Any]] | None = None,
        broker: Broker | None = None,
        resend_on_transient_err: bool = False,
    ) -> None:
        """Check a workflow and keep a copy of it; `app.workflow` is the usual way.

        Args:
            name: The workflow's name.
            tasks: Its nodes.
            on_error: `OnError.FAIL` or `"fail"`: the rest of the graph is resolved, then the workflow fails.
                `OnError.PAUSE` or `"pause"`: it pauses.
            output: The node whose result is the workflow's result.
            success_policy: When the workflow succeeds although nodes failed.
            definition_key: The key of the definition it was built from.
            workflow_def_cls: The definition class it was built from.
            broker: Where to start it.
            resend_on_transient_err: Repeat a start up to three times when the database connection failed.

        Raises:
            ValueError: There is no such `on_error`.
            WorkflowValidationError: HRS-001 to HRS-033; one error was found.
            MultipleValidationErrors: Several were found; `report.errors` has them in order.
        """
        chosen = read_on_error(on_error)
        draft = Draft(
            name,
            tasks,
            output=output,
            policy=success_policy,
            definition_key=definition_key,
            definition=workflow_def_cls,
        )
        nodes = copy_nodes(draft, validate(draft))
        copies = {id(given): node for given, node in zip(draft.nodes, nodes, strict=True)}
        write(
            self,
            name=name,
            tasks=nodes,
            on_error=chosen,
            output=freeze_value(output, copies),
            success_policy=copy_policy(success_policy, copies),
            definition_key=definition_key,
            workflow_def_cls=workflow_def_cls,
            resend_on_transient_err=resend_on_transient_err,
            _broker=broker,
            _host=None,
        )
        for index, given in enumerate(draft.nodes):
            given.stamp(index, draft.ids[index])
        note_spec(self)

    @property
    def broker(self) -> Broker | None:
        """Where it is started; `None` for a spec made without an app and a broker."""
        broker, host = self._broker, self._host
        return host.get_broker() if broker is None and host is not None else broker

    @property
    def host(self) -> WorkflowHost | None:
        """The app it is bound to, by `app.workflow` or by being built from a definition."""
        return self._host

    @property
    def config(self) -> AppConfig | None:
        """The configuration of the app it is bound to."""
        return None if self._host is None else self._host.config

    def start(self, workflow_id: str | None = None) -> WorkflowStartResult[T]:
        """Start the workflow: all of it is written, or nothing.

        Args:
            workflow_id: Its id, a UUID as text; made up if left out. Starting an id again
                gives the workflow that has it.

        Returns:
            `Ok` with a handle; `Err` with `BROKER_NOT_CONFIGURED`, `VALIDATION_FAILED`, `ENQUEUE_FAILED` or
            `INTERNAL_FAILED`.
        """
        return start_spec(self, workflow_id)

    async def start_async(self, workflow_id: str | None = None) -> WorkflowStartResult[T]:
        """As `start`, for event loops."""
        return await start_spec_async(self, workflow_id)

    def retry_start(self, error: WorkflowStartError) -> WorkflowStartResult[T]:
        """Start again under the id of a start that could not be written; so it is started once at most.

        Args:
            error: What the start returned; its code has to be `ENQUEUE_FAILED`.
        """
        return retry_spec(self, error)

    async def retry_start_async(self, error: WorkflowStartError) -> WorkflowStartResult[T]:
        """As `retry_start`, for event loops."""
        return await retry_spec_async(self, error)

    def to_mermaid(self, direction: Direction = "TD") -> str:
        """The graph as text for Mermaid.

        Args:
            direction: Where it flows: `"TD"`, `"TB"`, `"BT"`, `"LR"` or `"RL"`.

        Raises:
            ValueError: There is no such direction.
        """
        return draw(graph_of(self.tasks, self.output), direction)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot set {name!r}: a WorkflowSpec is frozen; make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: a WorkflowSpec is frozen")

    def __repr__(self) -> str:
        return f"<WorkflowSpec {self.name!r}: {len(self.tasks)} nodes>"


def is_spec(value: object) -> TypeGuard[WorkflowSpec[Any]]:
    """Whether user code returned what it should: a spec."""
    return isinstance(value, WorkflowSpec)
