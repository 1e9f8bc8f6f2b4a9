"""How a worker starts, and how it refuses to: order, check errors, hooks, embedding in a program of one's own."""

import os
import signal
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import psycopg
import pytest

from tests.acceptance.conftest import StartWorker
from tests.helpers import eventually, run_module, running, running_module

HEAD = """
    import os
    from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

    app = Horsies(AppConfig(broker=PostgresConfig(database_url=os.environ["APP_URL"])))

    @app.task("five")
    def five() -> TaskResult[int, TaskError]:
        return TaskResult(ok=5)
"""


def write_app(folder: Path, more: str = "") -> None:
    (folder / "pyproject.toml").write_text("")
    (folder / "shop.py").write_text(dedent(HEAD) + dedent(more))


def test_a_check_error_ends_the_start(database_url: str, tmp_path: Path) -> None:
    """R-003: the whole report on stderr, exit 1, nothing claimed."""
    write_app(tmp_path, 'app.discover_tasks(["shop", "nowhere", "nothing_there"])')
    done = run_module("horsies_worker", "shop:app", directory=tmp_path, environment={"APP_URL": database_url})
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "nothing_there" in done.stderr
    assert "aborting due to 2 previous errors" in done.stderr
    assert "[tasks]" not in done.stdout


def test_no_discovered_module_is_a_warning_only(database_url: str, tmp_path: Path) -> None:
    """R-008, R-001: banner on stdout, logs on stderr."""
    (tmp_path / "pyproject.toml").write_text("")
    source = dedent(HEAD).split("@app.task")[0]
    (tmp_path / "shop.py").write_text(source)
    with running_module(
        "horsies_worker", "shop:app", directory=tmp_path, environment={"APP_URL": database_url}
    ) as worker:
        worker.wait_for("ready:")
        assert "no task is registered" in worker.stderr
        assert "[tasks] (0 registered)" in worker.stdout
        assert worker.stop() == 0


def test_an_unreachable_database_is_waited_for(tmp_path: Path) -> None:
    """R-004: transient errors are retried; a signal meanwhile ends the start with 0."""
    write_app(tmp_path)
    url = "postgresql://nobody@127.0.0.1:1/none"
    with running_module(
        "horsies_worker", "shop:app", directory=tmp_path, environment={"APP_URL": url}
    ) as worker:
        worker.wait_for("attempt 2")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert "nobody" not in worker.stderr or "password" not in worker.stderr


def test_what_the_server_refuses_is_told_without_the_password(database_url: str, tmp_path: Path) -> None:
    """07 R-010: no password in any log."""
    write_app(tmp_path)
    url = database_url.rsplit("/", 1)[0] + "/no_such_database"
    environment = {"APP_URL": url}
    with running_module("horsies_worker", "shop:app", directory=tmp_path, environment=environment) as worker:
        eventually(lambda: "does not exist" in worker.stderr, 20)
        worker.end()
        secret = url.split(":")[2].split("@")[0]
        assert secret not in worker.stderr + worker.stdout


def test_hooks_run_in_every_executor_before_tasks(database_url: str, tmp_path: Path) -> None:
    """R-037, CF-41: in order, each once, also registered twice."""
    write_app(
        tmp_path,
        """
        @app.on_child_process_start
        def first() -> None:
            print(f"first in {os.getpid()}", flush=True)

        @app.on_child_process_start
        def second() -> None:
            print(f"second in {os.getpid()}", flush=True)

        app.on_child_process_start(first)
        """,
    )
    arguments = ("shop:app", "--processes", "2")
    with running_module(
        "horsies_worker", *arguments, directory=tmp_path, environment={"APP_URL": database_url}
    ) as worker:
        worker.wait_for("ready:")
        pids = {child.pid for child in psutil.Process(worker.pid).children()}
        lines = [
            line
            for line in worker.stdout.splitlines()
            if " in " in line and line.split()[0] in ("first", "second")
        ]
        assert len(lines) == 4
        for pid in pids:
            assert [line.split()[0] for line in lines if line.endswith(str(pid))] == ["first", "second"]


def test_a_hook_that_raises_stops_the_worker(database_url: str, tmp_path: Path) -> None:
    """R-037, CF-42: named, exit 1, no loop."""
    write_app(
        tmp_path,
        """
        @app.on_child_process_start
        def connect_to_cache() -> None:
            raise RuntimeError("the cache is away")
        """,
    )
    done = run_module("horsies_worker", "shop:app", directory=tmp_path, environment={"APP_URL": database_url})
    assert done.returncode == 1
    assert "connect_to_cache" in done.stderr
    assert "the cache is away" in done.stderr
    assert "ready:" not in done.stderr


@pytest.mark.slow
def test_a_hook_that_does_not_end_stops_the_worker(database_url: str, tmp_path: Path) -> None:
    """R-037, CF-42: after 10 s, named, exit 1."""
    write_app(
        tmp_path,
        """
        import time

        @app.on_child_process_start
        def wait_for_the_cache() -> None:
            time.sleep(60)
        """,
    )
    done = run_module("horsies_worker", "shop:app", directory=tmp_path, environment={"APP_URL": database_url})
    assert done.returncode == 1
    assert "child start hook wait_for_the_cache did not end within 10 s" in done.stderr
    assert "ready:" not in done.stderr


def test_run_worker_in_a_program(database_url: str, tmp_path: Path) -> None:
    """R-009: executors find the app in the program's own file without running its main part."""
    write_app(
        tmp_path,
        """
        if __name__ == "__main__":
            from horsies_worker import run_worker
            print("main runs in", os.getpid(), flush=True)
            raise SystemExit(run_worker(app, processes=2))
        """,
    )
    command = [sys.executable, "shop.py"]
    with running(command, directory=tmp_path, environment={"APP_URL": database_url}) as worker:
        worker.wait_for("ready:")
        assert worker.stdout.count("main runs in") == 1
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "insert into horsies.tasks (id, task_name, queue_name, priority, sent_at, enqueued_at)"
                " values (gen_random_uuid(), 'five', 'default', 100, now(), now())"
            )
            connection.execute("select pg_notify('horsies:q:default', '')")
            row = eventually(
                lambda: connection.execute("select status, result from horsies.task_history").fetchone()
            )
        assert row == ("COMPLETED", '{"__h_task_result__":true,"ok":5,"err":null}')
        assert worker.stop() == 0


def test_executors_hold_no_connection_of_the_coordinator(basic: Any, start_worker: StartWorker) -> None:
    """R-002: no socket to the database in an executor."""
    with start_worker("--processes", "2") as worker:
        assert basic.noop.send(1).unwrap().get(20_000).is_ok()
        coordinator = psutil.Process(worker.pid)
        assert len(coordinator.net_connections("tcp")) == 3
        assert [child.net_connections("tcp") for child in coordinator.children()] == [[], []]


def test_an_unknown_queue_is_refused(database_url: str, start_worker: StartWorker) -> None:
    """07 §1: HRS-206 with the valid names."""
    done = run_module(
        "horsies_worker",
        "tests.acceptance.apps.basic:app",
        *("--queues", "high,hihg"),
        environment={"ACCEPTANCE_DATABASE_URL": database_url},
        directory=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 1
    assert "HRS-206" in done.stderr
    assert "'hihg'" in done.stderr
    assert "high, normal, low" in done.stderr


def test_many_workers_start_on_an_empty_database(empty_database_url: str, tmp_path: Path) -> None:
    """D-063: one creates the schema, all get ready."""
    write_app(tmp_path)
    environment: dict[str, str | None] = {"APP_URL": empty_database_url}
    with (
        running_module("horsies_worker", "shop:app", directory=tmp_path, environment=environment) as one,
        running_module("horsies_worker", "shop:app", directory=tmp_path, environment=environment) as two,
        running_module("horsies_worker", "shop:app", directory=tmp_path, environment=environment) as three,
    ):
        for worker in (one, two, three):
            worker.wait_for("ready:", 40)
    assert os.environ.get("APP_URL") is None
