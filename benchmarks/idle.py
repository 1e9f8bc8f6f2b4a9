"""What a worker costs that has nothing to do: statements, connections, memory, CPU, over a minute."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks import processes
from benchmarks.server import redis
from benchmarks.session import Services, Session, SystemFailedError, session
from benchmarks.systems import System

SETTLE_SECONDS = 10.0
SAMPLES = 12


def _open(system: System, services: Services, stack: ExitStack) -> Session:
    """A warm worker without its sender; every statement to its database is logged."""
    if system.service == "redis":  # each its own server, whose counters then belong to it alone
        server = stack.enter_context(redis(services.directory / f"redis-{system.name}"))
        services = replace(services, redis=server)
    opened = stack.enter_context(session(system, services, worker=False))
    if system.service == "postgres":
        services.postgres.log_statements(system.database)
    opened.start_workers()
    opened.close_driver()
    return opened


def _requests(opened: Session) -> int:
    services = opened.services
    if opened.system.service == "postgres":
        return services.postgres.logged_statements(opened.system.database)
    assert services.redis is not None
    return services.redis.commands_processed() - 1  # less the question itself


def _connections(opened: Session) -> int | None:
    if opened.system.service == "postgres":
        return opened.services.postgres.connections(opened.system.database)
    return None


def measure(
    systems: Sequence[System], services: Services, seconds: float
) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """Figures by system, all observed in the same minute; and what failed."""
    figures: dict[str, dict[str, float | None]] = {}
    problems: list[str] = []
    with ExitStack() as stack:
        sessions: list[Session] = []
        for system in systems:
            try:
                sessions.append(_open(system, services, stack))
            except SystemFailedError as error:
                problems.append(str(error))
        time.sleep(SETTLE_SECONDS)
        began = time.monotonic()
        requests = [_requests(opened) for opened in sessions]
        cpu = [processes.tree_cpu(opened.worker_pids) for opened in sessions]
        connections: list[list[int | None]] = [[] for _ in sessions]
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            for opened, seen in zip(sessions, connections, strict=True):
                seen.append(_connections(opened))
        took = time.monotonic() - began
        for n, opened in enumerate(sessions):
            counts = [count for count in connections[n] if count is not None]
            figures[opened.system.name] = {
                "requests_per_s": (_requests(opened) - requests[n]) / took,
                "connections": max(counts) if counts else None,
                "memory_mb": processes.tree_memory(opened.worker_pids),
                "cpu_s_per_minute": (processes.tree_cpu(opened.worker_pids) - cpu[n]) / took * 60,
            }
    return figures, problems
