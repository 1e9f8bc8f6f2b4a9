"""The cycle's statement and its connection: what is sent, what to do when the answer does not come.

A finish may be repeated (its fence makes the second one a no-op); a claim whose answer was lost is undone before the
next one, because nothing of it was dispatched (R-092).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from horsies.config import WorkerResilienceConfig
from horsies.db import arrays
from horsies.db.effects import Row
from horsies.db.statement import prepared
from horsies.sql import Statements
from horsies.transient import is_transient
from horsies_worker.batch import Batch
from horsies_worker.cycle_params import NOTHING, written
from horsies_worker.ends import PolicyOf
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.failures import unstorable
from horsies_worker.flight import Flight
from horsies_worker.link import Link
from horsies_worker.node_ends import node_params
from horsies_worker.places import LANES, Demand, Lane

logger = logging.getLogger("horsies.worker")


@dataclass(frozen=True, slots=True)
class ServedQueue:
    """A queue as this worker claims from it."""

    name: str
    rank: int  # queue priority; a lower one is served first
    cap: int | None


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """What does not change while a worker runs."""

    worker_id: str
    hostname: str
    queues: Sequence[ServedQueue]
    cluster_cap: int | None
    executors: Mapping[Lane, str]  # the executor values of rows in each lane, separated by commas

    def params(self) -> dict[str, object]:
        """The parameters of a cycle that asks for nothing."""
        queues = sorted(self.queues, key=lambda queue: (queue.rank, queue.name))
        return {
            "worker": self.worker_id,
            "hostname": self.hostname,
            "queues": arrays.texts(queue.name for queue in queues),
            "ranks": arrays.plain(queue.rank for queue in queues),
            "caps": arrays.plain("NULL" if queue.cap is None else queue.cap for queue in queues),
            "cluster_cap": self.cluster_cap,
            "now": None,
            **NOTHING,
        }


class Claims:
    """Runs cycles on one connection."""

    def __init__(
        self,
        settings: ClaimSettings,
        link: Link,
        statements: Statements,
        resilience: WorkerResilienceConfig,
        policy_of: PolicyOf,
        waiting_link: Link,
    ) -> None:
        self._settings = settings
        self._constant = settings.params()
        self._link = link
        self._statements = statements
        self._resilience = resilience
        self._policy_of = policy_of
        self._waiting_link = waiting_link
        self._identity_params: tuple[list[int], dict[str, object]] = ([], {})
        self._cycle = prepared(statements["cycle"])
        self._claim_values: tuple[Demand, Mapping[str, object], list[bytes | None]] | None = None
        self._owes_return = False
        """Whether there may be claims that nobody was told of; until they are undone no cycle is sent (R-092)."""

    def attach(self, pool: ExecutorPool, known: Callable[[], list[Flight]]) -> None:
        """Whose executors run what is claimed, and what this worker answers for."""
        self._pool = pool
        self._known = known

    @property
    def are_capped(self) -> bool:
        """Whether the end of a task may give room to another one that is due."""
        return self._settings.cluster_cap is not None or any(
            queue.cap is not None for queue in self._settings.queues
        )

    def prepare(self, places: Demand) -> None:
        """Make the parameters of a cycle that fills these places; they are known again by the same object."""
        self._values_of_claim(places)

    async def cycle(self, batch: Batch) -> list[Row]:
        """One round trip, repeated through outages until it is answered (R-077, R-120).

        A batch that the database refuses for good is repeated end by end; an end that is still refused is stored with
        an envelope that says so (R-076).

        Raises:
            psycopg.Error: the database refuses the cycle as such, or did not answer for too many attempts.
        """
        try:
            return await self._answered(batch)
        except psycopg.Error as error:
            if is_transient(error) or not (batch.completed or batch.ended):
                raise
            logger.warning(
                "a batch of results was refused and is repeated one by one: %s", str(error).strip()
            )
        rows: list[Row] = []
        for part in batch.parts():
            rows += await self._part(part)
        return rows

    async def finish_busy(self, nodes: Batch) -> list[Row]:
        """Write ends of workflow tasks by the statement that waits for their trees, on the other connection (W-41).

        Raises:
            psycopg.Error: it was not written.
        """
        ends = node_params(nodes, self._policy_of, self._pool.identities())
        params = {"worker": self._settings.worker_id, "now": None, **ends}
        return await self._waiting_link.execute(self._statements["finish_busy"], params)

    async def _part(self, part: Batch) -> list[Row]:
        try:
            return await self._answered(part)
        except psycopg.Error as error:
            if is_transient(error) or not (part.completed or part.ended):
                raise
            flight = part.flights()[0]
            logger.error("the result of task %s cannot be stored: %s", flight.id, str(error).strip())
            why = error.diag.message_primary or type(error).__name__
            return await self._answered(Batch(ended=[unstorable(flight, why)]))

    async def _answered(self, batch: Batch) -> list[Row]:
        values = self._cycle.changed(self._values_of_claim(batch.demand), self._changes(batch))
        attempt = 0
        while True:
            try:
                if self._owes_return:
                    await self._return_undispatched()
                try:
                    return await self._link.execute_ready(self._cycle, values)
                except psycopg.errors.CheckViolation as error:
                    if not self._lacks_partition(error):
                        raise
                    await self._make_partitions()
            except psycopg.Error as error:
                attempt += 1
                await self._failed(error, attempt)

    async def return_undispatched(self) -> None:
        """Give back what names this worker and was never dispatched, through outages (R-092).

        Raises:
            psycopg.Error: the database refuses.
        """
        self._owes_return = True
        attempt = 0
        while self._owes_return:
            try:
                await self._return_undispatched()
            except psycopg.Error as error:
                attempt += 1
                await self._failed(error, attempt)

    async def _return_undispatched(self) -> None:
        await self._link.reconnect()
        known = self._known()
        params = {
            "worker": self._settings.worker_id,
            "kept": arrays.plain(flight.id for flight in known),
            "generations": arrays.plain(flight.generation for flight in known),
        }
        await self._link.execute(self._statements["return_undispatched"], params)
        self._owes_return = False

    def _values_of_claim(self, places: Demand) -> list[bytes | None]:
        """The parameters of a cycle that only claims."""
        identities = self._identities()
        made = self._claim_values
        if made is None or made[0] is not places or made[1] is not identities:
            lanes: list[Lane] = [lane for lane in LANES if lane in places.lanes]
            params = {
                **self._constant,
                **identities,
                "lanes": arrays.plain(lanes),
                "executors": arrays.texts(self._settings.executors[lane] for lane in lanes),
                "places": arrays.texts(arrays.plain(self._places(places, lane)) for lane in lanes),
            }
            made = self._claim_values = (places, identities, self._cycle.values(params))
        return made[2]

    def _changes(self, batch: Batch) -> dict[str, object]:
        """What is to be written, as parameters."""
        changes = written(batch, self._policy_of, self._pool.identities())
        if self.are_capped and (freed := self._freed(batch)):
            changes["freed"] = arrays.texts(freed)
        return changes

    def _places(self, places: Demand, lane: Lane) -> list[int]:
        """The number of the executor for each row wanted, as `claim_rows` takes it."""
        numbers = [executor.place for executor in places.of(lane)]
        if self.are_capped:
            free = places.free(lane)
            waiting = [] if self._settings.cluster_cap is not None else [-number for number in numbers[free:]]
            numbers = numbers[:free] + waiting
        return numbers + [0] * places.hold.get(lane, 0)

    def _freed(self, batch: Batch) -> list[str]:
        """The queues in which this batch may let others start: those under a cap."""
        if not (flights := batch.flights()):
            return []
        if self._settings.cluster_cap is not None:
            return [queue.name for queue in self._settings.queues]
        capped = {queue.name for queue in self._settings.queues if queue.cap is not None}
        return sorted(capped.intersection(flight.queue_name for flight in flights))

    def _identities(self) -> dict[str, object]:
        executors = self._pool.executors
        pids = [executor.pid for executor in executors]
        if pids != self._identity_params[0]:
            by_place = {executor.place: executor for executor in executors}
            slots = [by_place.get(place) for place in range(1, max(by_place, default=0) + 1)]
            params: dict[str, object] = {
                "pids": arrays.plain(slot.pid if slot else "NULL" for slot in slots),
                "names": arrays.texts(slot.name if slot else None for slot in slots),
            }
            self._identity_params = (pids, params)
        return self._identity_params[1] or {"pids": "{}", "names": "{}"}

    def _lacks_partition(self, error: psycopg.errors.CheckViolation) -> bool:
        """A row that no partition takes breaks no constraint that has a name."""
        told = error.diag
        return (
            told.constraint_name is None
            and told.schema_name == self._statements.schema
            and (told.table_name or "").startswith("task_history")
        )

    async def _make_partitions(self) -> None:
        """The day's partition is missing: made for every class that this worker's rows belong to (D-031)."""
        await self._link.execute(self._statements["ensure_history_of"], {"worker": self._settings.worker_id})

    async def _failed(self, error: psycopg.Error, attempt: int) -> None:
        """Wait for the next try; what was sent may have been done all the same, and is undone first."""
        limit = self._resilience.db_retry_max_attempts
        if not is_transient(error) or (limit and attempt > limit):
            raise error
        self._owes_return = True
        pause = max(0.1, self._resilience.db_retry_delay(attempt))
        logger.warning(
            "the database does not answer (attempt %d), next try in %.1f s: %s",
            attempt,
            pause,
            str(error).strip(),
        )
        await asyncio.sleep(pause)
