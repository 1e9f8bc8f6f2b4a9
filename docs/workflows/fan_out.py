from instance import app

from horsies import TaskError, TaskNode, TaskResult, WorkflowContext


@app.task("fan_out.count_words")
def count_words(page: str) -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(page.split()))


pages = ["to be or not to be", "that is the question", "whether 'tis nobler"]
counts = [
    TaskNode(fn=count_words, args=(page,), node_id=f"page-{number}") for number, page in enumerate(pages)
]


@app.task("fan_out.total")
def total(workflow_ctx: WorkflowContext | None = None) -> TaskResult[int, TaskError]:
    if workflow_ctx is None:
        return TaskResult(err=TaskError(error_code="NO_CONTEXT", message="runs in a workflow only"))
    return TaskResult(ok=sum(workflow_ctx.result_for(node).unwrap() for node in counts))


summed = TaskNode(fn=total, waits_for=counts, workflow_ctx_from=counts)

spec = app.workflow("fan_out", [*counts, summed], output=summed)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap(), "words")
