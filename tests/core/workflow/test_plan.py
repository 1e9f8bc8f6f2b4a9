"""The plan that the database engine gets (HRS-014, HRS-015, HRS-018, HRS-025 at the start)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from horsies import (
    ErrorCode,
    MultipleValidationErrors,
    OnError,
    RetentionConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
    WorkflowContext,
    WorkflowValidationError,
)
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.plan import NodePlan, PolicyPlan, WorkflowPlan, plan_of
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.spec import WorkflowSpec
from tests.core.apps import make_queue_app
from tests.core.workflow.shop import codes

app = make_queue_app(
    retention=RetentionConfig(queue_retention={"mail": timedelta(days=7)}, terminal_record_retention_hours=48)
)


@app.task(
    "send",
    queue_name="mail",
    timeout_ms=5000,
    executor="thread",
    retry_policy=RetryPolicy.fixed([5, 30], auto_retry_for=["BUSY"], jitter=False),
)
def send(
    to: str = "", *, other: int = 0, rows: TaskResult[int, TaskError] | None = None
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


@app.task("count", queue_name="bulk")
def count(rows: TaskResult[int, TaskError] | None = None) -> TaskResult[int, TaskError]:
    return TaskResult(ok=1)


def never(context: WorkflowContext) -> bool:
    return False


class Child(WorkflowDefinition[int]):
    name = "child"
    definition_key = "tests.plan.child"
    first = TaskNode(fn=send, skip_when=never)
    second = TaskNode(fn=count, waits_for=[first], run_when=never, workflow_ctx_from=[first])
    third = TaskNode(fn=count, waits_for=[first], run_when=never, workflow_ctx_from=[])

    class Meta:
        output = "second"

    @classmethod
    def build_with(cls, app: Any, *, month: int = 1) -> WorkflowSpec[int]:
        return cls.build(app)


def test_a_plan_says_everything_by_index() -> None:
    deadline = datetime(2030, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    a = TaskNode(fn=send, kwargs={"to": "ä", "other": 2}, good_until=deadline)
    b = TaskNode(fn=count, node_id="b", priority=3)
    c = TaskNode(
        fn=count,
        node_id="c",
        waits_for=[b, a, b],
        args_from={"rows": a},
        join="quorum",
        min_success=1,
        queue="mail",
        allow_failed_deps=True,
    )
    d = SubWorkflowNode(workflow_def=Child, kwargs={"month": 5}, waits_for=[c], node_id="d", join="any")
    spec = app.workflow(
        "w",
        [a, b, c, d],
        OnError.PAUSE,
        d,
        SuccessPolicy([SuccessCase([d, c]), SuccessCase([a])], optional=[b]),
        definition_key="k",
    )
    empty = '{"retry_policy":null,"good_until":null,"timeout_ms":null}'
    assert plan_of(spec) == WorkflowPlan(
        name="w",
        definition_key="k",
        on_error=OnError.PAUSE,
        output_index=3,
        success_policy=PolicyPlan(cases=((3, 2), (0,)), optional=(1,)),
        nodes=(
            NodePlan(
                index=0,
                node_id="w:0",
                kind="task",
                task_name="send",
                waits_for=(),
                join_kind="all",
                min_success=None,
                allow_failed_deps=False,
                args_from={},
                ctx_from=None,
                has_conditions=False,
                kwargs_json='{"to":"ä","other":2}',
                queue_name="mail",
                priority=10,
                executor="thread",
                options_json=(
                    '{"retry_policy":{"max_retries":2,"intervals":[5,30],"backoff_strategy":"fixed",'
                    '"jitter":false,"auto_retry_for":["BUSY"]},'
                    '"good_until":"2030-01-01T12:00:00.000000+00:00","timeout_ms":5000}'
                ),
                timeout_ms=5000,
                max_retries=2,
                good_until=datetime(2030, 1, 1, 12, tzinfo=UTC),
                retention_class="q_mail_7d",
            ),
            NodePlan(
                index=1,
                node_id="b",
                kind="task",
                task_name="count",
                waits_for=(),
                join_kind="all",
                min_success=None,
                allow_failed_deps=False,
                args_from={},
                ctx_from=None,
                has_conditions=False,
                kwargs_json=None,
                queue_name="bulk",
                priority=3,
                executor="default",
                options_json=empty,
                max_retries=0,
                retention_class="keep_2d",
            ),
            NodePlan(
                index=2,
                node_id="c",
                kind="task",
                task_name="count",
                waits_for=(1, 0),
                join_kind="quorum",
                min_success=1,
                allow_failed_deps=True,
                args_from={"rows": 0},
                ctx_from=None,
                has_conditions=False,
                kwargs_json=None,
                queue_name="mail",
                priority=10,
                executor="default",
                options_json=empty,
                max_retries=0,
                retention_class="q_mail_7d",
            ),
            NodePlan(
                index=3,
                node_id="d",
                kind="subworkflow",
                task_name="child",
                waits_for=(2,),
                join_kind="any",
                min_success=None,
                allow_failed_deps=False,
                args_from={},
                ctx_from=None,
                has_conditions=False,
                kwargs_json='{"month":5}',
                sub_definition_key="tests.plan.child",
            ),
        ),
    )


def test_conditions_and_contexts() -> None:
    """No list and an empty one are not the same for a condition."""
    plan = plan_of(Child.build(app))
    assert [node.has_conditions for node in plan.nodes] == [True, True, True]
    assert [node.ctx_from for node in plan.nodes] == [None, (0,), ()]
    assert (plan.definition_key, plan.output_index, plan.success_policy) == ("tests.plan.child", 1, None)


def test_options_are_those_of_a_send() -> None:
    """A node is retried, timed and kept like a task that was sent."""
    plan = plan_of(app.workflow("w", [TaskNode(fn=send)])).nodes[0]
    assert plan.options_json is not None
    assert '"auto_retry_for":["BUSY"]' in plan.options_json


def test_without_an_app_every_node_needs_queue_and_priority() -> None:
    """HRS-014, HRS-015."""
    nodes = [
        TaskNode(fn=send, node_id="a"),
        TaskNode(fn=send, queue="mail"),
        TaskNode(fn=send, queue="mail", priority=5),
    ]
    with pytest.raises(MultipleValidationErrors) as caught:
        plan_of(WorkflowSpec("w", nodes))
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_UNRESOLVED_QUEUE,
        ErrorCode.WORKFLOW_UNRESOLVED_PRIORITY,
        ErrorCode.WORKFLOW_UNRESOLVED_PRIORITY,
    ]
    plan = plan_of(WorkflowSpec("w", nodes[2:]))
    assert (plan.nodes[0].queue_name, plan.nodes[0].priority) == ("mail", 5)
    assert plan.nodes[0].retention_class == "standard_30d"


def test_without_an_app_there_are_no_children() -> None:
    """HRS-018."""
    spec = WorkflowSpec("w", [SubWorkflowNode(workflow_def=Child)], broker=app.get_broker())
    with pytest.raises(WorkflowValidationError) as caught:
        plan_of(spec)
    assert caught.value.code is ErrorCode.WORKFLOW_SUBWORKFLOW_APP_MISSING


def test_the_output_type_is_checked_again() -> None:
    """W-21, HRS-025: of a spec that names its definition by hand."""
    node = TaskNode(fn=count, queue="bulk", priority=1)
    plan_of(WorkflowSpec("w", [node], output=node, workflow_def_cls=Child))
    with pytest.raises(WorkflowValidationError) as caught:
        plan_of(WorkflowSpec("w", [node], workflow_def_cls=Child))
    assert caught.value.code is ErrorCode.WORKFLOW_OUTPUT_TYPE_MISMATCH
