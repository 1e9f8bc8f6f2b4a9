"""R-038 to R-040: executors are replaced by count and by memory, by a spare that is already warm; never a crash."""

import time
from contextlib import suppress
from typing import Any

import psutil

from horsies import TaskStatus
from tests.acceptance.conftest import StartWorker
from tests.helpers import RunningProcess, eventually

WAIT_MS = 20_000


def pids(worker: RunningProcess) -> set[int]:
    found: set[int] = set()
    for child in psutil.Process(worker.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


def test_recycling_by_count(basic: Any, start_worker: StartWorker, tmp_path: Any) -> None:
    """R-038: no executor runs more than N tasks, all tasks complete once, nothing counts as a crash."""
    with start_worker("--processes", "2", "--max-tasks-per-child", "10") as worker:
        handles = basic.write.send_many(
            [{"folder": str(tmp_path), "text": str(n)} for n in range(100)]
        ).unwrap()
        results = [handle.get(WAIT_MS) for handle in handles]
        ran_in = [result.ok_value for result in results]
        assert max(ran_in.count(pid) for pid in set(ran_in)) <= 10
        assert len(set(ran_in)) >= 10
        lines = (tmp_path / "notes").read_text().splitlines()
        assert sorted(lines, key=int) == [str(n) for n in range(100)]
        assert all(handle.info().unwrap().status is TaskStatus.COMPLETED for handle in handles)
        eventually(lambda: len(pids(worker)) == 3)
        assert "is gone" not in worker.stderr, worker.stderr
        assert worker.stop() == 0


def test_the_spare_stays_and_is_replaced_when_it_dies(start_worker: StartWorker) -> None:
    """R-038, R-091: it hears the coordinator (silence would end it after 3 s); a dead one is replaced."""
    with start_worker("--processes", "1", "--max-tasks-per-child", "10") as worker:
        eventually(lambda: len(pids(worker)) == 2)
        started = sorted(psutil.Process(worker.pid).children(), key=lambda child: child.create_time())
        time.sleep(4.5)
        assert pids(worker) == {child.pid for child in started}, worker.stderr
        spare = started[-1]
        spare.kill()
        eventually(lambda: len(pids(worker) - {spare.pid}) == 2)
        assert f"(pid {spare.pid}) is gone (killed by SIGKILL)" in worker.stderr
        assert worker.stop() == 0


def test_recycling_by_memory(basic: Any, start_worker: StartWorker) -> None:
    """R-039: looked at after a task; the process that grew is replaced."""
    with start_worker("--processes", "1", "--max-memory-per-child-mb", "250") as worker:
        first = basic.noop.send(0).unwrap()
        assert first.get(WAIT_MS).is_ok()
        before = first.info().unwrap().worker_pid
        assert basic.grow.send(300).unwrap().get(WAIT_MS).is_ok()
        eventually(lambda: before not in pids(worker))
        after = basic.noop.send(1).unwrap()
        assert after.get(WAIT_MS).is_ok()
        assert after.info().unwrap().worker_pid != before
        assert worker.stop() == 0


def test_async_executors_are_recycled_too(basic: Any, start_worker: StartWorker) -> None:
    """R-038."""
    with start_worker("--processes", "1", "--max-tasks-per-child", "25", "--concurrency", "10") as worker:
        handles = basic.anoop.send_many([{"n": n} for n in range(100)]).unwrap()
        assert [handle.get(WAIT_MS).ok_value for handle in handles] == list(range(100))
        assert worker.stop() == 0
