"""What a handle tells: outcomes, nodes, waiting, control; and what it says when the database does not."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from horsies import (
    Err,
    Horsies,
    Ok,
    OperationalErrorCode,
    OutcomeCode,
    RetrievalCode,
    SubWorkflowError,
    TaskError,
    TaskResult,
    WorkflowStatus,
    WorkflowTaskStatus,
)
from horsies.codec.results import failure_envelope
from horsies.errors.codes import ContractCode
from horsies.workflow.handle import (
    WorkflowHandle,
    pause_workflow,
    pause_workflow_sync,
    resume_workflow,
    resume_workflow_sync,
)
from horsies.workflow.handle_errors import HandleErrorCode, HandleOperationError
from horsies.workflow.node_key import NodeKey
from horsies.workflow.nodes import TaskNode
from tests.core.apps import UNREACHABLE, make_app
from tests.core.workflow_engine.engine import Engine, N, plan
from tests.helpers import eventually

NOBODY = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app that knows the tasks run_a and run_b, which give numbers."""
    app = make_app(database_url)
    for name in ("run_a", "run_b"):

        def function() -> TaskResult[int, TaskError]:
            return TaskResult(ok=0)

        app.task(name, function)
    yield app
    app.get_broker().close()


@pytest.fixture
def handle(app: Horsies, engine: Engine) -> Any:
    """Makes a handle of a plan that it starts."""

    def make(graph: dict[str, Any]) -> WorkflowHandle[Any]:
        return WorkflowHandle(engine.start(graph), app.get_broker())

    return make


def refused(result: object) -> HandleOperationError:
    """The error of a wrapped call."""
    assert isinstance(result, Err)
    error = cast("Err[object]", result).err_value
    assert isinstance(error, HandleOperationError)
    return error


def test_get_gives_the_output(handle: Any, engine: Engine) -> None:
    """W-32, W-70."""
    flow = handle(plan(N("a"), N("b", ["a"]), output="b"))
    assert flow.get(0).err_value.error_code is RetrievalCode.WAIT_TIMEOUT
    engine.complete(*engine.claim().values(), value=1)
    engine.complete(*engine.claim().values(), value=2)
    assert flow.get(0) == flow.get(-5) == flow.get() == TaskResult(ok=2)


def test_get_without_output_node(handle: Any, engine: Engine) -> None:
    """W-70: those nothing depends on; None for a skipped one; W-31: each entry by its own type."""
    flow = handle(plan(N("a"), N("b", ["a"]), N("c", ["a"], conditions=True), N("d"), N("e"), cases=[["a"]]))
    claims = engine.claim()
    engine.complete(claims["a"], claims["d"], value=1)
    engine.fail(claims["e"], "BROKEN")
    claims = engine.claim()
    engine.complete(claims["b"], value=7)
    engine.decide(claims["?c"], {"decision": "skip"})
    found = flow.get(0).unwrap()
    assert (found["b"], found["c"]) == (TaskResult(ok=7), None)
    assert found["d"].err_value.error_code is ContractCode.NO_TYPE_AVAILABLE
    assert found["e"].err_value.error_code == "BROKEN"
    assert list(found) == ["b", "c", "d", "e"]


@pytest.mark.parametrize("stored", ["failed", "expired", "cancelled", "bare failed"])
def test_get_of_what_did_not_complete(handle: Any, engine: Engine, stored: str) -> None:
    """W-32: the stored error, else the code of the status."""
    flow = handle(plan(N("a")))
    claims = engine.claim()
    if "failed" in stored:
        engine.fail(claims["a"], "BROKEN")
    elif stored == "cancelled":
        flow.cancel()
    else:
        engine.pause(flow.workflow_id)
        engine.run("expire_workflow", id=flow.workflow_id, policy_s=0.0, now=None)
    if stored == "bare failed":
        engine.select("update horsies.workflows set error = null returning 1")
    expected: dict[str, object] = {
        "failed": "BROKEN",
        "bare failed": OutcomeCode.WORKFLOW_FAILED,
        "cancelled": OutcomeCode.WORKFLOW_CANCELLED,
        "expired": OutcomeCode.WORKFLOW_EXPIRED,
    }
    assert flow.get(0).err_value.error_code == expected[stored]


def test_a_paused_workflow_is_not_waited_for(handle: Any) -> None:
    """W-32."""
    flow = handle(plan(N("a")))
    assert flow.pause() == Ok(True)
    assert flow.get().err_value.error_code is OutcomeCode.WORKFLOW_PAUSED


def test_values_whose_type_is_unknown_or_wrong(handle: Any, engine: Engine) -> None:
    """W-31: errors need no type."""
    flow = handle(plan(N("a"), N("b"), N("c"), N("d")))
    claims = engine.claim()
    engine.complete(claims["a"], value="no number")
    engine.complete(claims["b"], value=3)
    engine.complete(claims["c"], value=3)
    engine.fail(claims["d"], "BROKEN")
    found = flow.results().unwrap()
    assert found["a"].err_value.error_code is OperationalErrorCode.RESULT_DESERIALIZATION_ERROR
    assert found["b"] == TaskResult(ok=3)
    assert found["c"].err_value.error_code is ContractCode.NO_TYPE_AVAILABLE
    assert found["d"].err_value.error_code == "BROKEN"


def test_result_for(handle: Any, engine: Engine) -> None:
    """W-34: by key or node, each state."""
    flow = handle(plan(N("a"), N("b", ["a"]), N("c", ["b"], conditions=True), output="b"))
    assert flow.result_for(NodeKey("a")).err_value.error_code is RetrievalCode.RESULT_NOT_READY
    for unknown in ("x", "a\0x", "a\ud800", ""):
        assert flow.result_for(NodeKey(unknown)).err_value.error_code is RetrievalCode.TASK_NOT_FOUND
    engine.complete(*engine.claim().values(), value=1)
    assert flow.result_for(NodeKey("a")) == TaskResult(ok=1)
    engine.fail(engine.claim()["b"], "BROKEN")
    assert flow.result_for(NodeKey("b")).err_value.error_code == "BROKEN"
    skipped = flow.result_for(NodeKey("c")).err_value
    assert (skipped.error_code, skipped.data) == (OutcomeCode.UPSTREAM_SKIPPED, {"dependency_index": 2})


def test_result_for_a_node_without_id(handle: Any, app: Horsies) -> None:
    """W-34: WORKFLOW_CTX_MISSING_ID, and any unnamed node gets it."""
    node: TaskNode[Any] = TaskNode(fn=app.tasks["run_a"])
    error = handle(plan(N("a"))).result_for(node).err_value
    assert error.error_code is ContractCode.WORKFLOW_CTX_MISSING_ID


def test_results_hold_what_has_ended(handle: Any, engine: Engine) -> None:
    """W-35: COMPLETED and FAILED only."""
    flow = handle(plan(N("a"), N("b"), N("c", ["b"])))
    assert flow.results().unwrap() == {}
    claims = engine.claim()
    engine.fail(claims["b"], "BROKEN")
    assert list(flow.results().unwrap()) == ["b"]


def test_tasks(handle: Any, engine: Engine) -> None:
    """W-36, W-41: RUNNING and since when is read from the task's row, a waiting retry included."""
    flow = handle(plan(N("a", retries=1), N("b"), N("c", ["a", "b"])))
    before = {info.node_id: info.status for info in flow.tasks().unwrap()}
    assert before == {
        "a": WorkflowTaskStatus.ENQUEUED,
        "b": WorkflowTaskStatus.ENQUEUED,
        "c": WorkflowTaskStatus.PENDING,
    }
    claims = engine.claim()
    a, b, c = flow.tasks().unwrap()
    assert (a.status, b.status, c.status) == (
        WorkflowTaskStatus.RUNNING,
        WorkflowTaskStatus.RUNNING,
        WorkflowTaskStatus.PENDING,
    )
    assert a.started_at is not None
    engine.fail(claims["a"], retry_s=60)
    engine.complete(claims["b"], value=4)
    waiting, b, c = flow.tasks().unwrap()
    assert (waiting.status, waiting.result, waiting.completed_at) == (WorkflowTaskStatus.RUNNING, None, None)
    assert waiting.started_at is not None
    assert (b.index, b.name, b.status, b.result) == (
        1,
        "run_b",
        WorkflowTaskStatus.COMPLETED,
        TaskResult(ok=4),
    )
    assert b.started_at <= b.completed_at
    assert (c.sub_workflow_id, c.sub_workflow_summary) == (None, None)


def test_child_workflows_are_told_of(handle: Any, engine: Engine) -> None:
    """W-36, W-86, W-87."""
    flow = handle(plan(N("s", child="kid")))
    kid = engine.begin_child(plan(N("a"), N("b", ["a"]), N("c", ["b"]), name="kid", output="c"))
    engine.complete(*engine.claim().values(), value=1)
    error = TaskError(error_code="BROKEN", message="a null \x00 in it")
    (claim,) = engine.claim().values()
    end = {
        "id": claim.id,
        "generation": claim.generation,
        "workflow_id": kid,
        "status": "FAILED",
        "result": failure_envelope(error),
        "error_code": "BROKEN",
    }
    engine.worker.cycle(ended=[end])
    (info,) = flow.tasks().unwrap()
    summary = info.sub_workflow_summary
    assert (info.sub_workflow_id, summary.status, summary.output) == (kid, WorkflowStatus.FAILED, None)
    assert (summary.total_tasks, summary.completed_tasks, summary.failed_tasks, summary.skipped_tasks) == (
        3,
        1,
        1,
        1,
    )
    assert summary.error_summary == "a null \ufffd in it"
    failed = flow.get(0).err_value
    assert isinstance(failed, SubWorkflowError)
    assert (failed.sub_workflow_id, failed.sub_workflow_summary) == (kid, summary)


def test_an_unreadable_summary(handle: Any, engine: Engine) -> None:
    """W-36: DB_OPERATION_FAILED, not retryable."""
    flow = handle(plan(N("a")))
    engine.select("update horsies.workflow_nodes set sub_workflow_summary = '{\"status\": 3}' returning 1")
    error = refused(flow.tasks())
    assert (error.code, error.retryable) == (HandleErrorCode.DB_OPERATION_FAILED, False)


def test_control(handle: Any, engine: Engine) -> None:
    """W-71, W-75, W-77: by the handle's methods."""
    flow = handle(plan(N("a")))
    assert (flow.pause(), flow.pause(), flow.status()) == (Ok(True), Ok(False), Ok(WorkflowStatus.PAUSED))
    assert (flow.resume(), flow.resume(), flow.status()) == (Ok(True), Ok(False), Ok(WorkflowStatus.RUNNING))
    assert (flow.cancel(), flow.cancel(), flow.status()) == (Ok(None), Ok(None), Ok(WorkflowStatus.CANCELLED))
    assert flow.pause() == flow.resume() == Ok(False)


async def test_async_forms(handle: Any, engine: Engine) -> None:
    """05 section 6: each method has one."""
    flow = handle(plan(N("a"), output="a"))
    broker, key = flow.broker, flow.workflow_id
    assert await flow.pause_async() == Ok(True)
    assert await flow.resume_async() == Ok(True)
    assert (await pause_workflow(broker, key), await resume_workflow(broker, key)) == (Ok(True), Ok(True))
    assert (pause_workflow_sync(broker, key), resume_workflow_sync(broker, key)) == (Ok(True), Ok(True))
    assert await flow.status_async() == Ok(WorkflowStatus.RUNNING)
    engine.complete(*engine.claim().values(), value=1)
    assert await flow.get_async(0) == await flow.result_for_async(NodeKey("a")) == TaskResult(ok=1)
    assert (await flow.results_async()).unwrap() == {"a": TaskResult(ok=1)}
    assert len((await flow.tasks_async()).unwrap()) == 1
    assert await flow.cancel_async() == Ok(None)


@pytest.mark.parametrize("workflow_id", [NOBODY, "no id at all"])
async def test_a_workflow_that_does_not_exist(app: Horsies, workflow_id: str) -> None:
    """W-37: in every method."""
    flow = WorkflowHandle[Any](workflow_id, app.get_broker())
    wrapped = [
        flow.status(),
        flow.results(),
        flow.tasks(),
        flow.cancel(),
        flow.pause(),
        flow.resume(),
        await flow.status_async(),
        await flow.tasks_async(),
    ]
    for result in wrapped:
        error = refused(result)
        assert (error.code, error.retryable) == (HandleErrorCode.WORKFLOW_NOT_FOUND, False)
    for folded in (flow.get(), flow.result_for(NodeKey[Any]("a")), await flow.get_async()):
        assert folded.err_value.error_code is RetrievalCode.WORKFLOW_NOT_FOUND


async def test_an_unreachable_database() -> None:
    """05 section 6: wrapped calls DB_OPERATION_FAILED, folded ones BROKER_ERROR; nothing raised."""
    flow = WorkflowHandle[Any](NOBODY, make_app(UNREACHABLE).get_broker())
    for result in (flow.status(), await flow.tasks_async(), flow.cancel()):
        error = refused(result)
        assert (error.code, error.retryable) == (
            HandleErrorCode.DB_OPERATION_FAILED,
            True,
        )
    for folded in (flow.get(100), await flow.get_async(100)):
        assert folded.err_value.error_code is OperationalErrorCode.BROKER_ERROR


def test_get_is_woken_by_the_end(handle: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-33, W-47: by a message; the poll would not come before the test's time is up."""
    monkeypatch.setattr("horsies.ops.workflow_read.POLL_S", 1000.0)
    flow = handle(plan(N("a"), output="a"))
    claims = engine.claim()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(flow.get(30_000)))
    thread.start()
    eventually(lambda: engine.workflow(flow.workflow_id)["awaited"])
    engine.complete(claims["a"], value=5)
    thread.join()
    assert found == [TaskResult(ok=5)]


async def test_get_async_is_woken_by_a_pause_and_can_be_cancelled(handle: Any, engine: Engine) -> None:
    """W-33, W-47: PAUSED counts; a cancelled wait propagates."""
    flow = handle(plan(N("a"), output="a"))
    waiting = asyncio.create_task(flow.get_async())
    await asyncio.to_thread(eventually, lambda: engine.workflow(flow.workflow_id)["awaited"])
    other = asyncio.create_task(flow.get_async())
    await asyncio.sleep(0)
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    engine.pause(flow.workflow_id)
    assert (await waiting).err_value.error_code is OutcomeCode.WORKFLOW_PAUSED
