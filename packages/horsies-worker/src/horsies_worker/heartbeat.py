"""The worker's sign of life: one statement an interval, for all its claims and runs (R-090), and one to its executors.

The answer tells what the worker cannot know by itself: claims it has lost, tasks that somebody wants stopped.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import psycopg

from horsies.db import arrays
from horsies.sql import Statements
from horsies_worker.contact import Contact
from horsies_worker.flight import Flight
from horsies_worker.link import Link

logger = logging.getLogger("horsies.worker")

FIRST_BEAT_S = 1.0
LOST_S = 1.0
"""Between two beats while nothing may be started because none was answered (R-091)."""

type Fence = tuple[str, int]
"""(task id, claim generation)"""


class Measures(Protocol):
    """What is measured at a heartbeat only, as it costs time."""

    async def take(self) -> Mapping[str, object]:
        """Fields of the snapshot; None for what cannot be measured."""
        ...


class Heartbeat:
    """Refreshes the worker's row in `workers`; a failure is logged, the next beat tries again.

    Attributes:
        state: What the row says: `running` or `draining`.
        contact: Knows how long no beat has been answered.
        on_lost: Told which claims of this worker are not its own any more (R-078).
        on_cancel: Told which of its tasks somebody wants cancelled.
        on_answered: Told that a beat was answered.
        on_outage: Told that a beat was not answered.
    """

    name = "heartbeat"

    def __init__(
        self,
        worker_id: str,
        link: Link,
        statements: Statements,
        interval_s: float,
        snapshot: Callable[[], Mapping[str, object]],
        *,
        sample_interval_s: float | None = None,
        flights: Callable[[], Iterable[Flight]] = tuple,
        tell_executors: Callable[[], None] = lambda: None,
        measures: Measures | None = None,
        registration: Mapping[str, object] | None = None,
        contact: Contact | None = None,
    ) -> None:
        """See the class for the callbacks.

        Args:
            worker_id: This worker.
            link: Its connection for everything but the cycle.
            statements: Where statements are looked up.
            interval_s: Seconds between two beats.
            snapshot: The worker's state as far as it is known without measuring.
            sample_interval_s: Seconds between two samples kept of that state; None keeps none. Where they are shorter
                than the interval, the worker beats as often.
            flights: What this worker answers for.
            tell_executors: Speaks to the executors, so that they know that the coordinator lives (R-091).
            measures: The rest of the state.
            registration: The row to write again should it be gone.
            contact: Told of each beat that was answered (R-091).
        """
        self._worker_id = worker_id
        self._link = link
        self._statements = statements
        self._interval_s = interval_s
        self._sample_interval_s = sample_interval_s
        self._snapshot = snapshot
        self._flights = flights
        self._tell_executors = tell_executors
        self._measures = measures
        self._registration = registration
        self._sampled_at = float("-inf")
        self.state = "running"
        self.contact = contact or Contact(float("inf"))
        self.contact.ask = self.beat_soon
        self._soon = asyncio.Event()
        self.on_answered: Callable[[], None] = lambda: None
        self.on_lost: Callable[[list[Fence]], None] = lambda fences: None
        self.on_cancel: Callable[[list[Fence]], None] = lambda fences: None
        self.on_outage: Callable[[], None] = lambda: None

    def beat_soon(self) -> None:
        """Do not wait for the interval to end."""
        self._soon.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        # Apart: while the database is silent, the executors must still hear that the coordinator is there.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat_regularly())
            group.create_task(self._tell_regularly())

    async def beat(self) -> bool:
        """One heartbeat; whether it was answered."""
        sent_at = time.monotonic()
        flights = list(self._flights())
        measured: Mapping[str, object] = await self._measures.take() if self._measures else {}
        params = {
            "id": self._worker_id,
            "state": self.state,
            "snapshot": json.dumps({**self._snapshot(), **measured}),
            "ids": arrays.plain(flight.id for flight in flights),
            "generations": arrays.plain(flight.generation for flight in flights),
            "now": None,
        }
        try:
            rows = await self._link.execute(self._statements["heartbeat"], params)
            if not rows or rows[0][0] != "beat":
                await self._register_again()
        except psycopg.Error as error:
            logger.warning("a heartbeat could not be written: %s", str(error).strip())
            self.on_outage()
            return False
        self.contact.answered(sent_at)
        for tag, tell in (("lost", self.on_lost), ("cancel", self.on_cancel)):
            fences = [(row[1], row[2]) for row in rows if row[0] == tag]
            if fences:
                tell(fences)
        self.on_answered()
        await self._sample()
        return True

    async def _beat_regularly(self) -> None:
        interval = min(self._interval_s, self._sample_interval_s or self._interval_s)
        await self._pause(min(FIRST_BEAT_S, interval))
        while True:
            try:
                answered = await self.beat()
            except Exception:
                logger.exception("a heartbeat failed")
                answered = False
            await self._pause(interval if answered or not self.contact.is_lost else min(LOST_S, interval))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._soon.wait()
        except TimeoutError:
            pass
        self._soon.clear()

    async def _tell_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._tell_executors()

    async def _register_again(self) -> None:
        """The row was taken away while this worker was silent: nothing names it any more, and it goes on."""
        if self._registration is not None:
            await self._link.execute(self._statements["register_worker"], self._registration)

    async def _sample(self) -> None:
        if self._sample_interval_s is None:
            return
        now = time.monotonic()
        # A beat that comes a moment early must not leave out a sample.
        if now - self._sampled_at < 0.9 * self._sample_interval_s:
            return
        self._sampled_at = now
        try:
            await self._link.execute(self._statements["keep_sample"], {"id": self._worker_id})
        except psycopg.Error as error:
            logger.warning("a sample of the worker's state could not be kept: %s", str(error).strip())
