"""A database of the test's own, an app on it, its rows, and a worker that runs nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from horsies import Horsies, Ok, TaskError, TaskResult
from horsies.task import SyncTaskFunction
from tests.core.apps import make_queue_app
from tests.core.control.looks import Rows
from tests.core.cycle_driver import CycleDriver

type Connect = Callable[[], Rows]
type Send = Callable[..., str]

QUEUES = {"mail": (10, None), "bulk": (90, None)}


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app with the queues mail and bulk."""
    found = make_queue_app(database_url)
    yield found
    found.get_broker().close()


@pytest.fixture
def pack(app: Horsies) -> SyncTaskFunction[..., int]:
    """A task of the queue mail."""

    @app.task("pack", queue_name="mail")
    def function(n: int = 0) -> TaskResult[int, TaskError]:
        return TaskResult(ok=n)

    return function


@pytest.fixture
def send(pack: SyncTaskFunction[..., int]) -> Send:
    """Sends `pack` with options; gives the id."""

    def send_it(n: int = 0, **options: Any) -> str:
        sent = pack.with_options(**options).send(n=n)
        assert isinstance(sent, Ok), sent
        return sent.ok_value.task_id

    return send_it


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    """Opens further autocommit connections, closed with the test."""
    with ExitStack() as stack:

        def open_one() -> Rows:
            connect_dict = psycopg.Connection[dict[str, Any]].connect
            return stack.enter_context(connect_dict(database_url, autocommit=True, row_factory=dict_row))

        yield open_one


@pytest.fixture
def rows(connect: Connect) -> Rows:
    """A connection for looking and for moving things along."""
    return connect()


@pytest.fixture
def worker(connect: Connect) -> CycleDriver:
    """A worker that serves both queues."""
    return CycleDriver(connect(), QUEUES)
