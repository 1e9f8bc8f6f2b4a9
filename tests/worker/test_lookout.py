"""Which lanes a worker looks at, and when."""

import asyncio

from horsies_worker.lookout import Lookout
from horsies_worker.places import LANES, Lane

NOTHING: frozenset[Lane] = frozenset()
PROCESS: frozenset[Lane] = frozenset(("process",))
SHARED: frozenset[Lane] = frozenset(("shared",))


def lookout(usual: frozenset[Lane]) -> Lookout:
    made = Lookout(usual, 60.0, lambda: None)
    made.wanted.clear()
    return made


async def test_a_wake_up_is_about_the_lanes_of_the_tasks_registered_here() -> None:
    look = lookout(PROCESS)
    look.look()
    assert look.wanted == PROCESS
    look.wanted.clear()
    look.look_everywhere()
    assert look.wanted == set(LANES)
    look.stop()


async def test_a_wake_up_about_nothing_there_is_followed_elsewhere_once() -> None:
    """R-032: a row of a kind that no task here has is found without waiting for the poll."""
    look = lookout(PROCESS)
    look.look()
    look.wanted.clear()  # the claim came short
    look.answered(PROCESS, {}, found=False, again=False, due_s=None)
    assert look.wanted == SHARED
    look.wanted.clear()
    look.answered(SHARED, {}, found=False, again=False, due_s=None)
    assert look.wanted == NOTHING
    look.stop()


async def test_a_wake_up_that_was_about_something_ends_there() -> None:
    look = lookout(PROCESS)
    look.look()
    look.wanted.clear()
    look.answered(PROCESS, {}, found=True, again=False, due_s=None)
    assert look.wanted == NOTHING
    look.stop()


async def test_the_clock_looks_everywhere() -> None:
    """R-123: the poll finds what no wake-up told of; so does the time at which a row becomes due."""
    woken = asyncio.Event()
    look = Lookout(PROCESS, 60.0, woken.set)
    look.wanted.clear()
    look.answered(PROCESS, {}, found=True, again=False, due_s=0.001)
    await asyncio.wait_for(woken.wait(), 30)
    assert look.wanted == set(LANES)
    look.stop()


async def test_idle_executors_go_to_the_lane_whose_first_row_comes_first() -> None:
    """R-032"""
    look = lookout(frozenset(LANES))
    look.look()
    look.answered(
        frozenset(LANES), {"process": (1, 5, 0.0), "shared": (1, 4, 0.0)}, found=True, again=False, due_s=None
    )
    assert look.idle_for == "shared"
    look.stop()


async def test_the_clock_goes_on_while_nothing_is_asked() -> None:
    """R-123, CF-17: with every place taken no claim is sent, and what is held still grows old."""
    looks = 0
    thrice = asyncio.Event()

    def wake() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            thrice.set()

    look = Lookout(PROCESS, 0.001, wake)
    look.wanted.clear()
    look.answered(PROCESS, {}, found=True, again=False, due_s=None)
    await asyncio.wait_for(thrice.wait(), 30)
    look.stop()
