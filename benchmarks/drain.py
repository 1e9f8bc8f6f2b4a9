"""Drain: no-op tasks that become visible at once to a warm, idle worker, until the last end is stored."""

from benchmarks import processes
from benchmarks.session import Services, SystemFailedError, session
from benchmarks.systems import System

TIMEOUT = 280.0


def measure(system: System, services: Services, tasks: int) -> dict[str, float]:
    """Tasks/s and the CPU seconds per 1,000 tasks of the worker's and the server's process trees.

    The burst is released by a COMMIT or RENAME. The clock starts with the first task body (how long that takes
    is a latency, given apart) and stops when the count of stored ends, read every 2 ms once all bodies have
    begun, is complete.
    """
    with session(system, services, worker=True) as run:
        before = run.call("finished")
        run.call("hold", first=0, count=tasks)
        server = services.pid_of(system)
        worker_cpu, server_cpu = processes.tree_cpu(run.worker_pids), processes.tree_cpu([server])
        began = run.call("release")
        try:
            services.marks.wait(0, tasks, TIMEOUT)
        except TimeoutError as error:
            raise SystemFailedError(f"{system.name}: {error}, see {run.log}") from error
        ended = run.call("wait_finished", target=before + tasks)
        worker_cpu = processes.tree_cpu(run.worker_pids) - worker_cpu
        server_cpu = processes.tree_cpu([server]) - server_cpu
        first, last = services.marks.span(0, tasks)
    return {
        "rate": tasks / (ended - first) * 1e9,
        "first_body_ms": (first - began) / 1e6,
        "last_body_to_stored_ms": (ended - last) / 1e6,
        "worker_cpu_per_1k": worker_cpu / tasks * 1000,
        "server_cpu_per_1k": server_cpu / tasks * 1000,
        "cpu_per_1k": (worker_cpu + server_cpu) / tasks * 1000,
    }
