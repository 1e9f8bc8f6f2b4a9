from instance import app

from horsies import TaskError, TaskNode, TaskResult


@app.task("linear.measure")
def measure(city: str) -> TaskResult[list[float], TaskError]:
    return TaskResult(ok=[11.5, 14.0, 12.9])


@app.task("linear.mean")
def mean(values: TaskResult[list[float], TaskError]) -> TaskResult[float, TaskError]:
    if values.is_err():
        return TaskResult(err=values.err_value)
    return TaskResult(ok=sum(values.ok_value) / len(values.ok_value))


@app.task("linear.report")
def report(city: str, average: TaskResult[float, TaskError]) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{city}: {average.unwrap():.1f} degrees")


measured = TaskNode(fn=measure, kwargs={"city": "Izmir"})
averaged = TaskNode(fn=mean, waits_for=[measured], args_from={"values": measured})
reported = TaskNode(
    fn=report, kwargs={"city": "Izmir"}, waits_for=[averaged], args_from={"average": averaged}
)

spec = app.workflow("linear", [measured, averaged, reported], output=reported)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
