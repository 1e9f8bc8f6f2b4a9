"""What `Horsies` offers for workflows: `workflow` and `workflow_builder`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast, overload

from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.state import OnError
from horsies.workflow.binding import make_bound_spec
from horsies.workflow.builders import BuilderRegistry
from horsies.workflow.node import Node
from horsies.workflow.policy import SuccessPolicy
from horsies.workflow.spec import NodeResults, WorkflowSpec


class _App(Protocol):
    """What the methods need of the class that has them."""

    workflow_builders: BuilderRegistry

    @property
    def config(self) -> AppConfig: ...

    def get_broker(self) -> Broker: ...


class WorkflowMethods:
    """The part of an app that declares workflows.

    Attributes:
        workflow_builders: The functions registered with `workflow_builder`, for `check`.
    """

    def __init__(self) -> None:
        self.workflow_builders = BuilderRegistry()

    @overload
    def workflow(
        self: _App,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        output: None = None,
        success_policy: SuccessPolicy | None = None,
        *,
        definition_key: str | None = None,
    ) -> WorkflowSpec[NodeResults]: ...
    @overload
    def workflow[T](
        self: _App,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str,
        output: Node[T],
        success_policy: SuccessPolicy | None = None,
        *,
        definition_key: str | None = None,
    ) -> WorkflowSpec[T]: ...
    @overload
    def workflow[T](
        self: _App,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        *,
        output: Node[T],
        success_policy: SuccessPolicy | None = None,
        definition_key: str | None = None,
    ) -> WorkflowSpec[T]: ...
    def workflow(
        self: _App,
        name: str,
        tasks: Sequence[Node[Any]],
        on_error: OnError | str = OnError.FAIL,
        output: Node[Any] | None = None,
        success_policy: SuccessPolicy | None = None,
        *,
        definition_key: str | None = None,
    ) -> WorkflowSpec[Any]:
        """A workflow of this app, checked and ready to start.

            load = TaskNode(fn=load_rows)
            total = TaskNode(fn=sum_rows, waits_for=[load], args_from={"rows": load})
            spec = app.workflow("etl", [load, total], output=total)

        Args:
            name: The workflow's name.
            tasks: Its nodes. They go to their own queue or their task's, with their own priority or the queue's.
            on_error: `OnError.FAIL` or `"fail"`: the rest of the graph is resolved, then the workflow fails.
                `OnError.PAUSE` or `"pause"`: it pauses.
            output: The node whose result is the workflow's result; without it, the results of the last nodes are.
            success_policy: When the workflow succeeds although nodes failed.
            definition_key: Key of the definition that workers shall find conditions in.

        Raises:
            ConfigurationError: HRS-103 or HRS-200, a node goes to a queue that the app does not have.
            ValueError: There is no such `on_error`.
            WorkflowValidationError: HRS-001 to HRS-033.
            MultipleValidationErrors: Several errors were found in one phase; `report.errors` has them in order.
        """
        return make_bound_spec(
            self,
            name,
            tasks,
            on_error=on_error,
            output=output,
            success_policy=success_policy,
            definition_key=definition_key,
        )

    def workflow_builder[F: Callable[..., WorkflowSpec[Any]]](
        self, cases: Sequence[dict[str, Any]] | None = None
    ) -> Callable[[F], F]:
        """Register a function that returns a `WorkflowSpec`, for `check` to try.

            @app.workflow_builder(cases=[{"regions": ["eu", "us"]}])
            def report(regions: list[str]) -> WorkflowSpec[int]: ...

        Args:
            cases: Keyword arguments, one call each; needed for functions with required parameters only.

        Returns:
            A decorator that returns the function unchanged.
        """
        if callable(cast("object", cases)):
            raise TypeError("write @app.workflow_builder(), with parentheses")

        def register(function: F) -> F:
            self.workflow_builders.add(function, cases)
            return function

        return register
