from instance import app

from horsies import SuccessCase, SuccessPolicy, TaskError, TaskNode, TaskResult


@app.task("partial_success.charge")
def charge(order: int) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"receipt of order {order}")


@app.task("partial_success.send_mail")
def send_mail(receipt: TaskResult[str, TaskError]) -> TaskResult[None, TaskError]:
    return TaskResult(err=TaskError(error_code="BOUNCED", message="no such mailbox"))


charged = TaskNode(fn=charge, args=(7,), node_id="charged")
mailed = TaskNode(fn=send_mail, waits_for=[charged], args_from={"receipt": charged}, node_id="mailed")

spec = app.workflow(
    "partial_success",
    [charged, mailed],
    output=charged,
    success_policy=SuccessPolicy([SuccessCase([charged])], optional=[mailed]),
)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
    print("workflow:", handle.status().unwrap().value)
    print("mail:", handle.result_for(mailed).unwrap_err().error_code)
