"""Which executor the next rows are for: breadth first, so that nothing waits while an executor is free.

Rows come in two lanes: `process` tasks have an executor to themselves, `thread` and `async` tasks share one, up to its
concurrency (R-031). An idle executor can serve either; it is offered to one lane at a time (R-032).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight
from horsies_worker.read_ahead import ReadAhead

type Lane = Literal["process", "shared"]
LANES: tuple[Lane, Lane] = ("process", "shared")


@dataclass(frozen=True, slots=True)
class Demand:
    """For each lane one entry for each row that may be claimed now, in the order in which rows are to be placed."""

    process: list[ExecutorProcess] = field(default_factory=list[ExecutorProcess])
    shared: list[ExecutorProcess] = field(default_factory=list[ExecutorProcess])
    lanes: frozenset[Lane] = frozenset()
    """The lanes that may have rows; where there are two, the answer tells which has the first one left."""
    hold: Mapping[Lane, int] = field(default_factory=dict[Lane, int])
    """How many rows more may be claimed to be held, by lane (R-054)."""

    def __bool__(self) -> bool:
        return bool(self.process or self.shared or any(self.hold.values()))

    def wants(self, lane: Lane) -> int:
        """How many rows of a lane may be claimed."""
        return len(self.of(lane)) + self.hold.get(lane, 0)

    def free(self, lane: Lane) -> int:
        """How many of its places are free, those that come first; in the others a row waits behind another."""
        if lane == "shared":
            return len(self.shared)
        return len({executor for executor in self.process if not executor.flights})

    def of(self, lane: Lane) -> list[ExecutorProcess]:
        """The places of one lane."""
        return self.process if lane == "process" else self.shared


class LaneOrder(Protocol):
    """Whose rows come first.

    Attributes:
        idle_for: The lane that gets idle executors; None: both.
        starving: The lane whose first row comes before all of the other lane; an executor has to become free for it.
    """

    idle_for: Lane | None
    starving: Lane | None


class Places:
    """What may be claimed, by what the executors have."""

    def __init__(self, read_ahead: ReadAhead, concurrency: int) -> None:
        self._read_ahead = read_ahead
        self._concurrency = concurrency
        self._pool: ExecutorPool
        self._at_rest: tuple[int, Demand] | None = None
        """Depth and demand of the last time that all executors were idle: mostly the next one is the same."""

    def attach(self, pool: ExecutorPool) -> None:
        """Whose executors they are."""
        self._pool = pool

    def changed(self) -> None:
        """There are other executors than before."""
        self._at_rest = None

    def demand(self, lanes: Collection[Lane], order: LaneOrder, hold: Mapping[Lane, int]) -> Demand:
        """What may be claimed; the same object as before if that has not changed for a worker at rest.

        Args:
            lanes: Those that may have rows.
            order: What is known of the lanes' first rows.
            hold: How many rows more may be held, by lane.
        """
        pool, depth, idle_for, starving = self._pool, self._read_ahead.depth(), order.idle_for, order.starving
        executors = pool.executors
        rests = idle_for is None and not pool.is_limited and not any(e.flights for e in executors)
        if rests and self._at_rest is not None:
            old_depth, before = self._at_rest
            if old_depth == depth and before.lanes == lanes and before.hold == hold:
                return before
        ready = [executor for executor in executors if executor.ready]
        process = [e for e in ready if e.lane == "process" or (e.lane is None and idle_for != "shared")]
        shared = [e for e in ready if e.lane == "shared" or (e.lane is None and idle_for != "process")]
        if starving is not None:
            first, other = (process, shared) if starving == "process" else (shared, process)
            if not first and other:
                other.remove(min(other, key=lambda e: len(e.flights)))
        made = Demand(
            self._process_places(process, depth) if "process" in lanes else [],
            self._shared_places(shared) if "shared" in lanes else [],
            frozenset(lanes),
            hold,
        )
        if rests:
            self._at_rest = (depth, made)
        return made

    def _process_places(self, executors: list[ExecutorProcess], depth: int) -> list[ExecutorProcess]:
        if depth == 1:
            return [executor for executor in executors if not executor.flights]
        left = self._pool.tasks_left
        return _breadth_first([(e, min(_room(e, depth, self._read_ahead), left(e))) for e in executors])

    def _shared_places(self, executors: list[ExecutorProcess]) -> list[ExecutorProcess]:
        left = self._pool.tasks_left
        return _breadth_first([(e, min(self._concurrency - len(e.flights), left(e))) for e in executors])


def fits(
    flight: Flight, executor: ExecutorProcess, group: list[Flight], is_quick: Callable[[str], bool]
) -> bool:
    """Whether a row may go to an executor behind what it has and `group`: kinds never mix, slow ones do not wait."""
    before = group[-1] if group else next(reversed(executor.flights.values()), None)
    if before is None:
        return True
    if flight.kind != "process":
        return before.kind != "process"
    return before.kind == "process" and is_quick(flight.task_name) and is_quick(before.task_name)


def _breadth_first(rooms: list[tuple[ExecutorProcess, int]]) -> list[ExecutorProcess]:
    """Level by level, counting what each has already."""
    loads = [(executor, len(executor.flights), len(executor.flights) + room) for executor, room in rooms]
    places: list[ExecutorProcess] = []
    for level in range(max((top for _, _, top in loads), default=0)):
        places.extend(executor for executor, load, top in loads if load <= level < top)
    return places


def _room(executor: ExecutorProcess, depth: int, read_ahead: ReadAhead) -> int:
    """Rows that this executor may get on top of what it has: none behind a task that is slow or not measured yet."""
    head = executor.head()
    if head is None:
        return depth
    if not read_ahead.is_quick(head.task_name):
        return 0
    return max(0, depth - len(executor.flights))
