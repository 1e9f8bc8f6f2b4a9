"""The committed state of one tree, and what has to be true of it whatever happened (05 section 18)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.rows import dict_row

from tests.core.workflow_engine.engine import Engine

TERMINAL_NODES = frozenset(("COMPLETED", "FAILED", "SKIPPED"))
TERMINAL_FLOWS = frozenset(("COMPLETED", "FAILED", "CANCELLED", "EXPIRED"))


@dataclass
class StoredFlow:
    """A workflow with its nodes by index and their live rows."""

    row: dict[str, Any]
    nodes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tasks: dict[int, list[dict[str, Any]]] = field(default_factory=dict[int, list[dict[str, Any]]])

    @property
    def status(self) -> str:
        status: str = self.row["status"]
        return status

    def by_id(self, node_id: str) -> dict[str, Any]:
        return next(node for node in self.nodes if node["node_id"] == node_id)

    def live(self, node: dict[str, Any]) -> dict[str, Any] | None:
        """Its live row."""
        found = self.tasks.get(node["node_index"], [])
        assert len(found) <= 1, f"W-94: {len(found)} rows of node {node['node_id']}"
        return found[0] if found else None

    def executes(self, node: dict[str, Any]) -> bool:
        row = self.live(node)
        return row is not None and row["status"] == "RUNNING" and row["task_name"] != "horsies.prepare"


def read_tree(engine: Engine, root: str) -> dict[str, StoredFlow]:
    """The tree's workflows by id."""
    with engine.connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select * from horsies.workflows where root_id = %s", [root])
        flows = {str(row["id"]): StoredFlow(row) for row in cursor.fetchall()}
        ids = list(flows)
        cursor.execute(
            "select * from horsies.workflow_nodes where workflow_id = any (%s::uuid[]) order by node_index",
            [ids],
        )
        for row in cursor.fetchall():
            flows[str(row["workflow_id"])].nodes.append(row)
        cursor.execute("select * from horsies.tasks where workflow_id = any (%s::uuid[])", [ids])
        for row in cursor.fetchall():
            flows[str(row["workflow_id"])].tasks.setdefault(row["node_index"], []).append(row)
    return flows


def check_invariants(flows: dict[str, StoredFlow]) -> None:
    """W-94 to W-99 and W-101 on a committed state."""
    for flow in flows.values():
        _check_counters(flow)
        _check_rows(flow)
        _check_flow(flow, flows)
        for node in flow.nodes:
            _check_node(flow, node, flows)


def _check_counters(flow: StoredFlow) -> None:
    statuses = {node["node_index"]: node["status"] for node in flow.nodes}
    assert flow.row["open_nodes"] == sum(status not in TERMINAL_NODES for status in statuses.values())
    if flow.status not in ("RUNNING", "PAUSED"):
        return
    for node in flow.nodes:
        ends = [statuses[index] for index in node["waits_for"] if statuses[index] in TERMINAL_NODES]
        counted = (node["open_deps"], node["ok_deps"], node["bad_deps"])
        succeeded = ends.count("COMPLETED")
        assert counted == (len(node["waits_for"]) - len(ends), succeeded, len(ends) - succeeded)
        gates = [index for index in node["ctx_from"] or () if statuses[index] not in TERMINAL_NODES]
        assert node["open_gates"] == len(gates)


def _check_rows(flow: StoredFlow) -> None:
    for row in (row for rows in flow.tasks.values() for row in rows):
        node = flow.nodes[int(row["node_index"])]
        is_step = row["task_name"] == "horsies.prepare"
        if flow.status in ("CANCELLED", "EXPIRED"):
            assert row["status"] == "RUNNING", "W-97, W-99: nothing of it can start"
            assert node["status"] == ("SKIPPED" if is_step else "ENQUEUED")
            continue
        assert flow.status in ("RUNNING", "PAUSED"), "W-97: a workflow that ended has no task"
        assert node["status"] == ("READY" if is_step else "ENQUEUED"), "W-94: the row belongs to its node"
        assert is_step or node["task_id"] == row["id"]
        if row["status"] != "RUNNING":
            assert row["parked"] == (flow.status == "PAUSED"), "W-95, W-99"


def _check_flow(flow: StoredFlow, flows: dict[str, StoredFlow]) -> None:
    open_nodes = [node for node in flow.nodes if node["status"] not in TERMINAL_NODES]
    if flow.status in ("COMPLETED", "FAILED"):
        assert not open_nodes, "W-97"
    if flow.status == "RUNNING":
        assert open_nodes, "W-97: it should have ended"
        children = [flows[str(node["sub_workflow_id"])] for node in open_nodes if node["sub_workflow_id"]]
        assert flow.tasks or any(child.status not in TERMINAL_FLOWS for child in children), (
            "W-101: it is stuck"
        )
    assert (flow.row["completed_at"] is not None) == (flow.status in TERMINAL_FLOWS)
    assert (flow.row["error"] is not None) or flow.status not in ("FAILED", "EXPIRED")
    if flow.status not in TERMINAL_FLOWS and flow.row["parent_workflow_id"] is not None:
        parent = flows[str(flow.row["parent_workflow_id"])]
        node = parent.nodes[int(flow.row["parent_node_index"])]
        assert parent.status not in TERMINAL_FLOWS, "W-98"
        assert (node["status"], node["sub_workflow_id"]) == ("RUNNING", flow.row["id"]), "W-98"


def _check_node(flow: StoredFlow, node: dict[str, Any], flows: dict[str, StoredFlow]) -> None:
    status, row = node["status"], flow.live(node)
    if status in TERMINAL_NODES:
        still_asked = status == "SKIPPED" and flow.status in ("CANCELLED", "EXPIRED")
        assert row is None or still_asked, "W-96"
        return
    if flow.status in ("CANCELLED", "EXPIRED"):
        assert flow.executes(node), "W-97"
    elif status == "ENQUEUED":
        assert row is not None, "W-96: its task is gone"
    elif status == "READY":
        assert row is not None or flow.status == "PAUSED", "W-95: READY without a step"
    elif status == "RUNNING":
        assert flows[str(node["sub_workflow_id"])].status not in TERMINAL_FLOWS, "W-98"
    else:
        assert status == "PENDING"
        assert flow.status == "PAUSED" or not _is_decided(flow, node), "W-95: decided and still PENDING"


def _is_decided(flow: StoredFlow, node: dict[str, Any]) -> bool:
    waits_for: list[int] = node["waits_for"]
    states: list[str] = [flow.nodes[index]["status"] for index in waits_for]
    succeeded, unsure = states.count("COMPLETED"), sum(state not in TERMINAL_NODES for state in states)
    gates = list(_open_gates(flow, node["ctx_from"] or ()))
    if node["join_kind"] == "all":
        return not unsure
    wanted = node["min_success"] or 1
    return succeeded + unsure < wanted or (succeeded >= wanted and not gates)


def _open_gates(flow: StoredFlow, indexes: Sequence[int]) -> Iterator[int]:
    return (index for index in indexes if flow.nodes[index]["status"] not in TERMINAL_NODES)
