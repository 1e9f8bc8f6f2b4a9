"""The scheduler's pages: `/healthz`, `/readyz`, `/metrics` (S-074)."""

import json
from collections.abc import Callable
from typing import Literal

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.http_endpoints import HttpEndpoints, Page
from horsies_scheduler.metrics import SchedulerMetrics

type Role = Literal["leader", "standby"]


class SchedulerEndpoints:
    """Opens and serves the pages."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        metrics: SchedulerMetrics,
        role: Callable[[], Role],
        problem: Callable[[], str | None],
    ) -> None:
        """Opens nothing yet.

        Args:
            host: Address to listen on.
            port: Port.
            metrics: What `/metrics` shows.
            role: Whether it leads.
            problem: Why it is not ready; None if it is.
        """
        self._address = f"{host}:{port}"
        self._metrics = metrics
        self._role = role
        self._problem = problem
        self._text: Callable[[], bytes] | None = None
        self._content_type = "text/plain"
        routes = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._metrics_page}
        self.http = HttpEndpoints(host, port, routes)

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: HRS-206, the address cannot be had.
        """
        from horsies_scheduler import exposition  # prometheus-client takes a tenth of a second to import

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

    def close(self) -> None:
        """Stop listening."""
        self.http.close()

    async def _health(self) -> Page:
        return Page(b"ok\n")

    async def _ready(self) -> Page:
        problem = self._problem()
        facts = {"role": self._role()} | ({} if problem is None else {"problem": problem})
        return Page(json.dumps(facts).encode() + b"\n", 200 if problem is None else 503, "application/json")

    async def _metrics_page(self) -> Page:
        text = self._text() if self._text is not None else b""
        return Page(text, content_type=self._content_type)
