"""Latency on an idle worker: send call -> body start, and send call -> result, one task at a time."""

import math
from collections.abc import Sequence

import psycopg

from benchmarks.floors import Floors
from benchmarks.session import Services, session
from benchmarks.systems import System

GAP_MS = (5.0, 25.0)
"""Pause between two tasks, drawn at random so that no polling interval is hit in step."""
UNTIMED = 20
PROCESSES = b"""
select count(distinct worker_pid)
from (select worker_pid from horsies.task_history order by sent_at desc limit %s) last
"""


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _summary(prefix: str, delays: Sequence[int]) -> dict[str, float | None]:
    return {
        f"{prefix}_p50_ms": percentile(delays, 0.50) / 1e6,
        f"{prefix}_p99_ms": percentile(delays, 0.99) / 1e6,
        f"{prefix}_max_ms": max(delays) / 1e6,
    }


def measure(system: System, services: Services, sends: int) -> dict[str, float | None]:
    """p50, p99 and the longest, in ms; no result figures for systems that keep none."""
    with session(system, services, worker=True) as run:
        run.call("latency", first=0, count=UNTIMED, gap_ms=GAP_MS)
        bodies = run.call("latency", first=UNTIMED, count=sends, gap_ms=GAP_MS)
        run.call("results", first=UNTIMED + sends, count=UNTIMED, gap_ms=GAP_MS)
        results = run.call("results", first=2 * UNTIMED + sends, count=sends, gap_ms=GAP_MS)
    return _summary("body", bodies) | (_summary("result", results) if results else {})


def measure_bodies(system: System, services: Services, sends: int) -> dict[str, float | None]:
    """The figures of the body only, and how many processes of horsies ran the bodies."""
    with session(system, services, worker=True) as run:
        run.call("latency", first=0, count=UNTIMED, gap_ms=GAP_MS)
        bodies = run.call("latency", first=UNTIMED, count=sends, gap_ms=GAP_MS)
        with psycopg.connect(services.postgres.url(system.database)) as connection:
            row = connection.execute(PROCESSES, [sends]).fetchone()
    assert row is not None
    return _summary("body", bodies) | {"processes": row[0]}


def measure_floor(services: Services, sends: int) -> dict[str, float | None]:
    """The same figures for a bare NOTIFY, and as `body` for an insert with a NOTIFY in one statement."""
    delays = Floors(services).latency(sends, GAP_MS)
    return _summary("body", delays["insert_notify"]) | _summary("notify", delays["notify"])
