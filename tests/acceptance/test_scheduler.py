"""Real schedulers: take-over, outages, signals, random deaths (08 sections 3, 4 and 7)."""

import json
import os
import random
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.acceptance.scheduling import APP, ROOT, beats, environment, scheduler
from tests.fixtures.server import PrivateServer
from tests.helpers import RunningProcess, eventually, run_module, running
from tests.scheduler.audit import Audit, every_second, once

LONG = os.environ.get("HORSIES_CHAOS") == "long"


@pytest.fixture
def audit(database_url: str) -> Iterator[Audit]:
    """A record of what was fired."""
    found = Audit(database_url)
    yield found
    found.close()


def fired(audit: Audit, least: int = 1, of: int = 1) -> bool:
    """Whether each of so many schedules has fired so often."""
    slots = audit.slots()
    return len(slots) == of and min(map(len, slots.values())) >= least


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


# -- start


def test_it_fires_until_it_is_told_to_stop(database_url: str, audit: Audit) -> None:
    """S-030, S-032, S-050, S-067, S-072, S-074, R-009: banner, pages, tasks on time, exit 0 within 5 s."""
    port = free_port()
    with scheduler(database_url, beats(3), "--http-port", str(port), "--loglevel", "debug") as process:
        process.wait_for("leading")
        eventually(lambda: fired(audit, least=3, of=3), timeout=20)
        assert page(port, "/readyz") == (200, '{"role": "leader"}\n')
        assert page(port, "/healthz") == (200, "ok\n")
        assert 'horsies_schedule_fired_total{schedule="beat 0"}' in page(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0, process.output
    assert "role:         scheduler" in process.stdout
    assert "****" in process.stdout
    assert audit.latest() < timedelta(seconds=2)
    for slots, row in zip(audit.slots().values(), audit.schedules(), strict=True):
        assert every_second(slots)
        assert (row["run_count"], row["last_slot_at"]) == (len(slots), slots[-1])


@pytest.mark.parametrize(
    ("schedules", "settings", "words"),
    [
        (None, {}, "has no schedule"),
        (beats(1), {"enabled": False}, "switched off"),
        ([beats(1)[0] | {"timezone": "Mars/Olympus"}], {}, "HRS-205"),
        ([beats(1)[0] | {"task_name": "unknown"}], {}, "HRS-300"),
    ],
)
def test_what_cannot_start_does_nothing(
    database_url: str, audit: Audit, schedules: Any, settings: Any, words: str
) -> None:
    """S-030, S-031, S-073: a message, exit 1, no row and no task."""
    done = run_module(
        "horsies_scheduler", APP, environment=environment(database_url, schedules, **settings), directory=ROOT
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert audit.schedules() == []
    assert audit.slots() == {}


def test_options(database_url: str) -> None:
    """S-032, C-004, C-006, C-010, C-031: the same command under each of its names; usage errors exit 2."""
    told = run_module("horsies_scheduler", "--help")
    assert told.returncode == 0
    for option in ("--module", "--loglevel", "--log-format", "--http-port", "--http-host", "--no-migrate"):
        assert option in told.stdout
    assert "horsies scheduler instance:app" in told.stdout
    for wrong in (["--loglevel", "LOUD"], ["--http-port", "0"]):
        assert run_module("horsies_scheduler", APP, *wrong).returncode == 2
    nothing = run_module("horsies_scheduler", directory=ROOT)
    assert (nothing.returncode, "HRS-206" in nothing.stderr) == (1, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = ("-m", APP, "--http-port", str(taken.getsockname()[1]))
        refused = run_module(
            "horsies_scheduler",
            *arguments,
            environment=environment(database_url, beats(1)),
            directory=ROOT,
        )
    assert (refused.returncode, "HRS-206" in refused.stderr) == (1, True)


def test_without_migrations(empty_database_url: str) -> None:
    """S-030, S-032, D-060, D-062: the probe finds nothing, and makes nothing."""
    with scheduler(empty_database_url, beats(1), "--no-migrate") as process:
        assert process.wait() == 1
        assert "HRS-211" in process.stderr
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regnamespace('horsies') is null").fetchone() == (True,)


def test_json_lines(database_url: str) -> None:
    """S-032: --log-format json."""
    with scheduler(database_url, beats(1), "--log-format", "json") as process:
        process.wait_for('"message": "leading"')
        assert process.stop() == 0
    entries = [json.loads(line) for line in process.stderr.splitlines()]
    assert {"time", "level", "logger", "message"} == set(entries[0])


def test_attempts_run_out() -> None:
    """S-070, S-073: start-up waits as the worker does, and ends when it may not wait any longer."""
    nowhere = environment("postgresql://nobody:hush@127.0.0.1:1/none", beats(1)) | {
        "ACCEPTANCE_ATTEMPTS": "2"
    }
    done = run_module("horsies_scheduler", APP, environment=nowhere, directory=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("the database does not answer (attempt") == 1
    assert "hush" not in done.stderr + done.stdout


def test_a_signal_while_the_database_is_silent() -> None:
    """S-072, R-004: waiting for a server that takes the connection and says nothing; exit 0 within 5 s."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        with scheduler(url, beats(1)) as process:
            connection, _ = silent.accept()
            with closing(connection):
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == 0, process.output


# -- leadership


def test_take_over(database_url: str, audit: Audit) -> None:
    """S-040, S-041, S-044, S-074: SIGKILL of the leader, and the standby fires within 3 s; no slot is lost or doubled.
    The order of an orderly stop is the same."""
    schedules = beats(5)
    ports = [free_port(), free_port()]
    with ExitStack() as stack:

        def start(port: int) -> RunningProcess:
            return stack.enter_context(scheduler(database_url, schedules, "--http-port", str(port)))

        first = start(ports[0])
        first.wait_for("leading")
        second = start(ports[1])
        second.wait_for("standby")
        assert page(ports[1], "/readyz") == (200, '{"role": "standby"}\n')
        assert "horsies_scheduler_leader 0.0" in page(ports[1], "/metrics")[1]
        eventually(lambda: fired(audit, least=2, of=5))
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        eventually(lambda: "leading" in second.stderr, timeout=3)
        took = time.monotonic() - killed
        print(f"take-over after SIGKILL: {took:.2f} s")
        third = start(ports[0])
        third.wait_for("standby")
        before = len(audit.slots()['{"n":0}'])
        assert second.stop() == 0
        eventually(lambda: "leading" in third.stderr, timeout=3)
        eventually(lambda: len(audit.slots()['{"n":0}']) > before + 1)
        assert third.stop() == 0
        assert second.stderr.count("standby") == 1
    assert all(map(every_second, audit.slots().values()))


def test_a_lost_lock_connection(database_url: str, audit: Audit) -> None:
    """S-042: the leader stops firing at once and returns to standby; the other one goes on where it was."""
    schedules = beats(5)
    with scheduler(database_url, schedules) as first, ExitStack() as stack:
        first.wait_for("leading")
        second = stack.enter_context(scheduler(database_url, schedules))
        second.wait_for("standby")
        eventually(lambda: fired(audit, least=2, of=5))
        with psycopg.connect(database_url, autocommit=True) as admin:
            (pid,) = admin.execute(
                "select pid from pg_locks where locktype = 'advisory' and granted and database ="
                " (select oid from pg_database where datname = current_database())"
            ).fetchone() or (0,)
            admin.execute("select pg_terminate_backend(%s)", [pid])
        first.wait_for("the connection that holds the leadership was lost")
        eventually(lambda: "leading" in second.stderr or first.stderr.count("leading") == 2, timeout=5)
        before = len(audit.slots()['{"n":0}'])
        eventually(lambda: len(audit.slots()['{"n":0}']) > before + 2)
        assert second.stop() == 0
        assert first.stop() == 0
    assert all(map(every_second, audit.slots().values()))


def test_two_apps_on_one_database(database_url: str, audit: Audit) -> None:
    """S-053, S-059, S-040: each has a leader of its own, and fires what is its own."""
    with scheduler(database_url, beats(2)) as ours, scheduler(database_url, beats(2, start=2)) as theirs:
        ours.wait_for("leading")
        theirs.wait_for("leading")
        eventually(lambda: fired(audit, least=2, of=4))
        assert ours.stop() == 0
        assert theirs.stop() == 0
    assert all(map(every_second, audit.slots().values()))


# -- outages and ends


@pytest.mark.slow
def test_an_outage_of_the_database(server: PrivateServer) -> None:
    """S-070, S-061, S-046: killed and started again; the scheduler goes on, and what came meanwhile is caught up."""
    with closing(Audit(server.database_url)) as audit, scheduler(server.database_url, beats(3)) as process:
        process.wait_for("leading")
        eventually(lambda: fired(audit, least=2, of=3))
        audit.close()
        server.kill()
        process.wait_for("the database does not answer (attempt 2)")
        server.start()
        eventually(lambda: process.stderr.count("leading") == 2, timeout=20)
        again = psycopg.connect(server.database_url, autocommit=True)
        with again:
            eventually(
                lambda: (
                    again.execute(
                        "select min(run_count) >= 5 and min(next_run_at) > now() from horsies.schedules"
                    ).fetchone()
                    == (True,)
                )
            )
            assert process.stop() == 0
            rows = again.execute(
                "select kwargs, array_agg(slot order by slot) from public.audit group by kwargs"
            ).fetchall()
    assert len(rows) == 3
    assert all(every_second(slots) for _, slots in rows)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_during_a_transaction_that_hangs(database_url: str, audit: Audit, signals: int) -> None:
    """S-072, S-046: the database does not answer the slot in progress; exit within 5 s, at once when asked twice, and
    the slot is still due or was fired once."""
    with psycopg.connect(database_url) as blocker, scheduler(database_url, beats(1)) as process:
        process.wait_for("leading")
        eventually(lambda: fired(audit))
        blocker.execute("lock table horsies.tasks in exclusive mode")
        blocked = (
            "select 1 from pg_stat_activity"
            " where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"
        )
        with psycopg.connect(database_url, autocommit=True) as admin:
            eventually(lambda: admin.execute(blocked).fetchone())
        process.send_signal(signal.SIGTERM)
        process.wait_for("stopping")
        if signals == 2:
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 3, process.output
            assert "what was sent to it last" not in process.stderr
        else:
            assert process.wait(5) == 0, process.output
        blocker.rollback()
        with psycopg.connect(database_url, autocommit=True) as admin:
            eventually(lambda: admin.execute(blocked).fetchone() is None)
    with scheduler(database_url, beats(1)) as process:
        before = len(audit.slots()['{"n":0}'])
        eventually(lambda: len(audit.slots()['{"n":0}']) > before + 1)
        assert process.stop() == 0
    assert all(map(every_second, audit.slots().values()))


def test_run_scheduler(database_url: str, audit: Audit) -> None:
    """R-009: `from horsies_scheduler import run_scheduler` blocks and gives the exit code."""
    code = (
        f"import sys; from {APP.split(':')[0]} import app; from horsies_scheduler import run_scheduler;"
        " sys.exit(10 + run_scheduler(app, loglevel='WARNING'))"
    )
    command = [sys.executable, "-c", code]
    with running(command, environment=environment(database_url, beats(1)), directory=ROOT) as process:
        eventually(lambda: fired(audit), timeout=20)
        assert process.stop() == 10
        assert process.stderr == ""


# -- random deaths


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_random_deaths(database_url: str, audit: Audit) -> None:
    """S-043, S-044, S-045, S-046, S-041, S-060, S-061: two schedulers, killed and started again at random, with 50
    schedules of one second; what they fired is removed at once, so that only the state row guards. Each slot fires at
    most once, and exactly once where they catch up."""
    seconds = 120.0 if LONG else 15.0
    schedules = [*beats(25), *beats(25, start=25, catch_up=False)]
    seed = random.randrange(10**6)
    choice = random.Random(seed)
    deaths = 0
    end = time.monotonic() + seconds
    with ExitStack() as stack:

        def start() -> RunningProcess:
            return stack.enter_context(scheduler(database_url, schedules, "--loglevel", "ERROR"))

        def alive_until(moment: float) -> bool:
            audit.forget_tasks()
            return time.monotonic() >= moment

        pair = [start(), start()]
        eventually(lambda: fired(audit, of=50), timeout=30)
        while time.monotonic() < end:
            pause = time.monotonic() + choice.uniform(0.05, 2.5)
            eventually(lambda moment=pause: alive_until(moment))  # type: ignore[misc]
            victim = choice.randrange(2)
            pair[victim].send_signal(signal.SIGKILL)
            pair[victim].wait()
            deaths += 1
            pair[victim] = start()
        latest = max(slots[-1] for slots in audit.slots().values())
        eventually(lambda: min(slots[-1] for slots in audit.slots().values()) > latest, timeout=30)
        for process in pair:
            assert process.stop() in (0, -signal.SIGTERM), process.output  # it may just have begun
    slots, rows = audit.slots(), audit.schedules()
    fired_in_all = sum(map(len, slots.values()))
    print(f"seed {seed}: {deaths} deaths, {fired_in_all} tasks of 50 schedules in {seconds:.0f} s")
    for row in rows:
        n = int(row["name"].removeprefix("beat "))
        own = slots[f'{{"n":{n}}}']
        assert once(own), (seed, row)
        assert row["run_count"] == len(own), (seed, row)
        if n < 25:
            assert every_second(own), (seed, row)
            assert row["missed_count"] == 0
        else:
            span = int((own[-1] - own[0]).total_seconds()) + 1
            assert row["missed_count"] <= span
            assert row["run_count"] + row["missed_count"] >= span, (seed, row)
