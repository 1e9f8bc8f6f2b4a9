from instance import app

from horsies import SuccessCase, SuccessPolicy, TaskError, TaskNode, TaskResult


@app.task("recovery.live_price")
def live_price(article: str) -> TaskResult[float, TaskError]:
    return TaskResult(err=TaskError(error_code="EXCHANGE_CLOSED", message="opens at nine"))


@app.task("recovery.price_or_yesterdays")
def price_or_yesterdays(live: TaskResult[float, TaskError]) -> TaskResult[float, TaskError]:
    return live if live.is_ok() else TaskResult(ok=41.5)


live = TaskNode(fn=live_price, args=("tea",), node_id="live")
price = TaskNode(
    fn=price_or_yesterdays,
    waits_for=[live],
    args_from={"live": live},
    allow_failed_deps=True,
    node_id="price",
)

spec = app.workflow(
    "recovery",
    [live, price],
    output=price,
    success_policy=SuccessPolicy([SuccessCase([price])], optional=[live]),
)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
