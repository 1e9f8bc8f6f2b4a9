"""What a worker does besides its cycles: heartbeat, reaper, answers to pings, pages; made and registered here."""

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from horsies import channels
from horsies.app import Horsies
from horsies.db import arrays
from horsies.sql import Statements
from horsies_worker.claims import ServedQueue
from horsies_worker.contact import Contact
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
from horsies_worker.workflow_upkeep import workflow_steps

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the duties know of their worker.

    Attributes:
        worker_id: This worker.
        app: What it serves.
        options: How.
        queues: The queues it claims from.
        cycle_link: The connection of the cycle; only its last answer is looked at.
        link: The connection for the duties.
        flights: What the worker answers for.
        held: How many of them are only held, to start later.
        contact: Whether others may take this worker for dead.
        executors: Its executor processes.
        tell_executors: Tells all of them, the spare too, that the coordinator lives (R-091).
        is_listening: Whether the listening connection is up.
    """

    worker_id: str
    app: Horsies
    options: WorkerOptions
    queues: Sequence[ServedQueue]
    cycle_link: Link
    link: Link
    flights: Callable[[], Sequence[Flight]]
    held: Callable[[], int] = lambda: 0
    contact: Contact | None = None
    executors: Callable[[], Sequence[ExecutorProcess]]
    tell_executors: Callable[[], None]
    is_listening: Callable[[], bool]

    @property
    def statements(self) -> Statements:
        """Where statements are looked up."""
        return self.app.get_broker().statements

    @property
    def heartbeat_interval_ms(self) -> int:
        """Milliseconds between two beats."""
        return self.app.config.recovery.heartbeat_interval_ms


class Duties:
    """All duties of one worker; making them opens and starts nothing.

    Attributes:
        heartbeat: Its callbacks `on_lost` and `on_cancel` are the worker's to set.
        reaper: Recovery and upkeep.
        metrics: Counters; None without `--http-port`, as nobody would read them.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        partitions = Partitions(around.link, around.statements, around.app.config.retention)
        report = _report(around, partitions)
        self._registration: dict[str, object] = {
            "id": around.worker_id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("horsies-worker"),
            "heartbeat_interval_ms": around.heartbeat_interval_ms,
            "snapshot": json.dumps(report.snapshot()),
        }
        self.heartbeat = _heartbeat(around, report, self._registration)
        self.reaper = _reaper(around, partitions)
        self.heartbeat.on_outage = self.reaper.note_outage
        self._ping_channel = channels.ping(around.statements.schema)
        self._pings = PingAnswerer(around.worker_id, around.link, around.statements)
        self.metrics: WorkerMetrics | None = None
        self._endpoints: WorkerEndpoints | None = None
        options = around.options
        if options.http_port is not None:
            self.metrics = WorkerMetrics(around.app.tasks, lambda: _slots(options, around.flights()))
            readiness = _readiness(around, lambda: self.heartbeat.state == DRAINING)
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
        link, statements, queues = self._around.link, self._around.statements, self._around.queues
        sent_at = time.monotonic()
        await link.execute(statements["register_worker"], self._registration)
        self.heartbeat.contact.answered(sent_at)
        reported = {
            "names": arrays.texts(queue.name for queue in queues),
            "priorities": arrays.plain(queue.rank for queue in queues),
            "caps": arrays.plain("NULL" if queue.cap is None else queue.cap for queue in queues),
            "worker": self._around.worker_id,
        }
        await link.execute(statements["report_queues"], reported)

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


def _report(around: Surroundings, partitions: Partitions) -> StateReport:
    return StateReport(
        around.app.config,
        around.options,
        around.queues,
        running=lambda: len(around.flights()) - around.held(),
        claimed=around.held,
        executor_pids=lambda: [executor.pid for executor in around.executors()],
        upkeep=partitions.health,
    )


def _heartbeat(around: Surroundings, report: StateReport, registration: Mapping[str, object]) -> Heartbeat:
    return Heartbeat(
        around.worker_id,
        around.link,
        around.statements,
        around.heartbeat_interval_ms / 1000,
        report.snapshot,
        sample_interval_s=around.app.config.recovery.worker_state_snapshot_interval_ms / 1000,
        flights=around.flights,
        tell_executors=around.tell_executors,
        measures=report,
        registration=registration,
        contact=around.contact,
    )


def _reaper(around: Surroundings, partitions: Partitions) -> Reaper:
    config, link, statements = around.app.config, around.link, around.statements
    runner = LinkRunner(link, statements)
    recovery = recovery_steps(
        config.recovery, config.effective_claim_lease_ms, runner, around.app.registered_policy
    )
    workflows = workflow_steps(config.recovery, config.retention, runner)
    return Reaper(
        [*recovery, *workflows, partitions.step(), Cleaning(link, statements, config.retention).step()],
        check_interval_s=config.recovery.check_interval_ms / 1000,
        heartbeat_interval_s=around.heartbeat_interval_ms / 1000,
        is_cut_off=lambda: around.contact is not None and around.contact.is_lost,
    )


def _readiness(around: Surroundings, is_draining: Callable[[], bool]) -> Readiness:
    return Readiness(
        processes=around.options.processes,
        executors=around.executors,
        is_listening=around.is_listening,
        is_draining=is_draining,
        links=(around.cycle_link, around.link),
        statements=around.statements,
    )


def _slots(options: WorkerOptions, flights: Sequence[Flight]) -> Mapping[str, int]:
    """Places by state: a `process` task takes all places of its executor (R-031)."""
    weights = (options.concurrency if flight.kind == "process" else 1 for flight in flights)
    total = options.processes * options.concurrency
    busy = min(total, sum(weights))
    return {"busy": busy, "free": total - busy}
