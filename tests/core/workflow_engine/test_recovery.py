"""What the reaper and upkeep do with workflow tasks: crashes, deadlines, orphans, expiry, deletion."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from horsies.db import arrays
from horsies.db.effects import Op, Row, Run
from horsies.ops.recover import EXPIRED_RESULT
from horsies.ops.workflow_upkeep import cancel_orphans, expire_paused
from horsies.sql import Statements
from tests.core.cycle_driver import Claim, failed
from tests.core.workflow_engine.engine import Engine, N, plan
from tests.core.workflow_engine.state import check_invariants, read_tree


def crash(engine: Engine, claim: Claim, retry_s: float | None = None) -> tuple[int, int]:
    """What the reaper writes for a run whose worker is not registered any more; (handled, retried)."""
    end = {
        "id": claim.id,
        "generation": claim.generation,
        "status": "FAILED",
        "result": failed("WORKER_CRASHED"),
        "error_code": "WORKER_CRASHED",
        "outcome": "FAILED",
        "retry_s": retry_s,
    }
    (row,) = engine.run(
        "fail_running", worker=engine.worker.worker_id, ends=json.dumps([end]), threshold_ms=1000, now=None
    )
    return row[0], row[1]


def drive[R](engine: Engine, op: Op[R], look: Callable[[str, list[Row]], None]) -> R:
    """Run an operation; `look` is told each statement and its answer."""
    answer: Any = None
    while True:
        try:
            run = op.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        assert isinstance(run, Run)
        answer = engine.run(run.name, **run.params)
        look(run.name, answer)


def test_a_crashed_run_fails_its_node_with_all_that_follows(engine: Engine) -> None:
    """W-91, R-112: in the reaper's transaction."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), N("c", ["a"], allow_failed=True)))
    assert crash(engine, engine.claim()["a"]) == (1, 0)
    assert engine.nodes(flow) == {"a": "FAILED", "b": "SKIPPED", "c": "ENQUEUED"}
    engine.complete(*engine.claim().values())
    assert engine.workflow(flow)["error"] == failed("WORKER_CRASHED")


def test_a_crashed_run_is_retried_where_the_policy_says_so(engine: Engine) -> None:
    """W-91; W-74: parked under PAUSED."""
    flow = engine.start(plan(N("a", retries=1), N("b", retries=1)))
    claims = engine.claim()
    assert crash(engine, claims["a"], retry_s=0) == (1, 1)
    assert engine.nodes(flow)["a"] == "ENQUEUED"
    engine.pause(flow)
    assert crash(engine, claims["b"], retry_s=0) == (1, 1)
    assert [row["parked"] for row in engine.tasks(flow)] == [True, True]


def requeue(engine: Engine, *claims: Claim) -> Any:
    """What the reaper hands back of a worker that is not registered any more."""
    return engine.run(
        "requeue_claimed",
        worker=engine.worker.worker_id,
        ids=arrays.plain(claim.id for claim in claims),
        generations=arrays.plain(claim.generation for claim in claims),
        threshold_ms=1000,
        now=None,
    )


def test_what_a_silent_worker_held_claimed_goes_back(engine: Engine) -> None:
    """W-91, R-110: the node stays ENQUEUED; parked or removed meanwhile, the row is left as it is."""
    runs, paused, cancelled = (engine.start(plan(N("a"))) for _ in range(3))
    claims = engine.worker.prefetch(*(str(engine.tasks(flow)[0]["id"]) for flow in (runs, paused, cancelled)))
    engine.pause(paused)
    engine.cancel(cancelled)
    assert requeue(engine, *claims) == [(1,)]
    assert [(row["status"], row["parked"]) for row in engine.tasks(runs)] == [("PENDING", False)]
    assert [(row["status"], row["parked"]) for row in engine.tasks(paused)] == [("PENDING", True)]
    assert (engine.tasks(cancelled), engine.nodes(cancelled)) == ([], {"a": "SKIPPED"})
    assert engine.nodes(runs) == {"a": "ENQUEUED"}
    for flow in (runs, paused, cancelled):
        check_invariants(read_tree(engine, flow))


def test_a_busy_tree_holds_up_no_other(engine: Engine, database_url: str) -> None:
    """R-112, W-100."""
    busy, free = engine.start(plan(N("a"))), engine.start(plan(N("a")))
    claims = {str(claim.workflow_id): claim for claim in engine.worker.claim(5).claimed}
    ends = [
        {
            "id": claim.id,
            "generation": claim.generation,
            "status": "FAILED",
            "result": failed("WORKER_CRASHED"),
            "error_code": "WORKER_CRASHED",
        }
        for claim in claims.values()
    ]
    params: dict[str, Any] = {
        "worker": engine.worker.worker_id,
        "ends": json.dumps(ends),
        "threshold_ms": 1000,
        "now": None,
    }
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [busy])
        assert engine.run("fail_running", **params) == [(1, 0)]
    assert (engine.status(busy), engine.status(free)) == ("RUNNING", "FAILED")


def test_a_deadline_that_passes_fails_the_node(engine: Engine) -> None:
    """W-92: claimed past it, and parked past it; FAILED, not SKIPPED."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    flow = engine.start(plan(N("a", good_until=past), N("b", ["a"], allow_failed=True)))
    (claim,) = engine.worker.claim().expired
    engine.fail(claim, "TASK_EXPIRED", status="EXPIRED")
    assert engine.nodes(flow) == {"a": "FAILED", "b": "ENQUEUED"}
    soon = datetime.now(UTC) + timedelta(minutes=1)
    parked = engine.start(plan(N("a", good_until=soon), N("b", ["a"], allow_failed=True)))
    engine.pause(parked)
    ids = "{" + ",".join(str(row["id"]) for row in engine.tasks(parked)) + "}"
    later = soon + timedelta(seconds=1)
    assert engine.run("expire_pending", ids=ids, result=EXPIRED_RESULT, now=later) == [(1,)]
    assert engine.nodes(parked) == {"a": "FAILED", "b": "PENDING"}
    assert engine.node(parked, "a")["error_code"] == "TASK_EXPIRED"
    engine.resume(parked)
    assert engine.nodes(parked) == {"a": "FAILED", "b": "ENQUEUED"}


def test_a_retry_past_the_deadline_is_not_scheduled(engine: Engine) -> None:
    """W-92."""
    soon = datetime.now(UTC) + timedelta(minutes=1)
    flow = engine.start(plan(N("a", good_until=soon, retries=1)))
    assert engine.fail(engine.claim()["a"], "BROKEN", retry_s=120).retried == []
    assert (engine.status(flow), engine.node(flow, "a")["error_code"]) == ("FAILED", "BROKEN")


def test_what_was_never_dispatched_goes_back_by_its_workflow(engine: Engine) -> None:
    """R-092, W-79: claimable, parked, or ended with its workflow."""
    runs, paused, cancelled = (engine.start(plan(N("a"))) for _ in range(3))
    engine.claim()
    engine.pause(paused)
    engine.cancel(cancelled)
    assert engine.run("return_undispatched", worker=engine.worker.worker_id, kept="{}", generations="{}") == [
        (3,)
    ]
    assert [(row["status"], row["parked"]) for row in engine.tasks(runs)] == [("PENDING", False)]
    assert [(row["status"], row["parked"]) for row in engine.tasks(paused)] == [("PENDING", True)]
    assert (engine.tasks(cancelled), engine.nodes(cancelled)) == ([], {"a": "SKIPPED"})


def test_a_task_that_no_node_waits_for_is_cancelled(engine: Engine) -> None:
    """R-111: and no other."""
    flow = engine.start(plan(N("a"), N("b", conditions=True), N("c")))
    other = engine.start(plan(N("a"), N("b")))
    engine.pause(other)
    assert engine.run("cancel_orphans", limit=500, now=None) == [(0,)]
    engine.select(
        "update horsies.workflow_nodes set status = 'SKIPPED', completed_at = now()"
        " where workflow_id = %s and node_id <> 'c' returning 1",
        [flow],
    )
    assert engine.run("cancel_orphans", limit=500, now=None) == [(2,)]
    assert [row["task_name"] for row in engine.tasks(flow)] == ["run_c"]
    assert len(engine.tasks(other)) == 2


def test_orphans_go_page_by_page(engine: Engine) -> None:
    """R-111: 500 a transaction, until there are none; running ones are left to their workers."""
    flow = engine.start(plan(*(N(f"n{i}") for i in range(1_103))))
    engine.worker.claim(3)
    engine.select("update horsies.workflow_nodes set status = 'SKIPPED', completed_at = now()")
    pages: list[int] = []
    assert drive(engine, cancel_orphans(), lambda name, rows: pages.append(rows[0][0])) == 1_100
    assert pages == [500, 500, 100]
    assert [row["status"] for row in engine.tasks(flow)] == ["RUNNING"] * 3
    ended = engine.select("select distinct status, error_code, failed_reason from horsies.task_history")
    assert ended == [
        ("CANCELLED", "TASK_CANCELLED", "cancelled by the audit of workflow tasks: no node waits for it")
    ]


def test_every_paused_workflow_past_the_policy_expires(engine: Engine) -> None:
    """R-114, W-83: one transaction each; one that was resumed in between is left alone."""
    now = datetime.now(UTC)
    flows = [engine.start(plan(N("a"))) for _ in range(4)]
    for age, flow in enumerate(flows, 1):
        engine.pause(flow, now - timedelta(hours=age))
    asked: list[str] = []

    def look(name: str, rows: list[Row]) -> None:
        asked.append(name)
        if name == "list_paused_workflows":
            assert rows == [(flows[3],), (flows[2],)]
            engine.resume(flows[3])

    assert drive(engine, expire_paused(timedelta(minutes=150), now), look) == 1
    assert asked == ["list_paused_workflows", "expire_workflow", "expire_workflow"]
    assert [engine.status(flow) for flow in flows] == ["PAUSED", "PAUSED", "EXPIRED", "RUNNING"]


def test_paused_workflows_expire_by_policy(engine: Engine) -> None:
    """W-83, R-114: the statements of the step."""
    old, fresh, runs = (engine.start(plan(N("a"))) for _ in range(3))
    now = datetime.now(UTC)
    engine.pause(old, now - timedelta(hours=2))
    engine.pause(fresh, now - timedelta(minutes=1))
    assert engine.run("list_paused_workflows", policy_s=3600.0, limit=500, now=now) == [(old,)]
    assert engine.run("expire_workflow", id=old, policy_s=3600.0, now=now) == [(True,)]
    assert engine.run("expire_workflow", id=fresh, policy_s=3600.0, now=now) == [(False,)]
    assert [engine.status(flow) for flow in (old, fresh, runs)] == ["EXPIRED", "PAUSED", "RUNNING"]


def test_workflows_are_deleted_with_their_trees(engine: Engine) -> None:
    """W-102, D-017: not while something of the tree is open or executes; task history stays."""
    top = engine.start(plan(N("s", child="kid"), N("x")))
    claims = engine.claim()
    engine.decide(claims["?s"], {"decision": "child", "child": plan(N("y"), name="kid")})
    kid = engine.child(top, "s")
    y = engine.claim()["y"]
    engine.complete(claims["x"])
    engine.cancel(top)
    later = datetime.now(UTC) + timedelta(hours=25)

    def clean() -> int:
        return len(engine.run("clean_workflows", keep_hours=24, limit=500, now=later))

    assert clean() == 0
    engine.complete(y)
    assert len(engine.run("clean_workflows", keep_hours=26, limit=500, now=later)) == 0
    assert clean() == 2 + 3
    assert engine.select("select id from horsies.workflows where id in (%s, %s)", [top, kid]) == []
    assert engine.select("select count(*) from horsies.task_history") == [(3,)]


def test_a_workflow_that_is_watched_is_not_deleted_twice(engine: Engine, database_url: str) -> None:
    """D-034: two cleaners at once."""
    flow = engine.start(plan(N("a")))
    engine.complete(*engine.claim().values())
    later = datetime.now(UTC) + timedelta(hours=25)
    with psycopg.connect(database_url) as other:
        statement = Statements("horsies")["clean_workflows"]
        params = {"keep_hours": 24, "limit": 500, "now": later}
        assert len(other.execute(statement, params).fetchall()) == 2
        assert engine.run("clean_workflows", **params) == []
        other.commit()
    assert engine.select("select id from horsies.workflows where id = %s", [flow]) == []
