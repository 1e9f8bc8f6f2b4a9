"""The table of live tasks after much has passed through it, and what is announced meanwhile."""

import re
from collections.abc import Generator
from typing import Any

import psycopg
import pytest

from horsies.channels import queue_channel, task_hints, worker_hints, workflow_hints
from tests.core.cycle_driver import CycleDriver

SCHEMA = "horsies"
PASSED = 10_000
BUFFERS = re.compile(r"Buffers: shared hit=(\d+)(?: read=(\d+))?")


@pytest.fixture
def connection(database_url: str) -> Generator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def worker(connection: psycopg.Connection[Any]) -> CycleDriver:
    return CycleDriver(connection)


class ClaimCost:
    """Pages that a claim touches."""

    def __init__(self, connection: psycopg.Connection[Any], worker: CycleDriver) -> None:
        self._texts: list[str] = []
        self._worker = worker
        for setting in (
            "load 'auto_explain'",
            "set auto_explain.log_min_duration = 0",
            "set auto_explain.log_analyze = on",
            "set auto_explain.log_buffers = on",
            "set client_min_messages = log",
        ):
            connection.execute(setting.encode())
        connection.add_notice_handler(lambda diagnostic: self._texts.append(diagnostic.message_primary or ""))

    def of_empty_claim(self) -> int:
        for _ in range(3):  # the first ones of a session read the catalogue too
            self._texts.clear()
            assert self._worker.claim(100).ids == []
        found = BUFFERS.search("\n".join(self._texts))
        assert found, f"no plan with buffers: {self._texts}"
        return int(found[1]) + int(found[2] or 0)


def enqueue(connection: psycopg.Connection[Any], count: int) -> None:
    connection.execute("select horsies.enqueue('pack') from generate_series(1, %s)", [count])


def test_the_settings_make_autovacuum_act_on_some_thousand_dead_rows(
    connection: psycopg.Connection[Any],
) -> None:
    """D-025: however many rows the table has, and without pauses"""
    row = connection.execute(
        "select reloptions from pg_class where oid = 'horsies.tasks'::regclass"
    ).fetchone()
    assert row is not None
    options = dict(option.split("=") for option in row[0])
    rows = 1_000_000
    threshold = int(options["autovacuum_vacuum_threshold"])
    assert threshold + float(options["autovacuum_vacuum_scale_factor"]) * rows <= 10_000
    assert options["autovacuum_vacuum_cost_delay"] == "0"


def test_an_empty_queue_is_as_quick_as_new_once_cleaned(
    connection: psycopg.Connection[Any], worker: CycleDriver
) -> None:
    """D-025: after many tasks have passed, what autovacuum does brings a claim's cost back to that of a new table."""
    cost = ClaimCost(connection, worker)
    new = cost.of_empty_claim()
    enqueue(connection, PASSED)
    for _ in range(PASSED // 1_000):
        worker.complete(*worker.claim(1_000).claimed)
    assert worker.claim().ids == []
    connection.execute("vacuum horsies.tasks")
    assert cost.of_empty_claim() <= new + 4, "as many pages as in a new table, or a level more of an index"


def test_nobody_watches_and_nothing_is_announced_but_wake_ups(
    connection: psycopg.Connection[Any], worker: CycleDriver, database_url: str
) -> None:
    """D-042: no hints while nobody watches; inserts show as the queue's own wake-up, one for a transaction (D-041)."""
    hints = {task_hints(SCHEMA), workflow_hints(SCHEMA), worker_hints(SCHEMA)}
    wake_up = queue_channel(SCHEMA, "default")
    with psycopg.connect(database_url, autocommit=True) as listener:
        for channel in (*hints, wake_up, "end"):
            listener.execute(f'listen "{channel}"'.encode())
        enqueue(connection, 200)
        first, second, *others = worker.claim(200).claimed
        worker.complete(*others)
        worker.fail(first)
        worker.fail(second, retry_s=60)
        connection.execute('notify "end"')
        heard: list[str] = []
        for notification in listener.notifies(timeout=30):
            if notification.channel == "end":
                break
            heard.append(notification.channel)
    assert heard == [wake_up]
