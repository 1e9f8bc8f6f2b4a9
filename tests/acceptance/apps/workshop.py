"""Tasks for tests of a worker's limits and losses; the app's settings come from the test that opens it.

ACCEPTANCE_DATABASE_URL names the database, WORKSHOP_SETTINGS holds fields of AppConfig as JSON.
"""

import asyncio
import json
import os
import time

import psycopg

from horsies import AppConfig, Horsies, RetryPolicy, TaskError, TaskResult
from tests.acceptance.notes import note

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
RECOVERY = {
    "check_interval_ms": 1_000,
    "runner_heartbeat_interval_ms": 1_000,
    "claimer_heartbeat_interval_ms": 1_000,
    "running_stale_threshold_ms": 3_000,
    "claimed_stale_threshold_ms": 3_000,
}
SETTINGS = {
    "broker": {"database_url": URL},
    "queue_mode": "custom",
    "custom_queues": [
        {"name": "high", "priority": 1},
        {"name": "normal", "priority": 50},
        {"name": "low", "priority": 90},
    ],
    "recovery": RECOVERY,
}
app = Horsies(AppConfig.model_validate(SETTINGS | json.loads(os.environ.get("WORKSHOP_SETTINGS", "{}"))))
app.discover_tasks(["tests.acceptance.apps.workshop"])


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


@app.task("awrite", queue_name="normal")
async def awrite(folder: str, text: str) -> TaskResult[int, TaskError]:
    note(folder, text)
    return TaskResult(ok=os.getpid())


@app.task("nap", queue_name="normal")
def nap(folder: str, name: str, seconds: float) -> TaskResult[str, TaskError]:
    note(folder, f"begin {name}")
    time.sleep(seconds)
    note(folder, f"end {name}")
    return TaskResult(ok=name)


@app.task("anap", queue_name="normal")
async def anap(folder: str, name: str, seconds: float) -> TaskResult[str, TaskError]:
    note(folder, f"begin {name}")
    await asyncio.sleep(seconds)
    note(folder, f"end {name}")
    return TaskResult(ok=name)


@app.task("limited", queue_name="normal", timeout_ms=1_000)
def limited(seconds: float) -> TaskResult[str, TaskError]:
    time.sleep(seconds)
    return TaskResult(ok="in time")


@app.task(
    "limited_twice",
    queue_name="normal",
    timeout_ms=1_000,
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["TASK_TIMEOUT"], jitter=False),
)
async def limited_twice(folder: str, seconds: float) -> TaskResult[str, TaskError]:
    note(folder, "run")
    await asyncio.sleep(seconds)
    return TaskResult(ok="in time")


@app.task(
    "fails_once",
    queue_name="normal",
    retry_policy=RetryPolicy.fixed([1], auto_retry_for=["NOT_YET"], jitter=False),
)
def fails_once(folder: str) -> TaskResult[str, TaskError]:
    path = os.path.join(folder, "failed")
    if not os.path.exists(path):
        open(path, "w").close()
        return TaskResult(err=TaskError(error_code="NOT_YET", message="come again"))
    return TaskResult(ok="now")


@app.task("say", queue_name="normal")
def say(text: str, times: int) -> TaskResult[str, TaskError]:
    return TaskResult(ok=text * times)


@app.task("look_at_row", queue_name="normal")
def look_at_row(mark: str) -> TaskResult[dict[str, str], TaskError]:
    """What everybody else sees of this run's row while it runs."""
    with psycopg.connect(URL) as connection:
        row = connection.execute(
            "select status, worker_pid::text, claim_generation::text, (claimed_at = started_at)::text"
            " from horsies.tasks where kwargs like %s",
            [f"%{mark}%"],
        ).fetchone()
    if row is None:
        return TaskResult(err=TaskError(error_code="NO_ROW", message="nobody sees it"))
    return TaskResult(
        ok={"status": row[0], "pid": row[1], "generation": row[2], "at_once": row[3], "own": str(os.getpid())}
    )
