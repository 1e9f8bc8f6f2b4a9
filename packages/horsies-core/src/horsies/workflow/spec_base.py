"""SpecBase: a workflow's graph as those need it who plan and start it. `WorkflowSpec` is one."""

from abc import ABC, abstractmethod
from typing import Any

from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.state import OnError
from horsies.workflow.definition_base import DefinitionBase
from horsies.workflow.host import WorkflowHost
from horsies.workflow.node import Node
from horsies.workflow.nodes import AnyNode
from horsies.workflow.policy import SuccessPolicy


class SpecBase[T](ABC):
    """A checked graph of nodes; see `WorkflowSpec` for its attributes. `T` is the success value of its output."""

    __slots__ = ()

    name: str
    tasks: tuple[AnyNode, ...]
    on_error: OnError
    output: Node[T] | None
    success_policy: SuccessPolicy | None
    definition_key: str | None
    workflow_def_cls: type[DefinitionBase[Any]] | None
    resend_on_transient_err: bool

    @property
    @abstractmethod
    def broker(self) -> Broker | None:
        """Where it is started."""

    @property
    @abstractmethod
    def host(self) -> WorkflowHost | None:
        """The app it is bound to."""

    @property
    @abstractmethod
    def config(self) -> AppConfig | None:
        """The configuration of that app."""
