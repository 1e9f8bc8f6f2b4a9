"""The worker's pages: `/healthz`, `/readyz`, `/metrics` (R-140)."""

import asyncio
import time
from collections.abc import Callable, Sequence

import psycopg

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.http_endpoints import HttpEndpoints, Page
from horsies.sql import Statements
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.link import Link
from horsies_worker.metrics import WorkerMetrics

ANSWER_FRESH_S = 30.0
PROBE_LIMIT_S = 5.0


class Readiness:
    """Whether the worker could take a task now."""

    def __init__(
        self,
        *,
        processes: int,
        executors: Callable[[], Sequence[ExecutorProcess]],
        is_listening: Callable[[], bool],
        is_draining: Callable[[], bool],
        links: Sequence[Link],
        statements: Statements,
    ) -> None:
        """Args: links: the worker's connections; the last one is asked when none has been answered lately."""
        self._processes = processes
        self._executors = executors
        self._is_listening = is_listening
        self._is_draining = is_draining
        self._links = links
        self._statements = statements

    async def problem(self) -> str | None:
        """Why it is not ready; None if it is."""
        if self._is_draining():
            return "draining"
        ready = sum(executor.ready for executor in self._executors())
        if ready < self._processes:
            return f"{ready} of {self._processes} executors are up"
        if not self._is_listening():
            return "the listening connection is down"
        if not await self._database_answers():
            return f"the database has not answered for {ANSWER_FRESH_S:.0f} s"
        return None

    async def _database_answers(self) -> bool:
        answered_at = max(link.answered_at for link in self._links)
        if time.monotonic() - answered_at <= ANSWER_FRESH_S:
            return True
        # An idle worker may have had nothing to ask for so long.
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                await self._links[-1].execute(self._statements["select_one"], {})
        except (psycopg.Error, TimeoutError):
            return False
        return True


class WorkerEndpoints:
    """Opens and serves the pages."""

    name = "endpoints"

    def __init__(self, host: str, port: int, readiness: Readiness, metrics: WorkerMetrics) -> None:
        self._address = f"{host}:{port}"
        self._readiness = readiness
        self._metrics = metrics
        self._text: Callable[[], bytes] | None = None
        self._content_type = "text/plain"
        routes = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._metrics_page}
        self.http = HttpEndpoints(host, port, routes)

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: HRS-206, the address cannot be had.
        """
        from horsies_worker import exposition  # prometheus-client takes a tenth of a second to import

        self._text = exposition.MetricsText(self._metrics)
        self._content_type = exposition.CONTENT_TYPE
        try:
            await self.http.open()
        except OSError as error:
            raise ConfigurationError(
                f"the endpoints cannot listen on {self._address}: {error.strerror or error}",
                code=ErrorCode.CLI_INVALID_ARGS,
                help_text="choose a free port with --http-port, or an address of this machine with --http-host",
            ) from error

    async def run(self) -> None:
        """Serve until cancelled."""
        await self.http.run()

    async def _health(self) -> Page:
        return Page(b"ok\n")

    async def _ready(self) -> Page:
        problem = await self._readiness.problem()
        return Page(b"ready\n") if problem is None else Page(f"{problem}\n".encode(), 503)

    async def _metrics_page(self) -> Page:
        text = self._text() if self._text is not None else b""
        return Page(text, content_type=self._content_type)
