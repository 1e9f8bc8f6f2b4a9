"""A worker without processes, for tests: it claims and ends tasks with the cycle and runs them in the calling thread.

`horsies.testing` finds it by its entry point. Everything that decides is the worker's own: the statements, what is
written about an end, the retry policy, the steps of workflows (T-87).
"""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from psycopg.errors import CheckViolation

from horsies.app import Horsies
from horsies.codec.injected import OkTypes
from horsies.db import arrays
from horsies.db.effects import Op, Row, Run
from horsies.definition import TaskDefinition
from horsies.ids import new_task_id
from horsies.ops.read import read_task
from horsies.ops.recover import expire_pending
from horsies.outcome import RunOutcome, finish_error, unknown_task_error
from horsies.workflow.result_types import result_types
from horsies_worker import failures
from horsies_worker.answers import Answer, read
from horsies_worker.batch import Batch
from horsies_worker.child.execution import run_async_def, run_def
from horsies_worker.child.prepare import STEP_TASK, run_step
from horsies_worker.claims import ClaimSettings
from horsies_worker.cycle_params import written
from horsies_worker.flight import Flight, Outcome
from horsies_worker.registrations import LANE_EXECUTORS, Registrations
from horsies_worker.worker import STEPS, policy_of, served_queues

PLACE = 1
PROCESS_NAME = "inline"
AGAIN_S = 0.01


class InlineRunner:
    """What `horsies.testing` runs tasks with; called in a thread without a running event loop."""

    def run(self, task: TaskDefinition, kwargs: str | None) -> str:
        """Run a task once; the envelope of its result."""
        flight = Flight(
            new_task_id(), 1, task.name, task.queue_name, "process", kwargs, None, task.timeout_ms, 0, None
        )
        with asyncio.Runner() as loop:
            return _run_task(task, flight, result_types(_no_type), loop).outcome.envelope

    def drain(self, app: Horsies, queues: Sequence[str] | None, timeout_s: float) -> list[str]:
        """Run what is due and what comes of it; the ids of the tasks that were run."""
        broker = app.get_broker()
        before = broker.now
        try:
            with asyncio.Runner() as loop:
                drainer = Drainer(app, queues, loop, moves=before is None)
                drainer.run(timeout_s)
                return [*drainer.begun]
        finally:
            broker.now = before


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    ok: bool
    outcome: Outcome


class Drainer:
    """One worker's life: from the first claim until nothing is due.

    Attributes:
        begun: Ids of the tasks that were run, in the order in which they first began.
    """

    def __init__(
        self, app: Horsies, queues: Sequence[str] | None, loop: asyncio.Runner, *, moves: bool
    ) -> None:
        """`moves`: time moves on to the due time of a retry instead of waiting for it."""
        self._app = app
        self._broker = app.get_broker()
        self._loop = loop
        self._moves = moves
        self._ok_types = result_types(app.ok_type_of)
        self._policy_of = partial(policy_of, app)
        self._flight = Registrations(app.tasks, "process", tracing=False).flight
        self._executors: Mapping[int, tuple[int, str]] = {PLACE: (os.getpid(), PROCESS_NAME)}
        self._settings = ClaimSettings(
            str(uuid.uuid4()),
            socket.gethostname(),
            [*served_queues(app, queues), STEPS],
            app.config.cluster_wide_cap,
            LANE_EXECUTORS["process"],
        )
        self._constant = self._settings.params() | {
            "pids": arrays.plain([os.getpid()]),
            "names": arrays.texts([PROCESS_NAME]),
        }
        self._to_retry: set[str] = set()
        self.begun: dict[str, None] = {}

    def run(self, timeout_s: float) -> None:
        """Until nothing is due any more.

        Raises:
            TimeoutError: There was more to do after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        self._broker.run(expire_pending(self._broker.now))
        batch = Batch()
        while True:
            answer = self._cycle(batch, places=1)
            self._to_retry |= answer.retried
            batch = Batch(
                ended=[failures.expired(flight, self._settings.worker_id) for flight in answer.expired]
            )
            over = time.monotonic() > deadline
            for flight in answer.claimed["process"]:
                if over:
                    batch.back.append(flight)
                    self._cycle(batch, places=0)
                    raise TimeoutError(self._complaint(timeout_s, flight))
                if flight.task_name != STEP_TASK:
                    self.begun[flight.id] = None
                self._execute(flight, batch)
            if not batch.is_empty():
                continue
            if answer.again and not over:
                time.sleep(AGAIN_S)
            elif not self._move_on():
                return

    def _execute(self, flight: Flight, batch: Batch) -> None:
        """Run one task; its end goes into the batch."""
        begun = time.perf_counter()
        try:
            ended = self._run(flight)
        except BaseException:  # the interrupt of a user: for a worker this run has crashed
            self._cycle(Batch(ended=[failures.crashed(flight, "was interrupted")]), places=0)
            raise
        flight.run_us = round((time.perf_counter() - begun) * 1e6)
        (batch.completed if ended.ok else batch.ended).append(ended.outcome)

    def _run(self, flight: Flight) -> Ended:
        task = self._app.tasks.get(flight.task_name)
        if task is not None:
            return _run_task(task.definition, flight, self._ok_types, self._loop)
        if flight.task_name == STEP_TASK:
            return _ended(flight, run_step(self._app, flight.kwargs or "", self._ok_types))
        return _ended(flight, finish_error(unknown_task_error(flight.task_name)))

    # -- the database

    def _cycle(self, batch: Batch, *, places: int) -> Answer:
        try:
            rows = self._broker.run(self._op(batch, places))
        except CheckViolation as error:
            if error.diag.constraint_name is not None:
                raise
            # The day of these ends has no partition yet (D-031): time was moved, or nobody has worked here for days.
            for name in sorted({*self._broker.run(_known_classes()), *self._app.config.retention.classes()}):
                self._broker.run(_ensure_history(name, self._broker.now))
            rows = self._broker.run(self._op(batch, places))
        return read(rows, "process", self._flight)

    def _op(self, batch: Batch, places: int) -> Op[list[Row]]:
        params: dict[str, object] = {
            **self._constant,
            **written(batch, self._policy_of, self._executors),
            "lanes": arrays.plain(["any"] if places else []),
            "executors": arrays.texts([",".join(self._settings.executors.values())] if places else []),
            "places": arrays.texts([arrays.plain([PLACE] * places)] if places else []),
            "now": self._broker.now,
        }
        rows: list[Row] = yield Run("cycle", params)
        if any(row[0] == "busy" for row in rows):
            # Somebody holds these workflows: written by the statement that waits for them.
            waiting = {
                name: params[name] for name in ("worker", "workflows", "node_ends", "node_backs", "now")
            }
            rows += yield Run("finish_busy", waiting)
        return rows

    def _move_on(self) -> bool:
        """Move the time to the next of the retries that wait, if there is one and time may be moved."""
        found = [self._broker.run(read_task(task_id)) for task_id in self._to_retry] if self._moves else []
        waiting = [
            task
            for task in found
            if task is not None and task.next_retry_at is not None and not task.terminal_at
        ]
        self._to_retry = {task.id for task in waiting}
        due = min((task.enqueued_at for task in waiting), default=None)
        now = self._broker.now
        if due is None or (now is not None and due <= now):
            return False  # nothing to wait for, or something else keeps it from being claimed
        self._broker.now = due
        return True

    def _complaint(self, timeout_s: float, flight: Flight) -> str:
        return (
            f"drain: {len(self.begun)} tasks ran within {timeout_s:g} s and more are due, the next being"
            f" {flight.task_name!r} {flight.id}; give it more time, or look for tasks that send themselves again"
        )


def _run_task(task: TaskDefinition, flight: Flight, ok_types: OkTypes, loop: asyncio.Runner) -> Ended:
    """Run a task; over its time limit it ends as a worker would end it (T-53)."""
    limit_s = None if flight.timeout_ms is None else flight.timeout_ms / 1000
    if task.signature.is_async:
        ended, late = loop.run(_run_async(task, flight, ok_types, limit_s))
    else:
        begun = time.monotonic()
        ended = _ended(flight, run_def(task, flight.kwargs, ok_types))
        # A worker would have killed it; here it can only be told afterwards.
        late = limit_s is not None and time.monotonic() - begun > limit_s
        if late:
            return Ended(ok=False, outcome=failures.timed_out(flight))
    return Ended(ok=False, outcome=failures.timed_out(flight)) if late and not ended.ok else ended


async def _run_async(
    task: TaskDefinition, flight: Flight, ok_types: OkTypes, limit_s: float | None
) -> tuple[Ended, bool]:
    running = asyncio.ensure_future(run_async_def(task, flight.kwargs, ok_types))
    _, late = await asyncio.wait((running,), timeout=limit_s)
    if late:
        running.cancel()
    return _ended(flight, await running), bool(late)


def _ended(flight: Flight, outcome: RunOutcome) -> Ended:
    return Ended(outcome.ok, Outcome(flight, outcome.envelope, outcome.error_code, outcome.error_message))


def _known_classes() -> Op[list[str]]:
    rows: list[Row] = yield Run("known_classes", {})
    return [row[0] for row in rows]


def _ensure_history(name: str, now: datetime | None) -> Op[None]:
    yield Run("ensure_history", {"class": name, "now": now})


def _no_type(task_name: str) -> None:
    """No earlier results come into a run outside of a workflow."""
