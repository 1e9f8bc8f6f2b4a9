"""Low-water marks: where a claim starts instead of at the front of its index (11 D-029).

Entries of rows that have been claimed since the last vacuum stay at the front, and an old snapshot (a long report, a
forgotten session) keeps them there; a claim that starts at the front walks over all of them. While there is a backlog,
and whenever the server says that the walk takes long, most claims leave out what earlier ones have emptied. Marks are
hints, since a row can appear below them (a late commit, a return), so claims from the front go on as well, but take at
most a tenth of the time. Rows of a better priority are not behind any mark: every claim comes upon them.
"""

from collections.abc import Sequence
from itertools import pairwise

from horsies.db import arrays

LATE_S = 1.0
"""So far below a mark claims start while there is no backlog: a row that is committed late is found at once."""
BACKLOG_S = 1.0
"""While there is always more to claim, one claim in so many seconds is from the front, however far that is."""
SHARE = 9
"""So many times as long as a claim from the front took, the next one waits."""

type Mark = tuple[str, str, int, float, str]
"""(queue, executor value, priority, seconds since 1970, id): the first of the last rows that were claimed there."""
type Start = tuple[int, float, str]
"""(priority, seconds since 1970, id)"""

FIRST_ID = "00000000-0000-0000-0000-000000000000"
FRONT: Start = (0, float("-inf"), FIRST_ID)
END: Start = (101, 0.0, FIRST_ID)


class LowWater:
    """Decides for each claim whether it starts at the front or at the marks."""

    def __init__(self, poll_interval_s: float) -> None:
        """Args: poll_interval_s: A claim from the front is made at least as often, whatever it costs."""
        self._poll_interval_s = poll_interval_s
        self._marks: dict[tuple[str, str], dict[int, Start]] = {}
        self._is_slow = False
        self._ended_at = 0.0
        self._took_s = 0.0
        self._was_full = False

    def next(self, now: float) -> str | None:
        """The spans that the next claim looks into, as the statement takes them; None: it starts at the front.

        Args:
            now: On the monotonic clock.
        """
        if not self._marks or self.next_full_in(now) <= 0:
            return None
        return arrays.rows(
            (queue, executor, low, since, task_id, end - 1)
            for (queue, executor), marks in self._marks.items()
            for (low, since, task_id), (end, *_) in pairwise(
                [FRONT, *sorted(map(self._start, marks.values())), END]
            )
        )

    def next_full_in(self, now: float) -> float:
        """Seconds until a claim may start at the front again."""
        wait = SHARE * self._took_s
        if self._is_slow and self._was_full:
            wait = max(wait, BACKLOG_S)
        return self._ended_at + min(wait, self._poll_interval_s) - now

    def answered(
        self,
        now: float,
        took_s: float,
        marks: Sequence[Mark],
        *,
        from_front: bool,
        is_slow: bool,
        is_full: bool,
    ) -> float | None:
        """A claim has been answered.

        Args:
            now: On the monotonic clock.
            took_s: What its round trip took.
            marks: How far it has got.
            from_front: It did not start at marks.
            is_slow: The server had to walk far to find the front.
            is_full: It filled every place, so there is probably more.

        Returns:
            In how many seconds one from the front is to follow; None if not before the next wake-up.
        """
        self._was_full = is_full
        if from_front:
            self._is_slow, self._took_s, self._ended_at = is_slow, took_s, now
        keeps = self._is_slow or is_full
        if not keeps or (from_front and not is_slow):
            self._marks.clear()
        if keeps:
            for queue, executor, priority, since, task_id in marks:
                self._marks.setdefault((queue, executor), {})[priority] = (priority, since, task_id)
        if from_front or is_full:
            return None
        return max(0.0, self.next_full_in(now)) if self._is_slow else 0.0

    def _start(self, mark: Start) -> Start:
        priority, since, _ = mark
        return mark if self._was_full else (priority, since - LATE_S, FIRST_ID)
