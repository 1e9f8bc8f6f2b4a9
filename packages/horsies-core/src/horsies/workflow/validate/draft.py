"""A workflow while it is checked: the nodes as given, and what the checks ask about them."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, WorkflowValidationError
from horsies.workflow.call_signature import CallSignature
from horsies.workflow.definition_base import DefinitionClass, facts_of
from horsies.workflow.node import Node
from horsies.workflow.node_key import slugify
from horsies.workflow.nodes import CallNode, SubWorkflowNode


class Draft:
    """What a `WorkflowSpec` is asked to become.

    Attributes:
        name: The workflow's name, as given.
        nodes: Its nodes, as given.
        output: The output node, or whatever was given for it.
        policy: The success policy, or whatever was given for it.
        definition_key: The key it is to be stored with.
        definition: The definition class it is built from, if any.
        ids: The id of each node, empty where neither the node nor the workflow has a name.
    """

    def __init__(
        self,
        name: object,
        nodes: Sequence[Node[Any]],
        *,
        output: object,
        policy: object,
        definition_key: object,
        definition: DefinitionClass | None,
    ) -> None:
        self.name = name
        self.nodes: tuple[Node[Any], ...] = tuple(nodes)
        for node in self.nodes:
            if not isinstance(cast("object", node), Node):
                raise TypeError(f"tasks of a workflow are nodes, as TaskNode(fn=...), not {node!r}")
        self.output = output
        self.policy = policy
        self.definition_key = definition_key
        self.definition = definition
        self._places = {id(node): index for index, node in reversed([*enumerate(self.nodes)])}
        # A node listed twice has one id, so that it is found to be used twice.
        self.ids = tuple(self._id_of(self._places[id(node)], node) for node in self.nodes)
        self._dependencies = tuple(_distinct(node.waits_for) for node in self.nodes)
        self._signatures: dict[int, CallSignature] = {}

    def _id_of(self, index: int, node: Node[Any]) -> str:
        if node.given_id is not None:
            return node.given_id
        return f"{slugify(self.name)}:{index}" if isinstance(self.name, str) else ""

    def place(self, node: object) -> int | None:
        """A node's index; `None` if it is not one of this workflow."""
        return self._places.get(id(node))

    def dependencies(self, index: int) -> tuple[Node[Any], ...]:
        """What a node waits for, each once."""
        return self._dependencies[index]

    def waits_for(self, index: int, other: object) -> bool:
        """Whether a node has another among its dependencies."""
        return any(node is other for node in self._dependencies[index])

    def calls(self) -> Iterator[tuple[int, CallNode[Any]]]:
        """The nodes that hand arguments to user code."""
        return ((index, node) for index, node in enumerate(self.nodes) if isinstance(node, CallNode))

    def children(self) -> Iterator[tuple[int, SubWorkflowNode[Any]]]:
        """The nodes that run a child workflow."""
        return ((index, node) for index, node in enumerate(self.nodes) if isinstance(node, SubWorkflowNode))

    def signature(self, index: int) -> CallSignature:
        """The parameters of a `CallNode`."""
        if index not in self._signatures:
            self._signatures[index] = cast("CallNode[Any]", self.nodes[index]).signature
        return self._signatures[index]

    def takes_no_arguments(self, index: int) -> bool:
        """Whether a node runs a child whose `build_with` is the default one, so that nothing can be handed to it."""
        node = self.nodes[index]
        return isinstance(node, SubWorkflowNode) and facts_of(node.workflow_def).build is None

    def label(self, index: int) -> str:
        """A node in messages."""
        return f"workflow {self.name!r}: node {self.ids[index]!r}"

    def label_of(self, node: object) -> str:
        """A node, or what was given for one, in notes."""
        index = self.place(node)
        if index is not None:
            return repr(self.ids[index])
        return f"{node!r}"

    @property
    def known_nodes(self) -> str:
        """The nodes of the workflow, for notes."""
        return f"its nodes: {', '.join(repr(node_id) for node_id in self.ids)}"

    def error(
        self, code: ErrorCode, index: int, problem: str, help_text: str, *notes: str
    ) -> WorkflowValidationError:
        """An error about one node."""
        return WorkflowValidationError(
            f"{self.label(index)} {problem}",
            code=code,
            location=self.nodes[index].location,
            notes=notes,
            help_text=help_text,
        )

    def general_error(
        self,
        code: ErrorCode,
        problem: str,
        help_text: str,
        *notes: str,
        location: SourceLocation | None = None,
    ) -> WorkflowValidationError:
        """An error about the workflow as a whole; `location` if one line of it is to blame."""
        return WorkflowValidationError(
            f"workflow {self.name!r}: {problem}",
            code=code,
            location=location or (None if self.definition is None else facts_of(self.definition).location),
            notes=notes,
            help_text=help_text,
        )


def _distinct(nodes: Sequence[Node[Any]]) -> tuple[Node[Any], ...]:
    return tuple({id(node): node for node in nodes}.values())
