"""The dramatiq side: Redis as broker, results stored in Redis."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.marks import from_environment

broker = RedisBroker(url=os.environ["BENCH_REDIS_URL"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_RESULTS_URL"]), store_results=True))
dramatiq.set_broker(broker)
mark = from_environment().mark


@dramatiq.actor(actor_name="noop")
def noop(n: int) -> int:
    mark(n)
    return n
