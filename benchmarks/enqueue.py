"""Enqueue: one call and one commit per task, and the bulk call; no worker runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks.session import Services, Session, SystemFailedError, session
from benchmarks.systems import System

WARM_UP = 100
SLICES = 10
"""The senders take turns, so that a slow moment of the disk hits all of them."""


def measure(
    systems: Sequence[System], services: Services, singles: int, bulk: int
) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """Tasks/s of both ways and the sender's CPU per single send, by system: medians of the slices; and problems."""
    figures: dict[str, dict[str, float | None]] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        sessions: list[Session] = []
        for system in systems:
            try:
                opened = stack.enter_context(session(system, services, worker=False))
                opened.call("enqueue_each", first=0, count=WARM_UP)
                sessions.append(opened)
            except SystemFailedError as error:
                problems.append(str(error))
        slices: dict[str, list[dict[str, float]]] = {opened.system.name: [] for opened in sessions}
        size = singles // SLICES
        for _ in range(SLICES):
            for opened in sessions:
                slices[opened.system.name].append(opened.call("enqueue_each", first=0, count=size))
        for opened in sessions:
            taken = slices[opened.system.name]
            figures[opened.system.name] = {
                "sends_per_s": size / median(one["seconds"] for one in taken),
                "cpu_us_per_send": sum(one["cpu"] for one in taken) / len(taken) / size * 1e6,
                "bulk_per_s": _bulk(opened, bulk),
            }
    return figures, problems


def _bulk(opened: Session, tasks: int) -> float | None:
    """None for a system without a bulk call."""
    if opened.call("enqueue_bulk", first=0, count=WARM_UP) is None:
        return None
    took = opened.call("enqueue_bulk", first=0, count=tasks)
    return float(tasks / took["seconds"])
