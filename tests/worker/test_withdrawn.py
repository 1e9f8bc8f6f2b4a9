"""Tasks that an executor gives back unbegun: which of them run elsewhere."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

from horsies_worker.claims import Claims
from horsies_worker.contact import Contact
from horsies_worker.coordinator import Coordinator
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight
from horsies_worker.held import Held


@dataclass(eq=False)
class Executor:
    """As much of an executor as tasks are moved by."""

    flights: dict[int, Flight] = field(default_factory=dict[int, Flight])
    ready: bool = True
    lane: str | None = None
    killed_for: str | None = None

    def run(self, flights: list[Flight]) -> None:
        self.flights |= {flight.seq: flight for flight in flights}

    def head(self) -> Flight | None:
        return next(iter(self.flights.values()), None)

    def kill(self, reason: str) -> None:
        self.killed_for = reason


@dataclass
class Pool:
    executors: list[Executor]

    def tasks_left(self, executor: Executor) -> int:
        return 1

    def let_go(self, executor: Executor) -> None:
        """Nothing is retired here."""


class NoClaims:
    def attach(self, *_: object) -> None:
        """Nothing is claimed here."""


def flight(task_id: str, *, is_cancelled: bool = False, timeout_ms: int | None = None) -> Flight:
    made = Flight(task_id, 1, "task", "mail", "process", None, None, timeout_ms, 0, 0)
    made.is_cancelled = is_cancelled
    return made


def coordinator(*executors: Executor, silence_limit_s: float = 60.0) -> Coordinator:
    made = Coordinator(
        "me",
        cast("Claims", NoClaims()),
        lambda row: flight("never"),
        Contact(silence_limit_s),
        Held(),
        concurrency=1,
        poll_interval_s=60.0,
    )
    made.attach(cast("ExecutorPool", Pool(list(executors))))
    return made


def withdraw(it: Coordinator, source: Executor, *flights: Flight) -> list[str]:
    """The ids of those that go back to the database."""
    it.withdrawn(cast("ExecutorProcess", source), list(flights))
    running = {each.id for executor in it._pool.executors for each in executor.flights.values()}
    return [each.id for each in it.flights() if each.id not in running]


def ids(executor: Executor) -> list[str]:
    return [each.id for each in executor.flights.values()]


async def test_a_cancelled_task_that_had_not_begun_begins_nowhere() -> None:
    """M-051: it goes back, which ends it; the next one gets the place."""
    source, idle = Executor({0: flight("running")}), Executor()
    it = coordinator(source, idle)
    assert withdraw(it, source, flight("cancelled", is_cancelled=True), flight("b"), flight("c")) == [
        "cancelled",
        "c",
    ]
    assert ids(idle) == ["b"]


async def test_nothing_begins_while_others_may_have_taken_it() -> None:
    """R-091."""
    source, idle = Executor(), Executor()
    it = coordinator(source, idle, silence_limit_s=-1.0)
    assert withdraw(it, source, flight("a")) == ["a"]
    assert ids(idle) == []


async def test_the_time_limit_begins_anew() -> None:
    """T-53, R-080: what has run into it where it waited is not late where it runs."""
    source, idle = Executor(), Executor()
    it = coordinator(source, idle)
    late = flight("late", timeout_ms=20)
    it._send(cast("ExecutorProcess", source), [late])
    await asyncio.sleep(0.1)
    assert source.killed_for == "timeout"
    source.flights.clear()
    late.timeout_ms = 60_000
    assert withdraw(it, source, late) == []
    assert it._limits.end(late) is False
