"""One worker: its start-up order, its duties, its end (07 §1, §10). The composition root of the process."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import cast

import psycopg

from horsies.app import Horsies
from horsies.channels import control
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError
from horsies.retry import RetryPolicy
from horsies.stored_policy import policy_of_options
from horsies.transient import is_transient
from horsies_worker import wire
from horsies_worker.claims import Claims, ClaimSettings, ServedQueue
from horsies_worker.contact import Contact
from horsies_worker.coordinator import CANCEL_LOOK_S, Coordinator
from horsies_worker.duties import Duties, Surroundings
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess, ExecutorStartError
from horsies_worker.flight import Flight
from horsies_worker.held import Held
from horsies_worker.link import Link
from horsies_worker.listening import WorkerListener
from horsies_worker.options import WorkerOptions
from horsies_worker.registrations import LANE_EXECUTORS, Registrations
from horsies_worker.time_limits import CANCEL_GRACE_S

logger = logging.getLogger("horsies.worker")

STEPS = ServedQueue("horsies.steps", 1, None)
"""The prepare steps of workflows, which every worker serves (W-57)."""

EXIT_DRAINED = 0
EXIT_FAILED = 1
EXIT_FORCED = 3
RESULT_WRITE_LIMIT_S = 30.0


class Worker:
    """Claims tasks of an app's queues and runs them in executor processes."""

    def __init__(
        self,
        app: Horsies,
        locator: str,
        options: WorkerOptions,
        *,
        loglevel: str = "INFO",
        log_format: str = "text",
    ) -> None:
        self.id = str(uuid.uuid4())
        self._app = app
        self._options = options
        self._broker = app.get_broker()
        self._queues = served_queues(app, options.queues)
        self._init: wire.Init = {
            "app": locator,
            "cwd": os.getcwd(),
            "sys_path": list(sys.path),
            "loglevel": loglevel,
            "log_format": log_format,
            "concurrency": options.concurrency,
            "memory_limit": options.memory_limit,
            "silence_limit_s": app.config.recovery.running_stale_threshold_ms / 1000,
        }
        self._contact = Contact(app.config.recovery.running_stale_threshold_ms / 1000)
        self._signals = 0
        self._forced = False

    async def run(self) -> int:
        """Work until told to stop; the exit code (R-133)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        self._stop_requested = asyncio.Event()
        self._force_requested = asyncio.Event()
        try:
            started = asyncio.ensure_future(self._start())
            stop = asyncio.ensure_future(self._stop_requested.wait())
            await asyncio.wait((started, stop), return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
                with suppress(asyncio.CancelledError):
                    await started
                await self._end_executors()
                return EXIT_DRAINED
            stop.cancel()
            started.result()
        except (ExecutorStartError, HorsiesError, psycopg.Error, ExceptionGroup) as error:
            logger.error("the worker could not start: %s", _shown(error))
            await self._end_executors()
            return EXIT_FAILED
        # What is loaded by now stays for the worker's life; looking through it again would stop everything for 10 ms.
        gc.collect()
        gc.freeze()
        return await self._work()

    async def _end_executors(self) -> None:
        """Of a start that did not get through."""
        pool: ExecutorPool | None = getattr(self, "_pool", None)
        if pool is not None:
            pool.kill()
            await pool.stop()

    # -- start

    async def _start(self) -> None:
        broker, config = self._broker, self._app.config
        self._cycle_link = Link(
            broker.conninfo(application_name="horsies worker cycle"),
            prepare=broker.prepares,
            server_gives_up=True,
        )
        self._duty_link = Link(broker.conninfo(application_name="horsies worker"), prepare=broker.prepares)
        registrations = Registrations(self._app.tasks, self._options.executor, tracing=config.tracing)
        settings = ClaimSettings(
            self.id,
            socket.gethostname(),
            [*self._queues, STEPS],
            config.cluster_wide_cap,
            LANE_EXECUTORS[self._options.executor],
        )
        claims = Claims(
            settings,
            self._cycle_link,
            broker.statements,
            config.resilience,
            partial(policy_of, self._app),
            waiting_link=self._duty_link,
        )
        poll_interval_s = config.resilience.notify_poll_interval_ms / 1000
        coordinator = Coordinator(
            self.id,
            claims,
            registrations.flight,
            self._contact,
            Held(config.prefetch_buffer, config.max_claim_renew_age_ms / 1000, rest_s=poll_interval_s),
            concurrency=self._options.concurrency,
            poll_interval_s=poll_interval_s,
            usual_lanes=registrations.usual_lanes(),
        )
        pool = ExecutorPool(
            self._options.processes,
            self._init,
            coordinator,
            coordinator.give_up,
            max_tasks=self._options.max_tasks_per_child,
            keeps_spare=self._options.memory_limit is not None,
        )
        coordinator.attach(pool)
        self._coordinator, self._pool = coordinator, pool
        await self._use_schema()
        # Here nothing waits for that import; the first heartbeat would hold up tasks for a tenth of a second by it.
        measuring = asyncio.to_thread(importlib.import_module, "horsies_worker.measurements")
        await asyncio.gather(pool.start(), measuring)
        self._duties = self._make_duties()
        await self._duties.open()
        channels = [broker.queue_channel(queue.name) for queue in settings.queues]
        self._task_channels = frozenset(channels) - {broker.queue_channel(STEPS.name)}
        channels += [control(broker.schema), *self._duties.channels]
        conninfo = broker.conninfo(session=True, application_name="horsies worker listener")
        self._listener = WorkerListener(conninfo, channels, self._heard, schema=broker.schema)
        await self._listener.connect()
        await self._listener.prove(self._notify)
        await self._register()

    async def _notify(self, channel: str, payload: str) -> None:
        await self._duty_link.execute(
            self._broker.statements["notify"], {"channel": channel, "payload": payload}
        )

    async def _use_schema(self) -> None:
        """Probe, and create or upgrade where allowed; outages are waited out (R-004)."""
        resilience, attempt = self._app.config.resilience, 0
        while True:
            try:
                await asyncio.to_thread(self._broker.ensure_schema, may_migrate=self._options.migrate)
                return
            except psycopg.Error as error:
                attempt += 1
                limit = resilience.db_retry_max_attempts
                if not is_transient(error) or (limit and attempt >= limit):
                    raise
                pause = (
                    min(
                        resilience.db_retry_max_ms, resilience.db_retry_initial_ms * 2 ** min(attempt - 1, 20)
                    )
                    / 1000
                )
                logger.warning(
                    "the database does not answer (attempt %d), next try in %.1f s: %s",
                    attempt,
                    pause,
                    str(error).strip(),
                )
                await asyncio.sleep(pause)

    async def _register(self) -> None:
        await self._duties.register()
        options, config = self._options, self._app.config
        logger.info(
            "ready: processes=%d concurrency=%d executor=%s cluster_wide_cap=%s prefetch=%d queues=%s",
            options.processes, options.concurrency, options.executor, config.cluster_wide_cap or "unlimited",
            config.prefetch_buffer, ",".join(queue.name for queue in self._queues),
        )  # fmt: skip

    def _make_duties(self) -> Duties:
        coordinator, pool = self._coordinator, self._pool
        duties = Duties(
            Surroundings(
                worker_id=self.id,
                app=self._app,
                options=self._options,
                queues=self._queues,
                cycle_link=self._cycle_link,
                link=self._duty_link,
                flights=coordinator.flights,
                held=coordinator.held,
                contact=self._contact,
                executors=lambda: pool.executors,
                tell_executors=pool.beat,
                is_listening=lambda: self._listener.connected,
            )
        )
        duties.heartbeat.on_lost = coordinator.drop
        duties.heartbeat.on_cancel = coordinator.cancel_all
        duties.heartbeat.on_answered = coordinator.contact_answered
        if duties.metrics is not None:
            coordinator.metrics = duties.metrics
            pool.on_restart = duties.metrics.executor_restarted
            for link in (self._cycle_link, self._duty_link):
                link.on_error = duties.metrics.database_failed
        return duties

    def _heard(self, channel: str, payload: str) -> None:
        """A message, or ("", "") after the connection was lost and made again."""
        if channel == control(self._broker.schema):
            self._coordinator.obey(payload)
        elif not self._duties.hear(channel, payload):
            self._coordinator.claim_soon(everywhere=channel not in self._task_channels)

    # -- work and end

    async def _work(self) -> int:
        cycles = asyncio.create_task(self._coordinator.run(), name="cycles")
        duties = [asyncio.create_task(duty.run(), name=duty.name) for duty in self._duties.loops()]
        duties.append(asyncio.create_task(self._listener.run(), name="listener"))
        ends = [asyncio.create_task(e.wait()) for e in (self._stop_requested, self._coordinator.gave_up)]
        self._coordinator.claim_soon()
        await asyncio.wait((cycles, *ends, *duties), return_when=asyncio.FIRST_COMPLETED)
        for task in (cycles, *duties):
            if task.done():
                self._coordinator.give_up(f"{task.get_name()} ended: {task.exception()}")
        self._duties.drain()
        self._coordinator.stop_claiming()
        if not cycles.done():
            await self._drain(cycles)
        for waiting in (*duties, *ends):
            waiting.cancel()
        await asyncio.wait((*duties, *ends))
        await self._pool.stop()
        await self._close(cycles)
        if cycles.cancelled() or cycles.exception() is not None or self._coordinator.failed_because:
            logger.error(
                "the worker ends with an error: %s", self._coordinator.failed_because or _ending(cycles)
            )
            return EXIT_FAILED
        return EXIT_FORCED if self._forced else EXIT_DRAINED

    async def _drain(self, cycles: "asyncio.Task[None]") -> None:
        """Until what runs has ended; a second signal or the time limit ends it by force (R-130, R-131)."""
        logger.info("stopping: %d tasks are still running", len(self._coordinator.flights()))
        limit = self._options.drain_timeout_s or None
        force = asyncio.create_task(self._force_requested.wait())
        await asyncio.wait((cycles, force), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        force.cancel()
        if not cycles.done():
            self._forced = bool(self._coordinator.flights())
            await self._cancel_async_runs(cycles)
            self._pool.kill()
            await asyncio.wait((cycles,), timeout=RESULT_WRITE_LIMIT_S)
            if not cycles.done():
                cycles.cancel()
                await asyncio.wait((cycles,))

    async def _cancel_async_runs(self, cycles: "asyncio.Task[None]") -> None:
        """Cancelled, they may clean up after themselves before their process is killed."""
        self._coordinator.is_forced = True
        for executor, seq in self._async_runs():
            executor.cancel(seq)
        latest = time.monotonic() + CANCEL_GRACE_S
        while self._async_runs() and not cycles.done() and time.monotonic() < latest:
            await asyncio.wait((cycles,), timeout=CANCEL_LOOK_S)

    def _async_runs(self) -> list[tuple[ExecutorProcess, int]]:
        executors = self._pool.executors
        return [(e, seq) for e in executors for seq, flight in e.flights.items() if flight.kind == "async"]

    async def _close(self, cycles: "asyncio.Task[None]") -> None:
        await self._listener.close()
        self._duties.close()
        with suppress(psycopg.Error):
            await self._duty_link.execute(self._broker.statements["stop_worker"], {"id": self.id})
        await self._duty_link.close()
        await self._cycle_link.close()

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 2:
            pool: ExecutorPool | None = getattr(self, "_pool", None)
            if pool is not None:
                pool.kill()
            os._exit(EXIT_FORCED)
        if self._signals > 1:
            self._force_requested.set()
        self._stop_requested.set()


def policy_of(app: Horsies, flight: Flight) -> RetryPolicy | None:
    """The row's own policy; a row without options has what is registered here."""
    if flight.options is not None:
        return policy_of_options(flight.options)
    task = app.tasks.get(flight.task_name)
    return task.definition.retry_policy if task is not None else None


def served_queues(app: Horsies, wanted: Sequence[str] | None) -> list[ServedQueue]:
    """The queues a worker claims from.

    Raises:
        ConfigurationError: HRS-206, one is unknown, empty or named twice.
    """
    served = {
        queue.name: ServedQueue(queue.name, queue.priority, queue.max_concurrency)
        for queue in app.config.queues
    }
    if wanted is None:
        return list(served.values())
    unknown = [name for name in wanted if name not in served]
    if unknown or not wanted or len(set(wanted)) < len(wanted):
        problem = (
            f"unknown queue {unknown[0]!r}"
            if unknown
            else "a queue is named twice"
            if wanted
            else "no queue is named"
        )
        raise ConfigurationError(
            f"--queues: {problem}",
            code=ErrorCode.CLI_INVALID_ARGS,
            notes=[f"valid queues: {', '.join(served)}"],
            help_text="name configured queues, separated by commas, or leave --queues out to serve all",
        )
    return [served[name] for name in wanted]


def _shown(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(_shown(each) for each in group.exceptions)
    return str(error).strip()


def _ending(task: "asyncio.Task[None]") -> str:
    return "cancelled" if task.cancelled() else _shown(task.exception() or RuntimeError("unknown"))
