"""What other workers, operators and the clock do to tasks: recovery, cancel, pause, deadlines, in real processes."""

import json
import os
import signal
import socket
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from horsies import OperationalErrorCode, OutcomeCode, TaskStatus
from tests.acceptance.conftest import StartWorker
from tests.acceptance.test_worker_runs import notes
from tests.helpers import eventually

WAIT_MS = 30_000


def test_a_killed_worker_is_recovered(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """R-090, R-112, R-104, CF-29: the tasks of a worker that was killed end, what had not begun runs elsewhere."""
    with start_worker("--processes", "1") as first, start_worker("--processes", "1") as second:
        handles = [basic.nap.send(str(tmp_path), str(n), 1.5).unwrap() for n in range(2)]
        eventually(lambda: len(notes(tmp_path)) == 2)
        os.kill(first.pid, signal.SIGKILL)
        results = [handle.get(WAIT_MS) for handle in handles]
        codes = [None if result.is_ok() else result.err_value.error_code for result in results]
        assert sorted(codes, key=str) == [None, OperationalErrorCode.WORKER_CRASHED]
        assert basic.noop.send(1).unwrap().get(WAIT_MS).is_ok()
        assert second.stop() == 0
    assert sorted(notes(tmp_path))[:2] == ["begin 0", "begin 1"]


def test_a_crashed_worker_s_task_is_retried_elsewhere(
    basic: Any, start_worker: StartWorker, tmp_path: Path
) -> None:
    """R-104, R-112: a task that lists WORKER_CRASHED completes although its whole worker was killed."""
    with start_worker("--processes", "1") as first:
        handle = basic.die_with_worker.send(str(tmp_path), first.pid).unwrap()
        assert first.wait() == -signal.SIGKILL
    with start_worker("--processes", "1"):
        assert handle.get(WAIT_MS).ok_value == "survived"
        info = handle.info(include_attempts=True).unwrap()
        assert [attempt.error_code for attempt in info.attempts] == [None, "WORKER_CRASHED"]


def test_a_running_task_is_cancelled(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """M-051, M-052, M-053, T-67, R-078: the process is killed, then the row is CANCELLED; the others go on."""
    with start_worker("--processes", "2"):
        victim = basic.nap.send(str(tmp_path), "victim", 60.0).unwrap()
        other = basic.nap.send(str(tmp_path), "other", 2.0).unwrap()
        eventually(lambda: len(notes(tmp_path)) == 2)
        refused = victim.cancel().unwrap_err()
        assert refused.current_status is TaskStatus.RUNNING
        outcome = victim.cancel(include_running=True).unwrap()
        assert outcome.stopped
        assert victim.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_CANCELLED
        assert "end victim" not in notes(tmp_path)
        assert other.get(WAIT_MS).ok_value == "other"


def test_a_running_async_task_is_cancelled_without_a_kill(basic: Any, start_worker: StartWorker) -> None:
    """M-051: an async task is cancelled; its executor and its neighbours live."""
    with start_worker("--processes", "1") as worker:
        children = {child.pid for child in psutil.Process(worker.pid).children()}
        neighbour, victim = basic.async_nap.send(3.0).unwrap(), basic.async_nap.send(60.0).unwrap()
        eventually(lambda: victim.info().unwrap().status is TaskStatus.RUNNING)
        assert victim.cancel(include_running=True).unwrap().stopped
        assert neighbour.get(WAIT_MS).ok_value == 3.0
        assert {child.pid for child in psutil.Process(worker.pid).children()} == children


def test_a_paused_queue_rests_until_it_is_resumed(basic: Any, start_worker: StartWorker) -> None:
    """M-070, R-061: nothing is claimed while paused; resume wakes the worker."""
    with start_worker():
        assert basic.app.pause_queue("normal", by="test").unwrap().changed
        handle = basic.noop.send(5).unwrap()
        urgent = basic.noop.with_options(queue_name="high").send(6).unwrap()
        assert urgent.get(WAIT_MS).ok_value == 6
        assert handle.info().unwrap().status is TaskStatus.PENDING
        assert basic.app.resume_queue("normal").unwrap().changed
        assert handle.get(4_000).ok_value == 5


def test_a_task_past_its_deadline_never_runs(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """T-64, T-84, R-072: EXPIRED, no attempt."""
    late = datetime.now(UTC) - timedelta(seconds=1)
    handle = basic.write.with_options(good_until=late).send(str(tmp_path), "late").unwrap()
    with start_worker():
        assert handle.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_EXPIRED
        info = handle.info(include_attempts=True).unwrap()
        assert (info.status, info.attempts) == (TaskStatus.EXPIRED, [])
    assert notes(tmp_path) == []


def test_endpoints(basic: Any, start_worker: StartWorker) -> None:
    """R-140, R-141."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    with start_worker("--http-port", str(port)):
        assert basic.noop.send(1).unwrap().get(WAIT_MS).is_ok()
        page("/healthz")
        page("/readyz")
        eventually(lambda: "horsies_tasks_finished_total{" in page("/metrics"))
        assert 'task="noop"' in page("/metrics")


def test_log_lines_as_json(basic: Any, start_worker: StartWorker) -> None:
    """07 §1: one JSON object per line."""
    with start_worker("--log-format", "json") as worker:
        assert worker.stop() == 0
        lines = [json.loads(line) for line in worker.stderr.splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()


def test_a_silent_worker_changes_nothing_late(basic: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """R-070, R-077, R-091: stopped beyond the threshold and continued, its late results are dropped."""
    with start_worker("--processes", "1") as frozen:
        handle = basic.nap.send(str(tmp_path), "long", 2.0).unwrap()
        eventually(lambda: notes(tmp_path) == ["begin long"])
        os.kill(frozen.pid, signal.SIGSTOP)
        with start_worker("--processes", "1"):
            assert handle.get(WAIT_MS).err_value.error_code is OperationalErrorCode.WORKER_CRASHED
            before = handle.info(include_result=True).unwrap()
            os.kill(frozen.pid, signal.SIGCONT)
            frozen.wait_for("owner", 20)
        assert handle.info(include_result=True).unwrap() == before
