"""The systems that are compared: where they run, how their workers are started, which server they use."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.envs import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One task queue under test."""

    name: str
    service: Literal["postgres", "redis"]
    driver: str
    """Module of the sender process."""
    application: str = ""
    """Module that declares the task; its import is timed."""
    library: str = ""
    """Top-level module; its import is timed."""
    worker: tuple[str, ...] = ()
    """Arguments after the interpreter."""
    worker_copies: int = 1
    """How often that command is started."""
    environment: Environment | None = None
    """None: the interpreter that runs the benchmarks."""

    @property
    def python(self) -> Path:
        return self.environment.python if self.environment else Path(sys.executable)

    @property
    def database(self) -> str:
        return "bench_" + "".join(c if c.isalnum() else "_" for c in self.name)


def horsies(
    executors: int = 2,
    *options: str,
    name: str = "horsies",
    driver: str = "benchmarks.horsies_driver",
    application: str = "benchmarks.horsies_app",
) -> System:
    return System(
        name=name,
        service="postgres",
        driver=driver,
        application=application,
        library="horsies",
        worker=(
            *("-m", "horsies_worker", f"{application}:app"),
            *("--processes", str(executors), "--loglevel", "WARNING"),
            *options,
        ),
    )


def horsies_async() -> System:
    """Its `async def` tasks, up to 100 at once in each of two processes."""
    return horsies(
        *(2, "--concurrency", "100"),
        name="horsies async",
        driver="benchmarks.horsies_async_driver",
        application="benchmarks.horsies_async_app",
    )


def horsies_recycled() -> System:
    """Every executor is replaced after 50 tasks."""
    return horsies(2, "--max-tasks-per-child", "50", name="horsies recycled")


FLOOR = System(name="floor", service="postgres", driver="benchmarks.floor_driver")

PROCRASTINATE = System(
    name="procrastinate",
    service="postgres",
    driver="benchmarks.peers.procrastinate.driver",
    application="benchmarks.peers.procrastinate.app",
    library="procrastinate",
    worker=(
        *("-m", "procrastinate", "--log-level=warning", "--app=benchmarks.peers.procrastinate.app.app"),
        *("worker", "--concurrency=10"),
    ),
    worker_copies=2,
    environment=Environment("procrastinate", ("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9")),
)

PGQUEUER = System(
    name="pgqueuer",
    service="postgres",
    driver="benchmarks.peers.pgqueuer.driver",
    application="benchmarks.peers.pgqueuer.app",
    library="pgqueuer",
    worker=("-m", "benchmarks.peers.pgqueuer.worker", "100"),
    worker_copies=2,
    environment=Environment("pgqueuer", ("pgqueuer==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0")),
)

CELERY = System(
    name="celery",
    service="redis",
    driver="benchmarks.peers.celery.driver",
    application="benchmarks.peers.celery.app",
    library="celery",
    worker=(
        *("-m", "celery", "-A", "benchmarks.peers.celery.app", "worker", "--pool=prefork", "--concurrency=2"),
        *("--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ),
    environment=Environment("celery", ("celery[redis]==5.7.0", "redis==8.1.0")),
)

DRAMATIQ = System(
    name="dramatiq",
    service="redis",
    driver="benchmarks.peers.dramatiq.driver",
    application="benchmarks.peers.dramatiq.app",
    library="dramatiq",
    worker=("-m", "dramatiq", "benchmarks.peers.dramatiq.app", "--processes", "2", "--threads", "8"),
    environment=Environment("dramatiq", ("dramatiq[redis]==2.2.1", "redis==8.1.0")),
)

PEERS = (PROCRASTINATE, PGQUEUER, CELERY, DRAMATIQ)
