"""How workers end when they are told twice, or cannot go on while something still runs."""

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import psutil
import psycopg
from psycopg.rows import TupleRow

from horsies import OperationalErrorCode
from tests.acceptance.notes import notes
from tests.acceptance.workshops import open_workshop
from tests.helpers import RunningProcess, eventually, running_module

WAIT_MS = 30_000


def test_a_second_signal_right_after_the_first_is_one(database_url: str, tmp_path: Path) -> None:
    """R-131, R-133: also before the first has been acted upon."""
    with open_workshop(database_url) as shop, shop.worker() as worker:
        handle = shop.tasks.nap.send(str(tmp_path), "long", 60.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin long"])
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert worker.wait() == 3
        assert handle.get(WAIT_MS).err_value.error_code is OperationalErrorCode.WORKER_CRASHED


APP = """
    import asyncio, os, time
    from pathlib import Path
    from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

    app = Horsies(AppConfig(broker=PostgresConfig(database_url=os.environ["APP_URL"])))
    FOLDER = Path(__file__).parent

    @app.on_child_process_start
    def look_for_the_cache() -> None:
        if (FOLDER / "away").exists():
            raise RuntimeError("the cache is away")

    @app.task("slow")
    def slow() -> TaskResult[int, TaskError]:
        (FOLDER / "begun").touch()
        while not (FOLDER / "enough").exists():
            time.sleep(0.05)
        return TaskResult(ok=1)

    @app.task("tidy")
    async def tidy() -> TaskResult[int, TaskError]:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            (FOLDER / "tidied").touch()
        return TaskResult(ok=1)
"""


@contextmanager
def busy_worker(
    database_url: str, folder: Path, *arguments: str
) -> Generator[tuple[RunningProcess, psycopg.Connection[TupleRow]]]:
    """A worker with two executors, one of which runs `slow`."""
    (folder / "pyproject.toml").write_text("")
    (folder / "shop.py").write_text(dedent(APP))
    with (
        running_module(
            "horsies_worker",
            *("shop:app", "--processes", "2", *arguments),
            directory=folder,
            environment={"APP_URL": database_url},
        ) as worker,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        worker.wait_for("ready:", 40)
        connection.execute("select horsies.enqueue('slow')")
        eventually((folder / "begun").exists)
        yield worker, connection


@contextmanager
def broken_worker(
    database_url: str, folder: Path, *arguments: str
) -> Generator[tuple[RunningProcess, psycopg.Connection[TupleRow]]]:
    """A worker that has just given up replacing an executor while a task runs in the other one."""
    with busy_worker(database_url, folder, *arguments) as (worker, connection):
        (folder / "away").touch()
        (busy,) = connection.execute("select worker_pid from horsies.tasks").fetchone() or (0,)
        for child in psutil.Process(worker.pid).children():
            if child.pid != busy:
                os.kill(child.pid, signal.SIGKILL)
        worker.wait_for("stopping:")
        yield worker, connection


def test_the_drain_timeout_holds_for_a_worker_that_cannot_go_on(database_url: str, tmp_path: Path) -> None:
    """R-131, R-034, R-133."""
    with broken_worker(database_url, tmp_path, "--drain-timeout", "1") as (worker, connection):
        assert worker.wait() == 1
        assert connection.execute("select error_code from horsies.task_history").fetchall() == [
            ("WORKER_CRASHED",)
        ]


def test_the_first_signal_to_a_worker_that_drains_by_itself_kills_nothing(
    database_url: str, tmp_path: Path
) -> None:
    """R-130: it asks for what is under way already."""
    with broken_worker(database_url, tmp_path) as (worker, connection):
        worker.send_signal(signal.SIGTERM)
        time.sleep(1)
        (tmp_path / "enough").touch()
        assert worker.wait() == 1
        assert connection.execute("select status from horsies.task_history").fetchall() == [("COMPLETED",)]


def test_async_runs_may_clean_up_before_the_end_by_force(database_url: str, tmp_path: Path) -> None:
    """R-131, R-104: they are cancelled, the others killed; whatever they say to that, they count as crashed."""
    with busy_worker(database_url, tmp_path) as (worker, connection):
        connection.execute("select horsies.enqueue('tidy')")
        eventually(
            lambda: connection.execute("select from horsies.tasks where status = 'RUNNING'").rowcount == 2
        )
        time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert worker.wait() == 3
        assert (tmp_path / "tidied").exists()
        assert connection.execute(
            "select task_name, status, error_code from horsies.task_history order by 1"
        ).fetchall() == [
            ("slow", "FAILED", "WORKER_CRASHED"),
            ("tidy", "FAILED", "WORKER_CRASHED"),
        ]
