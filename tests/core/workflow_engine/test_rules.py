"""Rules that need a look of their own: READY, damage, repeated completions, ends without a result."""

import json

import psycopg
import pytest

from tests.core.cycle_driver import Answer, Claim, failed
from tests.core.workflow_engine.engine import Engine, N, ok, plan
from tests.core.workflow_engine.state import check_invariants, read_tree


def test_ready_is_decided_but_not_enqueued(engine: Engine) -> None:
    """W-38: while its step is outstanding, and while the workflow is paused; never otherwise."""
    flow = engine.start(plan(N("a"), N("asked", conditions=True), N("b", ["a"])))
    assert engine.nodes(flow) == {"a": "ENQUEUED", "asked": "READY", "b": "PENDING"}
    claims = engine.claim()
    engine.pause(flow)
    engine.decide(claims["?asked"], {"decision": "run"})
    assert engine.nodes(flow)["asked"] == "READY"
    assert [row["task_name"] for row in engine.tasks(flow)] == ["run_a"]
    engine.resume(flow)
    assert [row["task_name"] for row in engine.tasks(flow)] == ["run_a", "horsies.prepare"]
    engine.decide(engine.claim()["?asked"], {"decision": "run"})
    assert engine.nodes(flow)["asked"] == "ENQUEUED"


DAMAGES = {
    "kwargs": ("kwargs = '{\"x\": '", '{"x": '),
    "arguments that are no object": ("args_from = '[0]'", '{"args_from":null}'),
    "a source that is no number": ('args_from = \'{"x": "first"}\'', '{"x":null}'),
    "a source that is a huge number": ("args_from = '{\"x\": 99999999999}'", '{"x":null}'),
    "a source that there is not": ("args_from = '{\"x\": 7}'", '{"x":null}'),
    "a null as arguments": ("args_from = 'null'", '{"args_from":null}'),
    "options": ("options = 'nonsense'", None),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_in_a_dependent_does_not_touch_who_completes(engine: Engine, what: str) -> None:
    """W-45: the completion goes through, and the damaged node's row is claimed like any other, as it is."""
    damage, given = DAMAGES[what]
    flow = engine.start(plan(N("a"), N("bad", ["a"]), N("good", ["a"])))
    engine.select(
        f"update horsies.workflow_nodes set {damage} where workflow_id = %s and node_id = 'bad' returning 1",
        [flow],
    )
    engine.complete(engine.claim()["a"], value=5)
    assert engine.nodes(flow) == {"a": "COMPLETED", "bad": "ENQUEUED", "good": "ENQUEUED"}
    claims = engine.claim()
    assert claims.keys() == {"bad", "good"}
    assert claims["bad"].kwargs == given
    engine.fail(claims["bad"], "WORKER_SERIALIZATION_ERROR")
    engine.complete(claims["good"])
    assert (engine.status(flow), engine.nodes(flow)["a"]) == ("FAILED", "COMPLETED")


@pytest.mark.parametrize("column", ["queue_name", "priority", "executor", "max_retries", "retention_class"])
def test_what_a_row_of_tasks_needs_cannot_be_taken_from_a_node(engine: Engine, column: str) -> None:
    """W-45: the completing transaction makes a row of these, so the table itself keeps them whole."""
    flow = engine.start(plan(N("a"), N("b", ["a"])))
    with pytest.raises(psycopg.errors.NotNullViolation, match=column):
        engine.select(f"update horsies.workflow_nodes set {column} = null where workflow_id = %s", [flow])


@pytest.mark.parametrize(
    "damage", ["7", '{"0": 1}', "[0]", '[["a"]]', "[[null]]", "[[0.5]]", "[[99999999999]]"]
)
def test_a_success_policy_that_cannot_be_read_at_the_end_is_refused(engine: Engine, damage: str) -> None:
    """W-68: it would refuse the end of the workflow's last node, again and again."""
    flow = engine.start(plan(N("a")))
    with pytest.raises(psycopg.errors.CheckViolation, match="success_cases_readable"):
        engine.select(f"update horsies.workflows set success_policy = '{damage}' where id = %s", [flow])
    engine.select(
        "update horsies.workflows set success_policy = '[[0], []]' where id = %s returning 1", [flow]
    )


REFUSALS = """
create sequence refusals;
create function refuse() returns trigger language plpgsql as $$
begin
    if nextval('refusals') <= 2 then
        raise exception 'refused' using errcode = '{code}';
    end if;
    return new;
end $$;
create trigger refuse before {event} on horsies.{table} for each row execute function refuse();
"""


@pytest.mark.parametrize(
    ("table", "event"),
    [("workflow_nodes", "update"), ("workflows", "update"), ("tasks", "insert"), ("task_history", "insert")],
)
def test_a_completion_that_is_rolled_back_has_not_happened(engine: Engine, table: str, event: str) -> None:
    """W-43, W-48: wherever it breaks off nothing is left of it, and the same completion again does everything."""
    flow = engine.start(plan(N("a"), N("b", ["a"]), N("c", ["a"], child="kid")))
    claims = engine.claim()
    before = json.dumps(engine.workflow(flow) | {"rows": engine.tasks(flow)}, default=str)
    engine.select(REFUSALS.format(table=table, event=event, code="40P01"))
    for _ in range(2):
        with pytest.raises(psycopg.errors.DeadlockDetected):
            engine.complete(claims["a"])
        check_invariants(read_tree(engine, flow))
        assert json.dumps(engine.workflow(flow) | {"rows": engine.tasks(flow)}, default=str) == before
        assert engine.nodes(flow) == {"a": "ENQUEUED", "b": "PENDING", "c": "PENDING"}
    assert engine.complete(claims["a"]).lost == []
    assert engine.nodes(flow) == {"a": "COMPLETED", "b": "ENQUEUED", "c": "READY"}
    assert engine.complete(claims["a"]).lost == [claims["a"].id]


def end_without_result(engine: Engine, claim: Claim, status: str) -> Answer:
    end = {
        "id": claim.id,
        "generation": claim.generation,
        "workflow_id": claim.workflow_id,
        "status": status,
        "result": None,
        "outcome": "FAILED",
    }
    return engine.worker.cycle(ended=[end])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("CANCELLED", "TASK_CANCELLED"),
        ("COMPLETED", "RESULT_NOT_AVAILABLE"),
        ("FAILED", "WORKER_CRASHED"),
        ("EXPIRED", "WORKER_CRASHED"),
    ],
)
def test_an_end_without_a_result_gives_the_node_an_error(engine: Engine, status: str, code: str) -> None:
    """W-93: and the workflow goes on with it."""
    flow = engine.start(plan(N("a"), N("after", ["a"], args_from={"x": "a"}, allow_failed=True)))
    assert end_without_result(engine, engine.claim()["a"], status).lost == []
    node = engine.node(flow, "a")
    assert (node["status"], node["error_code"]) == ("FAILED", code)
    error = json.loads(node["result"])["err"]
    assert error["error_code"] == {"__builtin_task_code__": code}
    assert node["result"] in (engine.claim()["after"].kwargs or "")


def test_a_running_task_whose_cancel_was_asked_for_fails_its_node(engine: Engine) -> None:
    """W-93, M-054: a cancel of the task is refused; should a mark be there all the same, its end is CANCELLED."""
    flow = engine.start(plan(N("a"), N("b", ["a"])))
    claim = engine.claim()["a"]
    engine.select("update horsies.tasks set cancel_requested_at = now() where id = %s", [claim.id])
    engine.worker.fail(claim, "BROKEN")
    assert engine.node(flow, "a")["error_code"] == "TASK_CANCELLED"
    assert engine.nodes(flow)["b"] == "SKIPPED"


def test_a_condition_is_asked_before_the_row_exists_and_once_a_run(engine: Engine) -> None:
    """W-61: one step after the join, none for a node that is skipped already, none for a retry of the task."""
    flow = engine.start(
        plan(
            N("a"),
            N("bad"),
            N("asked", ["a"], conditions=True, retries=1),
            N("skipped", ["bad"], conditions=True),
            N("root", conditions=True),
        )
    )
    first = engine.claim()
    assert first.keys() == {"a", "bad", "?root"}
    engine.decide(first["?root"], {"decision": "skip"})
    engine.complete(first["a"])
    engine.fail(first["bad"])
    assert [(row["node_index"], row["task_name"]) for row in engine.tasks(flow)] == [(2, "horsies.prepare")]
    engine.decide(engine.claim()["?asked"], {"decision": "run"})
    assert engine.fail(engine.claim()["asked"], "BROKEN", retry_s=0).retried
    (again,) = engine.claim().items()
    assert again[0] == "asked"
    engine.complete(again[1])
    steps = engine.select("select node_index from horsies.task_history where task_name = 'horsies.prepare'")
    assert sorted(steps) == [(2,), (4,)]
    assert engine.nodes(flow)["skipped"] == "SKIPPED"


def test_results_are_handed_on_as_they_are_stored(engine: Engine) -> None:
    """W-49: text that no JSON reader of the database would take goes through the end, the output and the next claim."""
    odd = '{"__h_task_result__":true,"ok":{ "a" : "\\u0000", "b":1e999, "c":"\\ud800" ,"a":2},"err":null}'
    flow = engine.start(
        plan(N("a"), N("b", ["a"], args_from={"x": "a"}, ctx_from=["a"]), N("c", child="kid"), output="a")
    )
    claims = engine.claim()
    kid = plan(N("x"), name="kid", output="x")
    engine.decide(claims["?c"], {"decision": "child", "child": kid})
    engine.worker.complete(claims["a"], result=odd)
    told = engine.claim()
    assert (told["b"].kwargs or "").count(odd) == 2
    engine.worker.complete(told["x"], result=odd)
    engine.worker.complete(told["b"], result=ok(1))
    assert engine.workflow(flow)["result"] == odd
    assert engine.node(flow, "c")["result"] == odd
    assert odd[30:-12] in engine.node(flow, "c")["sub_workflow_summary"]


@pytest.mark.parametrize("action", ["cancel_task", "rerun_task"])
def test_rows_of_workflows_are_refused_by_the_calls_for_tasks(engine: Engine, action: str) -> None:
    """W-82, W-43: so no task of a node ends outside of its workflow's transactions."""
    flow = engine.start(plan(N("a"), N("b")))
    claims = engine.claim()
    engine.fail(claims["a"])
    call = {
        "cancel_task": "select outcome from horsies.cancel_task(%s, true, 'me')",
        "rerun_task": "select outcome from horsies.rerun_task(%s, horsies.new_task_id(), null, null, null, '{}', null,"
        " true, now())",
    }[action]
    live = "live" if action == "rerun_task" else "workflow"
    assert engine.select(call, [claims["b"].id]) == [(live,)]
    assert engine.select(call, [claims["a"].id]) == [("workflow",)]
    assert engine.nodes(flow) == {"a": "FAILED", "b": "ENQUEUED"}
    engine.complete(claims["b"])
    assert engine.workflow(flow)["error"] == failed("BROKEN")
