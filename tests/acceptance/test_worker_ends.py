"""How runs and workers end where something is in the way: a refused result, a run that never began, a stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from textwrap import dedent

import psutil
import psycopg
import pytest

from horsies import OperationalErrorCode, OutcomeCode, TaskStatus
from tests.acceptance.notes import notes
from tests.acceptance.workshops import Workshop, open_workshop
from tests.helpers import RunningProcess, eventually, running_module

WAIT_MS = 30_000


@pytest.fixture
def shop(database_url: str) -> Generator[Workshop]:
    with open_workshop(database_url) as opened:
        yield opened


def executor_pids(worker: RunningProcess) -> list[int]:
    return [
        child.pid for child in psutil.Process(worker.pid).children() if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_result_the_database_refuses_costs_no_other_its_own(shop: Workshop, database_url: str) -> None:
    """R-076, K-32: the batch is repeated end by end; what is still refused is stored with the fixed envelope."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "alter table horsies.task_history add constraint refused check (result not like '%poison%')"
        )
    bad = shop.tasks.say.send("poison", 1).unwrap()
    good = shop.tasks.noop.send_many([{"n": n} for n in range(50)]).unwrap()
    with shop.worker("--processes", "1") as worker:
        assert [handle.get(WAIT_MS).ok_value for handle in good] == list(range(50))
        error = bad.get(WAIT_MS).err_value
        assert error.error_code is OperationalErrorCode.WORKER_SERIALIZATION_ERROR
        assert '"refused"' in error.message
        info = bad.info(include_attempts=True).unwrap()
        assert (info.status, [attempt.outcome for attempt in info.attempts]) == (
            TaskStatus.FAILED,
            ["WORKER_FAILURE"],
        )
        assert worker.stop() == 0


def test_a_time_limit_that_ends_before_the_task_began_is_no_run(shop: Workshop) -> None:
    """R-080, R-042, T-54, R-075: the executor is stopped, the unmarked task goes back without a trace."""
    with shop.worker("--processes", "1") as worker:
        (stuck,) = executor_pids(worker)
        os.kill(stuck, signal.SIGSTOP)
        handle = shop.tasks.limited.send(0.0).unwrap()
        assert handle.get(WAIT_MS).ok_value == "in time"
        info = handle.info(include_attempts=True).unwrap()
        assert (info.retry_count, len(info.attempts)) == (0, 1)
        assert info.worker_pid != stuck
        assert "ran over its 1000 ms" in worker.stderr
        assert not psutil.pid_exists(stuck) or psutil.Process(stuck).status() == psutil.STATUS_ZOMBIE


def test_no_process_is_signalled_because_a_row_names_it(
    shop: Workshop, database_url: str, tmp_path: Path
) -> None:
    """R-084: a stored pid is not enough; what is stopped is the worker's own executor."""
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with shop.worker("--processes", "1") as worker, psycopg.connect(database_url) as connection:
            handle = shop.tasks.nap.send(str(tmp_path), "victim", 60.0).unwrap()
            eventually(lambda: notes(tmp_path) == ["begin victim"])
            connection.execute("update horsies.tasks set worker_pid = %s", [stranger.pid])
            connection.commit()
            before = executor_pids(worker)
            assert handle.cancel(include_running=True).unwrap().stopped
            assert handle.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_CANCELLED
            eventually(lambda: not set(before) & set(executor_pids(worker)))
            assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_a_stop_waits_for_results_that_cannot_be_written_yet(
    shop: Workshop, database_url: str, tmp_path: Path
) -> None:
    """R-132, R-133: the last result is written, the connections are closed, the worker's row says stopped."""
    with (
        shop.worker("--processes", "1") as worker,
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as look,
    ):
        handle = shop.tasks.nap.send(str(tmp_path), "last", 0.5).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin last"])
        holder.execute("lock table horsies.task_history in exclusive mode")
        worker.send_signal(signal.SIGTERM)
        worker.wait_for("stopping")
        blocked = "select from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        eventually(lambda: look.execute(blocked, [holder.info.backend_pid]).fetchone() is not None)
        assert worker.returncode is None
        holder.rollback()
        assert worker.wait() == 0
        assert look.execute("select state, stopped_at is not null from horsies.workers").fetchall() == [
            ("stopped", True)
        ]
        connections = look.execute(
            "select from pg_stat_activity"
            " where datname = current_database() and application_name like 'horsies worker%'"
        )
        assert connections.fetchall() == []
        assert handle.get(WAIT_MS).ok_value == "last"


HOOKED = """
    import os, time
    from pathlib import Path
    from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

    app = Horsies(AppConfig(broker=PostgresConfig(database_url=os.environ["APP_URL"])))
    FOLDER = Path(__file__).parent

    @app.on_child_process_start
    def look_for_the_cache() -> None:
        with (FOLDER / "starts").open("a") as file:
            file.write("x")
        if (FOLDER / "away").exists():
            raise RuntimeError("the cache is away")

    @app.task("slow")
    def slow() -> TaskResult[int, TaskError]:
        (FOLDER / "begun").touch()
        time.sleep(4)
        (FOLDER / "ended").touch()
        return TaskResult(ok=1)
"""


def test_three_executors_that_cannot_be_replaced_end_the_worker(database_url: str, tmp_path: Path) -> None:
    """R-034, R-133: three attempts, pauses between them, what runs is drained, exit 1."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "shop.py").write_text(dedent(HOOKED))
    with running_module(
        "horsies_worker",
        *("shop:app", "--processes", "2"),
        directory=tmp_path,
        environment={"APP_URL": database_url},
    ) as worker:
        worker.wait_for("ready:", 40)
        with psycopg.connect(database_url, autocommit=True) as connection:
            (task_id,) = connection.execute("select horsies.enqueue('slow')::text").fetchone() or ("",)
            eventually((tmp_path / "begun").exists)
            (tmp_path / "away").touch()
            (busy,) = connection.execute("select worker_pid from horsies.tasks").fetchone() or (0,)
            idle = next(pid for pid in executor_pids(worker) if pid != busy)
            os.kill(idle, signal.SIGKILL)
            assert worker.wait(40) == 1
            status = connection.execute("select id::text, status from horsies.task_history").fetchall()
        assert status == [(task_id, "COMPLETED")]
    assert (tmp_path / "ended").exists()
    assert (tmp_path / "starts").read_text() == "x" * 5
    assert worker.stderr.count("could not be replaced (attempt") == 3
    assert "look_for_the_cache" in worker.stderr
