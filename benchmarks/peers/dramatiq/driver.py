"""Sender for dramatiq."""

import os
import time

import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.dramatiq.app import noop
from benchmarks.peers.harness import serve

KEYS = ("default", "default.msgs")


class DramatiqSender:
    def __init__(self) -> None:
        self.broker = redis.Redis.from_url(os.environ["BENCH_REDIS_URL"])
        self.store = redis.Redis.from_url(os.environ["BENCH_RESULTS_URL"])

    def setup(self) -> None:
        pass

    def send_each(self, first: int, count: int) -> None:
        send = noop.send
        for n in range(first, first + count):
            send(n)

    def send_bulk(self, first: int, count: int) -> bool:
        return False  # a group is sent message by message

    def hold(self, first: int, count: int) -> None:
        # The same queue under another namespace: the messages are those a plain send makes.
        held = RedisBroker(url=os.environ["BENCH_REDIS_URL"], namespace="held")
        held.declare_queue("default")
        for n in range(first, first + count):
            held.enqueue(noop.message(n))

    def release(self) -> int:
        began = time.time_ns()
        with self.broker.pipeline(transaction=True) as pipe:
            for key in reversed(KEYS):
                pipe.rename(f"held:{key}", f"dramatiq:{key}")
            pipe.execute()
        return began

    def finished(self) -> int:
        return self.store.dbsize()

    def send_timed(self, n: int) -> int:
        began = time.time_ns()
        noop.send(n)
        return began

    def round_trip(self, n: int) -> tuple[int, int]:
        began = time.time_ns()
        noop.send(n).get_result(block=True, timeout=30_000)
        return began, time.time_ns()


if __name__ == "__main__":
    serve(DramatiqSender())
