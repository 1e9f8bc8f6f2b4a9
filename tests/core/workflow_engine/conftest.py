"""An engine on a database of the test's own."""

from collections.abc import Iterator

import pytest

from tests.core.workflow_engine.engine import Engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The engine, with a worker that runs nothing."""
    engine = Engine(database_url)
    yield engine
    engine.close()
