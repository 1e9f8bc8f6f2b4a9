"""The rules of 05-workflows in plain Python: what every transaction has to leave behind, worked out without counters.

A model holds one tree of workflows. Each public method stands for one transaction of the engine.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.core.workflow_engine.engine import N

TERMINAL = ("COMPLETED", "FAILED", "SKIPPED")
OPEN_FLOWS = ("RUNNING", "PAUSED")

type Outcome = Literal["ok", "fail", "retry", "back", "run", "skip", "child"]
"""How a claimed row ends; `run`, `skip` and `child` are decisions of steps. A crash is a `fail` or a `retry`."""


@dataclass(frozen=True)
class Graph:
    """A workflow's declaration; `children`: what the steps of its child nodes build, by node id."""

    nodes: Sequence[N]
    on_error: str = "fail"
    output: str | None = None
    cases: Sequence[Sequence[str]] | None = None
    children: dict[str, "Graph"] = field(default_factory=dict[str, "Graph"])


@dataclass
class Row:
    """A live row of tasks."""

    is_step: bool
    runs: bool = False
    parked: bool = False
    retried: bool = False


@dataclass(eq=False)
class Node:
    """A node of a running workflow."""

    declared: N
    status: str = "PENDING"
    row: Row | None = None
    child: "Flow | None" = None

    @property
    def needs_step(self) -> bool:
        return self.declared.conditions or self.declared.child is not None

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def shown(self) -> str:
        """Its status as it is observed: that a task runs is read from its row (W-41, W-90)."""
        row = self.row
        return "RUNNING" if row is not None and not row.is_step and (row.runs or row.retried) else self.status


@dataclass(eq=False)
class Flow:
    """A workflow of the tree."""

    graph: Graph
    parent: "tuple[Flow, Node] | None" = None
    depth: int = 0
    status: str = "RUNNING"
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])

    def __post_init__(self) -> None:
        self.nodes = {declared.id: Node(declared) for declared in self.graph.nodes}

    @property
    def children(self) -> "Iterator[Flow]":
        return (node.child for node in self.nodes.values() if node.child is not None)

    def outcome(self, node: Node) -> str | None:
        """READY, SKIPPED, or None while it is open (05 section 9)."""
        declared = node.declared
        states = [self.nodes[name].status for name in declared.deps]
        succeeded, unsure = states.count("COMPLETED"), sum(state not in TERMINAL for state in states)
        gates_open = any(not self.nodes[name].is_over for name in declared.ctx_from or ())
        if declared.join == "all" or not states:
            if unsure:
                return None
            return "READY" if declared.allow_failed or succeeded == len(states) else "SKIPPED"
        wanted = 1 if declared.join == "any" else declared.min_success or 1
        if succeeded >= wanted:
            return None if gates_open else "READY"
        return "SKIPPED" if succeeded + unsure < wanted else None

    def has_succeeded(self) -> bool:
        """W-68."""
        if self.graph.cases is None:
            return all(node.status != "FAILED" for node in self.nodes.values())
        return any(all(self.nodes[name].status == "COMPLETED" for name in case) for case in self.graph.cases)

    def gives_value(self) -> bool:
        """W-85, W-86: whether the parent's node succeeds."""
        output = self.graph.output
        return self.status == "COMPLETED" and (output is None or self.nodes[output].status == "COMPLETED")


type End = tuple[Flow, Node, str]


class Model:
    """One tree."""

    def __init__(self, graph: Graph) -> None:
        self.root = Flow(graph)
        self._enqueue(self._begin_roots(self.root))

    def flows(self) -> list[Flow]:
        """Every workflow, parents first."""
        return list(_below(self.root, lambda flow: True))

    # -- transactions

    def claim(self, flow: Flow, node: Node) -> None:
        """A worker starts its row."""
        assert node.row is not None
        assert not node.row.runs
        assert not node.row.parked
        node.row.runs = True

    def finish(self, outcomes: Sequence[tuple[Flow, Node, Outcome]]) -> None:
        """A worker's cycle ends these rows together."""
        ends: list[End] = []
        prepared: list[tuple[Flow, Node, Outcome]] = []
        for flow, node, outcome in outcomes:
            row = node.row
            assert row is not None
            if outcome == "back" or (outcome == "retry" and flow.status in OPEN_FLOWS):
                if outcome == "retry":
                    row.runs, row.parked, row.retried = False, flow.status == "PAUSED", True
                continue
            node.row = None
            if not row.is_step:
                ends.append((flow, node, "COMPLETED" if outcome == "ok" else "FAILED"))
            elif flow.status == "RUNNING":
                if outcome in ("run", "child"):
                    prepared.append((flow, node, outcome))
                else:
                    ends.append((flow, node, "SKIPPED" if outcome == "skip" else "FAILED"))
        begun = self._advance(ends)
        for flow, node, outcome in prepared:
            if flow.status == "RUNNING" and node.status == "READY":
                begun += self._begin_prepared(flow, node, outcome)
        self._enqueue(begun)
        for flow, node, outcome in outcomes:
            if outcome == "back":
                self._hand_back(flow, node)

    def pause(self, flow: Flow) -> None:
        """W-71, W-72."""
        if flow.status == "RUNNING":
            self._pause_tree(flow)

    def resume(self, flow: Flow) -> None:
        """W-75."""
        if flow.status != "PAUSED":
            return
        flows = list(_below(flow, lambda each: each.status == "PAUSED"))
        for each in flows:
            each.status = "RUNNING"
        begun: list[tuple[Flow, Node]] = []
        for depth in sorted({each.depth for each in flows}, reverse=True):
            level = [each for each in flows if each.depth == depth and each.status == "RUNNING"]
            for each in level:
                for node in each.nodes.values():
                    if node.status == "READY" and node.row is None:
                        node.status = "READY" if node.needs_step else "ENQUEUED"
                        begun.append((each, node))
            ends, more = self._settle(level)
            begun += more + self._advance(ends)
        for each in flows:
            if each.status == "RUNNING":
                for node in each.nodes.values():
                    if node.row is not None:
                        node.row.parked = False
        self._enqueue(begun)

    def cancel(self, flow: Flow) -> None:
        """W-77, W-78, W-80."""
        if flow.status in OPEN_FLOWS:
            self._stop(flow, "CANCELLED")

    def expire(self, flow: Flow) -> None:
        """W-83: of a workflow that is paused for too long."""
        if flow.status == "PAUSED":
            self._stop(flow, "EXPIRED")

    # -- parts of them

    def _stop(self, flow: Flow, status: str) -> None:
        flows = list(_below(flow, lambda each: each.status in OPEN_FLOWS))
        for each in flows:
            each.status = status
            for node in each.nodes.values():
                if node.row is not None and not node.row.runs:
                    node.row = None
                executes = node.row is not None and not node.row.is_step
                if not node.is_over and not executes and node.child is None:
                    node.status = "SKIPPED"
        for each in sorted(flows, key=lambda item: -item.depth):
            if each.parent is not None:
                self._enqueue(self._advance([(*each.parent, "FAILED")]))

    def _advance(self, ends: list[End]) -> list[tuple[Flow, Node]]:
        begun: list[tuple[Flow, Node]] = []
        while ends:
            failed: list[Flow] = []
            flows: list[Flow] = []
            for flow, node, status in ends:
                if not node.is_over:
                    node.status = status
                    flows.append(flow)
                    failed += [flow] if status == "FAILED" else []
            for flow in failed:
                if flow.status == "RUNNING" and flow.graph.on_error == "pause":
                    self._pause_tree(flow)
            ends, more = self._settle(flows)
            begun += more
        return begun

    def _settle(self, flows: Sequence[Flow]) -> tuple[list[End], list[tuple[Flow, Node]]]:
        begun: list[tuple[Flow, Node]] = []
        parents: list[End] = []
        for flow in dict.fromkeys(flows):
            moved = flow.status == "RUNNING"
            while moved:
                moved = False
                for node in flow.nodes.values():
                    outcome = flow.outcome(node) if node.status == "PENDING" else None
                    if outcome is not None:
                        moved = True
                        node.status = outcome
                        if outcome == "READY":
                            node.status = "READY" if node.needs_step else "ENQUEUED"
                            begun.append((flow, node))
            if flow.status == "RUNNING" and all(node.is_over for node in flow.nodes.values()):
                flow.status = "COMPLETED" if flow.has_succeeded() else "FAILED"
                if flow.parent is not None:
                    parents.append((*flow.parent, "COMPLETED" if flow.gives_value() else "FAILED"))
        return parents, begun

    def _enqueue(self, begun: Sequence[tuple[Flow, Node]]) -> None:
        for flow, node in begun:
            if flow.status == "RUNNING":
                node.row = Row(is_step=node.status == "READY")
            else:
                node.status = "READY"

    def _begin_roots(self, flow: Flow) -> list[tuple[Flow, Node]]:
        roots = [node for node in flow.nodes.values() if not node.declared.deps]
        for node in roots:
            node.status = "READY" if node.needs_step else "ENQUEUED"
        return [(flow, node) for node in roots]

    def _begin_prepared(self, flow: Flow, node: Node, outcome: Outcome) -> list[tuple[Flow, Node]]:
        if outcome == "run":
            node.status = "ENQUEUED"
            return [(flow, node)]
        node.status = "RUNNING"
        node.child = Flow(flow.graph.children[node.declared.id], (flow, node), flow.depth + 1)
        return self._begin_roots(node.child)

    def _hand_back(self, flow: Flow, node: Node) -> None:
        assert node.row is not None
        if flow.status in OPEN_FLOWS:
            node.row.runs, node.row.parked = False, flow.status == "PAUSED"
            return
        node.row = None
        if not node.is_over:
            node.status = "SKIPPED"

    def _pause_tree(self, flow: Flow) -> None:
        for each in list(_below(flow, lambda item: item.status == "RUNNING")):
            each.status = "PAUSED"
            for node in each.nodes.values():
                if node.row is not None and not node.row.runs:
                    node.row.parked = True


def _below(flow: Flow, through: Callable[[Flow], bool]) -> Iterator[Flow]:
    """A workflow and those below it that are reached through such ones."""
    yield flow
    for child in flow.children:
        if through(child):
            yield from _below(child, through)
