from uuid import NAMESPACE_URL, uuid5

from instance import app

from horsies import Err, Ok, TaskError, TaskNode, TaskResult


@app.task("fire_and_forget.index")
def index(page: str) -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


@app.task("fire_and_forget.announce")
def announce(page: str) -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


PAGE = "/news/42"

indexed = TaskNode(fn=index, args=(PAGE,), node_id="indexed")
announced = TaskNode(fn=announce, args=(PAGE,), waits_for=[indexed], node_id="announced")

spec = app.workflow("fire_and_forget", [indexed, announced])

if __name__ == "__main__":
    match spec.start(workflow_id=str(uuid5(NAMESPACE_URL, PAGE))):
        case Ok(handle):
            print("started", handle.workflow_id)
        case Err(error):
            print("not started:", error.code, error.message)
