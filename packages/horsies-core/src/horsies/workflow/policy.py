"""When a workflow counts as successful although nodes failed, and what becomes of it when one does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from horsies.state import OnError
from horsies.workflow.declared_task import DeclaredTask
from horsies.workflow.node import Node

type NodeReference = Node[Any] | DeclaredTask[Any] | str
"""A node. In the `Meta` of a definition also the name of its attribute, or the task that only this node runs."""


@dataclass(frozen=True, slots=True, eq=False)
class SuccessCase:
    """One way for a workflow to succeed.

    Attributes:
        required: The nodes that have to be COMPLETED.
    """

    required: Sequence[NodeReference]

    def __post_init__(self) -> None:
        object.__setattr__(self, "required", tuple(self.required))


@dataclass(frozen=True, slots=True, eq=False)
class SuccessPolicy:
    """The ways for a workflow to succeed; without a policy no node may fail.

        SuccessPolicy([SuccessCase([charge, ship]), SuccessCase([refund])], optional=[notify])

    Attributes:
        cases: One is enough, whatever else failed.
        optional: Nodes that may fail; for readers only.
    """

    cases: Sequence[SuccessCase]
    optional: Sequence[NodeReference] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cases", tuple(self.cases))
        if self.optional is not None:
            object.__setattr__(self, "optional", tuple(self.optional))


def read_on_error(on_error: OnError | str) -> OnError:
    """The member of `OnError` that was meant.

    Raises:
        ValueError: There is none.
    """
    try:
        return OnError(on_error)
    except ValueError:
        raise ValueError(
            f"on_error is OnError.FAIL ('fail') or OnError.PAUSE ('pause'), not {on_error!r}"
        ) from None
