from instance import app

from horsies import TaskError, TaskResult, from_node


@app.task("diamond.load")
def load(day: str) -> TaskResult[list[int], TaskError]:
    return TaskResult(ok=[3, 5, 8, 40])


@app.task("diamond.total")
def total(rows: TaskResult[list[int], TaskError]) -> TaskResult[int, TaskError]:
    return TaskResult(ok=sum(rows.unwrap()))


@app.task("diamond.outliers")
def outliers(rows: TaskResult[list[int], TaskError], *, limit: int = 10) -> TaskResult[list[int], TaskError]:
    return TaskResult(ok=[row for row in rows.unwrap() if row > limit])


@app.task("diamond.report")
def report(
    total: TaskResult[int, TaskError], outliers: TaskResult[list[int], TaskError]
) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"total {total.unwrap()}, outliers {outliers.unwrap()}")


top = load.node(node_id="load")(day="2024-05-01")
left = total.node(node_id="total")(rows=from_node(top))
right = outliers.node(node_id="outliers")(rows=from_node(top), limit=20)
bottom = report.node(node_id="report")(total=from_node(left), outliers=from_node(right))

spec = app.workflow("diamond", [top, left, right, bottom], output=bottom)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
