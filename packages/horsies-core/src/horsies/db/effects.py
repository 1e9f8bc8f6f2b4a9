"""What an operation may ask of its driver. Operations are generators without I/O of their own, so that each is written
once and runs behind a blocking call as well as in an event loop (drive.py holds the two drivers).

Inside an operation one `Run` is one round trip and one transaction: whatever must be atomic is one statement, mostly a
function of the schema. An operation that waits holds no connection while it does.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

type Row = tuple[Any, ...]
"""One row as psycopg gives it; operations give it types at their own edge."""


@dataclass(frozen=True, slots=True)
class Run:
    """Execute the statement called `name`; the answer is its rows (a list of tuples)."""

    name: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Listen:
    """Subscribe to a channel; the answer is a `Subscription` that the operation must close.

    Attributes:
        channel: Its name.
        payload: Wake only for messages with this payload; None: for all.
        buffer: How many payloads are kept for `Subscription.drain`.
    """

    channel: str
    payload: str | None
    buffer: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a message of a subscription, at most `seconds`; the answer tells whether one came."""

    subscription: Any
    seconds: float


type Effect = Run | Listen | Wait
type Op[R] = Generator[Effect, Any, R]
"""An operation with result R."""
