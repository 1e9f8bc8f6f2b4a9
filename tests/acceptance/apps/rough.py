"""Tasks that treat their process roughly: interrupt it, fork it, use event loops of their own, leave threads behind.

ACCEPTANCE_DATABASE_URL names the database.
"""

import asyncio
import atexit
import multiprocessing
import os
import subprocess
import threading
import time

from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult
from tests.acceptance.notes import note

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


@app.task("forks", timeout_ms=1_000)
def forks(seconds: float, copy_seconds: float) -> TaskResult[int, TaskError]:
    """Takes so long itself, and leaves a copy of the process behind that takes longer."""
    copy = os.fork()
    if copy == 0:
        os.closerange(0, 3)  # nobody waits for more output
        time.sleep(copy_seconds)
        os._exit(0)
    time.sleep(seconds)
    return TaskResult(ok=copy)


@app.task("returns_twice")
def returns_twice(folder: str) -> TaskResult[int, TaskError]:
    copy = os.fork()
    note(folder, "parent" if copy else "copy")
    return TaskResult(ok=copy)


@app.task("write")
def write(folder: str, text: str) -> TaskResult[int, TaskError]:
    note(folder, text)
    return TaskResult(ok=1)


@app.task("terminates")
def terminates() -> TaskResult[int, TaskError]:
    program = subprocess.Popen(["sleep", "30"])
    program.terminate()
    return TaskResult(ok=program.wait(10))


@app.task("maps")
def maps(method: str) -> TaskResult[int, TaskError]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return TaskResult(ok=sum(pool.map(abs, [-1, -2, -3])))


@app.task("sleeps_well")
def sleeps_well(folder: str, seconds: float) -> TaskResult[float, TaskError]:
    begun = time.monotonic()
    note(folder, "begin")
    time.sleep(seconds)
    return TaskResult(ok=time.monotonic() - begun)


@app.task("sleeps_well_async")
async def sleeps_well_async(folder: str, seconds: float) -> TaskResult[float, TaskError]:
    begun = time.monotonic()
    note(folder, "begin")
    await asyncio.sleep(seconds)
    return TaskResult(ok=time.monotonic() - begun)


@app.task("leaves_a_thread")
def leaves_a_thread(seconds: float) -> TaskResult[int, TaskError]:
    threading.Thread(target=time.sleep, args=(seconds,)).start()
    atexit.register(lambda: print(f"{os.getpid()} says goodbye"))
    return TaskResult(ok=os.getpid())
