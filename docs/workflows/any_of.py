from instance import app

from horsies import SuccessCase, SuccessPolicy, TaskError, TaskNode, TaskResult


@app.task("any_of.download")
def download(mirror: str) -> TaskResult[str, TaskError]:
    if mirror == "eu":
        return TaskResult(err=TaskError(error_code="MIRROR_DOWN", message=f"{mirror} does not answer"))
    return TaskResult(ok=f"file from {mirror}")


@app.task("any_of.unpack")
def unpack(
    eu: TaskResult[str, TaskError] | None = None, us: TaskResult[str, TaskError] | None = None
) -> TaskResult[str, TaskError]:
    first = next(found for found in (eu, us) if found is not None and found.is_ok())
    return TaskResult(ok=f"unpacked the {first.unwrap()}")


eu = TaskNode(fn=download, args=("eu",), node_id="eu")
us = TaskNode(fn=download, args=("us",), node_id="us")
unpacked = TaskNode(fn=unpack, waits_for=[eu, us], join="any", args_from={"eu": eu, "us": us})

spec = app.workflow(
    "any_of",
    [eu, us, unpacked],
    output=unpacked,
    success_policy=SuccessPolicy([SuccessCase([unpacked])], optional=[eu, us]),
)

if __name__ == "__main__":
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
