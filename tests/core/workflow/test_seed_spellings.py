"""What the quick reference of the seeds promises about workflows, spelled as it is spelled there.

Where the specification gives a call another answer (a `Result` instead of the bare value), the answer is the
specification's and the spelling is the reference's.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from horsies import (
    ErrorCode,
    Horsies,
    NodeKey,
    OnError,
    SubWorkflowNode,
    SuccessCase,
    SuccessPolicy,
    TaskError,
    TaskNode,
    TaskResult,
    WorkflowContext,
    WorkflowDefinition,
    WorkflowHandle,
    WorkflowSpec,
    WorkflowStatus,
    WorkflowTaskInfo,
    WorkflowTaskStatus,
    WorkflowValidationError,
)
from tests.core.apps import make_app
from tests.core.workflow_engine.engine import Engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = Engine(database_url)
    yield engine
    engine.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    app = make_app(database_url)
    yield app
    app.get_broker().close()


@pytest.fixture
def fetch(app: Horsies) -> Any:
    @app.task("fetch")
    def fetch(url: str, depth: int = 1) -> TaskResult[int, TaskError]:
        return TaskResult(ok=depth)

    return fetch


@pytest.fixture
def merge(app: Horsies) -> Any:
    @app.task("merge")
    def merge(
        left: TaskResult[int, TaskError] | None = None, workflow_ctx: WorkflowContext | None = None
    ) -> TaskResult[int, TaskError]:
        return TaskResult(ok=1)

    return merge


def sees_a_result(context: WorkflowContext) -> bool:
    return context.result_for(NodeKey[int]("first")).is_ok()


def test_a_task_node_takes_all_of_these(app: Horsies, fetch: Any, merge: Any) -> None:
    """W-5: `TaskNode(fn=..., args=..., waits_for=..., args_from=..., node_id=..., workflow_ctx_from=...,
    allow_failed_deps=..., join=...)`."""
    first = TaskNode(fn=fetch, args=("u", 2))
    second = TaskNode(
        fn=merge,
        args=(),
        waits_for=[first],
        args_from={"left": first},
        node_id="second",
        workflow_ctx_from=[first],
        allow_failed_deps=True,
        join="all",
    )
    spec = app.workflow("w", [first, second])
    assert dict(spec.tasks[0].kwargs) == {"url": "u", "depth": 2}
    assert (first.args, first.node_id, second.node_id) == ((), "w:0", "second")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("u", 1, 2), ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED),
        (("u", "deep"), ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE),
    ],
)
def test_positional_values_are_checked(
    app: Horsies, fetch: Any, args: tuple[Any, ...], code: ErrorCode
) -> None:
    """W-5, W-10: too many, or of another type."""
    with pytest.raises(WorkflowValidationError) as caught:
        app.workflow("w", [TaskNode(fn=fetch, args=args)])
    assert caught.value.code is code


def test_joins(app: Horsies, fetch: Any, merge: Any) -> None:
    """Section 9: `join: "all" (default) | "any" | "quorum" (with min_success)`."""
    sources = [TaskNode(fn=fetch, args=("u",), node_id=f"n{i}") for i in range(3)]
    every = TaskNode(fn=merge, waits_for=sources)
    one = TaskNode(fn=merge, waits_for=sources, join="any")
    two = TaskNode(fn=merge, waits_for=sources, join="quorum", min_success=2)
    spec = app.workflow("w", [*sources, every, one, two])
    assert [(node.join, node.min_success) for node in spec.tasks[3:]] == [
        ("all", None),
        ("any", None),
        ("quorum", 2),
    ]


def test_conditions(fetch: Any, merge: Any, app: Horsies) -> None:
    """W-60, W-64: `skip_when`, `run_when`, on both kinds of nodes."""

    class Inner(WorkflowDefinition[int]):
        name = "inner"
        definition_key = "tests.spellings.inner"
        only = TaskNode(fn=fetch, args=("u",))

        class Meta:
            output = "only"

    class Guarded(WorkflowDefinition[None]):
        name = "guarded"
        definition_key = "tests.spellings.guarded"
        first = TaskNode(fn=fetch, args=("u",))
        skipped = TaskNode(fn=merge, waits_for=[first], skip_when=sees_a_result)
        run = TaskNode(fn=merge, waits_for=[first], run_when=sees_a_result)
        child = SubWorkflowNode(workflow_def=Inner, waits_for=[first], skip_when=sees_a_result)

    spec = Guarded.build(app)
    assert [node.has_conditions for node in spec.tasks] == [False, True, True, True]


@pytest.mark.parametrize("spelling", ["pause", OnError.PAUSE])
def test_on_error_pause(app: Horsies, engine: Engine, fetch: Any, spelling: Any) -> None:
    """W-14, W-67: `on_error="pause"` (default): immediately pause, block new enqueues, await resume."""
    first = TaskNode(fn=fetch, args=("u",), node_id="first")
    after = TaskNode(fn=fetch, args=("u",), waits_for=[first], node_id="after")
    handle = app.workflow("w", [first, after], on_error=spelling).start().unwrap()
    engine.fail(engine.claim()["first"])
    assert handle.status().unwrap() is WorkflowStatus.PAUSED
    assert engine.claim() == {}
    assert handle.resume().unwrap() is True
    assert handle.status().unwrap() is WorkflowStatus.FAILED


@pytest.mark.parametrize("options", [{}, {"on_error": "fail"}, {"on_error": OnError.FAIL}])
def test_on_error_fail(app: Horsies, engine: Engine, fetch: Any, options: dict[str, Any]) -> None:
    """W-14, W-66: `on_error="fail"` (default): store error, continue DAG, mark FAILED when all terminal."""
    bad, slow = (
        TaskNode(fn=fetch, args=("u",), node_id="bad"),
        TaskNode(fn=fetch, args=("v",), node_id="slow"),
    )
    handle = app.workflow("w", [bad, slow], **options).start().unwrap()
    claims = engine.claim()
    engine.fail(claims["bad"])
    assert handle.status().unwrap() is WorkflowStatus.RUNNING
    engine.complete(claims["slow"], value=1)
    assert handle.status().unwrap() is WorkflowStatus.FAILED
    assert handle.get().err_value.error_code == "BROKEN"


def test_an_on_error_that_there_is_not(app: Horsies, fetch: Any) -> None:
    """W-14."""
    with pytest.raises(ValueError, match="pause"):
        app.workflow("w", [TaskNode(fn=fetch, args=("u",))], on_error="stop")


def test_what_a_spec_shows(app: Horsies, fetch: Any) -> None:
    """`.name`, `.tasks`, `.on_error`, `.output`, `.success_policy`."""
    node = TaskNode(fn=fetch, args=("u",))
    policy = SuccessPolicy(cases=[SuccessCase(required=[node])])
    spec = app.workflow("w", [node], output=node, success_policy=policy)
    assert isinstance(spec, WorkflowSpec)
    assert (spec.name, spec.on_error, spec.output) == ("w", OnError.FAIL, spec.tasks[0])
    assert spec.success_policy is not None
    assert spec.success_policy.cases[0].required == (spec.tasks[0],)


async def test_what_a_handle_can_do(app: Horsies, engine: Engine, fetch: Any) -> None:
    """W-31 and section 6: each method of the reference, sync and async."""
    first = TaskNode(fn=fetch, args=("u",), node_id="first")
    after = TaskNode(fn=fetch, args=("u",), waits_for=[first], node_id="after")
    spec = app.workflow("w", [first, after], output=after)
    handle = (await spec.start_async(workflow_id=None)).unwrap()
    assert isinstance(handle, WorkflowHandle)
    engine.complete(engine.claim()["first"], value=3)
    assert (await handle.pause_async()).unwrap() is True
    assert (await handle.resume_async()).unwrap() is True
    assert (await handle.status_async()).unwrap() is handle.status().unwrap() is WorkflowStatus.RUNNING
    engine.complete(engine.claim()["after"], value=4)
    assert handle.get(timeout_ms=None) == await handle.get_async(timeout_ms=None) == TaskResult(ok=4)
    assert handle.results().unwrap() == (await handle.results_async()).unwrap()
    assert handle.results().unwrap()["first"].ok_value == 3
    for node in (first, first.key(), NodeKey[int]("first")):
        assert handle.result_for(node) == await handle.result_for_async(node) == TaskResult(ok=3)
    infos = handle.tasks().unwrap()
    assert infos == (await handle.tasks_async()).unwrap()
    assert isinstance(infos[0], WorkflowTaskInfo)
    facts = infos[0].node_id, infos[0].index, infos[0].name, infos[0].status, infos[0].result
    assert facts == ("first", 0, "fetch", WorkflowTaskStatus.COMPLETED, TaskResult(ok=3))
    assert infos[0].started_at is not None
    assert infos[0].completed_at is not None
    assert handle.cancel().unwrap() is (await handle.cancel_async()).unwrap() is None
    await app.get_broker().close_async()


def test_every_method_has_an_async_form() -> None:
    """Sync and async form of each method, with the same parameters."""
    names = [
        "get",
        "result_for",
        "status",
        "results",
        "tasks",
        "cancel",
        "pause",
        "resume",
        "progress",
        "to_mermaid",
    ]
    for name in names:
        sync, other = getattr(WorkflowHandle, name), getattr(WorkflowHandle, f"{name}_async")
        assert str(inspect.signature(sync)) == str(inspect.signature(other)), name
        assert inspect.iscoroutinefunction(other), name
