"""The examples of the seed documents (getting started, sending tasks, defining tasks) with a real worker.

The files under seeds/ hold the code as it is printed there. Their database does not exist here: the processes run with
HORSIES_DEV and HORSIES_DATABASE_URL, as under `horsies dev`, so that not even the URL has to be changed (C-071).
"""

import importlib
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from horsies import (
    Horsies,
    OperationalErrorCode,
    OutcomeCode,
    TaskDefinitionError,
    TaskError,
    TaskResult,
    TaskStatus,
)
from horsies.errors.diagnostic import DuplicateTaskNameError
from tests.helpers import RunningProcess, running_module

SEEDS = Path(__file__).parent / "seeds"


def _environment(database_url: str) -> dict[str, str | None]:
    return {"HORSIES_DEV": "1", "HORSIES_DATABASE_URL": database_url, "HORSIES_SUPPRESS_SENDS": None}


@contextmanager
def _worker(page: str, database_url: str) -> Generator[RunningProcess]:
    arguments = ("instance:app", "--processes", "2", "--loglevel", "INFO")
    with running_module(
        "horsies_worker", *arguments, environment=_environment(database_url), directory=SEEDS / page
    ) as worker:
        worker.wait_for("ready")
        yield worker
        assert worker.stop() == 0, worker.output


def _program(page: str, file: str, database_url: str) -> str:
    environment = {key: value for key, value in _environment(database_url).items() if value is not None}
    done = subprocess.run(
        [sys.executable, file],
        cwd=SEEDS / page,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_getting_started(database_url: str) -> None:
    with _worker("getting_started", database_url) as worker:
        assert _program("getting_started", "producer.py", database_url).splitlines() == [
            "did something with 8",
            "Processed 1 items",
            "handled EMPTY_DATA",
        ]
        assert _program("getting_started", "endpoint.py", database_url).strip() == "{'result': 30}"
        assert "[tasks] (2 registered)" in worker.stdout


def test_sending_tasks(database_url: str) -> None:
    """Positional and keyword sends, async sends, delays, models, refusals; the module-level send is suppressed."""
    with _worker("sending", database_url) as worker:
        assert "SEND_SUPPRESSED" in worker.stdout
        lines = _program("sending", "producer.py", database_url).splitlines()
    assert lines[1].startswith("Task submitted: ")
    assert lines[2:5] == ["one two value", "one two none", "['task_id']"]
    assert lines[5].startswith("Scheduled: ")
    assert lines[6:] == [
        "one two none",
        "5",
        "Order 123 ['a', 'b']",
        "Address Main St",
        "arg1 arg2 none",
        "VALIDATION_FAILED",
        "VALIDATION_FAILED",
        "COMPLETED default one two none",
    ]


@pytest.fixture
def defining(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    for key, value in _environment(database_url).items():
        if value is not None:
            monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "path", [str(SEEDS / "defining"), *sys.path])
    module = importlib.import_module("instance")
    yield module
    module.app.get_broker().close()
    del sys.modules["instance"]


def test_defining_tasks(database_url: str, defining: Any) -> None:
    with _worker("defining", database_url):
        assert (
            defining.process_order.send(order_id=7).unwrap().get(timeout_ms=9000).ok_value
            == "Order 7 processed"
        )
        assert defining.send_email.send(to="a@b", subject="s").unwrap().get(timeout_ms=9000) == TaskResult(
            ok=None
        )
        assert defining.compute.send(x=21).unwrap().get(timeout_ms=9000).ok_value == 42
        assert defining.fire_and_forget.send().unwrap().get(timeout_ms=9000).is_ok()
        assert defining.good_task.send().unwrap().get(timeout_ms=9000).ok_value == {"status": "done"}
        assert defining.validate_input.send(data={"email": "x"}).unwrap().get(timeout_ms=9000).ok_value == {
            "email": "x"
        }
        error = defining.validate_input.send(data={}).unwrap().get(timeout_ms=9000).err_value
        assert (error.error_code, error.data) == ("MISSING_EMAIL", {"field": "email"})
        crash = defining.might_crash.send().unwrap().get(timeout_ms=9000).err_value
        assert crash.error_code is OperationalErrorCode.UNHANDLED_EXCEPTION
        assert crash.message.startswith("Unhandled exception in task might_crash:")
        urgent = defining.urgent_task.send().unwrap()
        assert urgent.get(timeout_ms=9000).ok_value == "urgent"
        info = urgent.info().unwrap()
        assert (info.queue_name, info.priority) == ("critical", 1)


def test_retries_and_timeouts_of_the_page(database_url: str, defining: Any) -> None:
    with _worker("defining", database_url):
        plain, mapped = defining.some_api_call.send().unwrap(), defining.some_mapped_api_call.send().unwrap()
        video = defining.resize_video.send(video_id="v").unwrap()
        for handle in (plain, mapped):
            assert handle.get(timeout_ms=15000).err_value.error_code == "TIMEOUT"
            info = handle.info(include_attempts=True).unwrap()
            assert (info.status, info.retry_count, len(info.attempts)) == (TaskStatus.FAILED, 1, 2)
        assert video.get(timeout_ms=20000).err_value.error_code is OutcomeCode.TASK_TIMEOUT
        assert video.info().unwrap().retry_count == 1


def test_things_to_avoid(defining: Any) -> None:
    app: Horsies = defining.app
    with pytest.raises(TypeError) as missing:

        @app.task("bad_task", queue_name="normal")  # pyright: ignore
        def bad_task():  # type: ignore[no-untyped-def]
            return {"status": "done"}

    assert isinstance(missing.value, TaskDefinitionError)

    @app.task("duplicate_name", queue_name="normal")
    def task_one() -> TaskResult[str, TaskError]:
        return TaskResult(ok="1")

    assert task_one().ok_value == "1"
    with pytest.raises(DuplicateTaskNameError):

        @app.task("duplicate_name", queue_name="normal")
        def task_two() -> TaskResult[str, TaskError]:
            return TaskResult(ok="2")
