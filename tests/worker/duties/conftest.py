"""The stage of the recovery tests, and a worker's link to its database."""

from collections.abc import AsyncGenerator, Generator

import pytest

from horsies_worker.link import Link
from tests.worker.recovery.stage import Stage


@pytest.fixture
def stage(database_url: str) -> Generator[Stage]:
    """A database of this test's own, with an app."""
    stage = Stage(database_url)
    yield stage
    stage.close()


@pytest.fixture
async def link(stage: Stage) -> AsyncGenerator[Link]:
    """A connection as a worker has it for its duties."""
    link = Link(stage.broker.conninfo(), prepare=True)
    yield link
    await link.close()
