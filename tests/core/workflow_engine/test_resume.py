"""Resume of a tree: what a child's end has made ready in its parent is there once."""

from tests.core.workflow_engine.engine import Engine, N, plan


def test_a_node_that_a_childs_end_makes_ready_gets_one_step(engine: Engine) -> None:
    """W-75, W-94: the child has nothing left to do, so the resume ends it, and then comes to the parent's own nodes."""
    flow = engine.start(
        plan(N("s", child="child.v1"), N("x", ["s"], conditions=True), N("y", ["s"]), name="parent")
    )
    child = engine.begin_child(plan(N("c"), name="child"))
    claims = engine.claim()
    engine.pause(flow)
    engine.complete(claims["c"])
    engine.resume(flow)
    assert engine.status(child) == "COMPLETED"
    assert sorted(row["task_name"] for row in engine.tasks(flow)) == ["horsies.prepare", "run_y"]
    assert engine.nodes(flow) == {"s": "COMPLETED", "x": "READY", "y": "ENQUEUED"}
