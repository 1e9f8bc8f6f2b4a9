"""Looking at one task, and at who waits for a lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.helpers import eventually

type Rows = psycopg.Connection[dict[str, Any]]


def live(rows: Rows, task_id: str) -> dict[str, Any] | None:
    return rows.execute("select * from horsies.tasks where id = %s", [task_id]).fetchone()


def ended(rows: Rows, task_id: str) -> dict[str, Any] | None:
    return rows.execute("select * from horsies.task_history where id = %s", [task_id]).fetchone()


def one(row: dict[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    return row


def number(rows: Rows, query: str, parameters: Any = None) -> int:
    """The one number of a query."""
    found: int = next(iter(one(rows.execute(query.encode(), parameters).fetchone()).values()))
    return found


def at_once[T](count: int, call: Callable[[], T]) -> list[T]:
    """What so many concurrent calls return."""
    with ThreadPoolExecutor(count) as threads:
        return [done.result(30) for done in [threads.submit(call) for _ in range(count)]]


def wait_for_blocked(rows: Rows, blocker: psycopg.Connection[Any], count: int = 1) -> None:
    """Until so many sessions wait for a lock that `blocker` holds."""
    query = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and %s = any (pg_blocking_pids(pid))"
    )
    eventually(lambda: number(rows, query, [blocker.info.backend_pid]) >= count)
