"""The worker's sign of life: one statement an interval, for all its claims and runs (R-090)."""

import asyncio
import json
import logging
from collections.abc import Callable

import psycopg

from horsies.sql import Statements
from horsies_worker.link import Link

logger = logging.getLogger("horsies.worker")


class Heartbeat:
    """Refreshes the worker's row in `workers`; a failure is logged, the next beat tries again."""

    def __init__(
        self,
        worker_id: str,
        link: Link,
        statements: Statements,
        interval_s: float,
        snapshot: Callable[[], dict[str, object]],
    ) -> None:
        self._worker_id = worker_id
        self._link = link
        self._statements = statements
        self._interval_s = interval_s
        self._snapshot = snapshot
        self.state = "running"

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.beat()

    async def beat(self) -> None:
        """One heartbeat."""
        params = {"id": self._worker_id, "state": self.state, "snapshot": json.dumps(self._snapshot())}
        try:
            await self._link.execute(self._statements["heartbeat"], params)
        except psycopg.Error as error:
            logger.warning("a heartbeat could not be written: %s", str(error).strip())
