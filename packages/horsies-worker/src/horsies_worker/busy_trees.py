"""Ends of workflow tasks that could not be written because somebody else was at their workflow's tree (W-41).

The cycle never waits for a tree: what it leaves goes into the next one, due at once, and after 100 ms is written by a
statement that waits, on the worker's other connection. So a busy workflow delays its own ends only. There is one such
statement at a time, and it waits for a second at most, because the worker's heartbeat goes by the same connection.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

import psycopg

from horsies.transient import reason
from horsies_worker.batch import Batch
from horsies_worker.flight import Flight

logger = logging.getLogger("horsies.worker")

NEXT_CYCLE_S = 0.003
PATIENCE_S = 0.100


class BusyTrees:
    """Sorts what came back as busy. Everything runs in one event loop."""

    def __init__(self, write: Callable[[Batch], Awaitable[None]], put_back: Callable[[Batch], None]) -> None:
        """Make it.

        Args:
            write: Writes a batch with the statement that waits.
            put_back: Takes what shall be part of the next cycle.
        """
        self._write = write
        self._put_back = put_back
        self._since: dict[str, float] = {}
        self._late = Batch()
        self._writing = Batch()
        self._task: asyncio.Task[None] | None = None

    def flights(self) -> list[Flight]:
        """What the waiting statement is at, and what is in line for it."""
        return self._writing.flights() + self._late.flights()

    def cycle_ended(self, batch: Batch, busy: Collection[str]) -> None:
        """A cycle has been answered; `busy`: the ids that it left alone."""
        if not (busy or self._since):
            return
        soon, late, now = Batch(), self._late, time.monotonic()

        def sort[T](
            items: list[T], flight_of: Callable[[T], Flight], into: Callable[[Batch], list[T]]
        ) -> None:
            for item in items:
                task_id = flight_of(item).id
                if task_id not in busy:
                    self._since.pop(task_id, None)
                elif now - self._since.setdefault(task_id, now) < PATIENCE_S:
                    into(soon).append(item)
                else:
                    into(late).append(item)

        sort(batch.completed, lambda outcome: outcome.flight, lambda each: each.completed)
        sort(batch.ended, lambda outcome: outcome.flight, lambda each: each.ended)
        sort(batch.back, lambda flight: flight, lambda each: each.back)
        if not soon.is_empty():
            self._put_back(soon)
        self._write_late()

    def _write_late(self) -> None:
        if self._task is not None or self._late.is_empty():
            return
        self._writing, self._late = self._late, Batch()
        self._task = asyncio.get_running_loop().create_task(self._wait_for(self._writing))
        self._task.add_done_callback(self._ended)

    async def _wait_for(self, batch: Batch) -> None:
        try:
            await self._write(batch)
        except psycopg.Error as error:
            # Once more by the cycle, which knows what to do about an outage or a result that is refused.
            logger.warning(
                "a busy workflow, or no answer; its tasks' ends are tried again: %s", reason(error)
            )
            raise

    def _ended(self, task: "asyncio.Task[None]") -> None:
        batch, self._writing, self._task = self._writing, Batch(), None
        for flight in batch.flights():
            self._since.pop(flight.id, None)
        failed = task.cancelled() or task.exception() is not None
        self._put_back(batch if failed else Batch())
        if not task.cancelled():
            self._write_late()
