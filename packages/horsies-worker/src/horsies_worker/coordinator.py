"""The worker's loop: one round trip finishes everything that ended since the last one and claims for every free place.

While a round trip is under way results gather, so batches grow with the load by themselves and an idle worker adds no
delay. Nothing here decodes arguments or results: their text goes from the row to the executor and back.
"""

import asyncio
import json
import logging
import time
from collections.abc import Collection
from typing import Any

from horsies_worker import answers, failures, tally
from horsies_worker.answers import Answer, MakeFlight
from horsies_worker.batch import Batch
from horsies_worker.busy_trees import NEXT_CYCLE_S, BusyTrees
from horsies_worker.claims import Claims
from horsies_worker.contact import Contact
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight, Outcome
from horsies_worker.held import Held
from horsies_worker.lookout import LAST, Lookout
from horsies_worker.low_water import LowWater
from horsies_worker.metrics import WorkerMetrics
from horsies_worker.places import LANES, Demand, Lane, Places, fits
from horsies_worker.read_ahead import ReadAhead
from horsies_worker.time_limits import TimeLimits, stop_run
from horsies_worker.withdrawing import WaitingWatch

logger = logging.getLogger("horsies.worker")

CANCEL_LOOK_S = 0.050


class Coordinator:
    """Keeps executors busy. Implements `ExecutorEvents`; everything runs in one event loop, so nothing is locked."""

    def __init__(
        self,
        worker_id: str,
        claims: Claims,
        make_flight: MakeFlight,
        contact: Contact,
        held: Held,
        *,
        concurrency: int,
        poll_interval_s: float,
        usual_lanes: Collection[Lane] = LANES,
    ) -> None:
        self.read_ahead = ReadAhead()
        self.failed_because: str | None = None
        """Why the worker cannot go on."""
        self.gave_up = asyncio.Event()
        """Set when it cannot."""
        self.is_forced = False
        """Whether async runs were cancelled to end the worker (R-131)."""
        self.metrics: WorkerMetrics | None = None
        self._worker_id = worker_id
        self._claims = claims
        self._make_flight = make_flight
        self._contact = contact
        self._held = held
        self._places = Places(self.read_ahead, concurrency)
        self._pool: ExecutorPool
        self._limits = TimeLimits()
        self._waiting = Batch()
        self._writing = Batch()
        self._wake = asyncio.Event()
        self._lookout = Lookout(usual_lanes, poll_interval_s, self._wake.set)
        self._low_water = LowWater(poll_interval_s)
        self._claiming = True
        self._seq = 0
        self._watch = WaitingWatch(lambda: self._pool.executors)
        self._busy = BusyTrees(self._finish_busy, self._put_back)

    def attach(self, pool: ExecutorPool) -> None:
        """The pool whose events come here."""
        self._pool = pool
        self._places.attach(pool)
        self._claims.attach(pool, self.flights)

    # -- what others say

    def claim_soon(self, *, everywhere: bool = False) -> None:
        """There may be something to claim; `everywhere`: perhaps of a kind that no task registered here has."""
        if everywhere:
            self._lookout.look_everywhere()
        else:
            self._lookout.look()

    def stop_claiming(self) -> None:
        """Finish what runs, hand back what has not begun (R-130)."""
        self._claiming = False
        self._waiting.back += self._held.clear()
        for executor in self._pool.executors:
            if executor.lane == "process":
                executor.ask_back(list(executor.flights)[1:])
        self._wake.set()

    def give_up(self, reason: str) -> None:
        """The worker cannot go on: drain and end with an error."""
        self.failed_because = self.failed_because or reason
        self.stop_claiming()
        self.gave_up.set()

    def cancel(self, task_id: str) -> None:
        """Stop a task whose cancel was requested: withdrawn if it has not begun, else stopped (M-051)."""
        for executor in self._pool.executors:
            for flight in executor.flights.values():
                if flight.id == task_id:
                    flight.is_cancelled = True
                    if executor.begun(flight.seq):
                        stop_run(executor, flight, "cancel")
                    else:
                        executor.ask_back([flight.seq])
                        asyncio.get_running_loop().call_later(CANCEL_LOOK_S, self.cancel, task_id)
                    return

    def cancel_all(self, fences: list[tuple[str, int]]) -> None:
        """Stop the tasks of these (id, generation) whose cancel was requested."""
        for task_id, _ in fences:
            self.cancel(task_id)

    def drop(self, fences: list[tuple[str, int]]) -> None:
        """Stop what is not this worker's any more; its outcome meets a fence that does not match (R-078)."""
        lost = set(fences)
        self._held.drop([f.id for f in self._held.flights() if (f.id, f.generation) in lost])
        for executor in self._pool.executors:
            for flight in list(executor.flights.values()):
                if (flight.id, flight.generation) in lost:
                    logger.warning("task %s has another owner by now and is stopped here", flight.id)
                    stop_run(executor, flight, "cancel")

    def obey(self, payload: str) -> None:
        """A message of the control channel: a cancel for this worker, or queues that were paused or resumed."""
        try:
            message = json.loads(payload)
            if message.get("worker") == self._worker_id and "cancel" in message:
                self.cancel(message["cancel"])
            elif "resume" in message:
                self.claim_soon(everywhere=True)
        except (ValueError, AttributeError):
            logger.warning("a message on the control channel cannot be read: %.100s", payload)

    def flights(self) -> list[Flight]:
        """Everything this worker answers for at the moment."""
        in_executors = [flight for executor in self._pool.executors for flight in executor.flights.values()]
        mine = in_executors + self._held.flights() + self._waiting.flights()
        return mine + self._writing.all_flights() + self._busy.flights()

    def held(self) -> int:
        """How many of them are only held, to start later."""
        return len(self._held.flights())

    def contact_answered(self) -> None:
        """A heartbeat has been answered."""
        if self._contact.is_lost:
            self._wake.set()

    # -- ExecutorEvents

    def results_came(self, executor: ExecutorProcess, results: list[tuple[Any, ...]]) -> None:
        """Runs have ended."""
        completed, ended, took = self._waiting.completed, self._waiting.ended, self.read_ahead.task_took
        of_workflows = False
        for seq, ok, envelope, error_code, message, run_us, context in results:
            flight = executor.take(seq)
            if flight is None:
                continue
            of_workflows = of_workflows or flight.workflow_id is not None
            flight.run_us, flight.trace_for_retry = run_us, context
            took(flight.task_name, run_us * 1e-6)
            late = flight.timeout_ms is not None and self._limits.end(flight)
            if ok:
                completed.append(Outcome(flight, envelope))
            else:
                outcome = Outcome(flight, envelope, error_code, message)
                ended.append(failures.reported(outcome, late=late, is_forced=self.is_forced))
        self._head_changed(executor)
        if not executor.flights:
            self._pool.let_go(executor)
        if of_workflows:
            self.claim_soon()  # the cycle that ends a node claims what follows it
        if self._claims.are_capped:
            self._lookout.wanted.update(LANES)  # what a cap held back may start now
        self._wake.set()

    def withdrawn(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        """Run elsewhere if a place is free, else handed back; so is what was cancelled, which ends it (M-051)."""
        idle = [e for e in self._pool.executors if e.ready and not e.flights]
        may_start = self._claiming and not self._contact.is_lost
        for flight in flights:
            self._limits.end(flight)
            if may_start and idle and not flight.is_cancelled:
                self._send(idle.pop(0), [flight])
            else:
                self._waiting.back.append(flight)
        if not executor.flights:
            self._pool.let_go(executor)
        self._wake.set()

    def executor_died(self, executor: ExecutorProcess, begun: list[Flight], not_begun: list[Flight]) -> None:
        """What had begun follows the crash rule, the rest goes back without an attempt (R-104)."""
        for flight in begun:
            late = self._limits.end(flight)
            outcome = failures.timed_out(flight) if late else failures.crashed(flight, "ended unexpectedly")
            self._waiting.ended.append(outcome)
        for flight in not_begun:
            self._limits.end(flight)
        self._waiting.back += not_begun
        logger.warning(
            "%s (pid %d) is gone (%s); of its tasks %d had begun, %d had not",
            *(executor.name, executor.pid, executor.end, len(begun), len(not_begun)),
        )
        self._places.changed()
        self._pool.replace(executor)
        self._wake.set()

    def executor_ready(self) -> None:
        """A replacement can take tasks."""
        self._places.changed()
        self.claim_soon(everywhere=True)

    def executor_too_big(self, executor: ExecutorProcess, rss: int) -> None:
        """Another process takes its place (R-039)."""
        logger.info("%s holds %.0f MB and is replaced", executor.name, rss / 1e6)
        self._places.changed()
        self._pool.retire(executor, "memory")

    # -- the loop

    async def run(self) -> None:
        """Cycle until claiming has been stopped and everything has been written."""
        while self._claiming or self.flights():
            await self._wake.wait()
            self._wake.clear()
            await self._look_after_contact()
            batch = self._take_batch()
            if batch.is_empty():
                continue
            self._writing = batch
            calls = self._lookout.calls
            begun = time.monotonic()
            rows = await self._claims.cycle(batch)
            self._writing = Batch()
            took_s = time.monotonic() - begun
            self.read_ahead.cycle_took(took_s)
            if self.metrics is not None:
                self.metrics.pass_took(took_s)
            answer = self._take_rows(rows, batch, calls == self._lookout.calls, took_s)
            self._busy.cycle_ended(batch, answer.busy)
            if not self._claiming:
                self._wake.set()
            elif not self._lookout.wanted and not self.flights():
                self._claims.prepare(self._demand(self._lookout.usual, self._lookout.usual))
        self._lookout.stop()
        self._watch.stop()

    async def _look_after_contact(self) -> None:
        """After a silence too long: what was claimed and never dispatched goes back before the next claim (R-091)."""
        if not self._contact.is_lost:
            return
        self._held.clear()
        if not self._contact.is_silent:
            await self._claims.return_undispatched()
            self._contact.restored()
            self._lookout.look_everywhere()

    def _take_batch(self) -> Batch:
        batch, self._waiting = self._waiting, Batch()
        if not self._claiming or self._contact.is_lost:
            return batch
        if self._held:
            batch.back += self._held.too_old()
        wanted = self._lookout.wanted
        if self._held:
            batch.starts, batch.demand = self._held.start(
                self._demand(wanted | self._held.lanes, wanted), self.read_ahead.is_quick
            )
        elif wanted:
            batch.demand = self._demand(wanted, wanted)
        if batch.demand:
            batch.spans = self._low_water.next(time.monotonic())
        return batch

    def _demand(self, lanes: Collection[Lane], wanted: Collection[Lane]) -> Demand:
        return self._places.demand(lanes, self._lookout, self._held.room(wanted))

    async def _finish_busy(self, nodes: Batch) -> None:
        self._take_rows(await self._claims.finish_busy(nodes), nodes, saw_all=False, took_s=0.0)

    def _put_back(self, batch: Batch) -> None:
        self._waiting.add(batch)
        asyncio.get_running_loop().call_later(NEXT_CYCLE_S, self._wake.set)

    def _take_rows(self, rows: list[tuple[Any, ...]], batch: Batch, saw_all: bool, took_s: float) -> Answer:
        places = batch.demand
        answer = answers.read(rows, "process" if places.wants("process") else "shared", self._make_flight)
        if self.metrics is not None:
            tally.count(self.metrics, batch, answer)
        for task_id in answer.lost:
            logger.warning("the outcome of task %s was dropped: it has another owner by now", task_id)
        if answer.retried:
            self.claim_soon()  # the pass that follows tells when it is due
        expired = answer.expired + [flight for flight, _ in batch.starts if flight.id in answer.late]
        if expired:
            self._waiting.ended += [failures.expired(flight, self._worker_id) for flight in expired]
            self._wake.set()
        if self._contact.is_lost:
            # Somebody else may run by now what this answer is about; it is given back once that is known.
            logger.warning("no heartbeat was answered for too long: nothing is started until one is")
            self._contact.ask()
        elif places or batch.starts:
            self._place_taken(answer, batch)
            self._lookout_answered(answer, batch, saw_all, took_s)
        return answer

    def _place_taken(self, answer: Answer, batch: Batch) -> None:
        """Rows that were held go first, then the lane whose first row comes first in the order (R-050, R-054)."""
        if not self._claiming:
            self._waiting.back += [f for f, _ in batch.starts if f.id in answer.started]
            for lane in LANES:
                self._waiting.back += answer.claimed[lane] + answer.prefetched[lane]
            return
        if batch.starts:
            self._place_started(answer, batch)
        for lane in sorted(LANES, key=lambda each: answer.firsts.get(each, LAST)) if answer.firsts else LANES:
            if not self._place(answer.claimed[lane], batch.demand.of(lane)) and lane in answer.firsts:
                # The other lane took the idle executor; this one's row is the first of its lane again.
                answer.heads[lane] = answer.firsts[lane]
            self._held.keep(answer.prefetched[lane], lane)

    def _place_started(self, answer: Answer, batch: Batch) -> None:
        started = [start for start in batch.starts if start[0].id in answer.started]
        for flight, _ in batch.starts:
            if flight.id not in answer.started and flight.id not in answer.late:
                logger.info("task %s is not this worker's to start any more (CLAIM_LOST)", flight.id)
        self._place([flight for flight, _ in started], [executor for _, executor in started])

    def _lookout_answered(self, answer: Answer, batch: Batch, saw_all: bool, took_s: float) -> None:
        places = batch.demand
        for lane in LANES:
            if saw_all and not answer.expired and answer.taken(lane) < places.wants(lane):
                self._lookout.wanted.discard(lane)
        is_full = any(0 < places.wants(lane) <= answer.taken(lane) for lane in LANES)
        from_front, now = batch.spans is None, time.monotonic()
        from_front_s = self._low_water.answered(
            now, took_s, answer.marks, from_front=from_front, is_slow=answer.is_slow, is_full=is_full
        )
        due_s = answer.due_s if from_front_s is None else from_front_s
        found = any(map(answer.taken, LANES))
        self._lookout.answered(places.lanes, answer.heads, found=found, again=answer.again, due_s=due_s)

    # -- placing

    def _place(self, flights: list[Flight], places: list[ExecutorProcess]) -> bool:
        """Send each row to the executor it was claimed for, unless something that is not quick would wait there.

        Returns:
            Whether all were sent; what was not is handed back.
        """
        if not flights:
            return True
        self.read_ahead.batch_came([flight.task_name for flight in flights if flight.kind == "process"])
        groups: dict[ExecutorProcess, list[Flight]] = {}
        sent_all = True
        for flight, executor in zip(flights, places, strict=False):
            group = groups.setdefault(executor, [])
            if executor.ready and fits(flight, executor, group, self.read_ahead.is_quick):
                group.append(flight)
            else:
                sent_all = False
                self._waiting.back.append(flight)
                self._wake.set()
        for executor, group in groups.items():
            if group:
                self._send(executor, group)
        if any(executor.lane == "process" and len(executor.flights) > 1 for executor in groups):
            self._watch.begin()
        return sent_all

    def _send(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        for flight in flights:
            self._seq += 1
            flight.seq = self._seq
        was_idle = not executor.flights
        executor.run(flights)
        if self._pool.tasks_left(executor) <= 0:
            self._pool.retire(executor, "count")
        if was_idle or executor.lane == "shared":
            self._head_changed(executor)

    def _head_changed(self, executor: ExecutorProcess) -> None:
        if executor.lane == "shared":
            for flight in executor.flights.values():
                self._limits.begin(executor, flight)
        elif (head := executor.head()) is not None:
            self._limits.begin(executor, head)
