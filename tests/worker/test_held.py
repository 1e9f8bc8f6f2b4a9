"""Rows that are held to start later: what starts when, where, and what is left to claim (CF-17, R-054)."""

from dataclasses import dataclass, field
from typing import cast

from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.flight import Flight
from horsies_worker.held import Held
from horsies_worker.places import LANES, Demand, Lane

BOTH: frozenset[Lane] = frozenset(LANES)


@dataclass(eq=False)
class Executor:
    """As much of an executor as places are chosen by."""

    flights: dict[int, Flight] = field(default_factory=dict[int, Flight])


def executor(*names: str) -> ExecutorProcess:
    """One that runs tasks of these names."""
    flights = {number: flight(name) for number, name in enumerate(names)}
    return cast("ExecutorProcess", Executor(flights))


def flight(task_id: str, task_name: str = "quick") -> Flight:
    return Flight(task_id, 1, task_name, "mail", "process", None, None, None, 0, 0)


def is_quick(task_name: str) -> bool:
    return task_name == "quick"


def ids(starts: list[tuple[Flight, ExecutorProcess]]) -> list[str]:
    return [each.id for each, _ in starts]


def test_the_room_is_shared_by_the_lanes_that_are_asked() -> None:
    """R-054: never more in all than the buffer holds."""
    held = Held(5)
    assert sum(held.room(LANES).values()) == 5
    held.keep([flight("a"), flight("b")], "process")
    assert held.room(sorted(BOTH - {"process"})) == {"shared": 3}
    assert sum(held.room(LANES).values()) == 3
    assert Held().room(LANES) == {"process": 0, "shared": 0}


def test_what_is_held_starts_first_and_in_order() -> None:
    """R-054: the places that are left are for new rows."""
    held, one, two, three = Held(5), executor(), executor(), executor()
    held.keep([flight("a"), flight("b")], "process")
    starts, left = held.start(Demand([one, two, three], [], BOTH), is_quick)
    assert (ids(starts), [place for _, place in starts]) == (["a", "b"], [one, two])
    assert (left.process, left.shared, left.lanes) == ([three], [], BOTH)
    assert not held


def test_only_quick_rows_start_behind_another() -> None:
    """R-041: a row that is not quick waits for a free place, and what comes after it waits too."""
    held, busy = Held(5), executor("quick")
    held.keep([flight("slow", "slow"), flight("quick")], "process")
    starts, left = held.start(Demand([busy, busy], [], BOTH), is_quick)
    assert (starts, left.process) == ([], [])
    assert [each.id for each in held.flights()] == ["slow", "quick"]
    free = executor()
    starts, left = held.start(Demand([free, free], [], BOTH), is_quick)
    assert ids(starts) == ["slow", "quick"]


def test_an_idle_executor_goes_to_the_row_that_was_held_first() -> None:
    """R-031, R-032: offered to both lanes, it serves one of them."""
    held, idle = Held(5), executor()
    held.keep([flight("a")], "shared")
    held.keep([flight("b")], "process")
    starts, left = held.start(Demand([idle], [idle, idle], BOTH), is_quick)
    assert ids(starts) == ["a"]
    assert (left.process, left.shared) == ([], [idle])
    assert held.lanes == {"process"}


def test_what_is_held_for_too_long_comes_out() -> None:
    """CF-17, CF-08."""
    patient, impatient = Held(5, 3600.0), Held(5, 0.0)
    for held in (patient, impatient):
        held.keep([flight("a"), flight("b")], "process")
    assert patient.too_old() == []
    assert [each.id for each in impatient.too_old()] == ["a", "b"]
    assert not impatient


def test_lost_rows_and_all_rows_are_let_go() -> None:
    """R-078, R-130."""
    held = Held(5)
    held.keep([flight("a"), flight("b"), flight("c")], "process")
    held.drop(["b", "unknown"])
    assert [each.id for each in held.clear()] == ["a", "c"]
    assert held.flights() == []


def test_what_was_held_for_too_long_is_left_to_others_for_a_while() -> None:
    """CF-17: it would be claimed again by the very cycle that gives it back."""
    held = Held(5, 0.0, rest_s=3600.0)
    assert held.too_old() == []
    assert held.room(["process"]) == {"process": 5}
    held.keep([flight("a")], "process")
    assert [each.id for each in held.too_old()] == ["a"]
    assert held.room(LANES) == {"process": 0, "shared": 0}


def test_rows_are_held_again_after_that() -> None:
    """CF-17, R-054."""
    held = Held(5, 0.0)
    held.keep([flight("a")], "process")
    assert held.too_old()
    assert held.room(["process"]) == {"process": 5}
