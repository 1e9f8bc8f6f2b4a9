"""An app with tasks of every kind, on a database of the test's own."""

from collections.abc import Iterator

import pytest

from horsies import Horsies
from tests.core.apps import make_queue_app


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app with the queues mail and bulk."""
    found = make_queue_app(database_url)
    yield found
    found.get_broker().close()
