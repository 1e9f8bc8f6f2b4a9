"""What a worker does besides its cycles: heartbeat, reaper, answers to pings, pages; made and registered here."""

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

from horsies import channels
from horsies.app import Horsies
from horsies.db import arrays
from horsies.retry import RetryPolicy
from horsies_worker.claims import ServedQueue
from horsies_worker.endpoints import Readiness, WorkerEndpoints
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight
from horsies_worker.heartbeat import Heartbeat
from horsies_worker.link import Link
from horsies_worker.maintenance import Cleaning, Partitions
from horsies_worker.metrics import WorkerMetrics
from horsies_worker.op_runner import LinkRunner
from horsies_worker.options import WorkerOptions
from horsies_worker.ping import PingAnswerer
from horsies_worker.reaper import Reaper, recovery_steps
from horsies_worker.state_report import StateReport

DRAINING = "draining"


class Duty(Protocol):
    """One loop that ends only when it is cancelled."""

    @property
    def name(self) -> str:
        """For log lines."""
        ...

    async def run(self) -> None:
        """Run until cancelled."""
        ...


class Duties:
    """All duties of one worker.

    Attributes:
        heartbeat: Its callbacks `on_lost` and `on_cancel` are the worker's to set.
        reaper: Recovery and upkeep.
        metrics: Counters; None without `--http-port`, as nobody would read them.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        app: Horsies,
        options: WorkerOptions,
        queues: Sequence[ServedQueue],
        cycle_link: Link,
        link: Link,
        flights: Callable[[], Sequence[Flight]],
        executors: Callable[[], Sequence[ExecutorProcess]],
        is_listening: Callable[[], bool],
    ) -> None:
        """Make them; nothing is opened or started.

        Args:
            worker_id: This worker.
            app: What it serves.
            options: How.
            queues: The queues it claims from.
            cycle_link: The connection of the cycle; only its last answer is looked at.
            link: The connection for everything here.
            flights: What the worker answers for.
            executors: Its executor processes.
            is_listening: Whether the listening connection is up.
        """
        broker, config = app.get_broker(), app.config
        statements, recovery = broker.statements, config.recovery
        self._worker_id = worker_id
        self._link = link
        self._statements = statements
        self._queues = queues
        self._interval_ms = recovery.heartbeat_interval_ms
        self._executors = executors
        self._flights = flights
        partitions = Partitions(link, statements, config.retention)
        self._report = StateReport(
            config,
            options,
            queues,
            running=lambda: len(flights()),
            executor_pids=lambda: [executor.pid for executor in executors()],
            upkeep=partitions.health,
        )
        self._registration = {
            "id": worker_id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("horsies-worker"),
            "heartbeat_interval_ms": self._interval_ms,
            "snapshot": json.dumps(self._report.snapshot()),
        }
        self.heartbeat = Heartbeat(
            worker_id,
            link,
            statements,
            self._interval_ms / 1000,
            self._report.snapshot,
            sample_interval_s=recovery.worker_state_snapshot_interval_ms / 1000,
            flights=flights,
            tell_executors=self._tell_executors,
            measures=self._report,
            registration=self._registration,
        )
        runner = LinkRunner(link, statements)
        self.reaper = Reaper(
            [
                *recovery_steps(recovery, config.effective_claim_lease_ms, runner, _policies(app)),
                partitions.step(),
                Cleaning(link, statements, config.retention).step(),
            ],
            check_interval_s=recovery.check_interval_ms / 1000,
            heartbeat_interval_s=self._interval_ms / 1000,
        )
        self.heartbeat.on_outage = self.reaper.note_outage
        self._ping_channel = channels.ping(statements.schema)
        self._pings = PingAnswerer(worker_id, link, statements)
        self.metrics: WorkerMetrics | None = None
        self._endpoints: WorkerEndpoints | None = None
        if options.http_port is not None:
            self.metrics = WorkerMetrics(app.tasks, lambda: _slots(options, flights()))
            readiness = Readiness(
                processes=options.processes,
                executors=executors,
                is_listening=is_listening,
                is_draining=lambda: self.heartbeat.state == DRAINING,
                links=(cycle_link, link),
                statements=statements,
            )
            self._endpoints = WorkerEndpoints(options.http_host, options.http_port, readiness, self.metrics)

    @property
    def channels(self) -> list[str]:
        """What the worker must listen to on their behalf."""
        return [self._ping_channel]

    def hear(self, channel: str, payload: str) -> bool:
        """A message came; whether it was for one of the duties."""
        if channel != self._ping_channel:
            return False
        self._pings.handle(payload)
        return True

    async def open(self) -> None:
        """Listen on the endpoints' port, if there is one.

        Raises:
            ConfigurationError: HRS-206, the port cannot be had.
        """
        if self._endpoints is not None:
            await self._endpoints.open()

    async def register(self) -> None:
        """Enter the worker and its queues in the database.

        Raises:
            psycopg.Error: it does not answer.
        """
        await self._link.execute(self._statements["register_worker"], self._registration)
        queues = {
            "names": arrays.texts(queue.name for queue in self._queues),
            "priorities": arrays.plain(queue.rank for queue in self._queues),
            "caps": arrays.plain("NULL" if queue.cap is None else queue.cap for queue in self._queues),
            "worker": self._worker_id,
        }
        await self._link.execute(self._statements["report_queues"], queues)

    def loops(self) -> list[Duty]:
        """What to run side by side; none of them ends by itself."""
        loops: list[Duty] = [self.heartbeat, self.reaper]
        if self._endpoints is not None:
            loops.append(self._endpoints)
        return loops

    def drain(self) -> None:
        """The worker takes nothing new from now on."""
        self.heartbeat.state = DRAINING

    def close(self) -> None:
        """Let go of the endpoints' port."""
        if self._endpoints is not None:
            self._endpoints.http.close()

    def _tell_executors(self) -> None:
        for executor in self._executors():
            executor.beat()


def _policies(app: Horsies) -> Callable[[str], RetryPolicy | None]:
    def registered(task_name: str) -> RetryPolicy | None:
        task = app.tasks.get(task_name)
        return None if task is None else task.definition.retry_policy

    return registered


def _slots(options: WorkerOptions, flights: Sequence[Flight]) -> Mapping[str, int]:
    """Places by state: a `process` task takes all places of its executor (R-031)."""
    weights = (options.concurrency if flight.kind == "process" else 1 for flight in flights)
    total = options.processes * options.concurrency
    busy = min(total, sum(weights))
    return {"busy": busy, "free": total - busy}
