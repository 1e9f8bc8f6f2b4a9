"""What the database answers to a cycle, read into one record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from horsies_worker.flight import Flight
from horsies_worker.lookout import LAST, Head
from horsies_worker.low_water import Mark
from horsies_worker.places import Lane

type MakeFlight = Callable[[tuple[Any, ...]], Flight]
"""A claimed row made into a flight."""


@dataclass(slots=True)
class Answer:
    """A cycle's answer.

    Attributes:
        claimed: Rows that are started, by lane, in their order.
        prefetched: Rows that are this worker's to start later, likewise.
        firsts: Where in the order the first of the rows taken stands, by lane; only if several lanes were asked.
        heads: Where the first row stands that is left in a lane, as far as it was asked.
        started: Ids of rows that were held and are started.
        expired: Rows whose deadline had passed when they were claimed.
        late: Ids of rows that were held and whose deadline has passed.
        retried: Ids of ends that are followed by another run.
        lost: Ids of ends that belong to somebody else by now.
        busy: Ids of ends that were not written, as somebody is at their workflow.
        waits: Seconds from the due time to the claim, of each row taken.
        again: Rows that are due were passed over, as they were locked.
        due_s: Seconds until the next row becomes due.
        is_slow: The server had to walk far to find the front (D-029).
        marks: How far the claim has got.
    """

    claimed: dict[Lane, list[Flight]] = field(default_factory=lambda: {"process": [], "shared": []})
    prefetched: dict[Lane, list[Flight]] = field(default_factory=lambda: {"process": [], "shared": []})
    firsts: dict[Lane, Head] = field(default_factory=dict[Lane, Head])
    heads: dict[Lane, Head] = field(default_factory=dict[Lane, Head])
    started: set[str] = field(default_factory=set[str])
    expired: list[Flight] = field(default_factory=list[Flight])
    late: set[str] = field(default_factory=set[str])
    retried: set[str] = field(default_factory=set[str])
    lost: set[str] = field(default_factory=set[str])
    busy: set[str] = field(default_factory=set[str])
    waits: list[float] = field(default_factory=list[float])
    again: bool = False
    due_s: float | None = None
    is_slow: bool = False
    marks: list[Mark] = field(default_factory=list[Mark])

    def taken(self, lane: Lane) -> int:
        """How many rows of a lane were taken; expired ones are not counted."""
        return len(self.claimed[lane]) + len(self.prefetched[lane])


def read(rows: Sequence[tuple[Any, ...]], lane: Lane, make_flight: MakeFlight) -> Answer:
    """The rows of a cycle; `lane`: the one they are about, until one of them names another."""
    answer = Answer()
    for row in rows:
        tag = row[0]
        if tag == "claimed" or tag == "prefetched":
            flight = make_flight(row)
            answer.waits.append(row[11])
            (answer.claimed if tag == "claimed" else answer.prefetched)[lane].append(flight)
        elif tag == "lane":
            lane = row[3]
        elif tag == "first":
            answer.firsts[lane] = (row[9], row[10], -row[11])
        elif tag == "head":
            answer.heads[lane] = min(answer.heads.get(lane, LAST), (row[9], row[10], -row[11]))
        elif tag == "expired":
            if row[3] is None:
                answer.late.add(row[1])
            else:
                answer.expired.append(make_flight(row))
        elif tag == "again":
            answer.again = True
        elif tag == "due":
            answer.due_s = row[11] if answer.due_s is None else min(answer.due_s, row[11])
        elif tag == "walk":
            answer.is_slow = True
        elif tag == "mark":
            answer.marks.append((row[4], row[5], row[10], row[11], row[1]))
        elif tag in _IDS:
            _IDS[tag](answer).add(row[1])
    return answer


_IDS: dict[str, Callable[[Answer], set[str]]] = {
    "started": lambda answer: answer.started,
    "retried": lambda answer: answer.retried,
    "lost": lambda answer: answer.lost,
    "busy": lambda answer: answer.busy,
}
