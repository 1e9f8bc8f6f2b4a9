"""Queues: one called `default`, or those the application names."""

from enum import StrEnum

from pydantic import Field

from horsies.config.base import ConfigModel

DEFAULT_QUEUE = "default"
RESERVED_PREFIX = "horsies."


class QueueMode(StrEnum):
    """Whether the application has the one queue `default` or its own."""

    DEFAULT = "default"
    CUSTOM = "custom"


class CustomQueueConfig(ConfigModel):
    """One queue of an application in `QueueMode.CUSTOM`.

    Attributes:
        name: up to 255 bytes; names beginning with `horsies.` are reserved.
        priority: 1 to 100; tasks of queues with a lower number are claimed first.
        max_concurrency: tasks of this queue that may run at once in the whole cluster; None for no limit, 0
            to stop it.
    """

    name: str = Field(min_length=1)
    priority: int = Field(default=1, strict=True, ge=1, le=100)
    max_concurrency: int | None = Field(default=None, strict=True, ge=0)


def queue_name_problem(name: str) -> str | None:
    """Tell why a text cannot be the name of a queue, or None if it can."""
    if not name:
        return "is empty"
    if name.startswith(RESERVED_PREFIX):
        return f"begins with {RESERVED_PREFIX!r}, which is reserved for the library"
    if "\0" in name:
        return "holds the character U+0000, which PostgreSQL cannot store"
    if len(name.encode(errors="replace")) > 255:
        return "is longer than 255 bytes"
    return None
