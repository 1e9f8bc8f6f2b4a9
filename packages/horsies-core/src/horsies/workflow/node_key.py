"""Node ids: how they look, how they are made of names, and `NodeKey`, an id that knows its node's result type."""

import re
from dataclasses import dataclass
from typing import Protocol

MAX_NODE_ID = 128

_UNUSABLE = re.compile(r"[^A-Za-z0-9_\-:.]")


@dataclass(frozen=True, slots=True)
class NodeKey[T]:
    """Names a node of a workflow where the node itself is not at hand; equal to every key of the same id.

        total: NodeKey[int] = NodeKey("total")
        handle.result_for(total)

    Attributes:
        node_id: The node's id.
    """

    node_id: str

    def key(self) -> "NodeKey[T]":
        """The key itself."""
        return self


class Keyed[T](Protocol):
    """What names a node: the node, or its `NodeKey`."""

    @property
    def node_id(self) -> str | None:
        """The node's id, if it has one yet."""
        ...

    def key(self) -> NodeKey[T]:
        """The node's key."""
        ...


def slugify(text: str) -> str:
    """A text as part of a node id: spaces become `_`, other characters that no id may hold are dropped.

    Returns:
        The remaining text, `_` if nothing remains.
    """
    return _UNUSABLE.sub("", text.replace(" ", "_")) or "_"


def node_id_problem(node_id: object) -> str | None:
    """Tell what is wrong with a node id; `None` when it is fine."""
    if not isinstance(node_id, str):
        return f"is a string, not a {type(node_id).__name__}"
    if not node_id:
        return "is empty"
    if len(node_id) > MAX_NODE_ID:
        return f"has {len(node_id)} characters; {MAX_NODE_ID} is the most"
    unusable = _UNUSABLE.search(node_id)
    if unusable is not None:
        return f"holds {unusable.group()!r}; letters A-Z and a-z, digits and _ - : . are allowed"
    return None
