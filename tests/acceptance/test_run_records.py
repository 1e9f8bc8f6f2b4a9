"""What is kept of runs that could not report their own end."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg

from tests.helpers import RunningProcess

WAIT_MS = 30_000

type StartWorker = Callable[..., AbstractContextManager[RunningProcess]]


def test_a_run_that_was_killed_began_when_it_began(
    basic: Any, start_worker: StartWorker, database_url: str
) -> None:
    """T-69, R-081: its end is not its begin."""
    with start_worker("--processes", "1"), psycopg.connect(database_url) as connection:
        basic.limited.send(30.0).unwrap().get(WAIT_MS)
        row = connection.execute(
            "select error_code, started_at = claimed_at, terminal_at - started_at >= interval '0.9 s'"
            " from horsies.task_history"
        ).fetchone()
        assert row == ("TASK_TIMEOUT", True, True)


def test_the_attempt_of_a_crashed_run_names_its_process(
    basic: Any, start_worker: StartWorker, database_url: str, tmp_path: Path
) -> None:
    """T-69, R-101: also where another run follows."""
    with start_worker("--processes", "1"), psycopg.connect(database_url) as connection:
        assert basic.die_once.send(str(tmp_path)).unwrap().get(WAIT_MS).ok_value == "survived"
        row = connection.execute("select attempts -> 0, worker_pid from horsies.task_history").fetchone()
        assert row is not None
        attempt, survivor = row
        assert attempt["worker_process_name"] == "executor-1"
        assert attempt["worker_pid"] not in (None, survivor)
        assert attempt["started_at"] < attempt["finished_at"]
