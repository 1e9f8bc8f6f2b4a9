"""`horsies dev`: one command that runs an app with all it needs (C-070 to C-075), as real processes."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from horsies.embedded import EmbeddedServer, throwaway_directory
from tests.helpers import RunningProcess, eventually, run_module, running, running_module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_APP = """
import time
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult
{setting}
app = Horsies(AppConfig(broker=PostgresConfig(database_url={url}){more}))

@app.task("greet")
def greet(name: str) -> TaskResult[str, TaskError]:
    return TaskResult(ok="{greeting} " + name)

@app.task("wait")
def wait() -> TaskResult[None, TaskError]:
    print("waiting", flush=True)
    time.sleep(3600)
    return TaskResult(ok=None)
"""

_SCHEDULE = """, schedule=ScheduleConfig(schedules=[
    TaskSchedule(name="often", task_name="greet", pattern=IntervalSchedule(hours=1), kwargs={"name": "x"})])"""

_SEND = """
import sys
from shop import app
handle = app.tasks[sys.argv[1]].send(*sys.argv[2:]).unwrap()
if sys.argv[2:]:
    print(handle.get(20_000).unwrap())
app.get_broker().close()
"""


def _write_app(
    directory: Path,
    *,
    url: str = "'postgresql://me:secret@127.0.0.1:1/theirs'",
    greeting: str = "hello",
    setting: str = "",
    more: str = "",
) -> None:
    # The configured port 1 answers nobody: whoever contacts the app's own database fails.
    text = _APP.format(url=url, greeting=greeting, setting=setting, more=more)
    (directory / "shop.py").write_text(text)


@pytest.fixture
def project() -> Iterator[Path]:
    """A project with an app; below a directory that the database's account may enter."""
    directory = throwaway_directory()
    (directory / "pyproject.toml").touch()
    _write_app(directory)
    yield directory
    eventually(lambda: not _processes(directory), timeout=20)
    shutil.rmtree(directory)


def _processes(directory: Path) -> list[psutil.Process]:
    """Living processes of this project: by working directory, or by an argument naming it."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            inside = process.cwd().startswith(str(directory)) or str(directory) in " ".join(process.cmdline())
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def _dev(project: Path, *arguments: str) -> Generator[RunningProcess]:
    with running_module("horsies_cli", "dev", "shop:app", *arguments, directory=project) as dev:
        yield dev


def _url(dev: RunningProcess) -> str:
    dev.wait_for("use it from other terminals")
    found = re.search(r"postgresql://\S+", dev.stdout)
    assert found is not None
    dev.wait_for(f"and for programs of the app there: export HORSIES_DEV=1 HORSIES_DATABASE_URL={found[0]}")
    return found[0]


def _send(project: Path, url: str, *arguments: str) -> str:
    """Send a task, and unless it has no arguments, its result."""
    environment = {"HORSIES_DEV": "1", "HORSIES_DATABASE_URL": url}
    command = [sys.executable, "-c", _SEND, *arguments]
    with running(command, environment=environment, directory=project) as sender:
        assert sender.wait() == 0, sender.output
        return sender.stdout.strip()


def _worker(dev: RunningProcess) -> psutil.Process:
    """The worker's coordinator."""
    return next(
        process
        for process in psutil.Process(dev.pid).children(recursive=True)
        if "horsies_worker" in process.cmdline() and "guard.py" not in " ".join(process.cmdline())
    )


def test_everything_starts_works_and_stops(project: Path) -> None:
    # C-070: prefixed output, the URL; C-071: the app's own database is never contacted; C-072: data survives;
    # C-073: Ctrl+C, exit 0, no process is left.
    with _dev(project) as dev:
        url = _url(dev)
        dev.wait_for("ready")
        assert _send(project, url, "greet", "Bella") == "hello Bella"
        with psycopg.connect(url) as connection:
            connection.execute("create table kept as select 7 as n")
        assert {line.split("|")[0].strip() for line in dev.stdout.splitlines()} == {"db", "worker"}
        password_file = project / ".horsies" / "pg" / "password"
        assert password_file.stat().st_mode & 0o777 == 0o600
        assert (project / ".horsies" / ".gitignore").read_text() == "*\n"
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output
        assert "secret" not in dev.output
    assert _processes(project) == []
    with _dev(project) as dev:
        again = _url(dev)
        assert again == url
        with psycopg.connect(again) as connection:
            assert connection.execute("select n from kept").fetchone() == (7,)
        dev.send_signal(signal.SIGTERM)
        assert dev.wait() == 0, dev.output


def test_an_app_that_reads_its_url_from_the_environment_finds_one(project: Path) -> None:
    # C-071
    _write_app(project, setting="import os", url="os.environ['DATABASE_URL']")
    with _dev(project, "--ephemeral", "--processes", "1") as dev:
        url = _url(dev)
        dev.wait_for("ready")
        environment = {"DATABASE_URL": url}
        with running(
            [sys.executable, "-c", _SEND, "greet", "Diego"], environment=environment, directory=project
        ) as s:
            assert s.wait() == 0, s.output
            assert s.stdout.strip() == "hello Diego"
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output


def test_an_ephemeral_database_is_removed(project: Path) -> None:
    # C-072
    with _dev(project, "--ephemeral") as dev:
        dev.wait_for("use it from other terminals")
        found = re.search(r"PostgreSQL runs in (\S+)", dev.stdout)
        assert found is not None
        assert Path(found[1]).exists()
        dev.wait_for("ready")
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output
    assert not Path(found[1]).exists()
    assert not (project / ".horsies").exists()


def test_a_second_one_on_the_same_directory_is_refused(project: Path) -> None:
    # C-072
    with _dev(project) as dev:
        _url(dev)
        second = run_module("horsies_cli", "dev", "shop:app", directory=project)
        assert second.returncode == 1
        assert "another `horsies dev` uses" in second.stderr
        assert "--data-dir" in second.stderr
        dev.wait_for("ready")
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output


def test_a_directory_of_another_major_version_is_refused(project: Path) -> None:
    # C-072
    data = project / ".horsies" / "pg" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    done = run_module("horsies_cli", "dev", "shop:app", directory=project)
    assert done.returncode == 1
    assert "was made by PostgreSQL 9.6" in done.stderr
    assert "HORSIES_PG_BIN" in done.stderr


def test_nothing_is_left_when_it_is_killed(project: Path) -> None:
    # C-073, and C-072: the next one is not hindered.
    with _dev(project) as dev:
        dev.wait_for("ready")
        dev.send_signal(signal.SIGKILL)
        dev.wait()
        eventually(lambda: not _processes(project), timeout=20)
    with _dev(project) as dev:
        dev.wait_for("ready")
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output


def test_a_second_interrupt_forces_the_end(project: Path) -> None:
    # C-073: exit 3
    with _dev(project, "--processes", "1") as dev:
        url = _url(dev)
        dev.wait_for("ready")
        _send(project, url, "wait")
        dev.wait_for("waiting")
        dev.send_signal(signal.SIGINT)
        dev.wait_for("1 task")  # the worker drains
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 3, dev.output
    assert _processes(project) == []


def test_a_worker_that_dies_ends_it_with_the_reason(project: Path) -> None:
    # C-075
    with _dev(project) as dev:
        dev.wait_for("ready")
        _worker(dev).kill()
        assert dev.wait() == 1, dev.output
        assert "dev       | the worker ended with exit status 137" in dev.stderr
    assert _processes(project) == []


def test_a_database_that_dies_ends_it_with_the_reason(project: Path) -> None:
    with _dev(project) as dev:
        dev.wait_for("ready")
        pid = int((project / ".horsies" / "pg" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        assert dev.wait() == 1, dev.output
        assert "dev       | PostgreSQL ended" in dev.stderr
    assert _processes(project) == []
    with EmbeddedServer(project / ".horsies" / "pg") as server, psycopg.connect(server.url()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_an_app_that_cannot_be_imported_is_shown(project: Path) -> None:
    # C-011, C-075
    _write_app(project, setting="1 / 0")
    done = run_module("horsies_cli", "dev", "shop:app", "--ephemeral", directory=project)
    assert done.returncode == 1
    assert "HRS-210" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_change_restarts_the_worker_and_a_syntax_error_does_not(project: Path) -> None:
    # C-074
    with _dev(project, "--reload", "--ephemeral", "--processes", "1") as dev:
        url = _url(dev)
        dev.wait_for("ready")
        assert _send(project, url, "greet", "x") == "hello x"
        first = _worker(dev).pid
        shop = (project / "shop.py").read_text()
        (project / "shop.py").write_text(shop + "def broken(:\n")
        dev.wait_for("the old code keeps running until this is corrected")
        assert f"shop.py:{len(shop.splitlines()) + 1}: invalid syntax" in dev.stderr
        assert _worker(dev).pid == first
        _write_app(project, greeting="good morning")
        dev.wait_for("shop.py changed, restarting")
        eventually(lambda: (dev.stdout + dev.stderr).count("ready") == 2, timeout=30)
        assert _send(project, url, "greet", "x") == "good morning x"
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output


def test_with_reload_a_dead_worker_waits_for_a_change(project: Path) -> None:
    # C-075
    _write_app(project, setting="1 / 0")
    with _dev(project, "--reload", "--ephemeral", "--processes", "1") as dev:
        dev.wait_for("waiting for a change of the code")
        _write_app(project)
        dev.wait_for("ready")
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output


def test_the_scheduler_runs_only_for_an_enabled_schedule(project: Path) -> None:
    # C-070: when a schedule is configured and enabled
    names = "from horsies import IntervalSchedule, ScheduleConfig, TaskSchedule"
    _write_app(project, setting=names, more=_SCHEDULE)
    with _dev(project, "--ephemeral", "--processes", "1") as dev:
        dev.wait_for("\nscheduler |")
    with _dev(project, "--ephemeral", "--processes", "1", "--no-scheduler") as dev:
        dev.wait_for("ready")
        dev.send_signal(signal.SIGINT)
        assert dev.wait() == 0, dev.output
        assert "scheduler |" not in dev.output
