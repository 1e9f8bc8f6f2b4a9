"""Tasks that do to their process what tasks should not: everything ends, and the next task is not harmed."""

import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from horsies import OperationalErrorCode, OutcomeCode
from tests.acceptance.fresh_module import fresh_module
from tests.acceptance.notes import notes
from tests.helpers import RunningProcess, eventually, running_module

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


def test_def_tasks_run_outside_of_the_event_loop(rough: Any, start: StartRough) -> None:
    """R-031: an executor that has run an async task still runs `def` tasks that open a loop of their own."""
    with start() as worker:
        for turn in range(3):
            asleep = rough.pid_async.send_many([{}] * 20).unwrap()
            ran_in = {handle.get(WAIT_MS).ok_value for handle in asleep}
            assert rough.pid_in_thread.send().unwrap().get(WAIT_MS).ok_value in ran_in
            assert rough.runs_a_loop.send(turn).unwrap().get(WAIT_MS).ok_value == turn
            assert rough.pid.send().unwrap().get(WAIT_MS).ok_value in ran_in
            assert len(ran_in) == 1
        assert worker.stop() == 0


def test_what_an_async_task_leaves_goes_on_after_a_def_task(rough: Any, start: StartRough) -> None:
    """The same loop goes on as soon as nothing needs its thread."""
    with start() as worker:
        rough.leaves_a_task.send().unwrap().get(WAIT_MS)
        rough.runs_a_loop.send(1).unwrap().get(WAIT_MS)
        eventually(lambda: rough.ticks.send().unwrap().get(WAIT_MS).ok_value > 3)
        before = rough.ticks.send().unwrap().get(WAIT_MS).ok_value
        assert rough.naps.send(0.5).unwrap().get(WAIT_MS).is_ok()
        eventually(lambda: rough.ticks.send().unwrap().get(WAIT_MS).ok_value > before + 3)
        assert worker.stop() == 0


def test_the_end_of_a_process_that_has_forked_is_noticed(rough: Any, start: StartRough) -> None:
    """R-033, R-081: what the task has forked outlives the executor, and must not hide its end."""
    with start() as worker:
        begun = time.monotonic()
        error = rough.forks.send(60.0, 30.0).unwrap().get(WAIT_MS).err_value
        assert error.error_code is OutcomeCode.TASK_TIMEOUT
        assert rough.forks.send(0.0, 30.0).unwrap().get(WAIT_MS).is_ok()
        assert worker.stop() == 0
        assert time.monotonic() - begun < 29


def test_a_copy_that_returns_from_its_task_ends(rough: Any, start: StartRough, tmp_path: Path) -> None:
    """R-075: neither its result nor what was read ahead counts twice."""
    folder = str(tmp_path)
    with start() as worker:
        copy = rough.returns_twice.send(folder).unwrap().get(WAIT_MS).ok_value
        texts = [{"folder": folder, "text": str(n)} for n in range(50)]
        assert all(handle.get(WAIT_MS).is_ok() for handle in rough.write.send_many(texts).unwrap())
        eventually(lambda: not psutil.pid_exists(copy) or psutil.Process(copy).status() == "zombie")
        assert sorted(notes(tmp_path)) == sorted(["parent", "copy", *map(str, range(50))])
        assert worker.stop() == 0


def test_what_a_task_starts_can_be_terminated(rough: Any, start: StartRough) -> None:
    """Stop signals stay away from executors only (R-036), not from what they start."""
    with start() as worker:
        assert rough.terminates.send().unwrap().get(WAIT_MS).ok_value == -signal.SIGTERM
        for method in ("fork", "spawn"):
            assert rough.maps.send(method).unwrap().get(WAIT_MS).ok_value == 6
        assert worker.stop() == 0


@pytest.mark.parametrize("name", ["sleeps_well", "sleeps_well_async"])
def test_stop_signals_do_not_wake_a_task(rough: Any, start: StartRough, tmp_path: Path, name: str) -> None:
    """R-036: a signal to the process group finds its executors as if nothing had come."""
    with start() as worker:
        handle = getattr(rough, name).send(str(tmp_path), 2.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin"])
        (executor,) = psutil.Process(worker.pid).children()
        for number in (signal.SIGTERM, signal.SIGINT) * 3:
            os.kill(executor.pid, number)
            time.sleep(0.1)
        assert handle.get(WAIT_MS).ok_value >= 2.0
        assert worker.stop() == 0


def test_an_executor_ends_without_the_threads_that_tasks_left(rough: Any, start: StartRough) -> None:
    """R-038: recycled processes do not gather; the app's handlers for the end of a process are called."""
    with start("--max-tasks-per-child", "1") as worker:
        ran_in = [rough.leaves_a_thread.send(60.0).unwrap().get(WAIT_MS).ok_value for _ in range(3)]
        eventually(lambda: not set(ran_in) & {child.pid for child in psutil.Process(worker.pid).children()})
        for pid in ran_in:
            worker.wait_for(f"{pid} says goodbye")
        assert "is gone" not in worker.stderr
        assert worker.stop() == 0
