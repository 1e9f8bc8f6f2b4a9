from instance import app

from horsies import TaskError, TaskNode, TaskResult, WorkflowContext, WorkflowDefinition


@app.task("conditions.weigh")
def weigh(parcel: int) -> TaskResult[float, TaskError]:
    return TaskResult(ok=parcel * 0.5)


@app.task("conditions.by_bike")
def by_bike(parcel: int) -> TaskResult[str, TaskError]:
    return TaskResult(ok="bike")


@app.task("conditions.by_van")
def by_van(parcel: int) -> TaskResult[str, TaskError]:
    return TaskResult(ok="van")


def is_heavy(context: WorkflowContext) -> bool:
    return context.result_for(Delivery.weight).unwrap() > 10


class Delivery(WorkflowDefinition[None]):
    name = "delivery"
    definition_key = "docs.delivery.v1"

    weight = TaskNode(fn=weigh, args=(30,))
    bike = TaskNode(fn=by_bike, args=(30,), waits_for=[weight], skip_when=is_heavy)
    van = TaskNode(fn=by_van, args=(30,), waits_for=[weight], run_when=is_heavy)


if __name__ == "__main__":
    handle = Delivery.build(app).start().unwrap()
    handle.get(timeout_ms=30_000)
    for task in handle.tasks().unwrap():
        print(task.node_id, task.status.value)
