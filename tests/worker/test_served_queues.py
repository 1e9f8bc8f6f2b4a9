"""Which queues a worker claims from, and in what order they stand."""

import pytest

from horsies import AppConfig, CustomQueueConfig, Horsies, PostgresConfig, QueueMode
from horsies.errors.diagnostic import ConfigurationError
from horsies_worker.claims import ServedQueue
from horsies_worker.worker import served_queues
from tests.core.apps import UNREACHABLE

BROKER = PostgresConfig(database_url=UNREACHABLE)


def test_without_queues_of_its_own_an_app_has_one_at_priority_100() -> None:
    """R-051, CF-12: `default`, no cap."""
    app = Horsies(AppConfig(broker=BROKER))
    assert served_queues(app, None) == [ServedQueue("default", 100, None)]


def test_queues_come_with_their_priority_and_cap() -> None:
    """R-051, CF-13: and --queues chooses among them."""
    queues = [
        CustomQueueConfig(name="mail", priority=10),
        CustomQueueConfig(name="bulk", priority=90, max_concurrency=3),
    ]
    app = Horsies(AppConfig(broker=BROKER, queue_mode=QueueMode.CUSTOM, custom_queues=queues))
    assert served_queues(app, None) == [ServedQueue("mail", 10, None), ServedQueue("bulk", 90, 3)]
    assert served_queues(app, ["bulk"]) == [ServedQueue("bulk", 90, 3)]
    for wrong in ([], ["bulk", "bulk"], ["nope"]):
        with pytest.raises(ConfigurationError):
            served_queues(app, wrong)
