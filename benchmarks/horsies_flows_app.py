"""The horsies side of the workflow measure: the nodes' tasks, beside the no-op task."""

from benchmarks.horsies_app import app, mark
from horsies import NodeKey, TaskError, TaskResult, WorkflowContext

__all__ = ["app"]


@app.task("step")
def step(n: int, before: TaskResult[int, TaskError] | None = None) -> TaskResult[int, TaskError]:
    """One more than the node before."""
    mark(n)
    return TaskResult(ok=1 if before is None else before.ok_value + 1)


@app.task("item")
def item(n: int) -> TaskResult[int, TaskError]:
    mark(n)
    return TaskResult(ok=n)


@app.task("total")
def total(n: int, width: int, workflow_ctx: WorkflowContext | None = None) -> TaskResult[int, TaskError]:
    """The sum of what the others returned."""
    mark(n)
    assert workflow_ctx is not None
    keys = (NodeKey[int](f"item-{i}") for i in range(width))
    return TaskResult(ok=sum(workflow_ctx.result_for(key).ok_value for key in keys))
