"""Tasks that the acceptance tests run in real executors; what they did is told by files in a folder."""

import asyncio
import os
import signal
import time
from pathlib import Path

from horsies import (
    AppConfig,
    CustomQueueConfig,
    Horsies,
    OperationalErrorCode,
    PostgresConfig,
    QueueMode,
    RecoveryConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
)

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
app = Horsies(
    AppConfig(
        broker=PostgresConfig(database_url=URL),
        queue_mode=QueueMode.CUSTOM,
        custom_queues=[
            CustomQueueConfig(name="high", priority=1),
            CustomQueueConfig(name="normal", priority=50),
            CustomQueueConfig(name="low", priority=90),
            CustomQueueConfig(name="narrow", priority=50, max_concurrency=1),
            CustomQueueConfig(name="closed", priority=50, max_concurrency=0),
        ],
        recovery=RecoveryConfig(
            check_interval_ms=1_000,
            runner_heartbeat_interval_ms=1_000,
            claimer_heartbeat_interval_ms=1_000,
            running_stale_threshold_ms=3_000,
            claimed_stale_threshold_ms=3_000,
        ),
    )
)
app.discover_tasks(["tests.acceptance.apps.basic"])


def note(folder: str, text: str) -> None:
    """One line, written whole."""
    fd = os.open(Path(folder) / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


@app.task("noop", queue_name="normal")
def noop(n: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=n)


@app.task("anoop", queue_name="normal")
async def anoop(n: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=n)


@app.task("write", queue_name="normal")
def write(folder: str, text: str) -> TaskResult[int, TaskError]:
    note(folder, text)
    return TaskResult(ok=os.getpid())


@app.task("nap", queue_name="normal")
def nap(folder: str, name: str, seconds: float) -> TaskResult[str, TaskError]:
    note(folder, f"begin {name}")
    time.sleep(seconds)
    note(folder, f"end {name}")
    return TaskResult(ok=name)


@app.task("async_nap", queue_name="normal")
async def async_nap(seconds: float) -> TaskResult[float, TaskError]:
    await asyncio.sleep(seconds)
    return TaskResult(ok=seconds)


@app.task("thread_nap", queue_name="normal", executor="thread")
def thread_nap(seconds: float) -> TaskResult[int, TaskError]:
    time.sleep(seconds)
    return TaskResult(ok=os.getpid())


@app.task("die", queue_name="normal")
def die(folder: str) -> TaskResult[None, TaskError]:
    note(folder, "die")
    os.kill(os.getpid(), signal.SIGKILL)
    return TaskResult(ok=None)


@app.task(
    "die_once",
    queue_name="normal",
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["WORKER_CRASHED"], jitter=False),
)
def die_once(folder: str) -> TaskResult[str, TaskError]:
    marker = Path(folder) / "died"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return TaskResult(ok="survived")


@app.task("system_exit", queue_name="normal")
def system_exit() -> TaskResult[None, TaskError]:
    raise SystemExit(3)


@app.task("returns_none", queue_name="normal")
def returns_none() -> TaskResult[int, TaskError]:
    return None  # type: ignore[return-value]


@app.task("wrong_type", queue_name="normal")
def wrong_type() -> TaskResult[int, TaskError]:
    return TaskResult(ok="not a number")  # type: ignore[arg-type]


@app.task("limited", queue_name="normal", timeout_ms=1_000)
def limited(seconds: float) -> TaskResult[str, TaskError]:
    time.sleep(seconds)
    return TaskResult(ok="in time")


@app.task("async_limited", queue_name="normal", timeout_ms=1_000)
async def async_limited(seconds: float) -> TaskResult[str, TaskError]:
    await asyncio.sleep(seconds)
    return TaskResult(ok="in time")


@app.task("counted", queue_name="narrow")
def counted(folder: str, seconds: float) -> TaskResult[None, TaskError]:
    note(folder, "+")
    time.sleep(seconds)
    note(folder, "-")
    return TaskResult(ok=None)


@app.task("never", queue_name="closed")
def never() -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


hoard: list[bytes] = []


@app.task("grow", queue_name="normal")
def grow(megabytes: int) -> TaskResult[None, TaskError]:
    hoard.append(b"x" * megabytes * 1_000_000)
    return TaskResult(ok=None)


@app.task(
    "die_with_worker",
    queue_name="normal",
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["WORKER_CRASHED"], jitter=False),
)
def die_with_worker(folder: str, worker_pid: int) -> TaskResult[str, TaskError]:
    marker = Path(folder) / "died"
    if not marker.exists():
        marker.touch()
        os.kill(worker_pid, signal.SIGKILL)
        time.sleep(60)
    return TaskResult(ok="survived")


@app.task("begin_once", queue_name="normal")
def begin_once(folder: str, name: str) -> TaskResult[str, TaskError]:
    note(folder, name)
    time.sleep(0.005)
    return TaskResult(ok=name)


@app.task(
    "begin_again",
    queue_name="normal",
    retry_policy=RetryPolicy(
        max_retries=20, intervals=[1] * 20, jitter=False, auto_retry_for=[OperationalErrorCode.WORKER_CRASHED]
    ),
)
def begin_again(n: int) -> TaskResult[int, TaskError]:
    time.sleep(0.02)
    return TaskResult(ok=n)
