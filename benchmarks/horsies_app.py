"""The horsies side: the same no-op task, arguments and result checked, results stored."""

import os

from benchmarks.marks import from_environment
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

app = Horsies(AppConfig(broker=PostgresConfig(database_url=os.environ["BENCH_DATABASE_URL"])))
mark = from_environment().mark


@app.task("noop")
def noop(n: int) -> TaskResult[int, TaskError]:
    mark(n)
    return TaskResult(ok=n)
