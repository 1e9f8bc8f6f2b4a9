"""Enqueue: one call and one commit per task, and the bulk call; no worker runs."""

from benchmarks.session import Services, session
from benchmarks.systems import System

WARM_UP = 100


def measure(system: System, services: Services, singles: int, bulk: int) -> dict[str, float | None]:
    """Tasks/s of both ways and the sender's own CPU per single send."""
    with session(system, services, worker=False) as run:
        run.call("enqueue_each", first=0, count=WARM_UP)
        each = run.call("enqueue_each", first=0, count=singles)
        many = None
        if run.call("enqueue_bulk", first=0, count=WARM_UP):
            many = run.call("enqueue_bulk", first=0, count=bulk)
    return {
        "sends_per_s": singles / each["seconds"],
        "cpu_us_per_send": each["cpu"] / singles * 1e6,
        "bulk_per_s": bulk / many["seconds"] if many else None,
    }
