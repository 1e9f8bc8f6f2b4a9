"""Draws workflows for Mermaid, from plain facts about nodes, so that stored workflows are drawn the same way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from horsies.ops.workflow_read import StoredGraphNode
from horsies.state import WorkflowTaskStatus
from horsies.workflow.node import JoinKind, Node, NodeKind

type Direction = Literal["TD", "TB", "BT", "LR", "RL"]
"""Where the graph flows: top down (twice), bottom to top, left to right, right to left."""

_DIRECTIONS = get_args(Direction.__value__)
_INDENT = "    "
_SHAPES: dict[NodeKind, tuple[str, str]] = {"task": ("[", "]"), "subworkflow": ("[[", "]]")}
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_ENTITIES = str.maketrans({"#": "#35;", "&": "#38;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"})
_COLOURS = {
    WorkflowTaskStatus.PENDING: "fill:#f3f4f6,stroke:#9ca3af,color:#111827",
    WorkflowTaskStatus.READY: "fill:#e0f2fe,stroke:#0284c7,color:#111827",
    WorkflowTaskStatus.ENQUEUED: "fill:#e0e7ff,stroke:#4f46e5,color:#111827",
    WorkflowTaskStatus.RUNNING: "fill:#fef9c3,stroke:#ca8a04,color:#111827",
    WorkflowTaskStatus.COMPLETED: "fill:#dcfce7,stroke:#16a34a,color:#111827",
    WorkflowTaskStatus.FAILED: "fill:#fee2e2,stroke:#dc2626,color:#111827",
    WorkflowTaskStatus.SKIPPED: "fill:#ffffff,stroke:#9ca3af,color:#6b7280,stroke-dasharray:4 3",
}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """What is drawn of a node.

    Attributes:
        kind: Decides the shape.
        node_id: The node's id.
        name: What it runs.
        waits_for: Indices of its dependencies.
        join: How many of them have to succeed.
        min_success: How many, for `"quorum"`.
        allow_failed_deps: It runs although they failed.
        has_conditions: User code decides whether it runs.
        is_output: Its result is that of the workflow.
        extra: More text for the label, after a line break.
        status: Where the node is in its life; only of a workflow that was started.
    """

    kind: NodeKind
    node_id: str
    name: str
    waits_for: tuple[int, ...] = ()
    join: JoinKind = "all"
    min_success: int | None = None
    allow_failed_deps: bool = False
    has_conditions: bool = False
    is_output: bool = False
    extra: str | None = None
    status: WorkflowTaskStatus | None = None


def graph_of(nodes: Sequence[Node[Any]], output: Node[Any] | None) -> list[GraphNode]:
    """What is drawn of a spec's nodes."""
    places = {id(node): index for index, node in enumerate(nodes)}
    return [
        GraphNode(
            kind=node.kind,
            node_id=node.key().node_id,
            name=node.name,
            waits_for=tuple(places[id(other)] for other in node.waits_for),
            join=node.join,
            min_success=node.min_success,
            allow_failed_deps=node.allow_failed_deps,
            has_conditions=node.has_conditions,
            is_output=node is output,
        )
        for node in nodes
    ]


def stored_graph(nodes: Sequence[StoredGraphNode]) -> list[GraphNode]:
    """What is drawn of a workflow that was started."""
    return [
        GraphNode(
            kind=cast("NodeKind", node.kind),
            node_id=node.node_id,
            name=node.name,
            waits_for=tuple(node.waits_for),
            join=cast("JoinKind", node.join),
            min_success=node.min_success,
            allow_failed_deps=node.allow_failed_deps,
            has_conditions=node.has_conditions,
            is_output=node.is_output,
            status=WorkflowTaskStatus(node.status),
        )
        for node in nodes
    ]


def check_direction(direction: str) -> None:
    """Refuse what is no direction.

    Raises:
        ValueError: There is no such direction.
    """
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction is one of {', '.join(_DIRECTIONS)}, not {direction!r}")


def draw(nodes: Sequence[GraphNode], direction: str) -> str:
    """The graph as Mermaid text; the same nodes give the same text.

    Raises:
        ValueError: There is no such direction.
    """
    check_direction(direction)
    lines = [f"n{index}{_shape(node)}" for index, node in enumerate(nodes)]
    for index, node in enumerate(nodes):
        arrow = _arrow(node)
        lines += [f"n{other} {arrow} n{index}" for other in node.waits_for]
    lines += [f"style n{index} stroke-width:3px" for index, node in enumerate(nodes) if node.is_output]
    if any(node.status is not None for node in nodes):
        lines += [f"classDef {_class_of(status)} {colours}" for status, colours in _COLOURS.items()]
    lines += [
        f"class n{index} {_class_of(node.status)}"
        for index, node in enumerate(nodes)
        if node.status is not None
    ]
    return "\n".join([f"flowchart {direction}", *(_INDENT + line for line in lines)]) + "\n"


def _shape(node: GraphNode) -> str:
    opening, closing = _SHAPES[node.kind]
    parts = [node.node_id, *([node.name] if node.name != node.node_id else ())]
    label = "<br/>".join(_escape(part) for part in parts)
    if node.has_conditions:
        label += " ?"
    if node.extra is not None:
        label += f"<br/>{_escape(node.extra)}"
    return f'{opening}"{label}"{closing}'


def _class_of(status: WorkflowTaskStatus) -> str:
    return status.value.lower()


def _arrow(node: GraphNode) -> str:
    if node.join == "any":
        return "-.->"
    if node.join == "quorum":
        return f'-. "{node.min_success}/{len(node.waits_for)}" .->'
    return '== "any end" ==>' if node.allow_failed_deps else "-->"


def _escape(text: str) -> str:
    return _LINE_BREAK.sub(" ", text).translate(_ENTITIES)
