"""One run of one system: a new database, its sender process and, when asked for, its warmed worker."""

import json
import os
import select
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.marks import SLOTS, VARIABLE, Marks
from benchmarks.server import Postgres, Redis
from benchmarks.systems import System

ROOT = Path(__file__).parent.parent
CALL_TIMEOUT = 300.0
WARM_TIMEOUT = 60.0
WARM_TASKS = 400
WARM_FIRST = SLOTS - WARM_TASKS  # slots that no measure uses


class SystemFailedError(Exception):
    """A system did not do what was asked; the run goes on without this figure."""


@dataclass(slots=True)
class Services:
    """The servers of the run, the marks file, and where logs go."""

    postgres: Postgres
    redis: Redis | None
    marks: Marks
    directory: Path

    def pid_of(self, system: System) -> int:
        if system.service == "postgres":
            return self.postgres.pid
        assert self.redis is not None
        return self.redis.pid

    def environment_base(self) -> dict[str, str]:
        return {**os.environ, VARIABLE: str(self.directory / "marks"), "PYTHONPATH": str(ROOT)}

    def environment(self, system: System) -> dict[str, str]:
        """Variables for the system's processes, after its data was wiped."""
        env = self.environment_base()
        if system.service == "postgres":
            env["BENCH_DATABASE_URL"] = self.postgres.fresh_database(system.database)
        else:
            assert self.redis is not None
            self.redis.command("FLUSHALL")
            env["BENCH_REDIS_URL"] = self.redis.url(0)
            env["BENCH_RESULTS_URL"] = self.redis.url(1)
        return env


def log_of(system: System, services: Services) -> Path:
    """Where the sender and the workers of a system write."""
    return services.directory / f"{system.database}.log"


@dataclass(slots=True)
class Session:
    """A system that is set up."""

    system: System
    services: Services
    env: dict[str, str]
    driver: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def call(self, operation: str, **arguments: object) -> Any:
        """Have the sender process do something."""
        assert self.driver.stdin
        assert self.driver.stdout
        try:
            self.driver.stdin.write(json.dumps({"op": operation, **arguments}) + "\n")
            self.driver.stdin.flush()
            ready, _, _ = select.select([self.driver.stdout], [], [], CALL_TIMEOUT)
            line = self.driver.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemFailedError(f"{self.system.name}: no answer to {operation}, see {self.log}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemFailedError(f"{self.system.name}: {answer['error']}")
        return answer["value"]

    @property
    def log(self) -> Path:
        return log_of(self.system, self.services)

    @property
    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self.workers]

    def start_workers(self) -> None:
        """Start the worker and run some tasks: every executor has then imported, connected and prepared."""
        for _ in range(self.system.worker_copies):
            command: list[str | Path] = [self.system.python, *self.system.worker]
            self.workers.append(processes.start(command, log=self.log, env=self.env, cwd=ROOT))
        self.call("hold", first=WARM_FIRST, count=WARM_TASKS)
        self.call("release")
        try:
            self.services.marks.wait(WARM_FIRST, WARM_TASKS, WARM_TIMEOUT)
        except TimeoutError as error:
            raise SystemFailedError(f"{self.system.name}: {error}, see {self.log}") from error
        self.call("wait_finished", target=WARM_TASKS)

    def close(self) -> None:
        """Stop the workers, then the sender."""
        for worker in self.workers:
            processes.stop(worker)
        self.workers.clear()
        self.close_driver()

    def close_driver(self) -> None:
        processes.stop(self.driver)


@contextmanager
def session(system: System, services: Services, *, worker: bool) -> Generator[Session]:
    """Set the system up from nothing; with a worker, start it and wait until it is warm."""
    services.marks.clear()
    env = services.environment(system)
    log = log_of(system, services)
    driver = processes.start([system.python, "-m", system.driver], log=log, env=env, cwd=ROOT, pipes=True)
    opened = Session(system, services, env, driver)
    try:
        opened.call("setup")
        if worker:
            opened.start_workers()
        yield opened
    finally:
        opened.close()
