from instance import app

from horsies import SuccessCase, SuccessPolicy, TaskError, TaskNode, TaskResult


@app.task("quorum.store")
def store(replica: str) -> TaskResult[str, TaskError]:
    if replica == "b":
        return TaskResult(err=TaskError(error_code="DISK_FULL", message=f"replica {replica} is full"))
    return TaskResult(ok=replica)


@app.task("quorum.confirm")
def confirm(order: int) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"order {order} is stored twice")


replicas = [TaskNode(fn=store, args=(name,), node_id=name) for name in ("a", "b", "c")]
confirmed = TaskNode(
    fn=confirm, args=(7,), waits_for=replicas, join="quorum", min_success=2, node_id="confirmed"
)

spec = app.workflow(
    "quorum",
    [*replicas, confirmed],
    output=confirmed,
    success_policy=SuccessPolicy([SuccessCase([confirmed])], optional=replicas),
)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
