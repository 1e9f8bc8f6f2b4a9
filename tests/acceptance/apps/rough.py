"""Tasks that treat their process roughly: interrupt it, fork it, use event loops of their own, leave threads behind.

ACCEPTANCE_DATABASE_URL names the database.
"""

import asyncio
import os

from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
app = Horsies(AppConfig(broker=PostgresConfig(database_url=URL)))
app.discover_tasks(["tests.acceptance.apps.rough"])


@app.task("pid")
def pid() -> TaskResult[int, TaskError]:
    return TaskResult(ok=os.getpid())


@app.task("pid_in_thread", executor="thread")
def pid_in_thread() -> TaskResult[int, TaskError]:
    return TaskResult(ok=os.getpid())


@app.task("pid_async")
async def pid_async() -> TaskResult[int, TaskError]:
    await asyncio.sleep(0)
    return TaskResult(ok=os.getpid())


@app.task("interrupts")
def interrupts() -> TaskResult[int, TaskError]:
    raise KeyboardInterrupt


@app.task("interrupts_in_thread", executor="thread")
def interrupts_in_thread() -> TaskResult[int, TaskError]:
    raise KeyboardInterrupt


@app.task("interrupts_async")
async def interrupts_async() -> TaskResult[int, TaskError]:
    raise KeyboardInterrupt
