"""The engine as the database has it: workflows from plain plans, a worker that claims and ends but runs nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row, tuple_row

from horsies.codec.results import success_envelope
from horsies.sql import Statements
from tests.core.cycle_driver import Answer, Claim, CycleDriver

STEPS = "horsies.steps"


@dataclass(frozen=True)
class N:
    """A node of a plan; `deps` by node id."""

    id: str
    deps: Sequence[str] = ()
    join: str = "all"
    min_success: int | None = None
    allow_failed: bool = False
    args_from: Mapping[str, str] = field(default_factory=dict[str, str])
    ctx_from: Sequence[str] | None = None
    conditions: bool = False
    child: str | None = None
    kwargs: str | None = None
    takes_meta: bool = False
    retries: int = 0
    good_until: datetime | None = None
    queue: str = "default"
    priority: int = 100


def plan(
    *nodes: N,
    name: str = "flow",
    on_error: str = "fail",
    output: str | None = None,
    cases: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """A plan as the start takes it."""
    index = {node.id: place for place, node in enumerate(nodes)}
    return {
        "name": name,
        "definition_key": f"{name}.v1",
        "on_error": on_error,
        "output_index": None if output is None else index[output],
        "success_policy": None if cases is None else [[index[n] for n in case] for case in cases],
        "retention_class": "standard_30d",
        "step_timeout_ms": 60_000,
        "nodes": [_node(node, place, index) for place, node in enumerate(nodes)],
    }


def _node(node: N, place: int, index: Mapping[str, int]) -> dict[str, Any]:
    shared = {
        "node_index": place,
        "node_id": node.id,
        "kind": "subworkflow" if node.child else "task",
        "task_name": node.child or f"run_{node.id}",
        "definition_key": node.child,
        "kwargs": node.kwargs,
        "args_from": {name: index[source] for name, source in node.args_from.items()},
        "ctx_from": None if node.ctx_from is None else [index[n] for n in node.ctx_from],
        "conditions": node.conditions,
        "takes_meta": node.takes_meta,
        "waits_for": [index[n] for n in node.deps],
        "join_kind": node.join,
        "min_success": node.min_success,
        "allow_failed_deps": node.allow_failed,
    }
    if node.child:
        return shared
    return shared | {
        "queue_name": node.queue,
        "priority": node.priority,
        "executor": "default",
        "options": '{"retry_policy":null,"good_until":null,"timeout_ms":null}',
        "timeout_ms": None,
        "max_retries": node.retries,
        "good_until": None if node.good_until is None else node.good_until.isoformat(),
        "retention_class": "standard_30d",
    }


def ok(value: Any = None) -> str:
    """The stored result of a success."""
    return success_envelope(json.dumps(value))


class Engine:
    """One worker of the queues `default` and `horsies.steps`, and looks at the tables."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.statements = Statements("horsies")
        self.worker = CycleDriver(self.connection, {STEPS: (1, None), "default": (100, None)})

    def close(self) -> None:
        self.connection.close()

    # -- start

    def start(
        self, graph: Mapping[str, Any], workflow_id: str | None = None, now: datetime | None = None
    ) -> str:
        """Start it; its id."""
        workflow_id = workflow_id or str(uuid4())
        outcome, _ = self.try_start(graph, workflow_id, now)
        assert outcome == "started"
        return workflow_id

    def try_start(
        self, graph: Mapping[str, Any], workflow_id: str, now: datetime | None = None
    ) -> tuple[str, str]:
        """What the start answers."""
        (row,) = self.run("start_workflow", id=workflow_id, plan=json.dumps(graph), sent_at=None, now=now)
        return row[0], row[1]

    # -- work

    def claim(self, places: int = 100, now: datetime | None = None) -> dict[str, Claim]:
        """Start everything that is claimable; by the node's id, steps by `?` and the node's id."""
        return self.by_node(self.worker.claim(places, now=now).claimed)

    def by_node(self, claims: Sequence[Claim]) -> dict[str, Claim]:
        """Claims by what they are for."""
        names = self.select(
            "select t.id::text, case when t.task_name = 'horsies.prepare' then '?' else '' end || n.node_id"
            " from horsies.tasks t"
            " join horsies.workflow_nodes n on n.workflow_id = t.workflow_id and n.node_index = t.node_index"
        )
        nodes: dict[str, str] = dict(names)
        return {nodes[claim.id]: claim for claim in claims}

    def complete(self, *claims: Claim, value: Any = None, now: datetime | None = None) -> Answer:
        """These succeeded."""
        return self.worker.complete(*claims, result=ok(value), now=now)

    def fail(self, claim: Claim, code: str = "BROKEN", **how: Any) -> Answer:
        """This failed."""
        return self.worker.fail(claim, code, **how)

    def decide(self, step: Claim, decision: Mapping[str, Any], now: datetime | None = None) -> Answer:
        """A prepare step has ended with this."""
        return self.worker.complete(step, result=json.dumps(decision), now=now)

    # -- control

    def pause(self, workflow_id: str, now: datetime | None = None) -> tuple[bool, bool]:
        """Whether it is known, and whether it was changed."""
        return self._control("pause_workflow", workflow_id, now)

    def resume(self, workflow_id: str, now: datetime | None = None) -> tuple[bool, bool]:
        """As `pause`."""
        return self._control("resume_workflow", workflow_id, now)

    def cancel(self, workflow_id: str, now: datetime | None = None) -> tuple[bool, bool]:
        """As `pause`."""
        return self._control("cancel_workflow", workflow_id, now)

    def _control(self, statement: str, workflow_id: str, now: datetime | None) -> tuple[bool, bool]:
        (row,) = self.run(statement, id=workflow_id, now=now)
        return row[0], row[1]

    # -- look

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        """Its row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select * from horsies.workflows where id = %s", [workflow_id])
            (row,) = cursor.fetchall()
            return row

    def status(self, workflow_id: str) -> str:
        """Its status."""
        status: str = self.workflow(workflow_id)["status"]
        return status

    def nodes(self, workflow_id: str) -> dict[str, str]:
        """Status by node id, as stored."""
        rows = self.select(
            "select node_id, status from horsies.workflow_nodes where workflow_id = %s order by node_index",
            [workflow_id],
        )
        return dict(rows)

    def node(self, workflow_id: str, node_id: str) -> dict[str, Any]:
        """A node's row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                "select * from horsies.workflow_nodes where workflow_id = %s and node_id = %s",
                [workflow_id, node_id],
            )
            (row,) = cursor.fetchall()
            return row

    def tasks(self, workflow_id: str) -> list[dict[str, Any]]:
        """Its live task rows, by node."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                "select * from horsies.tasks where workflow_id = %s order by node_index, id", [workflow_id]
            )
            return cursor.fetchall()

    def child(self, workflow_id: str, node_id: str) -> str:
        """The id of a node's child workflow."""
        return str(self.node(workflow_id, node_id)["sub_workflow_id"])

    def begin_child(self, graph: Mapping[str, Any]) -> str:
        """Take the one step that is claimable and give it this child; the child's id."""
        ((name, step),) = self.claim().items()
        self.decide(step, {"decision": "child", "child": dict(graph)})
        return self.child(str(step.workflow_id), name.removeprefix("?"))

    def run(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement of the library."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(self.statements[statement], params)
            return cursor.fetchall() if cursor.description else []

    def select(self, text: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of any statement."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(text.encode(), params)
            return cursor.fetchall() if cursor.description else []
