"""A clock that tests set: the time that the statements of this process take for now (D-004)."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from horsies.app import Horsies
from horsies.broker import Broker
from horsies.ops.schedules import database_time


class Clock:
    """The time of one app in this process; it stands still until it is moved."""

    def __init__(self, broker: Broker, now: datetime) -> None:
        self._broker = broker
        self.set(now)

    @property
    def now(self) -> datetime:
        """The time that statements take for now."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the time, also back.

        Args:
            now: An aware datetime.

        Raises:
            ValueError: It is naive.
        """
        if now.tzinfo is None:
            raise ValueError(
                f"the clock is set to an aware datetime, not to {now.isoformat()} without a zone"
            )
        self._now = self._broker.now = now

    def advance(self, by: float | timedelta) -> datetime:
        """Move the time on.

        Args:
            by: Seconds, or a timedelta.

        Returns:
            The new time.
        """
        self.set(self._now + (by if isinstance(by, timedelta) else timedelta(seconds=by)))
        return self._now

    def __repr__(self) -> str:
        return f"<Clock {self._now.isoformat()}>"


@contextmanager
def clock(app: Horsies) -> Generator[Clock]:
    """Take the time of the statements that this process sends for `app` into the test's own hands.

    It stands still at the database's time of now. Other processes, and other apps of this one, keep the
    database's clock; `sent_at` is the sender's clock and not moved.

    Example:
        with clock(app) as time:
            remind.schedule(3600)
            assert drain(app) == []
            time.advance(3600)
            assert len(drain(app)) == 1
    """
    broker = app.get_broker()
    before = broker.now
    try:
        yield Clock(broker, broker.run(database_time(before)))
    finally:
        broker.now = before
