from typing import Any

from instance import app

from horsies import SubWorkflowNode, TaskError, TaskNode, TaskResult, WorkflowDefinition, WorkflowSpec


@app.task("subworkflow.list_rooms")
def list_rooms(house: str) -> TaskResult[list[str], TaskError]:
    return TaskResult(ok=["kitchen", "hall"])


@app.task("subworkflow.clean")
def clean(room: str) -> TaskResult[str, TaskError]:
    return TaskResult(ok=room)


@app.task("subworkflow.lock")
def lock(rooms: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=rooms)


@app.task("subworkflow.write_bill")
def write_bill(rooms: TaskResult[int, TaskError]) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{rooms.unwrap()} rooms, {rooms.unwrap() * 20} euro")


class Cleaning(WorkflowDefinition[int]):
    """A node for each room, then the door; built when the rooms are known."""

    name = "cleaning"
    definition_key = "docs.cleaning.v1"

    @classmethod
    def build_with(cls, app: Any, *, rooms: TaskResult[list[str], TaskError]) -> WorkflowSpec[int]:
        cleaned = [TaskNode(fn=clean, args=(room,), node_id=room) for room in rooms.unwrap()]
        locked = TaskNode(fn=lock, args=(len(cleaned),), waits_for=cleaned, node_id="locked")
        spec: WorkflowSpec[int] = app.workflow(cls.name, [*cleaned, locked], output=locked)
        return spec


class Visit(WorkflowDefinition[str]):
    """A workflow with that one as a node."""

    name = "visit"
    definition_key = "docs.visit.v1"

    rooms = TaskNode(fn=list_rooms, args=("Villa Rosa",))
    cleaning = SubWorkflowNode(workflow_def=Cleaning, waits_for=[rooms], args_from={"rooms": rooms})
    bill = TaskNode(fn=write_bill, waits_for=[cleaning], args_from={"rooms": cleaning})

    class Meta:
        output = "bill"


if __name__ == "__main__":
    handle = Visit.build(app).start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
    progress = handle.progress(include_children=True).unwrap()
    print(f"{progress.terminal} of {progress.total} nodes")
