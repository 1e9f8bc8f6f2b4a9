"""Which lanes may have rows to claim, and when to look again: at a wake-up, a due time, after a lock, by the poll."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from horsies_worker.places import LANES, Lane

AGAIN_FIRST_S = 0.005
AGAIN_MAX_S = 0.100
LAST = (1 << 30, 0, 0.0)
"""Comes after every row in the claim order (queue rank, priority, minus the seconds waited)."""
AFTER_ALL = (1 << 31, 0, 0.0)

type Head = tuple[int, int, float]


class Lookout:
    """Remembers what to look for; `wake` runs the loop.

    Attributes:
        wanted: Lanes that may have rows to claim.
        usual: The lanes of the tasks registered here. A wake-up asks for these; the others are looked at when it turns
            out to have been about nothing there, and at every poll.
        idle_for: The lane that gets idle executors; None offers them to both, when it is not known that both have rows.
        starving: The lane whose first row comes before that of the other lane, if both have one; where every executor
            is at work for the other lane, one makes room for it (R-032).
        calls: How often somebody wanted a look; one that comes while a claim is under way may be about rows it did not
            see.
    """

    def __init__(self, usual: Collection[Lane], poll_interval_s: float, wake: Callable[[], None]) -> None:
        self.usual: frozenset[Lane] = frozenset(usual or LANES)
        self.wanted: set[Lane] = set(LANES)
        self.idle_for: Lane | None = None
        self.starving: Lane | None = None
        self.calls = 0
        self._unusual: frozenset[Lane] = frozenset(LANES) - self.usual
        self._poll_interval_s = poll_interval_s
        self._wake = wake
        self._again_s = AGAIN_FIRST_S
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def look(self) -> None:
        """There may be something to claim."""
        self._look(self.usual)

    def look_everywhere(self) -> None:
        """There may be something to claim, and not only in the usual lanes."""
        self._look(LANES)

    def answered(
        self,
        asked: frozenset[Lane],
        heads: Mapping[Lane, Head],
        *,
        found: bool,
        again: bool,
        due_s: float | None,
    ) -> None:
        """A claim has been answered; lanes that came short are no longer in `wanted`.

        Args:
            asked: Its lanes.
            heads: The first row left in a lane, where it is known.
            found: It claimed something.
            again: It stepped over rows that were locked.
            due_s: When the next row becomes due.
        """
        if not found and not self.wanted and asked == self.usual:
            self.wanted.update(self._unusual)
        self.idle_for = self.starving = None
        if self.wanted:
            if len(heads) == len(LANES):
                self.starving = "process" if heads["process"] < heads["shared"] else "shared"
            # Idle executors go to the lane whose first row comes first; one that came short has none left.
            self.idle_for = min(
                LANES, key=lambda each: heads.get(each, LAST) if each in self.wanted else AFTER_ALL
            )
            self._wake()
        self._plan(again, due_s)

    def stop(self) -> None:
        """No more looks by the clock."""
        for timer in self._timers.values():
            timer.cancel()

    def _look(self, lanes: Collection[Lane]) -> None:
        if len(self.wanted) < len(LANES):
            self.idle_for = None
        self.wanted.update(lanes)
        self.calls += 1
        self._wake()

    def _plan(self, again: bool, due_s: float | None) -> None:
        self._later("poll", self._poll_interval_s, self._poll)
        if again:
            self._later("again", self._again_s, self.look_everywhere)
            self._again_s = min(self._again_s * 2, AGAIN_MAX_S)
        else:
            self._again_s = AGAIN_FIRST_S
        if due_s is not None and due_s < self._poll_interval_s:
            self._later("due", max(due_s, 0.0), self.look_everywhere)

    def _poll(self) -> None:
        # Again by itself: where every place is taken no claim follows whose answer would plan the next one.
        self._later("poll", self._poll_interval_s, self._poll)
        self.look_everywhere()

    def _later(self, key: str, seconds: float, then: Callable[[], None]) -> None:
        if key in self._timers:
            self._timers[key].cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, then)
