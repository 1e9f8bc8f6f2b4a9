"""How a graph is walked: start, joins, skips, ends, outputs; each end with all that follows in one statement."""

import json
from uuid import uuid4

import pytest

from tests.core.cycle_driver import failed
from tests.core.workflow_engine.engine import Engine, N, ok, plan

UPSTREAM_SKIPPED = {"__builtin_task_code__": "UPSTREAM_SKIPPED"}


def test_a_start_brings_everything_at_once(engine: Engine) -> None:
    """W-26: the row RUNNING, every node, tasks of the ready roots only."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a", "b"])))
    row = engine.workflow(flow)
    assert (row["status"], row["open_nodes"], row["root_id"]) == ("RUNNING", 3, row["id"])
    assert row["started_at"] == row["created_at"] == row["sent_at"]
    assert engine.nodes(flow) == {"a": "ENQUEUED", "b": "ENQUEUED", "c": "PENDING"}
    tasks = engine.tasks(flow)
    assert [(t["task_name"], t["status"], t["is_workflow_task"]) for t in tasks] == [
        ("run_a", "PENDING", True),
        ("run_b", "PENDING", True),
    ]
    assert [t["id"] for t in tasks] == [engine.node(flow, n)["task_id"] for n in "ab"]


def test_a_second_start_of_an_id_writes_nothing(engine: Engine) -> None:
    """W-28."""
    flow = str(uuid4())
    engine.start(plan(N("a")), flow)
    assert engine.try_start(plan(N("x"), N("y")), flow) == ("same", "flow")
    assert engine.try_start(plan(N("a"), name="other"), flow) == ("different", "flow")
    assert engine.nodes(flow) == {"a": "ENQUEUED"}
    assert len(engine.tasks(flow)) == 1


def test_a_chain_goes_on_in_the_transaction_that_ends_a_task(engine: Engine) -> None:
    """W-43, W-54: the cycle that ends a node enqueues and claims the next one."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), N("c", ["b"]), output="c"))
    (claim,) = engine.worker.claim().claimed
    for expected in ("run_b", "run_c"):
        answer = engine.worker.cycle(completed=(claim,), result=ok(1), places=1)
        (claim,) = answer.claimed
        assert claim.task_name == expected
    engine.complete(claim, value=3)
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "COMPLETED", "c": "COMPLETED"}
    row = engine.workflow(flow)
    assert (row["status"], row["result"], row["error"], row["open_nodes"]) == ("COMPLETED", ok(3), None, 0)
    assert row["completed_at"] is not None


def test_a_node_stores_how_its_task_ended(engine: Engine) -> None:
    """W-39, W-41: result, times, and the row's end in history."""
    flow = engine.start(plan(N("a"), N("b")))
    claims = engine.claim()
    engine.complete(claims["a"], value={"x": 1})
    engine.fail(claims["b"], "BROKEN")
    a, b = engine.node(flow, "a"), engine.node(flow, "b")
    assert (a["status"], a["result"], a["error_code"]) == ("COMPLETED", ok({"x": 1}), None)
    assert (b["status"], b["result"], b["error_code"]) == ("FAILED", failed("BROKEN"), "BROKEN")
    assert a["started_at"] <= a["completed_at"]
    history = engine.select(
        "select status, started_at from horsies.task_history where workflow_id = %s order by node_index",
        [flow],
    )
    assert [status for status, _ in history] == ["COMPLETED", "FAILED"]
    assert [started for _, started in history] == [a["started_at"], b["started_at"]]


@pytest.mark.parametrize(
    ("allow_failed", "left", "expected"),
    [
        (False, "ok", "ENQUEUED"),
        (False, "failed", "SKIPPED"),
        (True, "failed", "ENQUEUED"),
    ],
)
def test_join_all(engine: Engine, allow_failed: bool, left: str, expected: str) -> None:
    """W-50: decided when every dependency has ended."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a", "b"], allow_failed=allow_failed)))
    claims = engine.claim()
    if left == "ok":
        engine.complete(claims["a"])
    else:
        engine.fail(claims["a"])
    assert engine.nodes(flow)["c"] == "PENDING"
    engine.complete(claims["b"])
    assert engine.nodes(flow)["c"] == expected


def test_join_any_fires_with_the_first_success(engine: Engine) -> None:
    """05 section 9, any; W-50: the other dependencies go on, and their ends change nothing."""
    flow = engine.start(plan(N("a"), N("b"), N("c"), N("d", ["a", "b", "c"], join="any")))
    claims = engine.claim()
    engine.fail(claims["a"])
    assert engine.nodes(flow)["d"] == "PENDING"
    engine.complete(claims["b"])
    assert engine.nodes(flow)["d"] == "ENQUEUED"
    engine.complete(*engine.claim().values())
    engine.complete(claims["c"])
    assert engine.nodes(flow) == {"a": "FAILED", "b": "COMPLETED", "c": "COMPLETED", "d": "COMPLETED"}
    assert engine.status(flow) == "FAILED"


def test_join_any_without_a_success_is_skipped(engine: Engine) -> None:
    """05 section 9, any."""
    flow = engine.start(
        plan(N("a"), N("b"), N("c", ["a", "b"], join="any", allow_failed=True), N("d", ["c"]))
    )
    claims = engine.claim()
    engine.fail(claims["a"])
    engine.fail(claims["b"])
    assert engine.nodes(flow) == {"a": "FAILED", "b": "FAILED", "c": "SKIPPED", "d": "SKIPPED"}
    assert engine.status(flow) == "FAILED"


def test_join_quorum(engine: Engine) -> None:
    """05 section 9, quorum: ready with the second success, skipped when two cannot be reached any more."""
    graph = plan(N("a"), N("b"), N("c"), N("d", ["a", "b", "c"], join="quorum", min_success=2))
    flow = engine.start(graph)
    claims = engine.claim()
    engine.complete(claims["a"])
    assert engine.nodes(flow)["d"] == "PENDING"
    engine.complete(claims["b"])
    assert engine.nodes(flow)["d"] == "ENQUEUED"
    other = engine.start(graph)
    claims = {name: claim for name, claim in engine.claim().items() if claim.workflow_id == other}
    engine.fail(claims["a"])
    assert engine.nodes(other)["d"] == "PENDING"
    engine.fail(claims["b"])
    assert engine.nodes(other)["d"] == "SKIPPED"


def test_a_context_holds_a_node_back_though_its_join_is_decided(engine: Engine) -> None:
    """W-51."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a", "b"], join="any", ctx_from=["b"])))
    claims = engine.claim()
    engine.complete(claims["a"])
    assert engine.nodes(flow)["c"] == "PENDING"
    engine.fail(claims["b"])
    assert engine.nodes(flow)["c"] == "ENQUEUED"


def test_skips_cascade_and_other_branches_go_on(engine: Engine) -> None:
    """W-50, W-44: to the end of the chain, in one statement."""
    flow = engine.start(
        plan(N("a"), N("b", ["a"]), N("c", ["b"]), N("d", ["c"], allow_failed=True), N("x"), N("y", ["x"]))
    )
    claims = engine.claim()
    engine.fail(claims["a"])
    assert engine.nodes(flow) == {
        "a": "FAILED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "d": "ENQUEUED",
        "x": "ENQUEUED",
        "y": "PENDING",
    }
    engine.complete(claims["x"])
    engine.complete(*engine.claim().values())
    assert engine.status(flow) == "FAILED"
    for name in ("b", "c"):
        node = engine.node(flow, name)
        assert node["result"] is None
        assert node["completed_at"] is not None


def test_ends_of_one_batch_count_together(engine: Engine) -> None:
    """W-44, set-based: two ends of one tree and one of another in one cycle."""
    first = engine.start(plan(N("a"), N("b"), N("c", ["a", "b"])))
    second = engine.start(plan(N("a"), N("c", ["a"])))
    claims = engine.worker.claim(10).claimed
    assert len(claims) == 3
    engine.complete(*claims)
    assert engine.nodes(first)["c"] == engine.nodes(second)["c"] == "ENQUEUED"
    assert engine.workflow(first)["open_nodes"] == engine.workflow(second)["open_nodes"] == 1


def test_a_second_end_of_a_task_changes_nothing(engine: Engine) -> None:
    """W-40, W-44 (1)."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), N("c", ["a"])))
    claim = engine.claim()["a"]
    engine.complete(claim, value=1)
    assert engine.fail(claim).lost == [claim.id]
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "ENQUEUED", "c": "ENQUEUED"}
    assert engine.workflow(flow)["open_nodes"] == 2


# -- what a node is given


def arguments(engine: Engine, node_id: str) -> dict[str, object]:
    """The arguments of a node's task, as claimed."""
    loaded: dict[str, object] = json.loads(engine.claim()[node_id].kwargs or "{}")
    return loaded


def test_results_arrive_byte_for_byte(engine: Engine) -> None:
    """W-52, K-34, D-018: joined in at the claim, next to the node's own arguments."""
    stored = '{"__h_task_result__":true,"ok":{"b": 1.50, "a":"\\u0000\\ud83d\\ude00 \\\\ é"},"err":null}'
    flow = engine.start(plan(N("a"), N("b", ["a"], args_from={"x": "a", 'q"': "a"}, kwargs='{"k": [1, 2]}')))
    (claim,) = engine.claim().values()
    engine.worker.complete(claim, result=stored)
    (claim,) = engine.claim().values()
    inner = f'{{"__h_taskresult_envelope__":true,"source_task_name":"run_a","inner":{stored}}}'
    assert claim.kwargs == f'{{"k": [1, 2],"x":{inner},"q\\"":{inner}}}'
    assert flow == claim.workflow_id


def test_failed_and_skipped_sources_arrive_as_errors(engine: Engine) -> None:
    """W-52."""
    engine.start(
        plan(
            N("a"),
            N("b", ["a"]),
            N("c", ["a", "b"], allow_failed=True, args_from={"failed": "a", "skipped": "b"}),
        )
    )
    engine.fail(engine.claim()["a"], "BROKEN")
    given = json.loads(engine.claim()["c"].kwargs or "")
    assert given["failed"]["inner"]["err"]["error_code"] == "BROKEN"
    error = given["skipped"]["inner"]["err"]
    assert (error["error_code"], error["data"]) == (UPSTREAM_SKIPPED, {"dependency_index": 1})


def test_a_source_that_has_not_ended_is_left_out_until_a_retry(engine: Engine) -> None:
    """W-53: any; the retry sees more."""
    engine.start(
        plan(N("a"), N("b"), N("c", ["a", "b"], join="any", args_from={"a": "a", "b": "b"}, retries=1))
    )
    claims = engine.claim()
    engine.complete(claims["a"])
    c = engine.claim()["c"]
    assert json.loads(c.kwargs or "").keys() == {"a"}
    engine.complete(claims["b"])
    assert engine.fail(c, retry_s=0).retried == [c.id]
    assert arguments(engine, "c").keys() == {"a", "b"}


def test_context_and_meta(engine: Engine) -> None:
    """W-55, W-56: exactly the nodes listed, and only what the node takes."""
    flow = engine.start(
        plan(N("a"), N("b"), N("c", ["a", "b"], ctx_from=["b"], takes_meta=True), N("d", ["a"]))
    )
    claims = engine.claim()
    engine.complete(claims["a"])
    d = engine.claim()["d"]
    assert d.kwargs is None
    engine.complete(claims["b"], value=5)
    given = json.loads(engine.claim()["c"].kwargs or "")
    meta = {"workflow_id": flow, "task_index": 2, "task_name": "run_c"}
    assert given["__h_workflow_meta__"] == meta
    source = {"source_task_name": "run_b", "inner": json.loads(ok(5))}
    assert given["__h_workflow_ctx__"] == meta | {"results": {"b": source}, "summaries": {}}


# -- ends of workflows


def test_fail_resolves_the_graph_to_its_end(engine: Engine) -> None:
    """W-66, W-69: the error of the lowest FAILED node, also if it failed last; no result."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["b"], allow_failed=True), on_error="fail", output="c"))
    claims = engine.claim()
    engine.fail(claims["b"], "SECOND")
    assert (engine.status(flow), engine.workflow(flow)["error"]) == ("RUNNING", failed("SECOND"))
    engine.complete(*engine.claim().values())
    engine.fail(claims["a"], "FIRST")
    row = engine.workflow(flow)
    assert (row["status"], row["error"], row["result"]) == ("FAILED", failed("FIRST"), None)


def test_skips_are_no_failure(engine: Engine) -> None:
    """W-68, W-70: a skipped output is an error of its own."""
    flow = engine.start(plan(N("a"), N("b"), N("c", ["a"], conditions=True), N("d", ["c"]), output="d"))
    engine.complete(*engine.claim().values())
    engine.decide(engine.claim()["?c"], {"decision": "skip"})
    row = engine.workflow(flow)
    assert (row["status"], row["error"]) == ("COMPLETED", None)
    error = json.loads(row["result"])["err"]
    assert (error["error_code"], error["data"]) == (UPSTREAM_SKIPPED, {"dependency_index": 3})


def test_a_success_policy_decides(engine: Engine) -> None:
    """W-68: one case is enough, whatever else failed; W-70: the failed output's error is the result."""
    graph = plan(N("a"), N("b"), N("c", ["b"], allow_failed=True), output="b", cases=[["a", "b"], ["c"]])
    flow = engine.start(graph)
    claims = engine.claim()
    engine.fail(claims["a"])
    engine.fail(claims["b"], "B")
    engine.complete(*engine.claim().values())
    row = engine.workflow(flow)
    assert (row["status"], row["result"], row["error"]) == ("COMPLETED", failed("B"), None)


def test_a_policy_that_is_not_met(engine: Engine) -> None:
    """W-69: the lowest FAILED one of the required nodes."""
    flow = engine.start(plan(N("a"), N("b"), N("c"), cases=[["c"], ["b", "c"]]))
    claims = engine.claim()
    engine.fail(claims["a"], "A")
    engine.fail(claims["b"], "B")
    engine.fail(claims["c"], "C")
    row = engine.workflow(flow)
    assert (row["status"], row["error"]) == ("FAILED", failed("B"))


def test_a_policy_that_is_not_met_though_no_required_node_failed(engine: Engine) -> None:
    """W-69: WORKFLOW_SUCCESS_CASE_NOT_MET."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), cases=[["b"]]))
    engine.fail(engine.claim()["a"], "A")
    row = engine.workflow(flow)
    assert row["status"] == "FAILED"
    code = {"__builtin_task_code__": "WORKFLOW_SUCCESS_CASE_NOT_MET"}
    assert json.loads(row["error"])["err"]["error_code"] == code


def test_a_large_fan(engine: Engine) -> None:
    """W-44: 500 ends in batches of 64 reach one fan-in."""
    names = [f"n{i}" for i in range(500)]
    flow = engine.start(
        plan(N("root"), *(N(name, ["root"]) for name in names), N("last", names), output="last")
    )
    engine.complete(*engine.claim().values())
    while engine.nodes(flow)["last"] == "PENDING":
        engine.complete(*engine.claim(64).values())
    engine.complete(*engine.claim().values(), value="done")
    assert (engine.status(flow), engine.workflow(flow)["result"]) == ("COMPLETED", ok("done"))
