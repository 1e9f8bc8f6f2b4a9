"""Low-water marks (D-029): claims that do not walk over what an old snapshot pins."""

import json
from typing import Any

import psycopg

from horsies_worker.low_water import LowWater
from tests.core.cycle_driver import CycleDriver

SEND = "select horsies.enqueue('pack', '{}') from generate_series(1, %s)"


def slow(low: LowWater, *, took_s: float, now: float, is_full: bool) -> None:
    low.answered(now, took_s, from_marks=False, is_slow=True, is_full=is_full)


def test_as_long_as_the_front_is_near_there_are_no_marks() -> None:
    low = LowWater(poll_interval_s=5.0)
    low.note("default", "default", 100, 1000.0)
    low.answered(0.0, 0.001, from_marks=False, is_slow=False, is_full=True)
    assert low.next(0.0) is None


def test_a_backlog_has_one_claim_from_the_front_every_second() -> None:
    low = LowWater(poll_interval_s=5.0)
    low.note("default", "async", 7, 1000.5)
    slow(low, took_s=0.02, now=10.0, is_full=True)
    marks = low.next(10.001)
    assert marks is not None
    assert json.loads(marks) == [{"queue": "default", "executor": "async", "priority": 7, "since": 1000.5}]
    assert low.answered(10.5, 0.002, from_marks=True, is_slow=False, is_full=True) is None
    assert low.next(10.9) is not None
    assert low.next(11.0) is None


def test_a_short_claim_is_followed_by_one_from_the_front_within_its_share_of_the_time() -> None:
    low = LowWater(poll_interval_s=5.0)
    low.note("default", "default", 100, 1000.0)
    slow(low, took_s=0.1, now=10.0, is_full=False)
    assert low.next(10.1) is not None
    follows = low.answered(10.2, 0.002, from_marks=True, is_slow=False, is_full=False)
    assert follows is not None
    assert round(follows, 6) == 0.7
    assert low.next(10.95) is None


def test_one_runs_in_every_poll_interval_whatever_it_costs() -> None:
    low = LowWater(poll_interval_s=5.0)
    low.note("default", "default", 100, 1000.0)
    slow(low, took_s=3.0, now=10.0, is_full=True)
    assert low.next(14.9) is not None
    assert low.next(15.0) is None


def test_when_the_snapshot_is_gone_the_marks_are_too() -> None:
    low = LowWater(poll_interval_s=5.0)
    low.note("default", "default", 100, 1000.0)
    slow(low, took_s=0.02, now=10.0, is_full=True)
    low.answered(11.0, 0.02, from_marks=False, is_slow=False, is_full=True)
    assert low.next(11.0) is None


def _buffers(connection: psycopg.Connection[Any], worker: CycleDriver, marks: str | None) -> int:
    """Pages of the claim's own index scans that one claim of a single row reads."""
    plans: list[dict[str, Any]] = []

    def handler(diagnostic: psycopg.errors.Diagnostic) -> None:
        plans.append(json.loads(str(diagnostic.message_primary).split("plan:", 1)[1]))

    connection.add_notice_handler(handler)
    connection.execute("set client_min_messages = log")
    try:
        assert len(worker.cycle(places=1, marks=marks).claimed) == 1
    finally:
        connection.execute("set client_min_messages = warning")
        connection.remove_notice_handler(handler)
    return sum(_scanned(plan["Plan"]) for plan in plans)


def _scanned(node: dict[str, Any]) -> int:
    below = sum(_scanned(each) for each in node.get("Plans", []))
    if node.get("Index Name") == "tasks_claim":
        return below + int(node["Shared Hit Blocks"]) + int(node["Shared Read Blocks"])
    return below


def test_a_claim_at_the_marks_does_not_walk_over_what_a_snapshot_pins(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as watcher,
    ):
        worker = CycleDriver(connection)
        for setting in (
            b"load 'auto_explain'",
            b"set auto_explain.log_min_duration = 0",
            b"set auto_explain.log_nested_statements = on",
            b"set auto_explain.log_analyze = on",
            b"set auto_explain.log_buffers = on",
            b"set auto_explain.log_format = json",
            b"set client_min_messages = warning",
        ):
            connection.execute(setting)
        connection.execute(SEND, [1])
        fresh = _buffers(connection, worker, None)
        watcher.execute("set transaction isolation level repeatable read")
        watcher.execute("select count(*) from horsies.tasks")
        connection.execute(SEND, [6000])
        for _ in range(12):
            answer = worker.claim(500)
            assert len(answer.claimed) == 500
            worker.complete(*answer.claimed)
        row = connection.execute(
            "select max(extract(epoch from h.enqueued_at))::float8 from horsies.task_history h"
        ).fetchone()
        assert row is not None
        connection.execute(SEND, [2])
        marks = json.dumps(
            [{"queue": "default", "executor": "default", "priority": 100, "since": float(row[0]) + 0.000001}]
        )
        at_marks = _buffers(connection, worker, marks)
        from_front = _buffers(connection, worker, None)
        assert at_marks <= fresh + 10
        assert from_front > fresh + 50


def test_what_lies_below_a_mark_waits_for_a_claim_from_the_front(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        worker = CycleDriver(connection)
        connection.execute(SEND, [1])
        marks = json.dumps([{"queue": "default", "executor": "default", "priority": 100, "since": 4e9}])
        assert worker.cycle(places=1, marks=marks).claimed == []
        assert len(worker.claim().claimed) == 1
