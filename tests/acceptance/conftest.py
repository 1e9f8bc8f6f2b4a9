"""A worker process and the app it runs, on a database of the test's own."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.fresh_module import fresh_module
from tests.fixtures.roles import for_worker
from tests.helpers import RunningProcess, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.basic"

type StartWorker = Callable[..., AbstractContextManager[RunningProcess]]


@pytest.fixture
def basic(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """The module tests.acceptance.apps.basic, its app on this test's database."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
    with fresh_module(APP) as module:
        yield module


@pytest.fixture
def start_worker(database_url: str) -> StartWorker:
    """Starts a worker for `basic` and waits until it is ready; arguments go on its command line."""

    @contextmanager
    def start(*arguments: str, ready: str = "ready:") -> Generator[RunningProcess]:
        with running_module(
            "horsies_worker",
            f"{APP}:app",
            *arguments,
            environment={"ACCEPTANCE_DATABASE_URL": for_worker(database_url)},
            directory=ROOT,
        ) as worker:
            if ready:
                worker.wait_for(ready)
            yield worker

    return start
