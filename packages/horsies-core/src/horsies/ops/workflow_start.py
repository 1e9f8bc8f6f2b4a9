"""Start a workflow: its row, its nodes, its edges and the tasks of its roots, all in one statement."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from horsies.db.effects import Op, Row, Run
from horsies.send_errors import format_utc
from horsies.workflow.plan import NodePlan, WorkflowPlan

type StartOutcome = Literal["started", "same", "different"]


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """What became of a start.

    Attributes:
        outcome: `same` and `different`: there is a workflow of that id, of this or of another name.
        name: The name of the workflow that has the id.
    """

    outcome: StartOutcome
    name: str


def start(
    workflow_id: str, plan: Mapping[str, Any], sent_at: datetime | None, now: datetime | None
) -> Op[StartAnswer]:
    """Start a workflow.

    Args:
        workflow_id: Its id.
        plan: What `plan_data` returned.
        sent_at: When it was sent; `None` for now.
        now: For tests.
    """
    text = json.dumps(plan, ensure_ascii=False, separators=(",", ":"))
    rows: list[Row] = yield Run(
        "start_workflow", {"id": workflow_id, "plan": text, "sent_at": sent_at, "now": now}
    )
    return StartAnswer(*rows[0])


def plan_data(plan: WorkflowPlan, *, retention_class: str, step_timeout_ms: int) -> dict[str, Any]:
    """A plan as the schema's functions take it, as JSON data.

    Args:
        plan: The plan.
        retention_class: How long its prepare steps are kept.
        step_timeout_ms: How long each of them may take.
    """
    policy = plan.success_policy
    return {
        "name": plan.name,
        "definition_key": plan.definition_key,
        "on_error": plan.on_error.value,
        "output_index": plan.output_index,
        "success_policy": None if policy is None else policy.cases,
        "retention_class": retention_class,
        "step_timeout_ms": step_timeout_ms,
        "nodes": [_node_data(node) for node in plan.nodes],
    }


def _node_data(node: NodePlan) -> dict[str, Any]:
    return {
        "node_index": node.index,
        "node_id": node.node_id,
        "kind": node.kind,
        "task_name": node.task_name,
        "definition_key": node.sub_definition_key,
        "kwargs": node.kwargs_json,
        "args_from": node.args_from,
        "ctx_from": node.ctx_from,
        "conditions": node.has_conditions,
        "takes_meta": node.takes_meta,
        "queue_name": node.queue_name,
        "priority": node.priority,
        "executor": node.executor,
        "options": node.options_json,
        "timeout_ms": node.timeout_ms,
        "max_retries": node.max_retries,
        "good_until": None if node.good_until is None else format_utc(node.good_until),
        "retention_class": node.retention_class,
        "waits_for": node.waits_for,
        "join_kind": node.join_kind,
        "min_success": node.min_success,
        "allow_failed_deps": node.allow_failed_deps,
    }
