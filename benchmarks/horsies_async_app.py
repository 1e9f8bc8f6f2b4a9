"""As horsies_app.py, the task `async def`; an app of its own, as its worker has another lane to look into."""

import os

from benchmarks.marks import from_environment
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

app = Horsies(AppConfig(broker=PostgresConfig(database_url=os.environ["BENCH_DATABASE_URL"])))
mark = from_environment().mark


@app.task("noop_async")
async def noop_async(n: int) -> TaskResult[int, TaskError]:
    mark(n)
    return TaskResult(ok=n)
