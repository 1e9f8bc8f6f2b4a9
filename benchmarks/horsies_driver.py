"""Sender for horsies, by its synchronous public interface."""

import os
import time

import psycopg

from benchmarks.horsies_app import noop
from benchmarks.peers.harness import serve
from horsies import is_err
from horsies.task import TaskFunction

URL = os.environ["BENCH_DATABASE_URL"]
RESULT_TIMEOUT_MS = 30_000


class HorsiesSender:
    def __init__(self, task: TaskFunction[[int], int] = noop) -> None:
        self.task = task
        self.watch = psycopg.connect(URL, autocommit=True)

    def setup(self) -> None:
        """The first send migrates; one is made and discarded."""
        self.task.send(0).unwrap()
        with psycopg.connect(URL, autocommit=True) as connection:
            connection.execute("delete from horsies.tasks")

    def send_each(self, first: int, count: int) -> None:
        send = self.task.send
        for n in range(first, first + count):
            if is_err(sent := send(n)):
                raise RuntimeError(str(sent.err_value))

    def send_bulk(self, first: int, count: int) -> bool:
        self.task.send_many([{"n": n} for n in range(first, first + count)]).unwrap()
        return True

    def hold(self, first: int, count: int) -> None:
        self.holder = psycopg.connect(URL)
        options = self.task.with_options(connection=self.holder)
        options.send_many([{"n": n} for n in range(first, first + count)]).unwrap()

    def release(self) -> int:
        began = time.time_ns()
        self.holder.commit()
        self.holder.close()
        return began

    def finished(self) -> int:
        row = self.watch.execute("select count(*) from horsies.task_history").fetchone()
        assert row is not None
        return int(row[0])

    def send_timed(self, n: int) -> int:
        began = time.time_ns()
        self.task.send(n)
        return began

    def round_trip(self, n: int) -> tuple[int, int]:
        began = time.time_ns()
        self.task.send(n).unwrap().get(timeout_ms=RESULT_TIMEOUT_MS)
        return began, time.time_ns()


if __name__ == "__main__":
    serve(HorsiesSender())
