"""Sender for procrastinate, by its synchronous interface."""

import os
import time

import psycopg

from benchmarks.peers.harness import serve
from benchmarks.peers.procrastinate.app import app, noop

URL = os.environ["BENCH_DATABASE_URL"]


class ProcrastinateSender:
    def __init__(self) -> None:
        app.open()

    def setup(self) -> None:
        app.schema_manager.apply_schema()
        self.watch = psycopg.connect(URL, autocommit=True)

    def send_each(self, first: int, count: int) -> None:
        defer = noop.defer
        for n in range(first, first + count):
            defer(n=n)

    def send_bulk(self, first: int, count: int) -> bool:
        noop.batch_defer(*[{"n": n} for n in range(first, first + count)])
        return True

    def hold(self, first: int, count: int) -> None:
        self.connection = psycopg.connect(URL)
        task = noop.configure(connection=self.connection)
        task.batch_defer(*[{"n": n} for n in range(first, first + count)])

    def release(self) -> int:
        began = time.time_ns()
        self.connection.commit()
        self.connection.close()
        return began

    def finished(self) -> int:
        row = self.watch.execute(
            "select count(*) from procrastinate_jobs where status = 'succeeded'"
        ).fetchone()
        return row[0]

    def send_timed(self, n: int) -> int:
        began = time.time_ns()
        noop.defer(n=n)
        return began

    def round_trip(self, n: int) -> None:
        return None


if __name__ == "__main__":
    serve(ProcrastinateSender())
