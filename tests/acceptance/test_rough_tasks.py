"""Tasks that do to their process what tasks should not: everything still ends, and nothing of it harms the next task."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from horsies import OperationalErrorCode
from tests.acceptance.fresh_module import fresh_module
from tests.helpers import RunningProcess, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.rough"
WAIT_MS = 20_000

type StartRough = Callable[..., AbstractContextManager[RunningProcess]]


@pytest.fixture
def rough(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """The module tests.acceptance.apps.rough, its app on this test's database."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
    with fresh_module(APP) as module:
        yield module


@pytest.fixture
def start(database_url: str) -> StartRough:
    """Starts a worker for `rough` with one executor and waits until it is ready."""

    @contextmanager
    def begin(*arguments: str) -> Generator[RunningProcess]:
        with running_module(
            "horsies_worker",
            *(f"{APP}:app", "--processes", "1", *arguments),
            environment={"ACCEPTANCE_DATABASE_URL": database_url},
            directory=ROOT,
        ) as worker:
            worker.wait_for("ready:")
            yield worker

    return begin


@pytest.mark.parametrize("name", ["interrupts", "interrupts_in_thread", "interrupts_async"])
def test_an_interrupt_ends_the_process_and_the_run(rough: Any, start: StartRough, name: str) -> None:
    """T-49, R-104: it propagates as far as the executor, whose end is noticed; the next task finds another one."""
    with start() as worker:
        error = getattr(rough, name).send().unwrap().get(WAIT_MS).err_value
        assert error.error_code is OperationalErrorCode.WORKER_CRASHED
        assert "KeyboardInterrupt" in worker.stderr
        assert rough.pid.send().unwrap().get(WAIT_MS).is_ok()
        assert worker.stop() == 0
