"""The procrastinate side: an asynchronous task, since its worker is an event loop (`def` goes to threads)."""

import os

from procrastinate import App, PsycopgConnector

from benchmarks.marks import from_environment

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_DATABASE_URL"]))
mark = from_environment().mark


@app.task(name="noop", queue="default")
async def noop(n: int) -> int:
    mark(n)
    return n
