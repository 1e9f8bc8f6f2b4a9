"""Low-water marks: where a claim starts while dead entries pile up at the front of its index (11 D-029).

An old snapshot (a long report, a forgotten session) keeps the entries of rows that have been claimed and finished
since; a claim that starts at the front of the index walks over all of them. The server tells when that takes long.
From then on most claims start where earlier ones have got to. Marks are hints, since a row can appear below them, so
claims from the front go on as well, but take at most a tenth of the time.
"""

import json
from dataclasses import dataclass, field

BACKLOG_S = 1.0
"""While there is always more to claim, one claim in so many seconds is from the front."""
SHARE = 9
"""So many times as long as a claim from the front took, the next one waits."""

type Lane = tuple[str, str, int]
"""(queue, executor value, priority)"""


@dataclass(slots=True)
class LowWater:
    """Decides for each claim whether it starts at the front or at the marks.

    Attributes:
        poll_interval_s: A claim from the front is made at least as often, whatever it costs.
    """

    poll_interval_s: float
    _marks: dict[Lane, float] = field(default_factory=dict[Lane, float])
    _is_slow: bool = False
    _ended_at: float = 0.0
    _took_s: float = 0.0
    _was_full: bool = False

    def next(self, now: float) -> str | None:
        """The marks that the next claim starts at, as the statement takes them; None: it starts at the front.

        Args:
            now: On the monotonic clock.
        """
        if not self._is_slow or not self._marks or self.next_full_in(now) <= 0:
            return None
        return json.dumps(
            [
                {"queue": queue, "executor": executor, "priority": priority, "since": since}
                for (queue, executor, priority), since in self._marks.items()
            ]
        )

    def next_full_in(self, now: float) -> float:
        """Seconds until a claim may start at the front again."""
        wait = SHARE * self._took_s
        if self._was_full:
            wait = max(wait, BACKLOG_S)
        return self._ended_at + min(wait, self.poll_interval_s) - now

    def note(self, queue: str, executor: str, priority: int, since: float) -> None:
        """A claim has got so far (seconds since 1970)."""
        self._marks[queue, executor, priority] = since

    def answered(
        self, now: float, took_s: float, *, from_marks: bool, is_slow: bool, is_full: bool
    ) -> float | None:
        """A claim has been answered.

        Args:
            now: On the monotonic clock.
            took_s: What its round trip took.
            from_marks: It started at the marks.
            is_slow: The server had to walk far to find the front.
            is_full: It filled every place, so there is probably more.

        Returns:
            In how many seconds one from the front is to follow; None if not before the next wake-up.
        """
        self._was_full = is_full
        if from_marks:
            return None if is_full else max(0.0, self.next_full_in(now))
        self._is_slow, self._took_s, self._ended_at = is_slow, took_s, now
        if not is_slow:
            self._marks.clear()
        return None
