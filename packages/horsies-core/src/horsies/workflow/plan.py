"""WorkflowPlan: a spec as plain values. This is all that the database engine needs to know of a workflow.

A plan is made when a workflow starts (or when a prepare step has built a child) and is written row by row: the
workflow's own fields into its row, each `NodePlan` into a node row. Nodes are named by their index throughout.
What the engine computes from it: the number of open dependencies is `len(waits_for)`; the roots are the nodes
without dependencies, ready at once whatever their join; the nodes that nothing depends on give the result of a
workflow without output. A node needs a prepare step if it `has_conditions` or its kind is `subworkflow`. The fields
from `queue_name` to `retention_class` are those of the task row that a ready node becomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from horsies.config.retention import RetentionConfig
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError, WorkflowValidationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.send_errors import format_utc
from horsies.send_plan import options_text
from horsies.state import OnError
from horsies.workflow.definition_base import facts_of
from horsies.workflow.node import JoinKind, Node, NodeKind
from horsies.workflow.nodes import CallNode, SubWorkflowNode, TaskNode
from horsies.workflow.output_type import output_type_error
from horsies.workflow.policy import SuccessPolicy
from horsies.workflow.spec_base import SpecBase


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A success policy by node indices.

    Attributes:
        cases: In each, the nodes that have to be COMPLETED; one case is enough.
        optional: Nodes documented as optional; nothing depends on them being listed.
    """

    cases: tuple[tuple[int, ...], ...]
    optional: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node, ready to be stored.

    Attributes:
        index: Its place in the workflow, from 0.
        node_id: Its id, unique in the workflow.
        kind: What it runs.
        task_name: Name of the task, or of the child workflow.
        waits_for: Its dependencies, each once, in the order given.
        join_kind: How many of them have to succeed.
        min_success: How many, for `"quorum"`; else `None`.
        allow_failed_deps: With the join `"all"`: run whatever became of them.
        args_from: Parameter name to the index of the node whose result it takes; always among `waits_for`.
        ctx_from: The nodes in its context; they have to be terminal before it is ready. `None` if nothing was
            given, which for conditions means those of `waits_for` that are terminal.
        has_conditions: Conditions are asked before it runs, by definition key and `node_id`.
        kwargs_json: Static arguments as JSON text, for the task or for `build_with`; `None` without any.
        sub_definition_key: Key of the child's definition; `None` for tasks.
        queue_name: Queue of the task row; this and all that follows is `None` for child workflows.
        priority: 1 (first) to 100.
        executor: As stored in task rows; `"default"` leaves the choice to the worker.
        options_json: Task options as JSON text: retry policy, deadline, time limit.
        timeout_ms: How long a run may take; `None` for the worker's own limit.
        max_retries: Runs after the first one.
        good_until: The task must have started by then.
        takes_meta: The task declares `workflow_meta`.
        retention_class: How long the finished task is kept.
    """

    index: int
    node_id: str
    kind: NodeKind
    task_name: str
    waits_for: tuple[int, ...]
    join_kind: JoinKind
    min_success: int | None
    allow_failed_deps: bool
    args_from: dict[str, int]
    ctx_from: tuple[int, ...] | None
    has_conditions: bool
    kwargs_json: str | None
    sub_definition_key: str | None = None
    queue_name: str | None = None
    priority: int | None = None
    executor: str | None = None
    options_json: str | None = None
    timeout_ms: int | None = None
    max_retries: int | None = None
    good_until: datetime | None = None
    takes_meta: bool = False
    retention_class: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowPlan:
    """A workflow, ready to be stored.

    Attributes:
        name: Its name.
        definition_key: Key of the definition it was built from, if any.
        on_error: What a failed node does to it.
        output_index: The node whose result is its result; `None` for a map of the last nodes' results.
        success_policy: When it succeeds although nodes failed.
        nodes: Its nodes by index.
    """

    name: str
    definition_key: str | None
    on_error: OnError
    output_index: int | None
    success_policy: PolicyPlan | None
    nodes: tuple[NodePlan, ...]


def plan_of(spec: SpecBase[Any]) -> WorkflowPlan:
    """A spec as plain values, after the checks of a start.

    Raises:
        WorkflowValidationError: HRS-014 or HRS-015, a node has no queue or priority, as the spec belongs to no app;
            HRS-018, a child workflow and no app; HRS-025, the output is not what the definition declares.
        MultipleValidationErrors: Several of these.
    """
    report = ValidationReport(f"start of workflow {spec.name!r}")
    for error in _start_errors(spec):
        report.add(error)
    raise_collected(report)
    config = spec.config
    planner = _Planner(spec, RetentionConfig() if config is None else config.retention)
    return WorkflowPlan(
        name=spec.name,
        definition_key=spec.definition_key,
        on_error=spec.on_error,
        output_index=None if spec.output is None else planner.place(spec.output),
        success_policy=planner.policy(spec.success_policy),
        nodes=tuple(planner.node(index, node) for index, node in enumerate(spec.tasks)),
    )


def _start_errors(spec: SpecBase[Any]) -> list[HorsiesError]:
    errors: list[HorsiesError] = []
    advice = "make the spec with app.workflow(...), or give the node a queue and a priority"
    for node in spec.tasks:
        where = f"workflow {spec.name!r}: node {node.node_id!r}"
        if isinstance(node, TaskNode):
            for what, value, code in (
                ("queue", node.queue, ErrorCode.WORKFLOW_UNRESOLVED_QUEUE),
                ("priority", node.priority, ErrorCode.WORKFLOW_UNRESOLVED_PRIORITY),
            ):
                if value is None:
                    errors.append(
                        WorkflowValidationError(f"{where} has no {what}", code=code, help_text=advice)
                    )
    if spec.host is None and any(isinstance(node, SubWorkflowNode) for node in spec.tasks):
        errors.append(
            WorkflowValidationError(
                f"workflow {spec.name!r} runs child workflows and belongs to no app",
                code=ErrorCode.WORKFLOW_SUBWORKFLOW_APP_MISSING,
                help_text="make the spec with app.workflow(...) or a WorkflowDefinition's build(app)",
            )
        )
    mismatch = output_type_error(spec)
    return errors if mismatch is None else [*errors, mismatch]


class _Planner:
    def __init__(self, spec: SpecBase[Any], retention: RetentionConfig) -> None:
        self._places = {id(node): index for index, node in enumerate(spec.tasks)}
        self._retention = retention

    def place(self, node: object) -> int:
        return self._places[id(node)]

    def policy(self, policy: SuccessPolicy | None) -> PolicyPlan | None:
        if policy is None:
            return None
        return PolicyPlan(
            cases=tuple(tuple(self.place(node) for node in case.required) for case in policy.cases),
            optional=None if policy.optional is None else tuple(self.place(node) for node in policy.optional),
        )

    def node(self, index: int, node: Node[Any]) -> NodePlan:
        context = node.workflow_ctx_from
        sources: Mapping[str, Node[Any]] = node.args_from if isinstance(node, CallNode) else {}
        return NodePlan(
            index=index,
            node_id=node.key().node_id,
            kind=node.kind,
            task_name=node.name,
            waits_for=tuple(self.place(other) for other in node.waits_for),
            join_kind=node.join,
            min_success=node.min_success,
            allow_failed_deps=node.allow_failed_deps,
            args_from={name: self.place(source) for name, source in sources.items()},
            ctx_from=None
            if context is None
            else tuple(dict.fromkeys(self.place(other) for other in context)),
            has_conditions=node.has_conditions,
            kwargs_json=node.kwargs_json if isinstance(node, CallNode) else None,
            **self._own(node),
        )

    def _own(self, node: Node[Any]) -> dict[str, Any]:
        """The fields of a node's kind."""
        if isinstance(node, SubWorkflowNode):
            return {"sub_definition_key": facts_of(node.workflow_def).key}
        if isinstance(node, TaskNode):
            return self._task(node)
        return {}

    def _task(self, node: TaskNode[Any]) -> dict[str, Any]:
        task, deadline = node.fn.definition, node.good_until
        policy = task.retry_policy
        return {
            "queue_name": node.queue,
            "priority": node.priority,
            "executor": task.executor or "default",
            "options_json": options_text(
                policy, None if deadline is None else format_utc(deadline), task.timeout_ms
            ),
            "timeout_ms": task.timeout_ms,
            "max_retries": 0 if policy is None else policy.max_retries,
            "good_until": deadline,
            "takes_meta": "workflow_meta" in node.signature.parameters,
            "retention_class": self._retention.class_for_queue(cast("str", node.queue)),
        }
