"""What a real worker promises besides running tasks: its start, its silence, what it holds, what it counts."""

import os
import signal
import socket
import urllib.request
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from horsies import OutcomeCode, TaskHandle, TaskStatus
from tests.acceptance.notes import notes
from tests.acceptance.workshops import Workshop, open_workshop
from tests.helpers import eventually

WAIT_MS = 40_000


@pytest.fixture
def shop(database_url: str) -> Generator[Workshop]:
    with open_workshop(database_url) as opened:
        yield opened


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_line_that_says_ready_says_with_what(database_url: str) -> None:
    """R-006."""
    with (
        open_workshop(database_url, prefetch_buffer=4, claim_lease_ms=60_000) as shop,
        shop.worker("--processes", "2", "--concurrency", "7", "--queues", "high,low") as worker,
    ):
        (line,) = [line for line in worker.stderr.splitlines() if "ready:" in line]
        said = (
            "processes=2 concurrency=7 executor=process cluster_wide_cap=unlimited prefetch=4 queues=high,low"
        )
        assert said in line


def test_a_listening_connection_that_hears_nothing_ends_the_start(
    database_url: str, empty_database_url: str
) -> None:
    """R-005: LISTEN works there and nothing arrives; the message names session_database_url, nothing is claimed."""
    broker = {"database_url": database_url, "session_database_url": empty_database_url}
    with open_workshop(database_url, broker=broker) as shop, shop.worker(ready="") as worker:
        assert worker.wait(50) == 1
        assert "session_database_url" in worker.stderr
        assert "heard nothing" in worker.stderr
        assert "ready:" not in worker.stderr


def test_an_executor_over_its_memory_before_the_first_task_ends_the_start(shop: Workshop) -> None:
    """R-039: exit 1 with both numbers."""
    with shop.worker("--max-memory-per-child-mb", "5", ready="") as worker:
        assert worker.wait(50) == 1
        assert "before its first task" in worker.stderr
        assert "may hold 5 MB" in worker.stderr


def test_a_task_sent_by_sql_runs_as_it_is_registered(
    shop: Workshop, database_url: str, tmp_path: Path
) -> None:
    """D-027, T-53: time limit, retries and kind come from the registration of the worker that runs it."""
    with shop.worker() as worker, psycopg.connect(database_url, autocommit=True) as connection:

        def enqueue(name: str, kwargs: str) -> TaskHandle[str]:
            row = connection.execute(
                "select horsies.enqueue(%s, %s, 'normal')::text", [name, kwargs]
            ).fetchone()
            assert row is not None
            return TaskHandle[str](row[0], app=shop.tasks.app, ok_type=str)

        over = enqueue("limited", '{"seconds": 60}')
        assert over.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_TIMEOUT, worker.output
        again = enqueue("limited_twice", f'{{"folder": "{tmp_path}", "seconds": 60}}')
        assert again.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_TIMEOUT
        assert notes(tmp_path) == ["run", "run"]
        info = again.info(include_attempts=True).unwrap()
        assert info is not None
        assert [(a.error_code, a.will_retry) for a in info.attempts or []] == [
            ("TASK_TIMEOUT", False),
            ("TASK_TIMEOUT", True),
        ]


def test_user_code_begins_after_its_start_is_committed(shop: Workshop) -> None:
    """R-071: everybody sees the row RUNNING, in this process, while the task runs."""
    with shop.worker():
        seen = shop.tasks.look_at_row.send("look-here").unwrap().get(WAIT_MS).ok_value
    assert seen["status"] == "RUNNING"
    assert seen["pid"] == seen["own"]
    assert (seen["generation"], seen["at_once"]) == ("1", "true")


def test_what_a_worker_counts(shop: Workshop, tmp_path: Path) -> None:
    """R-141: claims, retries, ends for good, restarts and failed statements of a real worker."""
    port = free_port()

    def value(name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    with shop.worker("--http-port", str(port)) as worker:
        assert shop.tasks.fails_once.send(str(tmp_path)).unwrap().get(WAIT_MS).ok_value == "now"
        assert shop.tasks.limited.send(60.0).unwrap().get(WAIT_MS).is_err()
        eventually(lambda: value("horsies_tasks_finished_total") == 2, 30)
        finished = 'horsies_tasks_finished_total{outcome="%s",queue="normal",task="%s"}'
        assert value(finished % ("COMPLETED", "fails_once")) == 1
        assert value(finished % ("FAILED", "limited")) == 1
        assert value("horsies_retries_total") == 1
        assert value("horsies_task_queue_wait_seconds_count") == 3
        assert value('horsies_executor_restarts_total{reason="timeout"}') == 1
        victim = shop.tasks.nap.send(str(tmp_path), "victim", 60.0).unwrap()
        eventually(lambda: "begin victim" in notes(tmp_path), 30)
        victim.cancel(include_running=True).unwrap()
        eventually(lambda: value(finished % ("CANCELLED", "nap")) == 1, 30)
        assert value('horsies_executor_restarts_total{reason="cancel"}') == 1
        assert value("horsies_db_errors_total") == 0
        with (
            psycopg.connect(shop.tasks.URL) as holder,
            psycopg.connect(shop.tasks.URL, autocommit=True) as connection,
        ):
            holder.execute("lock table horsies.queues in access exclusive mode")
            handle = shop.tasks.noop.send(1).unwrap()
            cut = (
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'horsies worker cycle' and %s = any (pg_blocking_pids(pid))"
            )
            eventually(lambda: connection.execute(cut, [holder.info.backend_pid]).fetchone(), 30)
            eventually(lambda: value("horsies_db_errors_total") >= 1, 30)
            holder.rollback()
        assert handle.get(WAIT_MS).ok_value == 1, worker.output


def test_held_rows_start_first_and_go_back_at_a_stop(database_url: str, tmp_path: Path) -> None:
    """CF-17, R-052, R-054, R-071, R-130: beyond the running task a worker holds as many rows as it may, CLAIMED."""
    folder = str(tmp_path)
    with (
        open_workshop(database_url, prefetch_buffer=3, claim_lease_ms=60_000) as shop,
        psycopg.connect(database_url, autocommit=True) as connection,
        shop.worker("--processes", "1") as worker,
    ):

        def states() -> dict[str, int]:
            rows = connection.execute("select status, count(*) from horsies.tasks group by 1").fetchall()
            return dict(rows)

        first = shop.tasks.nap.send(folder, "first", 2.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin first"], 30)
        sends = [{"folder": folder, "text": str(n)} for n in range(6)]
        handles = shop.tasks.write.with_options(queue_name="low").send_many(sends).unwrap()
        eventually(lambda: states() == {"RUNNING": 1, "CLAIMED": 3, "PENDING": 3}, 30)
        assert handles[0].info().unwrap().status is TaskStatus.CLAIMED
        shop.tasks.write.with_options(queue_name="high").send(folder, "urgent, but later").unwrap()
        assert all(handle.get(WAIT_MS).is_ok() for handle in (first, *handles))
        assert [note for note in notes(tmp_path) if note.isdigit()] == [str(n) for n in range(6)]
        assert notes(tmp_path).index("2") < notes(tmp_path).index("urgent, but later")
        last = shop.tasks.nap.send(folder, "last", 1.0).unwrap()
        eventually(lambda: "begin last" in notes(tmp_path), 30)
        shop.tasks.write.send_many(sends).unwrap()
        eventually(lambda: states().get("CLAIMED") == 3, 30)
        assert worker.stop() == 0
        assert states() == {"PENDING": 6}
        assert last.get(WAIT_MS).is_ok()


def test_what_is_held_for_too_long_is_given_back(database_url: str, tmp_path: Path) -> None:
    """CF-17, CF-08: after max_claim_renew_age_ms, by its own worker; another one runs it meanwhile."""
    settings = {"prefetch_buffer": 2, "claim_lease_ms": 2_000, "max_claim_renew_age_ms": 2_000}
    resilience = {"notify_poll_interval_ms": 1_000}
    with (
        open_workshop(database_url, resilience=resilience, **settings) as shop,
        psycopg.connect(database_url, autocommit=True) as connection,
        shop.worker("--processes", "1"),
    ):
        long = shop.tasks.nap.send(str(tmp_path), "long", 60.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin long"], 30)
        held = shop.tasks.noop.send(1).unwrap()
        eventually(lambda: held.info().unwrap().status is TaskStatus.CLAIMED, 30)
        generation = "select claim_generation from horsies.tasks where id = %s"
        eventually(lambda: (connection.execute(generation, [held.task_id]).fetchone() or (0,))[0] > 1, 30)
        assert long.cancel(include_running=True).unwrap().stopped


def test_nothing_is_started_after_a_silence_too_long(database_url: str, tmp_path: Path) -> None:
    """R-091, R-092, R-075: a claim that was answered while the coordinator stood still is given back, not started."""
    resting = (
        "select state_change < now() - interval '0.5 s' from pg_stat_activity where datname = current_database()"
        " and application_name = 'horsies worker cycle' and state = 'idle'"
    )
    blocked = "select true from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
    with (
        open_workshop(database_url, resilience={"notify_poll_interval_ms": 300_000}) as shop,
        shop.worker("--processes", "1") as frozen,
        psycopg.connect(database_url) as holder,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        eventually(lambda: connection.execute(resting).fetchone() == (True,), 30)
        # The claim stands before this lock; the worker stands still when it gets its answer.
        holder.execute("lock table horsies.queues in access exclusive mode")
        handle = shop.tasks.write.send(str(tmp_path), "once").unwrap()
        eventually(lambda: connection.execute(blocked, [holder.info.backend_pid]).fetchone(), 30)
        os.kill(frozen.pid, signal.SIGSTOP)
        holder.rollback()
        look = "select status from horsies.tasks where id = %s"
        eventually(lambda: connection.execute(look, [handle.task_id]).fetchone() == ("RUNNING",), 30)
        silent = "select heartbeat_at < now() - interval '4 seconds' from horsies.workers"
        eventually(lambda: connection.execute(silent).fetchone() == (True,), 30)
        os.kill(frozen.pid, signal.SIGCONT)
        frozen.wait_for("no heartbeat was answered for too long", 40)
        assert handle.get(WAIT_MS).is_ok(), frozen.output
        info = handle.info(include_attempts=True).unwrap()
        assert (info.status, len(info.attempts)) == (TaskStatus.COMPLETED, 1)
    assert notes(tmp_path) == ["once"]


def test_a_large_result_is_stored_with_one_warning(shop: Workshop, database_url: str) -> None:
    """CF-20, CF-21: results only warn, once per task name and process."""
    with shop.worker("--processes", "1") as worker:
        for _ in range(2):
            assert len(shop.tasks.say.send("x", 1_100_000).unwrap().get(WAIT_MS).ok_value) == 1_100_000
        eventually(lambda: "over payload.warn_bytes" in worker.stderr, 30)
        assert worker.stop() == 0
        (warning,) = [line for line in worker.stderr.splitlines() if "over payload.warn_bytes" in line]
        assert "result of task 'say'" in warning
