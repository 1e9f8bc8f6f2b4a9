"""An app behind a pooler in transaction mode: statements go through it, LISTEN and session locks around it."""

import asyncio
import os
from pathlib import Path
from typing import Any

from horsies import (
    AppConfig,
    Horsies,
    PostgresConfig,
    RecoveryConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
)
from horsies.workflow.nodes import TaskNode

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
app = Horsies(
    AppConfig(
        broker=PostgresConfig(
            database_url=os.environ.get("ACCEPTANCE_POOLED_URL", NOWHERE),
            session_database_url=os.environ.get("ACCEPTANCE_DATABASE_URL", f"{NOWHERE}?session"),
            pgbouncer_transaction_mode=True,
        ),
        recovery=RecoveryConfig(check_interval_ms=1_000, worker_state_snapshot_interval_ms=1_000),
    )
)
app.discover_tasks(["tests.acceptance.apps.pooled"])


@app.task("double")
def double(n: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=2 * n)


@app.task("add")
async def add(left: TaskResult[int, TaskError], *, right: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=left.unwrap() + right)


@app.task("second_try", retry_policy=RetryPolicy.fixed([1], auto_retry_for=["BUSY"], jitter=False))
def second_try(folder: str) -> TaskResult[str, TaskError]:
    marker = Path(folder) / "tried"
    if marker.exists():
        return TaskResult(ok="done")
    marker.touch()
    return TaskResult(err=TaskError(error_code="BUSY", message="try again"))


@app.task("sleeps")
async def sleeps(folder: str) -> TaskResult[None, TaskError]:
    (Path(folder) / "sleeping").touch()
    await asyncio.sleep(60)
    return TaskResult(ok=None)


@app.task("sends")
def sends(n: int) -> TaskResult[str, TaskError]:
    """Sends from inside of an executor."""
    return TaskResult(ok=double.send(n).unwrap().task_id)


def chain() -> Any:
    """Three tasks, one after the other."""
    first = TaskNode(fn=double, kwargs={"n": 1}, node_id="first")
    second = TaskNode(
        fn=add, kwargs={"right": 3}, waits_for=[first], args_from={"left": first}, node_id="second"
    )
    third = TaskNode(
        fn=add, kwargs={"right": 4}, waits_for=[second], args_from={"left": second}, node_id="third"
    )
    return app.workflow("chain", [first, second, third], output=third)
