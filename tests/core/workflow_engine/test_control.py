"""Pause, resume, cancel and expiry: which rows and nodes they touch, and what the ends of tasks bring meanwhile."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from horsies.sql import Statements
from tests.core.cycle_driver import failed
from tests.core.workflow_engine.engine import Engine, N, ok, plan

TASK_ENDS = (
    "select status, count(*)::integer from horsies.task_history where workflow_id = %s group by status"
)


def test_pause_parks_what_waits_and_lets_run_what_runs(engine: Engine) -> None:
    """W-71, W-73: node, task, retry count and due time stay; the claim index does not have them."""
    flow = engine.start(plan(N("a"), N("b"), N("c", retries=1), N("d", ["a"])))
    claims = engine.claim()
    engine.fail(claims["c"], retry_s=100)
    engine.worker.hand_back(claims["b"])
    before = {row["id"]: row for row in engine.tasks(flow)}
    assert engine.pause(flow) == (True, True)
    assert engine.pause(flow) == (True, False)
    assert engine.status(flow) == "PAUSED"
    after = {row["id"]: row for row in engine.tasks(flow)}
    assert {row["task_name"]: (row["status"], row["parked"]) for row in after.values()} == {
        "run_a": ("RUNNING", False),
        "run_b": ("PENDING", True),
        "run_c": ("PENDING", True),
    }
    assert all(row | {"parked": False} == before[key] for key, row in after.items())
    assert engine.claim() == {}


def test_a_holder_of_a_parked_claim_finds_it_lost(engine: Engine) -> None:
    """W-73: CLAIMED rows lose their claim."""
    flow = engine.start(plan(N("a")))
    (claim,) = engine.worker.prefetch(str(engine.tasks(flow)[0]["id"]))
    engine.pause(flow)
    (row,) = engine.tasks(flow)
    assert (row["status"], row["parked"], row["worker_id"]) == ("PENDING", True, None)
    assert engine.worker.complete(claim).lost == [claim.id]


def test_under_pause_results_are_recorded_and_nothing_else(engine: Engine) -> None:
    """W-74: also when all nodes have ended."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), output="b"))
    claims = engine.claim()
    engine.pause(flow)
    engine.complete(claims["a"], value=1)
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "PENDING"}
    assert engine.tasks(flow) == []
    single = engine.start(plan(N("a")))
    (claim,) = engine.claim().values()
    engine.pause(single)
    engine.complete(claim)
    assert (engine.status(single), engine.nodes(single)) == ("PAUSED", {"a": "COMPLETED"})
    assert engine.resume(single) == (True, True)
    assert engine.status(single) == "COMPLETED"


def test_resume_goes_on_where_it_stood(engine: Engine) -> None:
    """W-75: parked rows are claimable, decided nodes go on, skips cascade; a second resume changes nothing."""
    flow = engine.start(
        plan(N("a"), N("b"), N("c"), N("d", ["a"]), N("e", ["b"]), N("f", ["e"]), N("g", ["c"]))
    )
    claims = engine.claim()
    engine.worker.hand_back(claims["c"])
    engine.pause(flow)
    engine.complete(claims["a"])
    engine.fail(claims["b"])
    assert engine.resume(flow) == (True, True)
    assert engine.resume(flow) == (True, False)
    assert engine.nodes(flow) == {
        "a": "COMPLETED",
        "b": "FAILED",
        "c": "ENQUEUED",
        "d": "ENQUEUED",
        "e": "SKIPPED",
        "f": "SKIPPED",
        "g": "PENDING",
    }
    assert engine.workflow(flow)["paused_at"] is None
    assert engine.claim().keys() == {"c", "d"}


def test_a_retry_and_a_return_under_pause_are_parked(engine: Engine) -> None:
    """W-74, W-79, R-101."""
    flow = engine.start(plan(N("a", retries=1), N("b")))
    claims = engine.claim()
    engine.pause(flow)
    assert engine.fail(claims["a"], retry_s=0).retried == [claims["a"].id]
    engine.worker.hand_back(claims["b"])
    assert [(row["status"], row["parked"], row["retry_count"]) for row in engine.tasks(flow)] == [
        ("PENDING", True, 1),
        ("PENDING", True, 0),
    ]
    assert engine.nodes(flow) == {"a": "ENQUEUED", "b": "ENQUEUED"}
    engine.resume(flow)
    assert engine.claim().keys() == {"a", "b"}


def test_on_error_pause(engine: Engine) -> None:
    """W-67: that node's error; dependents stay PENDING; a further failure changes no error; resume goes on."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["b"]), N("d"), on_error="pause"))
    claims = engine.claim()
    engine.fail(claims["b"], "B")
    row = engine.workflow(flow)
    assert (row["status"], row["error"], row["paused_at"] is None) == ("PAUSED", failed("B"), False)
    assert engine.nodes(flow)["c"] == "PENDING"
    engine.fail(claims["a"], "A")
    assert engine.workflow(flow)["error"] == failed("B")
    engine.complete(claims["d"])
    assert engine.status(flow) == "PAUSED"
    engine.resume(flow)
    row = engine.workflow(flow)
    assert (row["status"], row["error"]) == ("FAILED", failed("A"))
    assert engine.nodes(flow) == {"a": "FAILED", "b": "FAILED", "c": "SKIPPED", "d": "COMPLETED"}


def test_a_failure_pauses_though_others_of_its_batch_succeeded(engine: Engine) -> None:
    """W-46: the transaction that leaves a workflow PAUSED enqueues nothing for it."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a"]), on_error="pause"))
    claims = engine.claim()
    engine.worker.cycle(
        completed=(claims["a"],),
        result=ok(),
        ended=[
            {
                "id": claims["b"].id,
                "generation": claims["b"].generation,
                "workflow_id": flow,
                "status": "FAILED",
                "result": failed("B"),
                "error_code": "B",
            }
        ],
        places=5,
    )
    assert (engine.status(flow), engine.tasks(flow)) == ("PAUSED", [])
    assert engine.nodes(flow)["c"] == "PENDING"


def test_cancel_ends_all_that_does_not_execute(engine: Engine) -> None:
    """W-77, W-78, W-97: at once; waiting retries too; a second cancel changes nothing."""
    flow = engine.start(plan(N("a"), N("b"), N("c", retries=1), N("d", ["a"]), N("e", conditions=True)))
    claims = engine.claim()
    engine.worker.hand_back(claims["b"])
    engine.fail(claims["c"], retry_s=5)
    assert engine.cancel(flow) == (True, True)
    assert engine.cancel(flow) == (True, False)
    row = engine.workflow(flow)
    assert (row["status"], row["completed_at"] is None, row["error"]) == ("CANCELLED", False, None)
    assert engine.nodes(flow) == {
        "a": "ENQUEUED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "d": "SKIPPED",
        "e": "SKIPPED",
    }
    assert row["open_nodes"] == 1
    assert [(t["task_name"], t["status"]) for t in engine.tasks(flow)] == [
        ("run_a", "RUNNING"),
        ("horsies.prepare", "RUNNING"),
    ]
    assert dict(engine.select(TASK_ENDS, [flow])) == {"CANCELLED": 2}


@pytest.mark.parametrize("retry_s", [None, 0])
def test_what_executes_at_a_cancel_ends_with_its_own_result(engine: Engine, retry_s: int | None) -> None:
    """W-79: recorded on the node; no retry, no successors."""
    flow = engine.start(plan(N("a"), N("b", retries=1), N("c", ["a"])))
    claims = engine.claim()
    engine.cancel(flow)
    engine.complete(claims["a"], value=1)
    engine.fail(claims["b"], retry_s=retry_s)
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "FAILED", "c": "SKIPPED"}
    row = engine.workflow(flow)
    assert (row["status"], row["open_nodes"], row["error"]) == ("CANCELLED", 0, None)
    assert engine.tasks(flow) == []


def test_what_had_not_begun_at_a_cancel_ends_cancelled(engine: Engine) -> None:
    """W-79: handed back unbegun."""
    flow = engine.start(plan(N("a")))
    claims = engine.claim()
    engine.cancel(flow)
    engine.worker.hand_back(claims["a"])
    assert engine.nodes(flow) == {"a": "SKIPPED"}
    assert dict(engine.select(TASK_ENDS, [flow])) == {"CANCELLED": 1}
    assert engine.workflow(flow)["open_nodes"] == 0


def test_a_step_that_executes_at_a_cancel_changes_nothing(engine: Engine) -> None:
    """W-78, W-81."""
    flow = engine.start(plan(N("a", conditions=True)))
    step = engine.claim()["?a"]
    engine.cancel(flow)
    assert engine.decide(step, {"decision": "run"}).lost == []
    assert (engine.nodes(flow), engine.tasks(flow)) == ({"a": "SKIPPED"}, [])


def test_absent_and_ended_workflows(engine: Engine) -> None:
    """W-37, W-71, W-75, W-77."""
    nobody = "00000000-0000-0000-0000-000000000001"
    assert engine.pause(nobody) == engine.resume(nobody) == engine.cancel(nobody) == (False, False)
    flow = engine.start(plan(N("a")))
    assert engine.resume(flow) == (True, False)
    engine.complete(*engine.claim().values())
    assert engine.pause(flow) == engine.resume(flow) == engine.cancel(flow) == (True, False)
    assert engine.status(flow) == "COMPLETED"


# -- trees


def nested(engine: Engine, on_error: str = "fail") -> tuple[str, str, str]:
    """A workflow whose only node runs a child, whose only node runs a child; and their ids."""
    top = engine.start(plan(N("s", child="mid"), N("after", ["s"]), name="top", on_error=on_error))
    mid = engine.begin_child(plan(N("s", child="low"), N("after", ["s"]), name="mid"))
    low = engine.begin_child(plan(N("x"), N("y", ["x"]), name="low"))
    return top, mid, low


def test_pause_and_resume_go_through_the_tree(engine: Engine) -> None:
    """W-72, W-75."""
    flows = nested(engine)
    engine.pause(flows[0])
    assert [engine.status(flow) for flow in flows] == ["PAUSED"] * 3
    assert engine.claim() == {}
    engine.resume(flows[0])
    assert [engine.status(flow) for flow in flows] == ["RUNNING"] * 3
    assert engine.claim().keys() == {"x"}


def test_pause_stops_at_a_child_that_does_not_run(engine: Engine) -> None:
    """W-72; W-76: a child paused or resumed by itself leaves its parent as it is."""
    top, mid, low = nested(engine)
    engine.pause(mid)
    assert [engine.status(flow) for flow in (top, mid, low)] == ["RUNNING", "PAUSED", "PAUSED"]
    engine.resume(low)
    engine.pause(top)
    assert [engine.status(flow) for flow in (top, mid, low)] == ["PAUSED", "PAUSED", "RUNNING"]
    for _ in range(2):
        engine.complete(*engine.claim().values())
    assert engine.status(low) == "COMPLETED"
    assert engine.nodes(mid) == {"s": "COMPLETED", "after": "PENDING"}
    engine.resume(top)
    assert engine.claim().keys() == {"after"}


def test_cancel_ends_the_tree_below(engine: Engine) -> None:
    """W-77, W-80, W-86: the nodes of the cancelled children FAILED, with their state told."""
    top, mid, low = nested(engine)
    engine.claim()
    engine.cancel(top)
    assert [engine.status(flow) for flow in (top, mid, low)] == ["CANCELLED"] * 3
    assert engine.nodes(top) == {"s": "FAILED", "after": "SKIPPED"}
    assert engine.nodes(low) == {"x": "ENQUEUED", "y": "SKIPPED"}
    error = json.loads(engine.node(mid, "s")["result"])["err"]
    assert error["sub_workflow_id"] == low
    assert error["sub_workflow_summary"] == json.loads(engine.node(mid, "s")["sub_workflow_summary"])
    assert error["sub_workflow_summary"]["status"] == "CANCELLED"


def test_a_child_that_is_cancelled_fails_its_node(engine: Engine) -> None:
    """W-80: and the parent goes by its own on_error."""
    top, mid, low = nested(engine, on_error="pause")
    engine.cancel(mid)
    assert [engine.status(flow) for flow in (top, mid, low)] == ["PAUSED", "CANCELLED", "CANCELLED"]
    assert engine.nodes(top) == {"s": "FAILED", "after": "PENDING"}
    engine.resume(top)
    assert (engine.status(top), engine.nodes(top)) == ("FAILED", {"s": "FAILED", "after": "SKIPPED"})


def test_a_failure_below_pauses_only_where_it_shall(engine: Engine) -> None:
    """W-89: a child PAUSED by its own failure leaves node and parent RUNNING."""
    top = engine.start(plan(N("s", child="kid"), on_error="fail"))
    kid = engine.begin_child(plan(N("x"), on_error="pause", name="kid"))
    engine.fail(engine.claim()["x"])
    assert (engine.status(top), engine.status(kid), engine.nodes(top)) == (
        "RUNNING",
        "PAUSED",
        {"s": "RUNNING"},
    )
    engine.resume(kid)
    assert (engine.status(top), engine.status(kid)) == ("FAILED", "FAILED")


def test_a_failed_child_pauses_its_siblings_with_the_parent(engine: Engine) -> None:
    """W-67, W-72, W-86: in the transaction that ends the child."""
    top = engine.start(plan(N("s", child="one"), N("t"), N("u", ["t"], child="two"), on_error="pause"))
    claims = engine.claim()
    engine.decide(claims["?s"], {"decision": "child", "child": plan(N("x"), name="one")})
    engine.complete(claims["t"])
    claims = engine.claim()
    engine.decide(claims["?u"], {"decision": "child", "child": plan(N("y"), name="two")})
    engine.fail(claims["x"])
    assert engine.status(engine.child(top, "s")) == "FAILED"
    assert (engine.status(top), engine.status(engine.child(top, "u"))) == ("PAUSED", "PAUSED")
    assert engine.claim() == {}


# -- expiry


def test_a_paused_workflow_expires(engine: Engine) -> None:
    """W-83: only past the policy; error and data name it; descendants too."""
    top, _, low = nested(engine)
    now = datetime.now(UTC)
    engine.pause(top, now)

    def expire(age_s: int) -> bool:
        (row,) = engine.select(
            "select horsies.expire_workflow(%s, '60 s', %s)", [top, now + timedelta(seconds=age_s)]
        )
        done: bool = row[0]
        return done

    assert expire(59) is False
    assert expire(61) is True
    assert expire(70) is False
    assert (engine.status(top), engine.status(low)) == ("EXPIRED", "EXPIRED")
    assert engine.nodes(low) == {"x": "SKIPPED", "y": "SKIPPED"}
    error = json.loads(engine.workflow(top)["error"])["err"]
    assert error["error_code"] == {"__builtin_task_code__": "WORKFLOW_EXPIRED"}
    assert error["data"] == {"policy": "paused_workflow_auto_cancel_after", "older_than_seconds": 60}


# -- locks


def test_a_busy_tree_is_left_for_later(engine: Engine, database_url: str) -> None:
    """W-41: the cycle does not wait; other trees and claims go on; the waiting statement writes it."""
    busy, free = engine.start(plan(N("a"), N("b", ["a"]))), engine.start(plan(N("a"), N("b", ["a"])))
    claims = {str(claim.workflow_id): claim for claim in engine.worker.claim(5).claimed}
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [busy])
        answer = engine.worker.cycle(completed=tuple(claims.values()), result=ok(1), places=5)
        assert answer.busy == [claims[busy].id]
        assert [claim.workflow_id for claim in answer.claimed] == [free]
        assert engine.nodes(busy) == {"a": "ENQUEUED", "b": "PENDING"}
    end = {
        "id": claims[busy].id,
        "generation": claims[busy].generation,
        "workflow_id": busy,
        "status": "COMPLETED",
        "result": ok(1),
    }
    params = {
        "worker": engine.worker.worker_id,
        "workflows": "{" + busy + "}",
        "node_ends": json.dumps([end]),
    }
    assert engine.run("finish_busy", **params, node_backs=None, now=None) == []
    assert engine.nodes(busy) == {"a": "COMPLETED", "b": "ENQUEUED"}


def test_a_child_is_locked_by_the_root(engine: Engine, database_url: str) -> None:
    """W-41: one lock for the tree."""
    top, _, low = nested(engine)
    claim = engine.claim()["x"]
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [top])
        assert engine.complete(claim).busy == [claim.id]
        with psycopg.connect(database_url) as third:
            third.execute("set lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                third.execute(Statements("horsies")["cancel_workflow"], {"id": low, "now": None})
    assert engine.complete(claim).busy == []


def two_children(engine: Engine) -> tuple[str, str, str]:
    """A workflow that pauses on errors, with two running children of two nodes each; and their ids."""
    top = engine.start(plan(N("s", child="one"), N("t", child="two"), N("u", ["t"]), on_error="pause"))
    claims = engine.claim()
    for name in "st":
        child = plan(N(f"{name}x"), N(f"{name}y", [f"{name}x"]), name=name)
        engine.decide(claims[f"?{name}"], {"decision": "child", "child": child})
    return top, engine.child(top, "s"), engine.child(top, "t")


def test_what_became_ready_in_the_transaction_that_pauses_is_not_enqueued(engine: Engine) -> None:
    """W-46: READY without a row, until the resume."""
    top, one, two = two_children(engine)
    claims = engine.claim()
    ends = [
        {
            "id": claims[name].id,
            "generation": claims[name].generation,
            "workflow_id": claims[name].workflow_id,
            "status": status,
            "result": failed("BROKEN") if status == "FAILED" else ok(),
        }
        for name, status in (("sx", "FAILED"), ("tx", "COMPLETED"))
    ]
    engine.worker.cycle(ended=ends, places=5)
    assert [engine.status(flow) for flow in (top, one, two)] == ["PAUSED", "FAILED", "PAUSED"]
    assert engine.nodes(two) == {"tx": "COMPLETED", "ty": "READY"}
    assert engine.tasks(two) == []
    engine.resume(top)
    assert engine.nodes(two)["ty"] == "ENQUEUED"
    assert engine.claim().keys() == {"ty"}


def test_resume_looks_at_children_before_their_parents(engine: Engine) -> None:
    """W-75, W-67: the child ends FAILED, so the parent pauses again before it goes on."""
    top, one, two = two_children(engine)
    claims = engine.claim()
    engine.pause(top)
    engine.fail(claims["sx"])
    engine.complete(claims["tx"])
    engine.cancel(two)
    assert engine.nodes(top) == {"s": "RUNNING", "t": "FAILED", "u": "PENDING"}
    engine.resume(top)
    assert [engine.status(flow) for flow in (top, one)] == ["PAUSED", "FAILED"]
    assert engine.nodes(top) == {"s": "FAILED", "t": "FAILED", "u": "PENDING"}
    engine.resume(top)
    assert (engine.status(top), engine.nodes(top)["u"]) == ("FAILED", "SKIPPED")
