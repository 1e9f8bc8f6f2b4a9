"""The engine against the model: random graphs, random ends and crashes, pauses, cancels and expiries; after each
transaction both agree. HORSIES_CHAOS=long takes more graphs."""

import json
import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.cycle_driver import Claim, failed
from tests.core.workflow_engine.engine import Engine, N, ok, plan
from tests.core.workflow_engine.model import OPEN_FLOWS, Flow, Graph, Model, Node, Outcome
from tests.core.workflow_engine.state import StoredFlow, check_invariants, read_tree

EXAMPLES = 500 if os.environ.get("HORSIES_CHAOS") == "long" else 15
MOST_STEPS = 60


# -- random graphs


@st.composite
def graphs(draw: st.DrawFn, depth: int = 0) -> Graph:
    """A graph of up to 40 nodes; children get smaller ones of their own."""
    size = draw(st.integers(1, 40 if depth == 0 else 5))
    nodes: list[N] = []
    children: dict[str, Graph] = {}
    for index in range(size):
        node, child = draw(_nodes(index, depth))
        nodes.append(node)
        if child is not None:
            children[node.id] = child
    names = [node.id for node in nodes]
    return Graph(
        nodes,
        on_error=draw(st.sampled_from(["fail", "fail", "pause"])),
        output=draw(st.none() | st.sampled_from(names)),
        cases=draw(
            st.none()
            | st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=3), min_size=1, max_size=2)
        ),
        children=children,
    )


@st.composite
def _nodes(draw: st.DrawFn, index: int, depth: int) -> tuple[N, Graph | None]:
    earlier = [f"n{i}" for i in range(max(0, index - 8), index)]
    deps = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
    join = draw(st.sampled_from(["all", "all", "any", "quorum"])) if deps else "all"
    gates = draw(st.none() | st.lists(st.sampled_from(deps), unique=True)) if deps else None
    child = draw(graphs(depth + 1)) if depth < 2 and draw(st.integers(0, 9)) == 0 else None
    node = N(
        f"n{index}",
        deps,
        join=join,
        min_success=draw(st.integers(1, len(deps))) if join == "quorum" else None,
        allow_failed=draw(st.booleans()),
        ctx_from=gates,
        conditions=draw(st.integers(0, 5)) == 0,
        child=f"child of n{index}" if child is not None else None,
    )
    return node, child


def stored_plan(graph: Graph, name: str) -> dict[str, Any]:
    return plan(*graph.nodes, name=name, on_error=graph.on_error, output=graph.output, cases=graph.cases)


# -- both side by side


class Pair:
    """The engine and its model, moved together."""

    def __init__(self, engine: Engine, graph: Graph) -> None:
        self.engine = engine
        engine.select(
            "truncate horsies.tasks, horsies.workflows, horsies.workflow_nodes, horsies.workflow_edges"
        )
        engine.select("truncate horsies.task_history")
        self.model = Model(graph)
        self.root = engine.start(stored_plan(graph, "root"))
        self.ids: dict[Flow, str] = {self.model.root: self.root}
        self.claims: dict[tuple[Flow, str], Claim] = {}
        self.compare()

    # transactions

    def claim(self, places: int) -> None:
        for claim in self.engine.worker.claim(places).claimed:
            flow, node = self._whose(claim)
            self.model.claim(flow, node)
            self.claims[flow, node.declared.id] = claim

    def finish(self, outcomes: Sequence[tuple[Flow, Node, Outcome]]) -> None:
        claims = [self.claims.pop((flow, node.declared.id)) for flow, node, _ in outcomes]
        ends = [
            _end(claim, flow, node, outcome)
            for claim, (flow, node, outcome) in zip(claims, outcomes, strict=True)
            if outcome != "back"
        ]
        backs = tuple(claim for claim, item in zip(claims, outcomes, strict=True) if item[2] == "back")
        answer = self.engine.worker.cycle(ended=ends, back=backs)
        assert (answer.lost, answer.busy) == ([], [])
        self.model.finish(outcomes)

    def crash(self, outcomes: Sequence[tuple[Flow, Node, Outcome]]) -> None:
        """The worker is silent, and the reaper ends or retries these (R-112)."""
        ends = [
            _end(self.claims.pop((flow, node.declared.id)), flow, node, how) for flow, node, how in outcomes
        ]
        handled = self.engine.run(
            "fail_running",
            worker=self.engine.worker.worker_id,
            ends=json.dumps(ends),
            threshold_ms=1000,
            now=None,
        )
        again = sum(how == "retry" and flow.status in OPEN_FLOWS for flow, _, how in outcomes)
        assert handled == [(len(ends), again)]
        self.model.finish(outcomes)

    def lose(self) -> None:
        """The answer to every claim was lost: all of them go back (R-092)."""
        running = self.running()
        worker = self.engine.worker.worker_id
        assert self.engine.run("return_undispatched", worker=worker, kept="{}", generations="{}") == [
            (len(running),)
        ]
        self.claims.clear()
        self.model.finish([(flow, node, "back") for flow, node in running])

    def control(self, action: str, flow: Flow) -> None:
        before = flow.status
        if action == "expire":
            answer = self.engine.run("expire_workflow", id=self.ids[flow], policy_s=0.0, now=None)
            assert answer == [(before == "PAUSED",)]
        else:
            wanted = {"pause": ("RUNNING",), "resume": ("PAUSED",), "cancel": OPEN_FLOWS}[action]
            assert getattr(self.engine, action)(self.ids[flow]) == (True, before in wanted)
        getattr(self.model, action)(flow)

    # what can be done next

    def running(self) -> list[tuple[Flow, Node]]:
        return [
            (flow, node)
            for flow in self.model.flows()
            for node in flow.nodes.values()
            if node.row is not None and node.row.runs
        ]

    def choices(self, node: Node) -> list[Outcome]:
        assert node.row is not None
        if not node.row.is_step:
            return ["ok", "ok", "ok", "fail", "retry", "back"]
        decision: Outcome = "run" if node.declared.child is None else "child"
        found: list[Outcome] = [decision, decision, decision, "fail", "retry", "back"]
        return [*found, "skip"] if node.declared.conditions else found

    # looking

    def compare(self) -> None:
        """The engine's committed state is the model's, and sound by itself."""
        stored = read_tree(self.engine, self.root)
        for flow in self.model.flows():
            if flow.parent is not None and flow not in self.ids:
                parent, node = flow.parent
                self.ids[flow] = str(stored[self.ids[parent]].by_id(node.declared.id)["sub_workflow_id"])
        assert stored.keys() == set(self.ids.values())
        for flow in self.model.flows():
            _compare_flow(flow, stored[self.ids[flow]])
        check_invariants(stored)
        shown = self.engine.select("select workflow_id::text, node_id, status from horsies.node_states")
        assert {(flow, node): status for flow, node, status in shown} == {
            (self.ids[flow], name): node.shown
            for flow in self.model.flows()
            for name, node in flow.nodes.items()
        }
        assert self.engine.run("cancel_orphans", limit=10, now=None) == [(0,)], "R-111: a task without a node"

    def _whose(self, claim: Claim) -> tuple[Flow, Node]:
        flow = next(flow for flow, key in self.ids.items() if key == claim.workflow_id)
        (row,) = self.engine.select("select node_index from horsies.tasks where id = %s", [claim.id])
        index: int = row[0]
        return flow, list(flow.nodes.values())[index]


def _compare_flow(flow: Flow, stored: StoredFlow) -> None:
    assert stored.status == flow.status
    assert {node["node_id"]: node["status"] for node in stored.nodes} == {
        name: node.status for name, node in flow.nodes.items()
    }
    for node in stored.nodes:
        row, expected = stored.live(node), flow.nodes[node["node_id"]].row
        found = None if row is None else (row["task_name"] == "horsies.prepare", row["status"], row["parked"])
        assert found == (
            None
            if expected is None
            else (expected.is_step, "RUNNING" if expected.runs else "PENDING", expected.parked)
        )


def _end(claim: Claim, flow: Flow, node: Node, outcome: Outcome) -> dict[str, object]:
    decision: dict[str, object] = {"decision": outcome}
    if outcome == "child":
        decision["child"] = stored_plan(flow.graph.children[node.declared.id], f"child of {node.declared.id}")
    succeeded = outcome not in ("fail", "retry")
    result = ok(1) if outcome == "ok" else json.dumps(decision) if succeeded else failed("BROKEN")
    return {
        "id": claim.id,
        "generation": claim.generation,
        "workflow_id": claim.workflow_id,
        "status": "COMPLETED" if succeeded else "FAILED",
        "result": result,
        "error_code": None if succeeded else "BROKEN",
        "outcome": "FAILED",
        "retry_s": 0 if outcome == "retry" else None,
    }


# -- the tests

_KINDS = ["claim"] * 5 + ["end"] * 15 + ["crash"] * 2 + ["lose"]
_ACTIONS = ["pause"] * 4 + ["resume"] * 6 + ["cancel"] * 2 + ["expire"]


def walk(pair: Pair, draw: Any, *, control: bool) -> None:
    """Random transactions, then everything to its end."""
    for _ in range(draw(st.integers(0, MOST_STEPS))):
        running = pair.running()
        kind = draw(st.sampled_from(_KINDS + (["control"] if control else [])))
        if kind == "claim":
            pair.claim(draw(st.integers(1, 6)))
        elif kind == "control":
            flow = draw(st.sampled_from(pair.model.flows()))
            pair.control(draw(st.sampled_from(_ACTIONS)), flow)
        elif kind == "lose":
            pair.lose()
        elif running and kind == "crash":
            dead = draw(st.lists(st.sampled_from(running), unique=True, min_size=1, max_size=3))
            hows: st.SearchStrategy[Outcome] = st.sampled_from(["fail", "retry"])
            pair.crash([(flow, node, draw(hows)) for flow, node in dead])
        elif running:
            ending = draw(st.lists(st.sampled_from(running), unique=True, min_size=1, max_size=3))
            pair.finish([(flow, node, draw(st.sampled_from(pair.choices(node)))) for flow, node in ending])
        pair.compare()
    to_the_end(pair)


def to_the_end(pair: Pair) -> None:
    """Everything that is open goes well; in the end nothing is left."""
    for _ in range(10_000):
        pair.claim(20)
        running = pair.running()
        if running:
            pair.finish([(flow, node, pair.choices(node)[0]) for flow, node in running])
        paused = [flow for flow in pair.model.flows() if flow.status == "PAUSED"]
        if paused:
            pair.control("resume", paused[0])
        pair.compare()
        if not running and not paused:
            break
    assert all(flow.status not in ("RUNNING", "PAUSED") for flow in pair.model.flows())
    assert pair.engine.select("select id from horsies.tasks") == []


@given(graph=graphs(), data=st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@pytest.mark.timeout(0)
def test_ends_of_all_kinds(engine: Engine, graph: Graph, data: st.DataObject) -> None:
    """W-40, W-41, W-44, W-50, W-51, W-60, W-66 to W-69, W-74, W-84 to W-86, W-89 to W-91, W-94 to W-98, W-101, R-092,
    R-111, R-112."""
    walk(Pair(engine, graph), data.draw, control=False)


@given(graph=graphs(), data=st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@pytest.mark.timeout(0)
def test_pauses_and_cancels_in_between(engine: Engine, graph: Graph, data: st.DataObject) -> None:
    """W-38, W-42, W-46, W-67, W-71 to W-81, W-83, W-94 to W-99, W-101, R-114."""
    walk(Pair(engine, graph), data.draw, control=True)
