"""How far a workflow is and what it looks like, read from real rows (06 sections 5 and 6)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from horsies import Err, HandleErrorCode, Horsies, WorkflowHandle, WorkflowProgress, WorkflowStatus
from horsies import WorkflowTaskStatus as S
from tests.core.apps import UNREACHABLE, make_app
from tests.core.workflow_engine.engine import Engine, N, plan

NOBODY = "00000000-0000-0000-0000-000000000001"
CLASSES = """\
    classDef pending fill:#f3f4f6,stroke:#9ca3af,color:#111827
    classDef ready fill:#e0f2fe,stroke:#0284c7,color:#111827
    classDef enqueued fill:#e0e7ff,stroke:#4f46e5,color:#111827
    classDef running fill:#fef9c3,stroke:#ca8a04,color:#111827
    classDef completed fill:#dcfce7,stroke:#16a34a,color:#111827
    classDef failed fill:#fee2e2,stroke:#dc2626,color:#111827
    classDef skipped fill:#ffffff,stroke:#9ca3af,color:#6b7280,stroke-dasharray:4 3
"""

type Start = Callable[[dict[str, Any]], WorkflowHandle[Any]]


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    app = make_app(database_url)
    yield app
    app.get_broker().close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = Engine(database_url)
    yield engine
    engine.close()


@pytest.fixture
def start(app: Horsies, engine: Engine) -> Start:
    return lambda graph: WorkflowHandle(engine.start(graph), app.get_broker())


def seen(progress: WorkflowProgress) -> dict[S, int]:
    """The states that occur."""
    return {status: number for status, number in progress.counts.items() if number}


# -- progress


def test_progress_counts_every_node_in_one_state(start: Start, engine: Engine) -> None:
    """W-251, W-252, W-253: all seven keys, the sum is the total, and the fraction only rises."""
    flow = start(plan(N("a"), N("b"), N("c", ["a"]), N("d", ["c"]), N("e", ["b"], conditions=True)))
    begun = flow.progress().unwrap()
    assert (begun.workflow_id, begun.status, begun.total) == (flow.workflow_id, WorkflowStatus.RUNNING, 5)
    assert list(begun.counts) == list(S)
    assert seen(begun) == {S.PENDING: 3, S.ENQUEUED: 2}
    assert (begun.terminal, begun.fraction, begun.items_total, begun.items_done) == (0, 0.0, 0, 0)
    claims = engine.claim()
    assert seen(flow.progress().unwrap()) == {S.PENDING: 3, S.RUNNING: 2}
    engine.complete(claims["b"])
    # A step of e is outstanding: it is no node.
    assert seen(flow.progress().unwrap()) == {S.PENDING: 2, S.READY: 1, S.RUNNING: 1, S.COMPLETED: 1}
    engine.fail(claims["a"])
    middle = flow.progress().unwrap()
    assert seen(middle) == {S.READY: 1, S.COMPLETED: 1, S.FAILED: 1, S.SKIPPED: 2}
    assert (middle.terminal, middle.fraction, middle.total) == (4, 0.8, 5)
    engine.decide(engine.claim()["?e"], {"decision": "skip"})
    ended = flow.progress().unwrap()
    assert (ended.status, ended.fraction, seen(ended)) == (
        WorkflowStatus.FAILED,
        1.0,
        {S.COMPLETED: 1, S.FAILED: 1, S.SKIPPED: 3},
    )


def test_progress_is_frozen() -> None:
    """W-251."""
    progress = WorkflowProgress(NOBODY, WorkflowStatus.RUNNING, 1, {S.PENDING: 1})
    with pytest.raises(AttributeError):
        progress.total = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_children_count_when_asked_for(start: Start, engine: Engine) -> None:
    """W-252: a child is one node; with include_children its nodes count too, at any depth."""
    flow = start(plan(N("a"), N("sub", ["a"], child="kid.v1")))
    engine.complete(engine.claim()["a"])
    assert flow.progress(include_children=True).unwrap().total == 2
    child = engine.begin_child(plan(N("x"), N("y", ["x"]), N("deep", ["y"], child="deep.v1"), name="kid"))
    assert seen(flow.progress().unwrap()) == {S.RUNNING: 1, S.COMPLETED: 1}
    assert seen(flow.progress(include_children=True).unwrap()) == {
        S.PENDING: 2,
        S.ENQUEUED: 1,
        S.RUNNING: 1,
        S.COMPLETED: 1,
    }
    engine.complete(engine.claim()["x"])
    engine.complete(engine.claim()["y"])
    engine.begin_child(plan(N("z"), name="deep"))
    assert (flow.progress().unwrap().total, flow.progress(include_children=True).unwrap().total) == (2, 6)
    inner = WorkflowHandle[Any](child, flow.broker)
    assert (inner.progress().unwrap().total, inner.progress(include_children=True).unwrap().total) == (3, 4)


async def test_progress_in_an_event_loop(start: Start, app: Horsies) -> None:
    """W-251."""
    flow = start(plan(N("a"), N("b", ["a"])))
    assert (await flow.progress_async()).unwrap() == flow.progress().unwrap()
    assert (await flow.progress_async(include_children=True)).unwrap().total == 2
    await app.get_broker().close_async()


# -- diagrams


def test_a_started_workflow_is_drawn_with_its_states(start: Start, engine: Engine) -> None:
    """W-261 to W-265: from stored rows alone; no task or definition of it is registered here."""
    flow = start(
        plan(
            N("a"),
            N("b"),
            N("c", ["b", "a"], join="any"),
            N("d", ["a", "b", "c"], join="quorum", min_success=2),
            N("e", ["a"], allow_failed=True),
            N("f", ["a"], conditions=True),
            N("g", ["b"], child="kid"),
            output="d",
        )
    )
    engine.fail(engine.claim()["a"])
    text = flow.to_mermaid().unwrap()
    assert text == (
        "flowchart TD\n"
        '    n0["a<br/>run_a"]\n'
        '    n1["b<br/>run_b"]\n'
        '    n2["c<br/>run_c"]\n'
        '    n3["d<br/>run_d"]\n'
        '    n4["e<br/>run_e"]\n'
        '    n5["f<br/>run_f ?"]\n'
        '    n6[["g<br/>kid"]]\n'
        "    n1 -.-> n2\n"
        "    n0 -.-> n2\n"
        '    n0 -. "2/3" .-> n3\n'
        '    n1 -. "2/3" .-> n3\n'
        '    n2 -. "2/3" .-> n3\n'
        '    n0 == "any end" ==> n4\n'
        "    n0 --> n5\n"
        "    n1 --> n6\n"
        "    style n3 stroke-width:3px\n"
        f"{CLASSES}"
        "    class n0 failed\n"
        "    class n1 running\n"
        "    class n2 pending\n"
        "    class n3 pending\n"
        "    class n4 enqueued\n"
        "    class n5 skipped\n"
        "    class n6 pending\n"
    )
    assert flow.to_mermaid() == flow.to_mermaid()


async def test_drawing_in_an_event_loop(start: Start, app: Horsies) -> None:
    """W-261, W-265."""
    flow = start(plan(N("a")))
    text = (await flow.to_mermaid_async("LR")).unwrap()
    assert text == flow.to_mermaid("LR").unwrap()
    assert text.startswith("flowchart LR\n")
    await app.get_broker().close_async()


@pytest.mark.parametrize("direction", ["td", "", None])
async def test_a_direction_that_is_none(app: Horsies, direction: Any) -> None:
    """W-261: refused before the database is asked."""
    flow = WorkflowHandle[Any](NOBODY, app.get_broker())
    with pytest.raises(ValueError, match="direction is one of"):
        flow.to_mermaid(direction)
    with pytest.raises(ValueError, match="direction is one of"):
        await flow.to_mermaid_async(direction)


# -- what cannot be read


@pytest.mark.parametrize("workflow_id", [NOBODY, "no id"])
async def test_a_workflow_that_does_not_exist(app: Horsies, workflow_id: str) -> None:
    """W-37, W-253."""
    flow = WorkflowHandle[Any](workflow_id, app.get_broker())
    answers: list[Any] = [flow.progress(), flow.progress(include_children=True), flow.to_mermaid()]
    answers += [await flow.progress_async(), await flow.to_mermaid_async()]
    assert {answer.err_value.code for answer in answers} == {HandleErrorCode.WORKFLOW_NOT_FOUND}
    await app.get_broker().close_async()


async def test_a_database_that_is_away() -> None:
    """06 section 5: as every other method of a handle, an error that may be tried again."""
    flow = WorkflowHandle[Any](NOBODY, make_app(UNREACHABLE).get_broker())
    for answer in (flow.progress(), flow.to_mermaid(), await flow.progress_async()):
        assert isinstance(answer, Err)
        assert (answer.err_value.code, answer.err_value.retryable) == (
            HandleErrorCode.DB_OPERATION_FAILED,
            True,
        )
