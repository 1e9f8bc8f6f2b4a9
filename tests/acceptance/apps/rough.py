"""Tasks that treat their process roughly: interrupt it, fork it, use event loops of their own, leave threads behind.

ACCEPTANCE_DATABASE_URL names the database.
"""

import asyncio
import os
import time

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


@app.task("runs_a_loop")
def runs_a_loop(n: int) -> TaskResult[int, TaskError]:
    async def answer() -> int:
        await asyncio.sleep(0)
        return n

    return TaskResult(ok=asyncio.run(answer()))


@app.task("naps")
def naps(seconds: float) -> TaskResult[int, TaskError]:
    time.sleep(seconds)
    return TaskResult(ok=1)


left: list[asyncio.Task[None]] = []
counted: list[int] = []


@app.task("leaves_a_task")
async def leaves_a_task() -> TaskResult[int, TaskError]:
    async def tick() -> None:
        while True:
            counted.append(1)
            await asyncio.sleep(0.05)

    left.append(asyncio.create_task(tick()))
    return TaskResult(ok=1)


@app.task("ticks")
def ticks() -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(counted))
