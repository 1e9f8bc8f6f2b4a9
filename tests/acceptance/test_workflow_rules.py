"""Rules of workflows that show in a running worker only: damage, rollbacks, who reads values, locked trees, upkeep."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from horsies import OperationalErrorCode, WorkflowStatus
from horsies.workflow.node_key import NodeKey
from tests.acceptance.fresh_module import fresh_module
from tests.acceptance.notes import notes as all_notes
from tests.helpers import RunningProcess, eventually, running_module

ROOT = Path(__file__).parent.parent.parent
APP = "tests.acceptance.apps.rule_flows"
WAIT_MS = 40_000

pytestmark = pytest.mark.timeout(150)

type StartWorker = Callable[[], AbstractContextManager[RunningProcess]]
type Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def flows(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module with the workflows, its app on this test's database."""
    monkeypatch.setenv("ACCEPTANCE_DATABASE_URL", database_url)
    monkeypatch.setenv("RULE_FLOWS_FOLDER", str(tmp_path))
    with fresh_module(APP) as module:
        yield module


@pytest.fixture
def start_worker(flows: Any, database_url: str, tmp_path: Path) -> StartWorker:
    """Starts a worker for it and waits until it is ready."""

    @contextmanager
    def start() -> Generator[RunningProcess]:
        environment = {"ACCEPTANCE_DATABASE_URL": database_url, "RULE_FLOWS_FOLDER": str(tmp_path)}
        with running_module(
            "horsies_worker", f"{APP}:app", environment=environment, directory=ROOT
        ) as worker:
            worker.wait_for("ready:", 60)
            yield worker

    return start


@pytest.fixture
def execute(database_url: str) -> Iterator[Execute]:
    """Any statement, at once."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def run(statement: str, *params: Any) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

        yield run


def start(flows: Any, definition: Any) -> Any:
    """Its handle."""
    return definition.build(flows.app).start().unwrap()


def wait_for(handle: Any, status: WorkflowStatus) -> None:
    """Until the workflow has come to this."""
    eventually(lambda: handle.status().unwrap() is status, 60)


def notes(folder: Path) -> list[str]:
    """What tasks and conditions wrote, without who read values."""
    return [line for line in all_notes(folder) if not line.startswith("read in")]


def states(handle: Any) -> dict[str, str]:
    return {info.node_id: info.status.value for info in handle.tasks().unwrap()}


def test_damage_and_lost_definitions_fail_their_own_node(
    flows: Any, start_worker: StartWorker, execute: Execute, tmp_path: Path
) -> None:
    """W-45, W-65, 05 section 17: what cannot be read or found fails; what came before it, and its siblings, do not.

    W-61: a condition is asked when the node it waits for has ended, not again for the retries of its task.
    """
    damaged, lost, renamed = (start(flows, each) for each in (flows.Damaged, flows.Guarded, flows.Guarded))
    node = "update horsies.workflow_nodes set {} where workflow_id = %s and node_id = %s"
    execute(node.format("kwargs = '{\"more\": '"), damaged.workflow_id, "kwargs")
    execute(node.format('args_from = \'{"before": "?"}\''), damaged.workflow_id, "args_from")
    execute(node.format("definition_key = 'rules.gone'"), lost.workflow_id, "child")
    execute("update horsies.workflows set definition_key = 'rules.gone' where id = %s", lost.workflow_id)
    execute(node.format("node_id = 'unknown'"), renamed.workflow_id, "guarded")
    with start_worker():
        for handle in (damaged, lost, renamed):
            wait_for(handle, WorkflowStatus.FAILED)
    assert states(damaged) == {
        "source": "COMPLETED",
        "kwargs": "FAILED",
        "args_from": "FAILED",
        "sound": "COMPLETED",
    }
    for name in ("kwargs", "args_from"):
        error = damaged.result_for(NodeKey(name)).err_value
        assert error.error_code is OperationalErrorCode.WORKER_SERIALIZATION_ERROR
    assert states(lost) == {"first": "COMPLETED", "guarded": "FAILED", "child": "FAILED"}
    assert (
        lost.result_for(NodeKey("guarded")).err_value.error_code
        is OperationalErrorCode.WORKER_RESOLUTION_ERROR
    )
    error = lost.result_for(NodeKey("child")).err_value
    assert error.error_code is OperationalErrorCode.SUBWORKFLOW_LOAD_FAILED
    assert error.data == {"definition_key": "rules.gone"}
    assert states(renamed) == {"first": "COMPLETED", "unknown": "FAILED", "child": "COMPLETED"}
    error = renamed.result_for(NodeKey("unknown")).err_value
    assert error.error_code is OperationalErrorCode.WORKER_RESOLUTION_ERROR
    # The one child that was found, and nothing of the nodes that could not be asked for.
    assert notes(tmp_path) == ["asked 1", "run", "run", "run"]


def test_values_are_read_in_executors_only(flows: Any, start_worker: StartWorker, tmp_path: Path) -> None:
    """W-49, W-57: results, arguments, contexts, what conditions and children are given: never in the coordinator."""
    with start_worker() as worker:
        before = len(all_notes(tmp_path))  # a definition's own values are read when it is imported
        handle = start(flows, flows.Traces)
        wait_for(handle, WorkflowStatus.COMPLETED)
        readers = {int(line.split()[-1]) for line in all_notes(tmp_path)[before:]} - {os.getpid()}
        assert readers
        assert worker.pid not in readers
    assert handle.get(0).ok_value == flows.Traced(number=1)


def test_a_completion_that_is_rolled_back_is_repeated(
    flows: Any, start_worker: StartWorker, execute: Execute, tmp_path: Path
) -> None:
    """W-48: nothing of it happened, the worker writes the same end again; no task runs twice, no result is lost."""
    execute("create sequence refusals")
    execute(
        "create function refuse() returns trigger language plpgsql as $$ begin"
        " if new.status = 'COMPLETED' and nextval('refusals') in (1, 2, 4, 5) then"
        " raise exception 'refused' using errcode = '40P01'; end if; return new; end $$"
    )
    execute(
        "create trigger refuse before update on horsies.workflow_nodes for each row execute function refuse()"
    )
    with start_worker() as worker:
        handle = start(flows, flows.Chain)
        assert handle.get(WAIT_MS).is_ok(), worker.output
        assert execute("select last_value from refusals") == [(7,)]
    assert states(handle) == {"a": "COMPLETED", "b": "COMPLETED", "c": "COMPLETED"}
    assert notes(tmp_path) == ["ran a", "ran b", "ran c"]


def test_a_tree_that_is_locked_does_not_silence_the_worker(
    flows: Any, start_worker: StartWorker, execute: Execute, database_url: str
) -> None:
    """W-41, W-100, R-090: while somebody holds a tree, heartbeats and other workflows go on."""
    beats = "select extract(epoch from heartbeat_at)::float8 from horsies.workers"
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    locked = start(flows, flows.Chain)
    with psycopg.connect(database_url) as other:
        other.execute("select from horsies.workflows where id = %s for no key update", [locked.workflow_id])
        with start_worker():
            eventually(lambda: execute(waiting), 60)
            ((before,),) = execute(beats)
            eventually(lambda: execute(beats)[0][0] > before + 3, 60)
            assert start(flows, flows.Chain).get(WAIT_MS).is_ok()
            assert states(locked)["b"] == "PENDING"
            other.rollback()
            assert locked.get(WAIT_MS).is_ok()


def test_the_reaper_keeps_workflows_in_order(flows: Any, start_worker: StartWorker, execute: Execute) -> None:
    """R-111, R-114, R-115, W-83, W-102, D-035: orphans, what is paused for too long, trees that ended long ago."""
    orphaned, paused, fresh, ended = (start(flows, flows.Chain) for _ in range(4))
    execute(
        "update horsies.workflow_nodes set status = 'SKIPPED', completed_at = now() where workflow_id = %s",
        orphaned.workflow_id,
    )
    execute(
        "update horsies.tasks set enqueued_at = now() + interval '1 day' where workflow_id = %s",
        orphaned.workflow_id,
    )
    for handle in (paused, fresh):
        assert handle.pause().unwrap() is True
    execute(
        "update horsies.workflows set paused_at = now() - interval '2 hours' where id = %s",
        paused.workflow_id,
    )
    assert ended.cancel().is_ok()
    execute(
        "update horsies.workflows set completed_at = now() - interval '100 days' where id = %s",
        ended.workflow_id,
    )
    with start_worker() as worker:
        cancelled = "select 1 from horsies.task_history where workflow_id = %s and status = 'CANCELLED'"
        eventually(lambda: execute(cancelled, orphaned.workflow_id), 60)
        wait_for(paused, WorkflowStatus.EXPIRED)
        eventually(lambda: ended.status().is_err(), 60)
        worker.wait_for("workflow tasks that no node waits for were cancelled")
        worker.wait_for("have expired")
    assert fresh.status().unwrap() is WorkflowStatus.PAUSED
    assert paused.get(0).err_value.data["policy"] == "paused_workflow_auto_cancel_after"
    assert ended.status().err_value.code.value == "WORKFLOW_NOT_FOUND"
    left = "select count(*) from horsies.{} where workflow_id = %s"
    assert [
        execute(left.format(each), ended.workflow_id) for each in ("workflow_nodes", "workflow_edges")
    ] == [
        [(0,)],
        [(0,)],
    ]
    assert execute(left.format("task_history"), ended.workflow_id) == [(1,)]
