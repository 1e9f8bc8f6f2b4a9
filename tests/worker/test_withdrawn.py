"""Tasks that an executor gives back unbegun: which of them run elsewhere."""

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

    def run(self, flights: list[Flight]) -> None:
        self.flights |= {flight.seq: flight for flight in flights}

    def head(self) -> Flight | None:
        return next(iter(self.flights.values()), None)


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


def flight(task_id: str, *, is_cancelled: bool = False) -> Flight:
    made = Flight(task_id, 1, "task", "mail", "process", None, None, None, 0, 0)
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


def withdraw(it: Coordinator, source: Executor, idle: Executor, *flights: Flight) -> list[str]:
    """The ids of those that go back to the database."""
    it.withdrawn(cast("ExecutorProcess", source), list(flights))
    running = ids(source) + ids(idle)
    return [each.id for each in it.flights() if each.id not in running]


def ids(executor: Executor) -> list[str]:
    return [each.id for each in executor.flights.values()]


async def test_a_cancelled_task_that_had_not_begun_begins_nowhere() -> None:
    """M-051: it goes back, which ends it; the next one gets the place."""
    source, idle = Executor({0: flight("running")}), Executor()
    it = coordinator(source, idle)
    back = withdraw(it, source, idle, flight("cancelled", is_cancelled=True), flight("b"), flight("c"))
    assert back == ["cancelled", "c"]
    assert ids(idle) == ["b"]


async def test_nothing_begins_while_others_may_have_taken_it() -> None:
    """R-091."""
    source, idle = Executor(), Executor()
    it = coordinator(source, idle, silence_limit_s=-1.0)
    assert withdraw(it, source, idle, flight("a")) == ["a"]
    assert ids(idle) == []
