"""The worker's loop: one round trip finishes everything that ended since the last one and claims for every free place.

While a round trip is under way results gather, so batches grow with the load by themselves and an idle worker adds no
delay. Nothing here decodes arguments or results: their text goes from the row to the executor and back.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from horsies_worker import failures
from horsies_worker.claims import Claims
from horsies_worker.ends import PolicyOf, ended_json
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight, Outcome
from horsies_worker.places import free_places
from horsies_worker.read_ahead import WITHDRAW_AFTER_S, ReadAhead

logger = logging.getLogger("horsies.worker")

AGAIN_FIRST_S = 0.005
AGAIN_MAX_S = 0.100


@dataclass(slots=True)
class Batch:
    """What one cycle writes and asks for."""

    completed: list[Outcome] = field(default_factory=list[Outcome])
    ended: list[Outcome] = field(default_factory=list[Outcome])
    back: list[Flight] = field(default_factory=list[Flight])
    places: list[ExecutorProcess] = field(default_factory=list[ExecutorProcess])

    def is_empty(self) -> bool:
        """Nothing to write, nothing wanted."""
        return not (self.completed or self.ended or self.back or self.places)


class Coordinator:
    """Keeps executors busy. Implements `ExecutorEvents`; everything runs in one event loop, so nothing is locked."""

    def __init__(self, worker_id: str, claims: Claims, policy_of: PolicyOf, poll_interval_s: float) -> None:
        self.read_ahead = ReadAhead()
        self.failed_because: str | None = None
        """Set when the worker cannot go on."""
        self._worker_id = worker_id
        self._claims = claims
        self._policy_of = policy_of
        self._poll_interval_s = poll_interval_s
        self._pool: ExecutorPool
        self._waiting = Batch()
        self._in_flight_batch: Batch | None = None
        self._wake = asyncio.Event()
        self._claim_due = True
        self._claiming = True
        self._ended = asyncio.Event()
        self._seq = 0
        self._again_s = AGAIN_FIRST_S
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._killed_for: dict[int, str] = {}

    def attach(self, pool: ExecutorPool) -> None:
        """The pool whose events come here."""
        self._pool = pool

    # -- what others say

    def claim_soon(self) -> None:
        """There may be something to claim: a wake-up, a due time, the poll."""
        self._claim_due = True
        self._wake.set()

    def stop_claiming(self) -> None:
        """Finish what runs, hand back what has not begun (R-130)."""
        self._claiming = False
        for executor in self._pool.executors:
            executor.ask_back(list(executor.flights)[1:])
        self._wake.set()

    def give_up(self, reason: str) -> None:
        """The worker cannot go on: drain and end with an error."""
        self.failed_because = self.failed_because or reason
        self.stop_claiming()

    def flights(self) -> list[Flight]:
        """Everything this worker answers for at the moment."""
        batches = [batch for batch in (self._waiting, self._in_flight_batch) if batch is not None]
        known = [flight for executor in self._pool.executors for flight in executor.flights.values()]
        for batch in batches:
            known += [outcome.flight for outcome in (*batch.completed, *batch.ended)]
            known += batch.back
        return known

    # -- ExecutorEvents

    def results_came(self, executor: ExecutorProcess, results: list[tuple[Any, ...]]) -> None:
        """Runs have ended."""
        completed, ended, took = self._waiting.completed, self._waiting.ended, self.read_ahead.task_took
        for seq, ok, envelope, error_code, message, run_us in results:
            flight = executor.take(seq)
            if flight is None:
                continue
            flight.run_us = run_us
            took(flight.task_name, run_us * 1e-6)
            if ok:
                completed.append(Outcome(flight, envelope))
            else:
                ended.append(Outcome(flight, envelope, error_code, message))
        self._head_changed(executor)
        self._wake.set()

    def withdrawn(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        """Run elsewhere if a place is free, else handed back."""
        idle = (
            [e for e in self._pool.executors if e.ready and not e.flights and e is not executor]
            if self._claiming
            else []
        )
        for target, flight in zip(idle, flights, strict=False):
            self._send(target, [flight])
        self._waiting.back += flights[len(idle) :]
        self._wake.set()

    def executor_died(self, executor: ExecutorProcess, begun: list[Flight], not_begun: list[Flight]) -> None:
        """What had begun follows the crash rule, the rest goes back without an attempt (R-104)."""
        why = self._killed_for.pop(id(executor), None)
        for flight in begun:
            outcome = (
                failures.timed_out(flight)
                if why == flight.id
                else failures.crashed(flight, "ended unexpectedly")
            )
            self._waiting.ended.append(outcome)
        self._waiting.back += not_begun
        if why is None:
            logger.error(
                "%s (pid %d) died; %d tasks had begun, %d had not",
                executor.name,
                executor.pid,
                len(begun),
                len(not_begun),
            )
        self._pool.replace(executor)
        self._wake.set()

    def executor_ready(self) -> None:
        """A replacement can take tasks."""
        self.claim_soon()

    # -- the loop

    async def run(self) -> None:
        """Cycle until claiming has been stopped and everything has been written."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = self._take_batch()
            if batch.is_empty():
                if not self._claiming and not self.flights():
                    break
                continue
            self._in_flight_batch = batch
            begun = time.monotonic()
            rows = await self._claims.cycle(batch.completed, self._ends(batch), batch.back, batch.places)
            self._in_flight_batch = None
            self.read_ahead.cycle_took(time.monotonic() - begun)
            self._take_rows(rows, batch.places)
        for timer in self._timers.values():
            timer.cancel()

    def _ends(self, batch: Batch) -> str | None:
        return ended_json(batch.ended, self._policy_of, self._pool.identities())

    def _take_batch(self) -> Batch:
        batch, self._waiting = self._waiting, Batch()
        if self._claiming and self._claim_due:
            batch.places = free_places(self._pool.executors, self.read_ahead)
        elif not self._claiming:
            self._wake_if_drained()
        return batch

    def _wake_if_drained(self) -> None:
        self._wake_later("drain", 0.05)

    def _take_rows(self, rows: list[tuple[Any, ...]], places: list[ExecutorProcess]) -> None:
        claimed: list[Flight] = []
        again = False
        due_s: float | None = None
        for (
            tag,
            identity,
            generation,
            name,
            queue,
            kind,
            kwargs,
            options,
            timeout_ms,
            retries,
            max_retries,
            seconds,
        ) in rows:
            if tag == "claimed" or tag == "expired":
                flight = Flight(
                    identity, generation, name, queue, kind, kwargs, options, timeout_ms, retries, max_retries
                )
                if tag == "claimed":
                    claimed.append(flight)
                else:
                    self._waiting.ended.append(failures.expired(flight, self._worker_id))
                    self._wake.set()
            elif tag == "again":
                again = True
            elif tag == "due":
                due_s = seconds if due_s is None else min(due_s, seconds)
            elif tag == "lost":
                logger.warning("the outcome of task %s was dropped: another owner has it by now", identity)
        if not places:
            return
        self._place(claimed, places)
        self._plan_next_claim(len(claimed) < len(places), again, due_s)

    def _plan_next_claim(self, came_short: bool, again: bool, due_s: float | None) -> None:
        self._claim_due = not came_short
        if not came_short:
            self._wake.set()
            return
        self._wake_later("poll", self._poll_interval_s, claim=True)
        if again:
            self._wake_later("again", self._again_s, claim=True)
            self._again_s = min(self._again_s * 2, AGAIN_MAX_S)
        else:
            self._again_s = AGAIN_FIRST_S
        if due_s is not None and due_s < self._poll_interval_s:
            self._wake_later("due", max(due_s, 0.0), claim=True)

    # -- placing

    def _place(self, flights: list[Flight], places: list[ExecutorProcess]) -> None:
        """Send each row to the executor it was claimed for, unless something that is not quick would wait there."""
        read_ahead = self.read_ahead
        read_ahead.batch_came([flight.task_name for flight in flights])
        groups: dict[ExecutorProcess, list[Flight]] = {}
        for flight, executor in zip(flights, places, strict=False):
            group = groups.setdefault(executor, [])
            crowded = bool(group or executor.flights)
            if not executor.ready or (crowded and not self._may_wait(flight, group)):
                self._waiting.back.append(flight)
                self._wake.set()
            else:
                group.append(flight)
        for executor, group in groups.items():
            if group:
                self._send(executor, group)
        if any(len(executor.flights) > 1 for executor in groups):
            self._watch_waiting()

    def _may_wait(self, flight: Flight, group: list[Flight]) -> bool:
        is_quick = self.read_ahead.is_quick
        return is_quick(flight.task_name) and (not group or is_quick(group[-1].task_name))

    def _send(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        for flight in flights:
            self._seq += 1
            flight.seq = self._seq
        was_idle = not executor.flights
        executor.run(flights)
        if was_idle:
            self._head_changed(executor)

    def _watch_waiting(self) -> None:
        if "watch" not in self._timers:
            self._timers["watch"] = asyncio.get_running_loop().call_later(
                WITHDRAW_AFTER_S, self._ask_back_waiting
            )

    def _ask_back_waiting(self) -> None:
        """What waits behind a task that turned out slow is withdrawn (R-041)."""
        del self._timers["watch"]
        now = time.monotonic()
        for executor in self._pool.executors:
            if len(executor.flights) > 1:
                if now - executor.first_in_line_at > WITHDRAW_AFTER_S:
                    executor.ask_back(list(executor.flights)[1:])
                self._watch_waiting()

    # -- time limits

    def _head_changed(self, executor: ExecutorProcess) -> None:
        head = executor.head()
        if head is not None and head.timeout_ms is not None:
            key = f"timeout:{executor.place}"
            if key in self._timers:
                self._timers[key].cancel()
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(head.timeout_ms / 1000, self._time_is_up, executor, head)

    def _time_is_up(self, executor: ExecutorProcess, flight: Flight) -> None:
        """Kill the run; a task that has not begun goes back instead (R-080, R-081)."""
        if executor.head() is flight and executor.ready:
            self._killed_for[id(executor)] = flight.id
            logger.warning(
                "task %s (%s) ran over its limit of %s ms", flight.id, flight.task_name, flight.timeout_ms
            )
            executor.kill()

    def _wake_later(self, key: str, seconds: float, *, claim: bool = False) -> None:
        if key in self._timers:
            self._timers[key].cancel()
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self.claim_soon if claim else self._wake.set)
