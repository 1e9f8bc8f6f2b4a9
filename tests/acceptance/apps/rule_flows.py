"""Workflows for rules that show in a running worker only."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, model_validator

from horsies import (
    AppConfig,
    Horsies,
    PostgresConfig,
    RecoveryConfig,
    RetentionConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
    WorkflowContext,
)
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.acceptance.notes import note, notes

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
FOLDER = os.environ.get("RULE_FLOWS_FOLDER", "/nonexistent")
app = Horsies(
    AppConfig(
        broker=PostgresConfig(database_url=URL),
        retention=RetentionConfig(paused_workflow_auto_cancel_after=timedelta(hours=1)),
        recovery=RecoveryConfig(
            check_interval_ms=1_000,
            orphan_task_audit_interval_ms=1_000,
            runner_heartbeat_interval_ms=1_000,
            claimer_heartbeat_interval_ms=1_000,
        ),
    )
)
app.discover_tasks(["tests.acceptance.apps.rule_flows"])


class Traced(BaseModel):
    """A value that tells in which process it is read."""

    number: int

    @model_validator(mode="before")
    @classmethod
    def told(cls, data: Any) -> Any:
        note(FOLDER, f"read in {os.getpid()}")
        return data


type Number = TaskResult[int, TaskError]


@app.task("rule.one")
def one() -> Number:
    return TaskResult(ok=1)


@app.task("rule.take")
def take(before: Number, *, more: int = 0) -> Number:
    return TaskResult(ok=before.unwrap() + more)


@app.task("rule.trace")
def trace() -> TaskResult[Traced, TaskError]:
    return TaskResult(ok=Traced(number=1))


@app.task("rule.trace_on")
def trace_on(
    before: TaskResult[Traced, TaskError], *, workflow_ctx: WorkflowContext | None = None
) -> TaskResult[Traced, TaskError]:
    return TaskResult(ok=before.unwrap())


@app.task("rule.third_time", retry_policy=RetryPolicy.fixed([1, 1], auto_retry_for=["BROKEN"], jitter=False))
def third_time() -> Number:
    note(FOLDER, "run")
    if notes(Path(FOLDER)).count("run") < 3:
        return TaskResult(err=TaskError(error_code="BROKEN"))
    return TaskResult(ok=3)


@app.task("rule.count")
def count(name: str) -> Number:
    note(FOLDER, f"ran {name}")
    return TaskResult(ok=1)


def _asked(context: WorkflowContext) -> bool:
    note(FOLDER, f"asked {context.result_for(Asked.first).unwrap()}")
    return False


class Asked(WorkflowDefinition[Any]):
    """A condition in front of a task that needs three runs."""

    name = "asked"
    definition_key = "rules.asked"
    first = TaskNode(fn=one)
    again = TaskNode(fn=third_time, waits_for=[first], skip_when=_asked)


def _is_small(context: WorkflowContext) -> bool:
    return bool(context.result_for(Traces.first).unwrap().number > 1)


class Leaf(WorkflowDefinition[Traced]):
    """Takes a value of its parent and gives it back."""

    name = "leaf"
    definition_key = "rules.leaf"
    unused = TaskNode(fn=trace)

    @classmethod
    def build_with(
        cls, app: Any, *, start: TaskResult[Traced, TaskError], plain: Traced
    ) -> WorkflowSpec[Traced]:
        assert start.unwrap() == plain
        node = TaskNode(fn=trace, node_id="only")
        spec: WorkflowSpec[Traced] = app.workflow("leaf", [node], output=node)
        return spec


class Traces(WorkflowDefinition[Traced]):
    """Values of one type as result, argument, context, for a condition, into a child and out of it."""

    name = "traces"
    definition_key = "rules.traces"
    first = TaskNode(fn=trace)
    second = TaskNode(
        fn=trace_on,
        waits_for=[first],
        args_from={"before": first},
        workflow_ctx_from=[first],
        skip_when=_is_small,
    )
    child = SubWorkflowNode(
        Leaf, kwargs={"plain": Traced(number=1)}, waits_for=[second], args_from={"start": second}
    )
    last = TaskNode(fn=trace_on, waits_for=[child], args_from={"before": child})

    class Meta:
        output = "last"


class Guarded(WorkflowDefinition[Any]):
    """A node with a condition, and a child."""

    name = "guarded rule"
    definition_key = "rules.guarded"
    first = TaskNode(fn=one)
    guarded = TaskNode(
        fn=count, kwargs={"name": "guarded"}, waits_for=[first], skip_when=lambda context: False
    )
    child = SubWorkflowNode(Asked, waits_for=[first])


class Chain(WorkflowDefinition[Any]):
    """Three tasks that note that they ran."""

    name = "chain"
    definition_key = "rules.chain"
    a = TaskNode(fn=count, kwargs={"name": "a"})
    b = TaskNode(fn=count, kwargs={"name": "b"}, waits_for=[a])
    c = TaskNode(fn=count, kwargs={"name": "c"}, waits_for=[b])


class Damaged(WorkflowDefinition[Any]):
    """A source and three that take its result."""

    name = "damaged"
    definition_key = "rules.damaged"
    source = TaskNode(fn=one)
    kwargs = TaskNode(fn=take, kwargs={"more": 1}, waits_for=[source], args_from={"before": source})
    args_from = TaskNode(fn=take, kwargs={"more": 1}, waits_for=[source], args_from={"before": source})
    sound = TaskNode(fn=take, kwargs={"more": 1}, waits_for=[source], args_from={"before": source})
