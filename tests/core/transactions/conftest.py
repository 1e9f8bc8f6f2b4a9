"""An app with one task, its rows, a table of the caller's own."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from horsies import Horsies, TaskError, TaskResult
from tests.core.apps import make_app
from tests.core.cycle_driver import CycleDriver
from tests.core.task_rows import TaskRows


def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


def register(app: Horsies) -> Any:
    """The task `pack` of an app."""
    return app.task("pack", pack)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    """The tables; `orders` is the caller's."""
    found = TaskRows(database_url)
    found.execute("create table orders (number int primary key)")
    yield found
    found.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app on the database."""
    found = make_app(database_url)
    yield found
    found.get_broker().close()


@pytest.fixture
def task(app: Horsies) -> Any:
    """The task `pack`."""
    return register(app)


@pytest.fixture
def worker(database_url: str) -> Iterator[CycleDriver]:
    """A worker that runs nothing."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield CycleDriver(connection)
