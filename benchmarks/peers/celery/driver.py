"""Sender for celery."""

import os
import time

import redis
from celery import group

from benchmarks.peers.celery.app import app, noop
from benchmarks.peers.harness import serve

HELD = "held"  # a list no worker reads; renamed to the worker's queue to release it


class CelerySender:
    def __init__(self) -> None:
        self.broker = redis.Redis.from_url(os.environ["BENCH_REDIS_URL"])
        self.store = redis.Redis.from_url(os.environ["BENCH_RESULTS_URL"])

    def setup(self) -> None:
        pass

    def send_each(self, first: int, count: int) -> None:
        delay = noop.delay
        for n in range(first, first + count):
            delay(n)

    def send_bulk(self, first: int, count: int) -> bool:
        group([noop.s(n) for n in range(first, first + count)]).apply_async()
        return True

    def hold(self, first: int, count: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for n in range(first, first + count):
                noop.apply_async((n,), queue=HELD, producer=producer)

    def release(self) -> int:
        began = time.time_ns()
        self.broker.rename(HELD, "celery")
        return began

    def finished(self) -> int:
        return self.store.dbsize()

    def send_timed(self, n: int) -> int:
        began = time.time_ns()
        noop.delay(n)
        return began

    def round_trip(self, n: int) -> tuple[int, int]:
        began = time.time_ns()
        noop.delay(n).get(timeout=30)
        return began, time.time_ns()


if __name__ == "__main__":
    serve(CelerySender())
