"""The stage of these tests."""

from collections.abc import Generator

import pytest

from tests.worker.recovery.stage import Stage


@pytest.fixture
def stage(database_url: str) -> Generator[Stage]:
    """A database of this test's own, with an app."""
    stage = Stage(database_url)
    yield stage
    stage.close()
