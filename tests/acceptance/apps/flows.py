"""Workflows that the acceptance tests run with a real worker."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from horsies import (
    AppConfig,
    Horsies,
    PostgresConfig,
    RecoveryConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
    WorkflowContext,
    WorkflowMeta,
)
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.acceptance.notes import note

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
app = Horsies(
    AppConfig(
        broker=PostgresConfig(database_url=URL),
        workflow_step_timeout_ms=1_000,
        recovery=RecoveryConfig(
            check_interval_ms=1_000,
            runner_heartbeat_interval_ms=1_000,
            claimer_heartbeat_interval_ms=1_000,
            running_stale_threshold_ms=3_000,
            claimed_stale_threshold_ms=3_000,
        ),
    )
)
app.discover_tasks(["tests.acceptance.apps.flows"])

type Number = TaskResult[int, TaskError]


@app.task("one")
def one() -> Number:
    return TaskResult(ok=1)


@app.task("add")
def add(left: Number, *, right: int = 1) -> Number:
    return TaskResult(ok=left.unwrap() + right)


@app.task("async_add")
async def async_add(left: Number, *, right: int = 1) -> Number:
    return TaskResult(ok=left.unwrap() + right)


@app.task("broken")
def broken() -> Number:
    return TaskResult(err=TaskError(error_code="BROKEN", message="as asked for"))


@app.task("seen")
def seen(
    result: Number | None = None,
    *,
    workflow_ctx: WorkflowContext | None = None,
    workflow_meta: WorkflowMeta,
) -> TaskResult[str, TaskError]:
    code = "none" if result is None else "ok" if result.is_ok() else str(result.err_value.error_code)
    return TaskResult(
        ok=f"{workflow_meta.task_index} {workflow_meta.task_name} {code} {workflow_ctx is not None}"
    )


@app.task("summed")
def summed(*, workflow_ctx: WorkflowContext) -> Number:
    return TaskResult(
        ok=workflow_ctx.result_for(Pair.left).unwrap() + workflow_ctx.result_for(Pair.right).unwrap()
    )


@app.task(
    "second_time",
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["BROKEN"], jitter=False),
)
def second_time(folder: str) -> Number:
    note(folder, "try")
    with open(f"{folder}/notes") as lines:
        if len(lines.readlines()) < 2:
            return TaskResult(err=TaskError(error_code="BROKEN"))
    return TaskResult(ok=2)


@app.task("nap")
def nap(folder: str, seconds: float) -> Number:
    note(folder, "begin")
    time.sleep(seconds)
    note(folder, "end")
    return TaskResult(ok=1)


@app.task("nap_again", retry_policy=RetryPolicy.fixed([1], auto_retry_for=["WORKER_CRASHED"], jitter=False))
def nap_again(folder: str) -> Number:
    again = Path(folder, "again").exists()
    Path(folder, "again").touch()
    note(folder, "begin")
    if not again:
        time.sleep(60)
    return TaskResult(ok=2)


@app.task("die")
def die() -> Number:
    os.kill(os.getpid(), signal.SIGKILL)
    return TaskResult(ok=0)


class Pair(WorkflowDefinition[int]):
    """Two numbers and their sum, by context."""

    name = "pair"
    definition_key = "acceptance.pair"
    left = TaskNode(fn=one)
    right = TaskNode(fn=add, kwargs={"right": 4}, waits_for=[left], args_from={"left": left})
    total = TaskNode(fn=summed, waits_for=[left, right], workflow_ctx_from=[left, right])

    class Meta:
        output = "total"


def _is_big(context: WorkflowContext) -> bool:
    return context.result_for(Guarded.first).unwrap() > 1


def _raises(context: WorkflowContext) -> bool:
    raise RuntimeError("no idea")


class Guarded(WorkflowDefinition[Any]):
    """Conditions: one that skips, one that lets run, one that breaks."""

    name = "guarded"
    definition_key = "acceptance.guarded"
    first = TaskNode(fn=one)
    skipped = TaskNode(fn=one, waits_for=[first], run_when=_is_big)
    run = TaskNode(fn=add, waits_for=[first], args_from={"left": first}, skip_when=_is_big)
    failing = TaskNode(fn=one, waits_for=[first], skip_when=_raises)


class Grown(WorkflowDefinition[int]):
    """A child whose graph depends on what it is given: a chain of additions."""

    name = "grown"
    definition_key = "acceptance.grown"
    unused = TaskNode(fn=one)

    @classmethod
    def build_with(cls, app: Any, *, steps: int, start: Number | None = None) -> WorkflowSpec[int]:
        if start is not None and start.is_err():
            raise RuntimeError("nothing to start from")
        nodes = [TaskNode(fn=one, node_id="n0")]
        for i in range(1, steps):
            before = nodes[-1]
            nodes.append(TaskNode(fn=add, waits_for=[before], args_from={"left": before}, node_id=f"n{i}"))
        spec: WorkflowSpec[int] = app.workflow("grown", nodes, output=nodes[-1])
        return spec


class Parent(WorkflowDefinition[int]):
    """A task, a child that takes its result, and a task that takes the child's."""

    name = "parent"
    definition_key = "acceptance.parent"
    first = TaskNode(fn=one)
    child = SubWorkflowNode(Grown, kwargs={"steps": 3}, waits_for=[first], args_from={"start": first})
    last = TaskNode(fn=add, kwargs={"right": 10}, waits_for=[child], args_from={"left": child})

    class Meta:
        output = "last"


class Orphan(WorkflowDefinition[Any]):
    """A child that cannot be built."""

    name = "orphan"
    definition_key = "acceptance.orphan"
    first = TaskNode(fn=broken)
    child = SubWorkflowNode(
        Grown, kwargs={"steps": 3}, waits_for=[first], args_from={"start": first}, allow_failed_deps=True
    )


class Broken(WorkflowDefinition[int]):
    """A child that fails."""

    name = "broken"
    definition_key = "acceptance.broken"
    node = TaskNode(fn=broken)

    class Meta:
        output = "node"


class Troubled(WorkflowDefinition[int]):
    """Its child fails."""

    name = "troubled"
    definition_key = "acceptance.troubled"
    child = SubWorkflowNode(Broken)

    class Meta:
        output = "child"


def _takes_long(context: WorkflowContext) -> bool:
    time.sleep(60)
    return True


class Slow(WorkflowDefinition[Any]):
    """A condition that does not come to an end."""

    name = "slow"
    definition_key = "acceptance.slow"
    node = TaskNode(fn=one, run_when=_takes_long)
