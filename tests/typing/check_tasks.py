"""What type checkers infer for tasks and handles; mypy and pyright read this file, running it changes nothing.

Covers the signatures of 01 sections 3, 4 and 11, T-25, T-26. The lines with an ignore must be errors: an ignore that
nothing needs is itself reported.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, assert_type

from horsies.app import Horsies
from horsies.broker_errors import BrokerOperationError, BrokerResult
from horsies.handle import TaskHandle
from horsies.result import Err, Ok, Result
from horsies.retry import RetryPolicy
from horsies.send_errors import TaskSendError
from horsies.send_options import TaskSendOptions
from horsies.task import AsyncTaskFunction, SyncTaskFunction, TaskFunction
from horsies.task_info import TaskInfo
from horsies.task_result import TaskError, TaskResult


def plain(a: int, b: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=a + b)


async def awaited(url: str, *, tries: int = 3) -> TaskResult[list[str], TaskError]:
    return TaskResult(ok=[url] * tries)


def no_task(a: int) -> int:
    return a


def a_def_task(app: Horsies) -> None:
    @app.task("add", retry_policy=RetryPolicy.fixed([5]), auto_retry_for=["BUSY"], timeout_ms=5000)
    def add(a: int, b: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=a + b)

    assert_type(add(5, 3), TaskResult[int, TaskError])
    assert_type(add.send(5, 3), Result[TaskHandle[int], TaskSendError])
    assert_type(add.send(a=5, b=3), Result[TaskHandle[int], TaskSendError])
    assert_type(add.schedule(60, 5, 3), Result[TaskHandle[int], TaskSendError])
    assert_type(add.schedule(timedelta(minutes=1), 5, b=3), Result[TaskHandle[int], TaskSendError])
    assert_type(add.send_many([{"a": 1, "b": 2}]), Result[list[TaskHandle[int]], TaskSendError])

    add(5, "3")  # type: ignore[arg-type]
    add(5)  # type: ignore[call-arg]
    add.send(5, "3")  # type: ignore[arg-type]
    add.send(5)  # type: ignore[call-arg]
    add.send(5, 3, c=1)  # type: ignore[call-arg]
    add.schedule("soon", 5, 3)  # type: ignore[arg-type]
    add.schedule(60, 5, "3")  # type: ignore[arg-type]
    add.send_many([5])  # type: ignore[list-item]
    add.with_options(priority="high")  # type: ignore[arg-type]
    add.with_options(urgent=True)  # type: ignore[call-arg]


async def an_async_task(app: Horsies) -> None:
    @app.task("fetch")
    async def fetch(url: str, *, tries: int = 3) -> TaskResult[list[str], TaskError]:
        return TaskResult(ok=[url] * tries)

    assert_type(await fetch("http://x", tries=2), TaskResult[list[str], TaskError])
    assert_type(fetch.send("http://x"), Result[TaskHandle[list[str]], TaskSendError])
    assert_type(await fetch.send_async("http://x"), Result[TaskHandle[list[str]], TaskSendError])
    assert_type(await fetch.schedule_async(5, "http://x"), Result[TaskHandle[list[str]], TaskSendError])
    assert_type(
        await fetch.send_many_async([{"url": "x"}]), Result[list[TaskHandle[list[str]]], TaskSendError]
    )

    await fetch(5)  # type: ignore[arg-type]
    await fetch.send_async("http://x", tries="3")  # type: ignore[arg-type]


def the_direct_form(app: Horsies) -> None:
    add = app.task("add", plain)
    fetch = app.task("fetch", awaited, timeout_ms=5000)
    same: SyncTaskFunction[[int, int], int] = add
    del same
    assert_type(add(5, 3), TaskResult[int, TaskError])
    call: Awaitable[TaskResult[list[str], TaskError]] = fetch("http://x")
    del call

    app.task("no", no_task)  # type: ignore[arg-type]
    app.task("no")(no_task)  # type: ignore[arg-type]
    app.task("no", plain, good_until=None)  # type: ignore[call-overload]


def both_kinds_are_task_functions(app: Horsies) -> None:
    add: TaskFunction[[int, int], int] = app.task("add", plain)
    fetch: TaskFunction[..., list[str]] = app.task("fetch", awaited)
    assert_type(add.send(1, 2), Result[TaskHandle[int], TaskSendError])
    assert_type(fetch.send("x"), Result[TaskHandle[list[str]], TaskSendError])
    assert isinstance(fetch, AsyncTaskFunction)
    assert_type(app.tasks["add"], TaskFunction[..., Any])


def with_options(app: Horsies) -> None:
    chosen = app.task("add", plain).with_options(priority=5, retention_class_key=None)
    same: TaskSendOptions[[int, int], int] = chosen
    del same
    assert_type(chosen.send(5, 3), Result[TaskHandle[int], TaskSendError])
    assert_type(chosen.schedule(5, 5, 3), Result[TaskHandle[int], TaskSendError])
    chosen.send(5, "3")  # type: ignore[arg-type]


async def results(app: Horsies) -> int:
    add = app.task("add", plain)
    match add.send(5, 3):
        case Ok(handle):
            assert_type(handle, TaskHandle[int])
            assert_type(handle.get(), TaskResult[int, TaskError])
            assert_type(handle.get(timeout_ms=5_000), TaskResult[int, TaskError])
            assert_type(await handle.get_async(), TaskResult[int, TaskError])
            assert_type(handle.info(include_result=True), Result[TaskInfo | None, BrokerOperationError])
            assert_type(handle.task_id, str)
            handle.info(everything=True)  # type: ignore[call-arg]
            return handle.get().ok_value
        case Err(error):
            assert_type(error, TaskSendError)
            assert_type(add.retry_send(error), Result[TaskHandle[int], TaskSendError])
            assert_type(await add.retry_schedule_async(error), Result[TaskHandle[int], TaskSendError])
            return 0


async def reads(app: Horsies) -> None:
    assert_type(app.get_result("x"), BrokerResult[TaskResult[Any, TaskError]])
    assert_type(await app.get_raw_result_async("x", 5), BrokerResult[dict[str, Any] | None])
    assert_type(app.get_task_info("x", include_attempts=True), BrokerResult[TaskInfo | None])
    assert_type(TaskHandle("x", app, ok_type=int).get(), TaskResult[int, TaskError])


def hooks(app: Horsies) -> None:
    @app.on_child_process_start
    def connect() -> None: ...

    assert_type(connect(), None)
    app.on_child_process_start(no_task)  # type: ignore[type-var]
