"""Rows that this worker holds CLAIMED beyond its free places, to start them when one frees (prefetch, CF-17, R-054)."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight
from horsies_worker.places import LANES, Demand, Lane

type Start = tuple[Flight, ExecutorProcess]


@dataclass(frozen=True, slots=True)
class _Row:
    flight: Flight
    lane: Lane
    since: float


class Held:
    """At most `size` rows, none for longer than `max_age_s`; after one was, none are taken for `rest_s`."""

    def __init__(self, size: int = 0, max_age_s: float = 180.0, rest_s: float = 0.0) -> None:
        self._size = size
        self.max_age_s = max_age_s
        self._rest_s = rest_s
        self._rests_until = 0.0
        self._rows: dict[str, _Row] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def flights(self) -> list[Flight]:
        """All that is held, in the order in which it is to start."""
        return [row.flight for row in self._rows.values()]

    @property
    def lanes(self) -> set[Lane]:
        """The lanes that have rows here."""
        return {row.lane for row in self._rows.values()}

    def room(self, lanes: Collection[Lane]) -> dict[Lane, int]:
        """How many rows more of each of these lanes may be held."""
        left, rooms = self._size - len(self._rows), dict[Lane, int]()
        if self._rests_until:
            if time.monotonic() < self._rests_until:
                left = 0
            else:
                self._rests_until = 0.0
        for asked, lane in enumerate(lanes):
            rooms[lane] = left // (len(lanes) - asked)
            left -= rooms[lane]
        return rooms

    def keep(self, flights: Collection[Flight], lane: Lane) -> None:
        """Hold these."""
        now = time.monotonic()
        self._rows.update({flight.id: _Row(flight, lane, now) for flight in flights})

    def start(self, places: Demand, is_quick: Callable[[str], bool]) -> tuple[list[Start], Demand]:
        """What starts now, before anything that is still to be claimed, and the places that are left for that.

        Args:
            places: Where rows may go, the order of places as it is.
            is_quick: Whether a task may wait behind another one.
        """
        starts: list[Start] = []
        left = {lane: list(places.of(lane)) for lane in LANES}
        lane_of: dict[ExecutorProcess, Lane] = {}
        full: set[Lane] = set()
        for row in list(self._rows.values()):
            lane = row.lane
            spot = None
            if lane not in full:
                waits = is_quick(row.flight.task_name)
                spot = next(
                    (
                        place
                        for place in left[lane]
                        if lane_of.get(place, lane) == lane
                        and (lane == "shared" or waits or not (place.flights or place in lane_of))
                    ),
                    None,
                )
            if spot is None:
                full.add(lane)
                continue
            left[lane].remove(spot)
            lane_of[spot] = lane
            starts.append((row.flight, spot))
            del self._rows[row.flight.id]
        for lane in LANES:
            left[lane] = [] if lane in full else [e for e in left[lane] if lane_of.get(e, lane) == lane]
        return starts, Demand(left["process"], left["shared"], places.lanes, places.hold)

    def too_old(self) -> list[Flight]:
        """What has been held for too long; it is held no more, and left to others for a while."""
        now = time.monotonic()
        flights = [row.flight for row in self._rows.values() if row.since <= now - self.max_age_s]
        if flights:
            self._rests_until = now + self._rest_s
        return self._release(flights)

    def drop(self, ids: Collection[str]) -> None:
        """These are not this worker's any more."""
        for task_id in ids:
            self._rows.pop(task_id, None)

    def clear(self) -> list[Flight]:
        """Everything; nothing is held any more."""
        return self._release(self.flights())

    def _release(self, flights: list[Flight]) -> list[Flight]:
        self.drop([flight.id for flight in flights])
        return flights
