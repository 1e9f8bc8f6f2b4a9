"""The celery side: Redis as broker and result store, prefetching as its guide says for short tasks."""

import os

from celery import Celery

from benchmarks.marks import from_environment

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"], backend=os.environ["BENCH_RESULTS_URL"])
app.conf.update(
    worker_prefetch_multiplier=128,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
mark = from_environment().mark


@app.task(name="noop")
def noop(n: int) -> int:
    mark(n)
    return n
