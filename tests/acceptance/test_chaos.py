"""Workers, executors, connections and the server itself are killed under load: nothing is lost, nothing runs twice.

The short form runs with the other tests, the long one with `make chaos` (HORSIES_CHAOS=long). Each test prints what was
lost, doubled and recovered.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.acceptance.conftest import APP, ROOT, StartWorker
from tests.acceptance.fresh_module import fresh_module
from tests.fixtures.server import PrivateServer
from tests.helpers import RunningProcess, eventually, running_module

LONG = os.environ.get("HORSIES_CHAOS") == "long"
TERMINAL_WAIT_S = 180.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200 if LONG else 240)]


@contextmanager
def repeatedly(action: Callable[[], None], every_s: float) -> Generator[None]:
    """Call `action` again and again in another thread while the block runs."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(every_s):
            action()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def summary(connection: psycopg.Connection[Any]) -> dict[str, int]:
    rows = connection.execute(
        "select coalesce(error_code, status), count(*) from horsies.task_history group by 1"
    ).fetchall()
    return {str(name): int(count) for name, count in rows}


def live(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select count(*) from horsies.tasks").fetchone()
    assert row is not None
    return int(row[0])


def begun(folder: Path) -> Counter[str]:
    path = folder / "notes"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def began_more_than(folder: Path, count: int) -> bool:
    return begun(folder).total() > count


def silent(connection: psycopg.Connection[Any]) -> bool:
    """Whether a worker has not beaten for longer than the others wait."""
    row = connection.execute(
        "select count(*) from horsies.workers where heartbeat_at < now() - interval '5 seconds'"
    ).fetchone()
    return row != (0,)


def recovered(connection: psycopg.Connection[Any]) -> int:
    """Tasks that somebody took out of the hands of a process or worker that was gone."""
    row = connection.execute(
        "select count(*) from horsies.task_history where error_code = 'WORKER_CRASHED' or attempts is not null"
    ).fetchone()
    assert row is not None
    return int(row[0])


def report(
    title: str, sent: int, starts: Counter[str], connection: psycopg.Connection[Any], seconds: float
) -> None:
    ends = summary(connection)
    doubled = sum(1 for count in starts.values() if count > 1)
    print(
        f"\n{title}: sent {sent}, ended {sum(ends.values())}, lost {sent - sum(ends.values())}, "
        f"begun twice {doubled}, recovered {recovered(connection)}, ends {ends}, "
        f"last end {seconds:.1f} s after the last blow"
    )


def test_workers_and_executors_are_killed(
    basic: Any, database_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-075, R-104, R-112: every task ends exactly once; without WORKER_CRASHED in its policy none begins twice."""
    count, duration = (5000, 60.0) if LONG else (600, 8.0)
    dice = random.Random(7)
    folder = str(tmp_path)
    with ExitStack() as workers, psycopg.connect(database_url, autocommit=True) as connection:
        running: list[tuple[Any, RunningProcess]] = []

        def start() -> None:
            manager = start_worker("--processes", "2", ready="")
            running.append((manager, workers.enter_context(manager)))

        start()
        start()
        running[0][1].wait_for("ready:")
        running[1][1].wait_for("ready:")

        def kill() -> None:
            _, worker = dice.choice(running[-2:])
            if worker.returncode is None and dice.random() < 0.7:
                children = psutil.Process(worker.pid).children()
                if children:
                    dice.choice(children).kill()
            elif worker.returncode is None:
                os.kill(worker.pid, signal.SIGKILL)
                start()

        plain = basic.begin_once.send_many(
            [{"folder": folder, "name": str(n)} for n in range(count)]
        ).unwrap()
        again = basic.begin_again.send_many([{"n": n} for n in range(count // 10)]).unwrap()
        with repeatedly(kill, 2.0):
            time.sleep(duration)
        blow = time.monotonic()
        if all(worker.returncode is not None for _, worker in running[-2:]):
            start()
        eventually(lambda: live(connection) == 0, TERMINAL_WAIT_S)
        ends, starts = summary(connection), begun(tmp_path)
        report("kills", count + count // 10, starts, connection, time.monotonic() - blow)
        crashed = [handle for handle in plain if handle.get(1000).is_err()]
        unbegun = [handle for handle in crashed if starts[str(plain.index(handle))] == 0]
        print(f"failed WORKER_CRASHED: {len(crashed)}, of them without having begun: {len(unbegun)}")
        assert sum(ends.values()) == count + count // 10
        assert max(starts.values()) == 1
        assert ends.get("WORKER_CRASHED", 0) == len(crashed)
        assert all(handle.get(1000).is_ok() for handle in again)


def test_the_server_is_restarted(
    start_worker: StartWorker, server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-077, R-092, R-120 to R-123: no worker exits, every task ends once, none begins twice."""
    count = 2000 if LONG else 400
    with private_app(server, monkeypatch) as (basic, start), start("--processes", "2") as worker:
        basic.begin_once.send_many([{"folder": str(tmp_path), "name": str(n)} for n in range(count)]).unwrap()
        for _ in range(3):
            time.sleep(0.5)
            server.restart()
        blow = time.monotonic()
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            eventually(lambda: live(connection) == 0, TERMINAL_WAIT_S)
            ends, starts = summary(connection), begun(tmp_path)
            report("server restarts", count, starts, connection, time.monotonic() - blow)
        assert worker.returncode is None
        assert sum(ends.values()) == count
        assert max(starts.values()) == 1
        assert worker.stop() == 0


def test_backends_are_terminated(
    basic: Any, database_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-092, R-121: connections are cut at random; the same promises."""
    count, duration = (5000, 30.0) if LONG else (500, 6.0)
    with (
        start_worker("--processes", "2") as worker,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        basic.begin_once.send_many([{"folder": str(tmp_path), "name": str(n)} for n in range(count)]).unwrap()

        def cut() -> None:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                " and application_name like 'horsies worker%' order by random() limit 1"
            )

        with repeatedly(cut, 0.3):
            time.sleep(duration)
        blow = time.monotonic()
        eventually(lambda: live(connection) == 0, TERMINAL_WAIT_S)
        ends, starts = summary(connection), begun(tmp_path)
        report("cut connections", count, starts, connection, time.monotonic() - blow)
        assert worker.returncode is None
        assert sum(ends.values()) == count
        assert max(starts.values()) == 1


def test_a_worker_stands_still(
    basic: Any, database_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-070, R-078, R-091, R-112: SIGSTOP for longer than the others wait; nothing is lost or doubled."""
    count, blows = (3000, 6) if LONG else (300, 1)
    with (
        start_worker("--processes", "2") as first,
        start_worker("--processes", "2") as second,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        basic.begin_once.send_many([{"folder": str(tmp_path), "name": str(n)} for n in range(count)]).unwrap()
        eventually(lambda: begun(tmp_path).total() > 10, 60)
        for number in range(blows):
            still = (first, second)[number % 2]
            os.kill(still.pid, signal.SIGSTOP)
            eventually(lambda: silent(connection), 60)
            os.kill(still.pid, signal.SIGCONT)
            eventually(lambda: not silent(connection), 60)
        blow = time.monotonic()
        eventually(lambda: live(connection) == 0, TERMINAL_WAIT_S)
        ends, starts = summary(connection), begun(tmp_path)
        report("stood still", count, starts, connection, time.monotonic() - blow)
        assert sum(ends.values()) == count
        assert max(starts.values()) == 1
        assert (first.stop(), second.stop()) == (0, 0)


def test_workers_are_stopped_under_load(
    basic: Any, database_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-130, R-133: SIGTERM again and again, a new worker each time: all exit 0, every task completes, once."""
    count, stops = (5000, 10) if LONG else (400, 2)
    with psycopg.connect(database_url, autocommit=True) as connection:
        basic.begin_once.send_many([{"folder": str(tmp_path), "name": str(n)} for n in range(count)]).unwrap()
        codes: list[int] = []
        for _ in range(stops):
            before = begun(tmp_path).total()
            with start_worker("--processes", "2") as worker:
                has_worked = partial(began_more_than, tmp_path, min(before + 20, count - 1))
                eventually(has_worked, 60)
                codes.append(worker.stop())
        blow = time.monotonic()
        with start_worker("--processes", "2"):
            eventually(lambda: live(connection) == 0, TERMINAL_WAIT_S)
        ends, starts = summary(connection), begun(tmp_path)
        report("stops", count, starts, connection, time.monotonic() - blow)
        assert codes == [0] * stops
        assert ends == {"COMPLETED": count}
        assert max(starts.values()) == 1


@contextmanager
def private_app(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Any, Any]]:
    """The basic app and a starter of its workers on a server of the test's own."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", server.database_url)

    @contextmanager
    def start(*arguments: str) -> Generator[RunningProcess]:
        environment = {"ACCEPTANCE_DATABASE_URL": server.database_url}
        with running_module(
            "horsies_worker", f"{APP}:app", *arguments, environment=environment, directory=ROOT
        ) as worker:
            worker.wait_for("ready:")
            yield worker

    with fresh_module(APP) as module:
        yield module, start
