"""Node: what all kinds of nodes of a workflow have in common. `nodes` has the kinds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, WorkflowValidationError, nearest_user_location
from horsies.workflow.context import WorkflowContext
from horsies.workflow.node_key import NodeKey

type Condition = Callable[[WorkflowContext], object]
"""Decides from earlier results whether a node runs; what it returns counts by its truth."""

type JoinKind = Literal["all", "any", "quorum"]
"""How many dependencies have to succeed: all of them, one, or `min_success`."""

type NodeKind = Literal["task", "subworkflow"]
"""The kinds of nodes, as they are stored."""


class Node[T](ABC):
    """A step of a workflow. `T` is its success value.

    A node can be changed until a `WorkflowSpec` takes a copy of it. The copies in `spec.tasks` are frozen: setting
    or deleting an attribute of theirs raises `AttributeError`.

    Attributes:
        waits_for: The nodes it depends on.
        workflow_ctx_from: The nodes whose results its `WorkflowContext` holds.
        skip_when: Skips the node if it returns something true.
        run_when: Skips the node unless it returns something true.
        join: How many dependencies have to succeed.
        min_success: How many, for the join `"quorum"`.
        allow_failed_deps: Run although dependencies failed or were skipped; for the join `"all"`.
        index: Place in the spec, from 0; `None` before there is a spec.
    """

    __slots__ = (
        "_frozen",
        "_has_derived_id",
        "_in_class",
        "_location",
        "_node_id",
        "_original",
        "allow_failed_deps",
        "index",
        "join",
        "min_success",
        "run_when",
        "skip_when",
        "waits_for",
        "workflow_ctx_from",
    )

    kind: ClassVar[NodeKind]

    waits_for: Sequence["Node[Any]"]
    workflow_ctx_from: Sequence["Node[Any]"] | None
    skip_when: Condition | None
    run_when: Condition | None
    join: JoinKind
    min_success: int | None
    allow_failed_deps: bool
    index: int | None
    _frozen: bool

    def __init__(
        self,
        *,
        waits_for: Sequence["Node[Any]"],
        workflow_ctx_from: Sequence["Node[Any]"] | None,
        skip_when: Condition | None,
        run_when: Condition | None,
        join: JoinKind,
        min_success: int | None,
        allow_failed_deps: bool,
        node_id: str | None,
        index: int | None,
    ) -> None:
        # Before all others, which ask for it.
        object.__setattr__(self, "_frozen", False)
        self._in_class = False
        self._original: Node[Any] | None = None
        self._location = nearest_user_location()
        self.waits_for = list(waits_for)
        self.workflow_ctx_from = None if workflow_ctx_from is None else list(workflow_ctx_from)
        self.skip_when = skip_when
        self.run_when = run_when
        self.join = join
        self.min_success = min_success
        self.allow_failed_deps = allow_failed_deps
        self.node_id = node_id
        self.index = index

    # -- identity

    @property
    @abstractmethod
    def name(self) -> str:
        """What the node runs."""

    @property
    def node_id(self) -> str | None:
        """What the node is called in its workflow; `None` until it was named or a spec named it."""
        return self._node_id

    @node_id.setter
    def node_id(self, node_id: str | None) -> None:
        self._node_id: str | None = node_id
        self._has_derived_id = False

    def key(self) -> NodeKey[T]:
        """The node's key, for look-ups where the node is not at hand.

        Raises:
            WorkflowValidationError: The node has no id yet.
        """
        if self._node_id is None:
            raise WorkflowValidationError(
                f"{self!r} has no node_id yet",
                code=ErrorCode.WORKFLOW_INVALID_NODE_ID,
                help_text="name it with node_id=..., or put it into a WorkflowSpec or a WorkflowDefinition first",
            )
        return NodeKey(self._node_id)

    # -- for the library

    @property
    @abstractmethod
    def ok_type(self) -> Any:
        """The declared type of the success value; `UNKNOWN` if nothing declares it."""

    @property
    def has_conditions(self) -> bool:
        """Whether user code decides if the node runs."""
        return self.skip_when is not None or self.run_when is not None

    @property
    def given_id(self) -> str | None:
        """The id that was chosen for the node, by hand or by its attribute's name; not one that a spec made."""
        return None if self._has_derived_id else self._node_id

    @property
    def is_frozen(self) -> bool:
        """Whether the node belongs to a spec and cannot be changed."""
        return self._frozen

    @property
    def original(self) -> "Node[Any]":
        """The class attribute that a spec's node was copied from, or the node itself."""
        return self._original or self

    @property
    def location(self) -> SourceLocation | None:
        """The line that made the node, for messages about it."""
        return self._location

    @property
    def in_class(self) -> bool:
        """Whether the node is a class attribute of a `WorkflowDefinition`."""
        return self._in_class

    def name_by_attribute(self, attribute: str) -> None:
        """Mark the node as class attribute of a definition; the attribute's name is its id if it has none."""
        if self.is_frozen:  # out of a spec, and named there
            return
        self._in_class = True
        if self.given_id is None:
            self.node_id = attribute

    def stamp(self, index: int, node_id: str) -> None:
        """Note the place and id that a spec gave to its copy, so that this node can be used for look-ups.

        The nodes of a definition serve every workflow built from it and stay as they are.
        """
        if self._in_class or self.is_frozen:
            return
        self.index = index
        if self.given_id is None:
            self.node_id = node_id
            self._has_derived_id = True

    def __setattr__(self, name: str, value: object) -> None:
        if self._frozen:
            raise self._refusal("set", name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if self._frozen:
            raise self._refusal("delete", name)
        object.__delattr__(self, name)

    def _refusal(self, verb: str, name: str) -> AttributeError:
        return AttributeError(
            f"cannot {verb} {name!r}: {self!r} belongs to a WorkflowSpec and is frozen; "
            "change the node before the spec is made"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} node_id={self._node_id!r}>"
