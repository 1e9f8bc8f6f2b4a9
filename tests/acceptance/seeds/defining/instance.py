# The tasks of the page "Defining tasks" of the seed documents.
from typing import Any

from horsies import (
    AppConfig,
    CustomQueueConfig,
    Horsies,
    JsonValue,
    PostgresConfig,
    QueueMode,
    RetryPolicy,
    TaskError,
    TaskResult,
)

config = AppConfig(
    broker=PostgresConfig(database_url="postgresql+psycopg://user:password@localhost:5432/mydb"),
    queue_mode=QueueMode.CUSTOM,
    custom_queues=[
        CustomQueueConfig(name="critical", priority=1),
        CustomQueueConfig(name="normal", priority=50),
    ],
)
app = Horsies(config)
calls: list[str] = []


def do_something() -> None:
    calls.append("something")


def call_external_api() -> dict[str, JsonValue]:
    raise TimeoutError("the api is slow")


@app.task("process_order", queue_name="normal")
def process_order(*, order_id: int) -> TaskResult[str, TaskError]:
    # Do work
    return TaskResult(ok=f"Order {order_id} processed")


@app.task("send_email", queue_name="normal")
def send_email(*, to: str, subject: str) -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


@app.task("compute", queue_name="normal")
def compute(*, x: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=x * 2)


@app.task("fire_and_forget", queue_name="normal")
def fire_and_forget() -> TaskResult[None, TaskError]:
    do_something()
    return TaskResult(ok=None)


@app.task("validate_input", queue_name="normal")
def validate_input(*, data: dict[str, JsonValue]) -> TaskResult[dict[str, JsonValue], TaskError]:
    if not data.get("email"):
        return TaskResult(
            err=TaskError(
                error_code="MISSING_EMAIL",
                message="Email is required",
                data={"field": "email"},
            )
        )
    return TaskResult(ok=data)


@app.task("might_crash", queue_name="normal")
def might_crash() -> TaskResult[str, TaskError]:
    raise ValueError("Something went wrong")


@app.task(
    "some_api_call",
    queue_name="normal",
    retry_policy=RetryPolicy.exponential(
        base_seconds=1,
        max_retries=1,
        auto_retry_for=["TIMEOUT", "CONNECTION_ERROR"],
        jitter=False,
    ),
)
def some_api_call() -> TaskResult[dict[str, JsonValue], TaskError]:
    try:
        result = call_external_api()
        return TaskResult(ok=result)
    except TimeoutError:
        return TaskResult(err=TaskError(error_code="TIMEOUT", message="Request timed out"))
    except ConnectionError:
        return TaskResult(err=TaskError(error_code="CONNECTION_ERROR", message="Connection failed"))


@app.task(
    "some_mapped_api_call",
    queue_name="normal",
    retry_policy=RetryPolicy.exponential(
        base_seconds=1,
        max_retries=1,
        auto_retry_for=["TIMEOUT", "CONNECTION_ERROR"],
        jitter=False,
    ),
    exception_mapper={
        TimeoutError: "TIMEOUT",
        ConnectionError: "CONNECTION_ERROR",
    },
)
def some_mapped_api_call() -> TaskResult[dict[str, JsonValue], TaskError]:
    result = call_external_api()
    return TaskResult(ok=result)


@app.task("urgent_task", queue_name="critical")
def urgent_task() -> TaskResult[str, TaskError]:
    return TaskResult(ok="urgent")


@app.task(
    "resize_video",
    queue_name="normal",
    timeout_ms=1_000,
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["TASK_TIMEOUT"], jitter=False),
)
def resize_video(*, video_id: str) -> TaskResult[str, TaskError]:
    import time

    time.sleep(30)
    return TaskResult(ok=video_id)


@app.task("good_task", queue_name="normal")
def good_task() -> TaskResult[dict[str, Any], TaskError]:
    return TaskResult(ok={"status": "done"})


app.discover_tasks(["instance"])
