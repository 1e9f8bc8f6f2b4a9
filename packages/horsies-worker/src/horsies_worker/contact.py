"""Whether others may have taken this worker for dead (R-091); pure bookkeeping of the heartbeats that were answered."""

import time
from collections.abc import Callable


class Contact:
    """Once a gap between two answered heartbeats was too long, contact is lost until `restored` is called."""

    def __init__(self, limit_s: float) -> None:
        """Args: limit_s: how long a worker may be silent before its runs are given up by the others."""
        self._limit_s = limit_s
        self._answered_at = time.monotonic()
        self._was_lost = False
        self.ask: Callable[[], None] = lambda: None
        """Makes the worker send a heartbeat now."""

    def answered(self, sent_at: float) -> None:
        """A heartbeat sent at that time (monotonic clock) was answered."""
        self._was_lost = self.is_lost
        self._answered_at = sent_at

    @property
    def is_lost(self) -> bool:
        """Whether nothing may be dispatched: what was claimed may be somebody else's by now."""
        return self._was_lost or self.is_silent

    @property
    def is_silent(self) -> bool:
        """Whether no heartbeat has been answered for too long, until this moment."""
        return time.monotonic() - self._answered_at > self._limit_s

    def restored(self) -> None:
        """What was claimed and not dispatched has been given back (R-092)."""
        self._was_lost = False
