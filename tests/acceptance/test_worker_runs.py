"""What becomes of tasks in a real worker: outcomes, order, limits, death of executors, draining."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import psycopg

from horsies import ContractCode, OperationalErrorCode, OutcomeCode, TaskStatus
from tests.acceptance.conftest import StartWorker
from tests.helpers import RunningProcess, eventually

WAIT_MS = 20_000


def notes(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def executors(worker: RunningProcess) -> set[int]:
    return {
        child.pid for child in psutil.Process(worker.pid).children() if child.status() != psutil.STATUS_ZOMBIE
    }


def test_outcomes_of_a_run(basic: Any, start_worker: StartWorker) -> None:
    """T-47, T-48, T-49, R-073, R-074: each way to end, and the executor survives them all."""
    with start_worker() as worker:
        before = executors(worker)
        assert basic.noop.send(7).unwrap().get(WAIT_MS).ok_value == 7
        exits = basic.system_exit.send().unwrap().get(WAIT_MS).err_value
        assert (exits.error_code, exits.data) == (
            OperationalErrorCode.UNHANDLED_EXCEPTION,
            {"exception_type": "SystemExit"},
        )
        none = basic.returns_none.send().unwrap().get(WAIT_MS).err_value
        assert none.error_code is OperationalErrorCode.TASK_EXCEPTION
        mismatch = basic.wrong_type.send().unwrap().get(WAIT_MS).err_value
        assert mismatch.error_code is ContractCode.RETURN_TYPE_MISMATCH
        assert executors(worker) == before, worker.output


def test_record_of_a_run(basic: Any, start_worker: StartWorker) -> None:
    """T-55, T-58, T-60, T-68, T-81: times in order, the worker named, one derived attempt."""
    with start_worker() as worker:
        handle = basic.noop.send(1).unwrap()
        handle.get(WAIT_MS)
        info = handle.info(include_result=True, include_attempts=True).unwrap()
    assert info.status is TaskStatus.COMPLETED
    assert info.sent_at <= info.enqueued_at <= info.claimed_at <= info.started_at <= info.completed_at
    assert info.worker_pid != worker.pid
    assert info.worker_process_name == "executor-1"
    assert [(a.attempt, a.outcome, a.will_retry) for a in info.attempts] == [(1, "COMPLETED", False)]


def test_an_executor_that_dies_takes_only_its_task(
    basic: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-033, R-104: WORKER_CRASHED at once, the process replaced, the other executor untouched."""
    with start_worker("--processes", "2") as worker:
        other = basic.nap.send(str(tmp_path), "other", 2.0).unwrap()
        eventually(lambda: "begin other" in notes(tmp_path))
        error = basic.die.send(str(tmp_path)).unwrap().get(WAIT_MS).err_value
        assert error.error_code is OperationalErrorCode.WORKER_CRASHED
        assert other.get(WAIT_MS).ok_value == "other"
        eventually(lambda: len(psutil.Process(worker.pid).children()) == 2)
        assert basic.noop.send(2).unwrap().get(WAIT_MS).ok_value == 2
        assert worker.stop() == 0


def test_a_crash_is_retried_where_the_policy_says_so(
    basic: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    """T-52, R-104: with WORKER_CRASHED listed the task runs again."""
    with start_worker():
        handle = basic.die_once.send(str(tmp_path)).unwrap()
        assert handle.get(WAIT_MS).ok_value == "survived"
        info = handle.info(include_attempts=True, include_failed_reason=True).unwrap()
    assert [(a.attempt, a.error_code, a.will_retry) for a in info.attempts] == [
        (2, None, False),
        (1, "WORKER_CRASHED", True),
    ]
    assert info.attempts[1].failed_reason is not None


def test_what_waits_behind_a_dying_task_runs_elsewhere(
    basic: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-041, R-042: rows read ahead whose begin mark is missing go back without an attempt."""
    with start_worker("--processes", "1"):
        for n in range(100):
            basic.noop.send(n).unwrap()
        eventually(lambda: basic.noop.send(0).unwrap().get(WAIT_MS).is_ok())
        death = basic.die.send(str(tmp_path)).unwrap()
        handles = basic.noop.send_many([{"n": n} for n in range(300)]).unwrap()
        assert [handle.get(WAIT_MS).ok_value for handle in handles] == list(range(300))
        assert death.get(WAIT_MS).is_err()
        infos = [handle.info(include_attempts=True).unwrap() for handle in handles]
        assert all(len(info.attempts) == 1 for info in infos)


def test_time_limits(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """T-53, R-081, R-082, R-083: a `def` task is killed, an `async def` task cancelled; others go on."""
    with start_worker("--processes", "2") as worker:
        before = executors(worker)
        slow = basic.nap.send(str(tmp_path), "slow", 3.0).unwrap()
        eventually(lambda: "begin slow" in notes(tmp_path))
        over = basic.limited.send(30.0).unwrap()
        error = over.get(WAIT_MS).err_value
        assert (error.error_code, error.data) == (
            OutcomeCode.TASK_TIMEOUT,
            {"task_id": over.task_id, "timeout_ms": 1000},
        )
        assert basic.limited.send(0.1).unwrap().get(WAIT_MS).ok_value == "in time"
        children = eventually(
            lambda: (now := executors(worker)) and len(now) == 2 and len(now - before) == 1 and now
        )
        cancelled = basic.async_limited.send(30.0).unwrap().get(WAIT_MS).err_value
        assert cancelled.error_code is OutcomeCode.TASK_TIMEOUT
        assert executors(worker) == children, worker.output
        assert slow.get(WAIT_MS).ok_value == "slow"


def test_async_and_thread_tasks_share_an_executor(basic: Any, start_worker: StartWorker) -> None:
    """T-25, R-030, R-031: many at once in one process."""
    with start_worker("--processes", "1", "--concurrency", "20"):
        handles = [basic.async_nap.send(0.5).unwrap() for _ in range(40)]
        handles += [basic.thread_nap.send(0.2).unwrap() for _ in range(10)]
        results = [handle.get(WAIT_MS) for handle in handles]
        assert all(result.is_ok() for result in results)
        assert len({result.ok_value for result in results[40:]}) == 1


def test_claims_follow_queue_and_task_priority(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """CF-14, R-050: queue priority, then row priority, then age; one executor, so the order can be seen."""
    folder = str(tmp_path)
    for queue, priority, text in [
        ("low", None, "low"),
        ("normal", 80, "normal 80"),
        ("normal", 20, "normal 20 a"),
        ("normal", 20, "normal 20 b"),
        ("high", None, "high"),
    ]:
        basic.write.with_options(queue_name=queue, priority=priority).send(folder, text).unwrap()
    with start_worker("--processes", "1"):
        eventually(lambda: len(notes(tmp_path)) == 5)
    assert notes(tmp_path) == ["high", "normal 20 a", "normal 20 b", "normal 80", "low"]


def test_a_cap_holds_and_zero_claims_nothing(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """CF-15, R-057, R-058: one at a time with two workers; a full or closed queue does not block the others."""
    for _ in range(6):
        basic.counted.send(str(tmp_path), 0.15).unwrap()
    closed = basic.never.send().unwrap()
    with start_worker("--processes", "2"), start_worker("--processes", "2"):
        assert basic.noop.send(1).unwrap().get(WAIT_MS).is_ok()
        eventually(lambda: notes(tmp_path).count("-") == 6)
        assert notes(tmp_path) == ["+", "-"] * 6
        assert closed.info().unwrap().status is TaskStatus.PENDING


def test_a_stop_lets_running_tasks_finish(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """R-130, R-133: SIGTERM during load; running tasks end, the rest stays PENDING, exit 0."""
    folder = str(tmp_path)
    with start_worker("--processes", "2") as worker:
        handles = [basic.nap.send(folder, str(n), 1.0).unwrap() for n in range(6)]
        eventually(lambda: len(notes(tmp_path)) >= 2)
        assert worker.stop() == 0
        begun = {note.split()[1] for note in notes(tmp_path) if note.startswith("begin")}
        assert {note.split()[1] for note in notes(tmp_path) if note.startswith("end")} == begun
    states = [handle.info().unwrap().status for handle in handles]
    assert states.count(TaskStatus.COMPLETED) == len(begun)
    assert states.count(TaskStatus.PENDING) == 6 - len(begun)


def test_a_second_signal_ends_by_force(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """R-131, R-133: executors killed, rows resolved, exit 3."""
    with start_worker() as worker:
        handle = basic.nap.send(str(tmp_path), "long", 60.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin long"])
        worker.send_signal(signal.SIGTERM)
        worker.wait_for("stopping")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait() == 3
    assert handle.get(1000).err_value.error_code is OperationalErrorCode.WORKER_CRASHED


def test_executors_end_with_their_coordinator(basic: Any, start_worker: StartWorker) -> None:
    """R-036: after SIGKILL of the coordinator no executor is left."""
    with start_worker("--processes", "3") as worker:
        children = psutil.Process(worker.pid).children()
        assert len(children) == 3
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


def test_connections_of_a_worker(basic: Any, start_worker: StartWorker, database_url: str) -> None:
    """CF-25: three connections whatever the number of executors; executors have none."""
    with start_worker("--processes", "4"), psycopg.connect(database_url, autocommit=True) as connection:
        basic.noop.send(1).unwrap().get(WAIT_MS)
        names = connection.execute(
            "select application_name from pg_stat_activity where datname = current_database()"
            " and application_name like 'horsies worker%' order by 1"
        ).fetchall()
        assert names == [("horsies worker",), ("horsies worker cycle",), ("horsies worker listener",)]


def test_a_wake_up_that_is_lost_costs_one_poll(
    basic: Any, start_worker: StartWorker, database_url: str
) -> None:
    """R-062: a row inserted without its NOTIFY is found by the poll."""
    with start_worker(), psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into horsies.tasks (id, task_name, queue_name, priority, kwargs, sent_at, enqueued_at)"
            " values ('01890000-0000-7000-8000-000000000001', 'noop', 'normal', 50, '{\"n\": 3}', now(), now())"
        )
        from horsies import TaskHandle

        handle = TaskHandle[int]("01890000-0000-7000-8000-000000000001", app=basic.app, ok_type=int)
        assert handle.get(WAIT_MS).ok_value == 3
