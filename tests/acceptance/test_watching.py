"""A real worker as those see it who watch it: pings, states, pages; and what becomes of its tasks when it is gone."""

import os
import signal
import socket
import urllib.request
from typing import Any
from urllib.error import HTTPError

from tests.acceptance.conftest import StartWorker
from tests.helpers import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_pages_pings_and_states_of_a_worker(basic: Any, start_worker: StartWorker) -> None:
    """R-090, R-093, R-094, R-140, R-141, M-010, M-013."""
    port = free_port()
    with start_worker("--http-port", str(port), "--processes", "2") as worker:
        assert basic.noop.send(n=7).unwrap().get(timeout_ms=20_000).unwrap() == 7
        assert page(port, "/healthz") == (200, "ok\n")
        assert page(port, "/readyz") == (200, "ready\n")
        counted = 'horsies_tasks_finished_total{outcome="COMPLETED",queue="normal",task="noop"} 1.0'
        eventually(lambda: counted in page(port, "/metrics")[1])
        (pong,) = basic.app.ping_workers(min_responses=1, timeout_seconds=20).unwrap()
        assert pong.pid == worker.pid
        state = eventually(lambda: measured(basic, pong.worker_id))
        assert (state.state, state.pid, state.processes) == ("running", worker.pid, 2)
        assert state.children_memory_mb > 0
        assert eventually(lambda: basic.app.get_worker_state_history(pong.worker_id).unwrap())
        worker.stop()
    assert basic.app.get_worker_state(pong.worker_id).unwrap().state == "stopped"
    assert basic.app.ping_workers(timeout_seconds=0.2).unwrap() == []


def measured(basic: Any, worker_id: str) -> Any:
    """The worker's state once a heartbeat has brought what is measured."""
    state = basic.app.get_worker_state(worker_id).unwrap()
    return state if state.memory_usage_mb else None


def test_a_port_that_is_taken_ends_the_worker(start_worker: StartWorker) -> None:
    """R-140, R-133: exit 1, and says so."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with start_worker("--http-port", str(other.getsockname()[1]), ready="") as worker:
            assert worker.wait() == 1
    assert "cannot listen on 127.0.0.1" in worker.stderr


def test_the_tasks_of_a_killed_worker_are_recovered_by_another(
    basic: Any, start_worker: StartWorker, tmp_path: Any
) -> None:
    """R-112, R-117, CF-29: its executors die with it (R-036), the row is failed as crashed."""
    with start_worker() as first:
        handle = basic.nap.send(folder=str(tmp_path), name="long", seconds=600).unwrap()
        eventually((tmp_path / "notes").exists)
        os.kill(first.pid, signal.SIGKILL)
        with start_worker():
            result = handle.get(timeout_ms=40_000)
    assert result.err_value.error_code == "WORKER_CRASHED"
    info = handle.info(include_failed_reason=True).unwrap()
    assert "has not beaten since" in info.failed_reason
    assert (tmp_path / "notes").read_text() == "begin long\n"
