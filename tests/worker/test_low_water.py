"""Low-water marks (D-029): claims that do not walk over what an old snapshot pins."""

import json
from typing import Any

import psycopg

from horsies_worker.low_water import FIRST_ID, LowWater, Mark
from tests.core.cycle_driver import Answer, CycleDriver

SEND = "select horsies.enqueue('pack', '{}') from generate_series(1, %s)"


ID = "0192e8a0-0000-7000-8000-000000000000"
HERE = ("default", "default", 100, 1000.0, ID)


def answered(
    low: LowWater,
    marks: list[Mark],
    *,
    now: float,
    took_s: float = 0.002,
    from_front: bool = True,
    slow: bool = False,
    full: bool = True,
) -> float | None:
    return low.answered(now, took_s, marks, from_front=from_front, is_slow=slow, is_full=full)


def spans(low: LowWater, now: float) -> str:
    """Without quotes, the ids short; empty for a claim from the front."""
    plain = (low.next(now) or "").replace("\\", "").replace('"', "")
    return plain.replace(ID, "id").replace(FIRST_ID, "0")


def test_a_claim_that_comes_short_leaves_no_marks() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0, full=False)
    assert low.next(10.0) is None


def test_a_backlog_is_claimed_from_the_marks_nine_tenths_of_the_time() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [("default", "async", 7, 1000.5, ID)], now=10.0)
    assert spans(low, 10.001) == "{(default,async,0,-inf,0,6),(default,async,7,1000.5,id,100)}"
    assert answered(low, [("default", "async", 7, 1001.5, ID)], now=10.003, from_front=False) is None
    assert spans(low, 10.017) == "{(default,async,0,-inf,0,6),(default,async,7,1001.5,id,100)}"
    assert low.next(10.019) is None


def test_the_parts_between_marks_are_looked_into() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(
        low, [("a", "async", 7, 5.0, ID), ("a", "async", 3, 6.0, ID), ("b", "async", 1, 7.0, ID)], now=10.0
    )
    assert spans(low, 10.0) == (
        "{(a,async,0,-inf,0,2),(a,async,3,6.0,id,6),(a,async,7,5.0,id,100),(b,async,0,-inf,0,0),(b,async,1,7.0,id,100)}"
    )


def test_when_a_claim_at_the_marks_comes_short_one_from_the_front_follows_at_once() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0)
    assert answered(low, [], now=10.001, from_front=False, full=False) == 0.0
    assert low.next(10.001) is None


def test_a_claim_from_the_front_forgets_the_marks_of_before() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [("default", "default", 1, 999.0, ID)], now=10.0)
    answered(low, [HERE], now=11.0)
    assert spans(low, 11.0) == "{(default,default,0,-inf,0,99),(default,default,100,1000.0,id,100)}"


def test_a_slow_backlog_has_one_claim_from_the_front_every_second() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0, took_s=0.02, slow=True)
    assert "(default,default,100,1000.0,id,100)" in spans(low, 10.001)
    assert answered(low, [], now=10.5, from_front=False) is None
    assert low.next(10.9) is not None
    assert low.next(11.0) is None


def test_a_slow_and_short_claim_is_followed_by_one_from_the_front_within_its_share_of_the_time() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0, took_s=0.1, slow=True, full=False)
    assert "(default,default,100,999.0,0,100)" in spans(low, 10.1), "a second below the mark"
    follows = answered(low, [], now=10.2, from_front=False, full=False)
    assert follows is not None
    assert round(follows, 6) == 0.7
    assert low.next(10.95) is None


def test_one_runs_in_every_poll_interval_whatever_it_costs() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0, took_s=3.0, slow=True)
    assert low.next(14.9) is not None
    assert low.next(15.0) is None


def test_when_the_snapshot_is_gone_the_marks_of_its_time_are_too() -> None:
    low = LowWater(poll_interval_s=5.0)
    answered(low, [HERE], now=10.0, took_s=0.02, slow=True)
    answered(low, [], now=11.0, took_s=0.02)
    assert low.next(11.0) is None


def spans_of(answer: Answer) -> str:
    """What a worker looks into after this answer."""
    low = LowWater(poll_interval_s=5.0)
    answered(low, [(*key, *start) for key, start in answer.marks.items()], now=10.0)
    return low.next(10.0) or ""


def _buffers(connection: psycopg.Connection[Any], worker: CycleDriver, spans: str | None) -> int:
    """Pages of the claim's own index scans that one claim of a single row reads."""
    plans: list[dict[str, Any]] = []

    def handler(diagnostic: psycopg.errors.Diagnostic) -> None:
        plans.append(json.loads(str(diagnostic.message_primary).split("plan:", 1)[1]))

    connection.add_notice_handler(handler)
    connection.execute("set client_min_messages = log")
    try:
        assert len(worker.cycle(places=1, spans=spans).claimed) == 1
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
        connection.execute(SEND, [3])
        answer = worker.claim()
        at_marks = _buffers(connection, worker, spans_of(answer))
        from_front = _buffers(connection, worker, None)
        assert at_marks <= fresh + 10
        assert from_front > fresh + 50


def test_what_lies_below_a_mark_waits_for_a_claim_from_the_front(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        worker = CycleDriver(connection)
        connection.execute(SEND, [1])
        low = LowWater(poll_interval_s=5.0)
        answered(low, [("default", "default", 100, 4e9, ID)], now=10.0)
        assert worker.cycle(places=1, spans=low.next(10.0)).claimed == []
        assert len(worker.claim().claimed) == 1


def test_a_row_of_a_better_priority_is_behind_no_mark(database_url: str) -> None:
    """R-050: the order holds at the marks too."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        worker = CycleDriver(connection)
        connection.execute(SEND, [3])
        marks = worker.claim()
        connection.execute(
            "update horsies.tasks set priority = 7 where id = (select max(id::text)::uuid from horsies.tasks)"
        )
        (better,) = connection.execute(
            "select id::text from horsies.tasks where priority = 7"
        ).fetchone() or ("",)
        assert worker.cycle(places=1, spans=spans_of(marks)).ids == [better]
        assert len(worker.cycle(places=2, spans=spans_of(marks)).ids) == 1
