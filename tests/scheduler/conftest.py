"""Schedulers on a database of the test's own."""

from collections.abc import AsyncGenerator, Callable

import pytest

from tests.scheduler.stage import Stage

type MakeStage = Callable[..., Stage]


@pytest.fixture
async def make_stage(database_url: str) -> AsyncGenerator[MakeStage]:
    """Makes stages, all on one database; closed with the test."""
    made: list[Stage] = []

    def make(*schedules: object, **settings: object) -> Stage:
        stage = Stage(database_url, *schedules, **settings)  # type: ignore[arg-type]
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.close()
