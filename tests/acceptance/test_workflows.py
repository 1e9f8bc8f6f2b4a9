"""Workflows with a real worker: what tasks are given, steps, children, control, and what outlives a killed worker."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from horsies import OperationalErrorCode, OutcomeCode, SubWorkflowError, WorkflowStatus, WorkflowTaskStatus
from horsies.workflow.node_key import NodeKey
from horsies.workflow.nodes import TaskNode
from tests.acceptance.fresh_module import fresh_module
from tests.acceptance.notes import notes
from tests.helpers import RunningProcess, eventually, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.flows"
WAIT_MS = 20_000

type StartWorker = Callable[..., AbstractContextManager[RunningProcess]]


@pytest.fixture
def flows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module tests.acceptance.apps.flows, its app on this test's database."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
    with fresh_module(APP) as module:
        yield module


@pytest.fixture
def start_worker(database_url: str) -> StartWorker:
    """Starts a worker for `flows` and waits until it is ready."""

    @contextmanager
    def start(*arguments: str) -> Generator[RunningProcess]:
        environment = {"ACCEPTANCE_DATABASE_URL": database_url}
        with running_module(
            "horsies_worker", f"{APP}:app", *arguments, environment=environment, directory=ROOT
        ) as worker:
            worker.wait_for("ready:")
            yield worker

    return start


def start(spec: Any) -> Any:
    """Its handle."""
    return spec.start().unwrap()


def states(handle: Any) -> dict[str, str]:
    return {info.node_id: info.status.value for info in handle.tasks().unwrap()}


def test_results_context_and_meta_reach_the_tasks(flows: Any, start_worker: StartWorker) -> None:
    """W-52, W-55, W-56, W-70, K-34: chain, context, an async task among them."""
    with start_worker():
        assert start(flows.Pair.build(flows.app)).get(WAIT_MS).ok_value == 6
        first = TaskNode(fn=flows.one, node_id="first")
        second = TaskNode(fn=flows.async_add, waits_for=[first], args_from={"left": first}, node_id="second")
        told = TaskNode(
            fn=flows.seen,
            waits_for=[second],
            args_from={"result": second},
            workflow_ctx_from=[second],
            node_id="told",
        )
        alone = TaskNode(fn=flows.seen, node_id="alone")
        handle = start(flows.app.workflow("mixed", [first, second, told, alone]))
        ended = handle.get(WAIT_MS).ok_value
        assert {name: result.ok_value for name, result in ended.items()} == {
            "told": "2 seen ok True",
            "alone": "3 seen none False",
        }
        assert handle.result_for(second).ok_value == 2


def test_errors_reach_those_who_want_them(flows: Any, start_worker: StartWorker) -> None:
    """W-50, W-52, W-66, W-69: an error and a skip as arguments."""
    with start_worker():
        bad = TaskNode(fn=flows.broken, node_id="bad")
        skipped = TaskNode(fn=flows.add, waits_for=[bad], args_from={"left": bad}, node_id="skipped")
        told = [
            TaskNode(
                fn=flows.seen,
                waits_for=[node],
                args_from={"result": node},
                allow_failed_deps=True,
                node_id=name,
            )
            for node, name in ((bad, "of_bad"), (skipped, "of_skipped"))
        ]
        handle = start(flows.app.workflow("errors", [bad, skipped, *told]))
        assert handle.get(WAIT_MS).err_value.error_code == "BROKEN"
        assert handle.result_for(told[0]).ok_value == "2 seen BROKEN False"
        assert handle.result_for(told[1]).ok_value == "3 seen UPSTREAM_SKIPPED False"
        assert handle.result_for(skipped).err_value.error_code is OutcomeCode.UPSTREAM_SKIPPED


def test_conditions(flows: Any, start_worker: StartWorker) -> None:
    """W-57, W-60, W-62, W-63: asked in an executor before the node's task exists."""
    with start_worker():
        handle = start(flows.Guarded.build(flows.app))
        error = handle.get(WAIT_MS).err_value
        assert error.error_code is OperationalErrorCode.CONDITION_FAILED
        assert error.message == "skip_when of node 'failing' raised RuntimeError: no idea"
        assert states(handle) == {
            "first": "COMPLETED",
            "skipped": "SKIPPED",
            "run": "COMPLETED",
            "failing": "FAILED",
        }


def test_a_child_workflow(flows: Any, start_worker: StartWorker) -> None:
    """W-84, W-85, W-87: built with a result, its output taken by the next node."""
    with start_worker():
        handle = start(flows.Parent.build(flows.app))
        assert handle.get(WAIT_MS).ok_value == 13
        child = handle.tasks().unwrap()[1]
        assert child.result.ok_value == 3
        summary = child.sub_workflow_summary
        assert (summary.status, summary.output, summary.completed_tasks) == (WorkflowStatus.COMPLETED, 3, 3)
        assert type(handle)(child.sub_workflow_id, handle.broker).get(0).ok_value == 3


def test_a_child_that_cannot_be_built(flows: Any, start_worker: StartWorker) -> None:
    """W-84, 05 section 17: the node fails, naming the exception."""
    with start_worker():
        handle = start(flows.Orphan.build(flows.app))
        handle.get(WAIT_MS)
        error = handle.result_for(NodeKey("child")).err_value
        assert error.error_code is OperationalErrorCode.WORKFLOW_ENQUEUE_FAILED
        assert "RuntimeError: nothing to start from" in error.message


def test_a_child_that_fails(flows: Any, start_worker: StartWorker) -> None:
    """W-86: SubWorkflowError with the child's state."""
    with start_worker():
        handle = start(flows.Troubled.build(flows.app))
        error = handle.get(WAIT_MS).err_value
        assert isinstance(error, SubWorkflowError)
        assert error.error_code is OutcomeCode.SUBWORKFLOW_FAILED
        assert error.sub_workflow_summary.status is WorkflowStatus.FAILED
        assert error.sub_workflow_summary.error_summary == "as asked for"


def test_a_step_that_takes_too_long(flows: Any, start_worker: StartWorker) -> None:
    """W-57, W-59: killed, the node fails, other work goes on."""
    with start_worker():
        handle = start(flows.Slow.build(flows.app))
        assert handle.get(WAIT_MS).err_value.error_code is OutcomeCode.TASK_TIMEOUT
        assert start(flows.Pair.build(flows.app)).get(WAIT_MS).ok_value == 6


def test_a_retry_keeps_the_node_running(flows: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """W-90, W-41: only the last attempt decides."""
    with start_worker():
        node = TaskNode(fn=flows.second_time, kwargs={"folder": str(tmp_path)}, node_id="n")
        after = TaskNode(fn=flows.add, waits_for=[node], args_from={"left": node}, node_id="after")
        handle = start(flows.app.workflow("retried", [node, after], output=after))
        eventually(lambda: notes(tmp_path) == ["try"])
        assert handle.get(100).err_value.error_code.value == "WAIT_TIMEOUT"
        assert states(handle) == {"n": "RUNNING", "after": "PENDING"}
        assert handle.tasks().unwrap()[0].started_at is not None
        assert handle.get(WAIT_MS).ok_value == 3


def test_pause_resume_and_cancel(flows: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """W-71, W-73, W-75, W-77, W-78: what runs goes on, what waits stays, and nothing begins."""
    with start_worker():
        slow = TaskNode(fn=flows.nap, kwargs={"folder": str(tmp_path), "seconds": 0.5}, node_id="slow")
        after = TaskNode(fn=flows.add, waits_for=[slow], args_from={"left": slow}, node_id="after")
        spec = flows.app.workflow("controlled", [slow, after], output=after)
        handle = start(spec)
        eventually(lambda: notes(tmp_path) == ["begin"])
        assert handle.pause().unwrap() is True
        assert handle.get(WAIT_MS).err_value.error_code is OutcomeCode.WORKFLOW_PAUSED
        eventually(lambda: states(handle) == {"slow": "COMPLETED", "after": "PENDING"})
        assert handle.resume().unwrap() is True
        assert handle.get(WAIT_MS).ok_value == 2
        other = start(spec)
        eventually(lambda: notes(tmp_path) == ["begin", "end", "begin"])
        assert states(other) == {"slow": "RUNNING", "after": "PENDING"}
        assert other.cancel().unwrap() is None
        assert other.get(WAIT_MS).err_value.error_code is OutcomeCode.WORKFLOW_CANCELLED
        eventually(lambda: states(other) == {"slow": "COMPLETED", "after": "SKIPPED"})


def test_a_crash_in_a_task_goes_through_the_workflow(flows: Any, start_worker: StartWorker) -> None:
    """W-90, R-104: an executor that dies fails the node, with all that follows."""
    with start_worker():
        node = TaskNode(fn=flows.die, node_id="n")
        after = TaskNode(fn=flows.seen, waits_for=[node], allow_failed_deps=True, node_id="after")
        handle = start(flows.app.workflow("crashed", [node, after]))
        assert handle.get(WAIT_MS).err_value.error_code is OperationalErrorCode.WORKER_CRASHED
        assert states(handle) == {"n": "FAILED", "after": "COMPLETED"}


def test_many_workflows_on_two_workers(flows: Any, start_worker: StartWorker, database_url: str) -> None:
    """W-94, W-95, W-100: two workers, busy trees, every node once."""
    with start_worker("--processes", "2"), start_worker("--processes", "2"):
        wide = [TaskNode(fn=flows.one, node_id=f"n{i}") for i in range(40)]
        last = TaskNode(fn=flows.seen, waits_for=wide, node_id="last")
        fans = [start(flows.app.workflow("fan", [*wide, last], output=last)) for _ in range(5)]
        pairs = [start(flows.Pair.build(flows.app)) for _ in range(40)]
        assert {handle.get(WAIT_MS).ok_value for handle in pairs} == {6}
        assert {handle.get(WAIT_MS).ok_value for handle in fans} == {"40 seen none False"}
        with psycopg.connect(database_url) as connection:
            (found,) = connection.execute(
                "select count(*), count(distinct (workflow_id, node_index)) from horsies.task_history"
            ).fetchall()
            assert found == (5 * 41 + 40 * 3, 5 * 41 + 40 * 3)


def test_a_worker_that_is_killed_loses_nothing(flows: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """W-91, W-101: what ran fails or is retried, the rest goes on with the next worker."""
    folder = str(tmp_path)
    slow = TaskNode(fn=flows.nap, kwargs={"folder": folder, "seconds": 60}, node_id="slow")
    again = TaskNode(fn=flows.nap_again, kwargs={"folder": folder}, node_id="again")
    after = TaskNode(
        fn=flows.seen, waits_for=[slow], args_from={"result": slow}, allow_failed_deps=True, node_id="after"
    )
    handle = start(flows.app.workflow("orphaned", [slow, again, after]))
    with start_worker("--processes", "2") as worker:
        eventually(lambda: len(notes(tmp_path)) == 2)
        children = psutil.Process(worker.pid).children()
        os.kill(worker.pid, signal.SIGKILL)
        psutil.wait_procs(children, timeout=10)
    with start_worker("--processes", "2"):
        assert handle.get(WAIT_MS).err_value.error_code is OperationalErrorCode.WORKER_CRASHED
        infos = {info.node_id: info for info in handle.tasks().unwrap()}
    assert infos["after"].result.ok_value == "2 seen WORKER_CRASHED False"
    assert infos["again"].status is WorkflowTaskStatus.COMPLETED
