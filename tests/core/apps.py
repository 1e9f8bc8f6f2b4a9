"""Applications for the tests of tasks and sends."""

from typing import Any

from horsies import AppConfig, CustomQueueConfig, Horsies, PostgresConfig, QueueMode

UNREACHABLE = "postgresql://nobody:secret@127.0.0.1:1/none"
"""A database URL nothing listens at: a connection is refused at once."""

QUEUES = [CustomQueueConfig(name="mail", priority=10), CustomQueueConfig(name="bulk", priority=90)]


def make_app(url: str = UNREACHABLE, **settings: Any) -> Horsies:
    """An app with the one queue `default`."""
    broker = settings.pop("broker", None) or PostgresConfig(database_url=url, pool_timeout=5)
    return Horsies(AppConfig(broker=broker, **settings))


def make_queue_app(url: str = UNREACHABLE, **settings: Any) -> Horsies:
    """An app with the queues `mail` (priority 10) and `bulk` (90)."""
    return make_app(url, queue_mode=QueueMode.CUSTOM, custom_queues=QUEUES, **settings)
