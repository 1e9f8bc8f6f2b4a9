"""The worker's loop: one round trip finishes everything that ended since the last one and claims for every free place.

While a round trip is under way results gather, so batches grow with the load by themselves and an idle worker adds no
delay. Nothing here decodes arguments or results: their text goes from the row to the executor and back.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from horsies.tracing import is_loaded
from horsies_worker import failures
from horsies_worker.batch import Batch
from horsies_worker.busy_trees import NEXT_CYCLE_S, BusyTrees
from horsies_worker.claims import Claims
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight, Outcome
from horsies_worker.lookout import LAST, Head, Lookout
from horsies_worker.low_water import LowWater
from horsies_worker.metrics import WorkerMetrics
from horsies_worker.places import LANES, Demand, Lane, demand
from horsies_worker.read_ahead import WITHDRAW_AFTER_S, ReadAhead
from horsies_worker.time_limits import TimeLimits, stop_run

logger = logging.getLogger("horsies.worker")

CANCEL_LOOK_S = 0.050

type KindOf = Callable[[str, str], str]
"""(task name, executor value of the row) -> 'process', 'thread' or 'async'"""


class Coordinator:
    """Keeps executors busy. Implements `ExecutorEvents`; everything runs in one event loop, so nothing is locked."""

    def __init__(
        self,
        worker_id: str,
        claims: Claims,
        kind_of: KindOf,
        *,
        concurrency: int,
        poll_interval_s: float,
        tracing: bool,
        usual_lanes: Collection[Lane] = LANES,
    ) -> None:
        self.read_ahead = ReadAhead()
        self.failed_because: str | None = None
        """Set when the worker cannot go on."""
        self.metrics: WorkerMetrics | None = None
        self._worker_id = worker_id
        self._claims = claims
        self._kind_of = kind_of
        self._concurrency = concurrency
        self._tracing = tracing
        self._pool: ExecutorPool
        self._limits = TimeLimits()
        self._waiting = Batch()
        self._writing = Batch()
        self._wake = asyncio.Event()
        self._lookout = Lookout(usual_lanes, poll_interval_s, self._wake.set)
        self._low_water = LowWater(poll_interval_s)
        self._claiming = True
        self._next: Demand | None = None
        """Made while the worker rests: what the next wake-up will most likely ask for."""
        self._seq = 0
        self._watch: asyncio.TimerHandle | None = None
        self._busy = BusyTrees(self._finish_busy, self._put_back)

    def attach(self, pool: ExecutorPool) -> None:
        """The pool whose events come here."""
        self._pool = pool
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
        for executor in self._pool.executors:
            if executor.lane == "process":
                executor.ask_back(list(executor.flights)[1:])
        self._wake.set()

    def give_up(self, reason: str) -> None:
        """The worker cannot go on: drain and end with an error."""
        self.failed_because = self.failed_because or reason
        self.stop_claiming()

    def cancel(self, task_id: str) -> None:
        """Stop a task whose cancel was requested: withdrawn if it has not begun, else stopped (M-051)."""
        for executor in self._pool.executors:
            for flight in executor.flights.values():
                if flight.id == task_id:
                    if executor.begun(flight.seq):
                        stop_run(executor, flight)
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
        for executor in self._pool.executors:
            for flight in list(executor.flights.values()):
                if (flight.id, flight.generation) in lost:
                    logger.warning("task %s has another owner by now and is stopped here", flight.id)
                    stop_run(executor, flight)

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
        return in_executors + self._waiting.flights() + self._writing.flights() + self._busy.flights()

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
            flight.run_us = run_us
            flight.trace_for_retry = context
            took(flight.task_name, run_us * 1e-6)
            if self.metrics is not None:
                outcome = "COMPLETED" if ok else "FAILED"
                self.metrics.task_finished(flight.task_name, flight.queue_name, outcome, run_us * 1e-6)
            late = flight.timeout_ms is not None and self._limits.end(flight)
            if ok:
                completed.append(Outcome(flight, envelope))
            else:
                ended.append(
                    failures.timed_out(flight) if late else Outcome(flight, envelope, error_code, message)
                )
        self._head_changed(executor)
        if not executor.flights:
            self._pool.let_go(executor)
        if of_workflows:
            self.claim_soon()  # the cycle that ends a node claims what follows it
        if self._claims.are_capped:
            self._lookout.wanted.update(LANES)  # what a cap held back may start now
        self._wake.set()

    def withdrawn(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        """Run elsewhere if a place is free, else handed back."""
        idle = [e for e in self._pool.executors if e.ready and not e.flights] if self._claiming else []
        for target, flight in zip(idle, flights, strict=False):
            self._send(target, [flight])
        self._waiting.back += flights[len(idle) :]
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
            "%s (pid %d) is gone; of its tasks %d had begun, %d had not",
            *(executor.name, executor.pid, len(begun), len(not_begun)),
        )
        self._next = None
        self._pool.replace(executor)
        self._wake.set()

    def executor_ready(self) -> None:
        """A replacement can take tasks."""
        self._next = None
        self.claim_soon(everywhere=True)

    def executor_too_big(self, executor: ExecutorProcess, rss: int) -> None:
        """Another process takes its place (R-039)."""
        logger.info("%s holds %.0f MB and is replaced", executor.name, rss / 1e6)
        self._next = None
        self._pool.retire(executor)

    # -- the loop

    async def run(self) -> None:
        """Cycle until claiming has been stopped and everything has been written."""
        while self._claiming or self.flights():
            await self._wake.wait()
            self._wake.clear()
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
            self._take_rows(rows, batch, calls == self._lookout.calls, took_s)
            self._busy.cycle_ended(batch, {row[1] for row in rows if row[0] == "busy"})
            if not self._claiming:
                self._wake.set()
            elif not self._lookout.wanted and not self.flights():
                self._next = self._demand(self._lookout.usual)
                self._claims.prepare(self._next)
        self._lookout.stop()
        if self._watch is not None:
            self._watch.cancel()

    def _take_batch(self) -> Batch:
        batch, self._waiting = self._waiting, Batch()
        next_demand, self._next = self._next, None
        if self._claiming and (wanted := self._lookout.wanted):
            if next_demand is not None and frozenset(wanted) == self._lookout.usual and batch.is_empty():
                batch.demand = next_demand
            else:
                batch.demand = self._demand(wanted)
            batch.marks = self._low_water.next(time.monotonic())
        return batch

    def _demand(self, wanted: Collection[Lane]) -> Demand:
        return demand(self._pool, self.read_ahead, self._concurrency, wanted, self._lookout.idle_for)

    async def _finish_busy(self, nodes: Batch) -> None:
        self._take_rows(await self._claims.finish_busy(nodes), Batch(), saw_all=False, took_s=0.0)

    def _put_back(self, batch: Batch) -> None:
        self._waiting.add(batch)
        asyncio.get_running_loop().call_later(NEXT_CYCLE_S, self._wake.set)

    def _take_rows(self, rows: list[tuple[Any, ...]], batch: Batch, saw_all: bool, took_s: float) -> None:
        places = batch.demand
        claimed: dict[Lane, list[Flight]] = {"process": [], "shared": []}
        again = is_slow = False
        due_s: float | None = None
        lane: Lane = "process" if places.process else "shared"
        heads: dict[Lane, Head] = {}
        for row in rows:
            tag = row[0]
            if tag == "claimed":
                claimed[lane].append(self._flight_of(row))
                continue
            _, identity, _, name, queue, executor, *_, rank, priority, seconds, _, _ = row
            if tag == "lane":
                lane = name
            elif tag == "head":
                heads[lane] = min(heads.get(lane, LAST), (rank, priority, -seconds))
            elif tag == "expired":
                self._waiting.ended.append(failures.expired(self._flight_of(row), self._worker_id))
                self._wake.set()
            elif tag == "again":
                again = True
            elif tag == "due":
                due_s = seconds if due_s is None else min(due_s, seconds)
            elif tag == "walk":
                is_slow = True
            elif tag == "mark":
                self._low_water.note(queue, executor, priority, seconds)
            elif tag == "retried":
                self.claim_soon()  # the pass that follows tells when it is due
            elif tag == "lost":
                logger.warning("the outcome of task %s was dropped: it has another owner by now", identity)
        if not places:
            return
        for lane in LANES:
            self._place(claimed[lane], places.of(lane))
            if saw_all and len(claimed[lane]) < len(places.of(lane)):
                self._lookout.wanted.discard(lane)
        is_full = any(0 < len(places.of(lane)) <= len(claimed[lane]) for lane in LANES)
        from_front_s = self._low_water.answered(
            time.monotonic(), took_s, from_marks=batch.marks is not None, is_slow=is_slow, is_full=is_full
        )
        due_s = due_s if from_front_s is None else from_front_s
        found = any(claimed.values())
        self._lookout.answered(places.lanes, heads, found=found, again=again, due_s=due_s)

    def _flight_of(self, row: tuple[Any, ...]) -> Flight:
        _, identity, generation, name, queue, executor, kwargs, options, *numbers, _, flow, context = row
        kind = self._kind_of(name, executor)
        flight = Flight(identity, generation, name, queue, kind, kwargs, options, *numbers)
        flight.workflow_id = flow
        if self._tracing and (context is not None or is_loaded()):
            flight.trace = (context, identity, queue, flight.retry_count)
        return flight

    # -- placing

    def _place(self, flights: list[Flight], places: list[ExecutorProcess]) -> None:
        """Send each row to the executor it was claimed for, unless something that is not quick would wait there."""
        if not flights:
            return
        self.read_ahead.batch_came([flight.task_name for flight in flights if flight.kind == "process"])
        groups: dict[ExecutorProcess, list[Flight]] = {}
        for flight, executor in zip(flights, places, strict=False):
            group = groups.setdefault(executor, [])
            if executor.ready and self._fits(flight, executor, group):
                group.append(flight)
            else:
                self._waiting.back.append(flight)
                self._wake.set()
        for executor, group in groups.items():
            if group:
                self._send(executor, group)
        if any(executor.lane == "process" and len(executor.flights) > 1 for executor in groups):
            self._watch_waiting()

    def _fits(self, flight: Flight, executor: ExecutorProcess, group: list[Flight]) -> bool:
        before = group[-1] if group else next(reversed(executor.flights.values()), None)
        if before is None:
            return True
        if flight.kind != "process":
            return before.kind != "process"
        is_quick = self.read_ahead.is_quick
        return before.kind == "process" and is_quick(flight.task_name) and is_quick(before.task_name)

    def _send(self, executor: ExecutorProcess, flights: list[Flight]) -> None:
        for flight in flights:
            self._seq += 1
            flight.seq = self._seq
        was_idle = not executor.flights
        executor.run(flights)
        if self._pool.tasks_left(executor) <= 0:
            self._pool.retire(executor)
        if was_idle or executor.lane == "shared":
            self._head_changed(executor)

    def _watch_waiting(self) -> None:
        if self._watch is None:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WITHDRAW_AFTER_S, self._ask_back_waiting)

    def _ask_back_waiting(self) -> None:
        """What waits behind a task that turned out slow is withdrawn (R-041)."""
        self._watch = None
        now = time.monotonic()
        for executor in self._pool.executors:
            if executor.lane == "process" and len(executor.flights) > 1:
                if now - executor.first_in_line_at > WITHDRAW_AFTER_S:
                    executor.ask_back(list(executor.flights)[1:])
                self._watch_waiting()

    def _head_changed(self, executor: ExecutorProcess) -> None:
        if executor.lane == "shared":
            for flight in executor.flights.values():
                self._limits.begin(executor, flight)
        elif (head := executor.head()) is not None:
            self._limits.begin(executor, head)
