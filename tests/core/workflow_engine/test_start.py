"""Starting workflows from specs: ids, refusals, outages, repetition."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

from horsies import AppConfig, Err, Horsies, Ok, PostgresConfig, TaskError, TaskResult
from horsies.broker import Broker
from horsies.errors.catalogue import ErrorCode
from horsies.suppression import suppress_sends
from horsies.workflow.handle import WorkflowHandle
from horsies.workflow.nodes import TaskNode
from horsies.workflow.spec import WorkflowSpec
from horsies.workflow.start import start_workflow, start_workflow_async
from horsies.workflow.start_errors import WorkflowStartError, WorkflowStartErrorCode
from tests.core.apps import UNREACHABLE, make_app, make_queue_app
from tests.core.workflow_engine.engine import Engine

type Number = TaskResult[int, TaskError]


def spec_of(app: Horsies, name: str = "flow") -> WorkflowSpec[int]:
    """Two nodes in a row."""
    task = app.tasks["count"] if "count" in app.tasks else app.task("count", count)
    first = TaskNode(fn=task, kwargs={"n": 1}, node_id="first")
    second = TaskNode(fn=task, kwargs={"n": 2}, waits_for=[first], node_id="second")
    return app.workflow(name, [first, second], output=second)


def count(n: int) -> Number:
    return TaskResult(ok=n)


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app on the test's database."""
    app = make_app(database_url)
    yield app
    app.get_broker().close()


def refused(result: object) -> WorkflowStartError:
    """The error of a start that did not work."""
    assert isinstance(result, Err)
    error = cast("Err[object]", result).err_value
    assert isinstance(error, WorkflowStartError)
    return error


def test_a_start_writes_the_spec(app: Horsies, engine: Engine) -> None:
    """W-26: what the spec says stands in the rows."""
    handle = spec_of(app).start().unwrap()
    row = engine.workflow(handle.workflow_id)
    assert (row["name"], row["status"], row["output_index"]) == ("flow", "RUNNING", 1)
    (task,) = engine.tasks(handle.workflow_id)
    assert (task["task_name"], task["kwargs"], task["queue_name"], task["priority"]) == (
        "count",
        '{"n":1}',
        "default",
        100,
    )
    assert task["retention_class"] == "standard_30d"
    assert engine.nodes(handle.workflow_id) == {"first": "ENQUEUED", "second": "PENDING"}


async def test_async_starts(app: Horsies, engine: Engine) -> None:
    """W-26: each form writes the same."""
    spec, broker = spec_of(app), app.get_broker()
    for result in (
        await spec.start_async(),
        await start_workflow_async(spec, broker),
        start_workflow(spec, broker),
    ):
        assert engine.status(result.unwrap().workflow_id) == "RUNNING"


def test_options_of_the_task_travel(database_url: str, engine: Engine) -> None:
    """W-13, W-90: queue, priority, time limit, retention of the queue."""
    app = make_queue_app(database_url)
    task = app.task("slow", count, queue_name="mail", timeout_ms=5_000)
    handle = app.workflow("one", [TaskNode(fn=task, kwargs={"n": 1}, priority=3)]).start().unwrap()
    (row,) = engine.tasks(handle.workflow_id)
    assert (row["queue_name"], row["priority"], row["timeout_ms"]) == ("mail", 3, 5_000)
    app.get_broker().close()


def test_ids(app: Horsies, engine: Engine) -> None:
    """W-27: UUID text, in any spelling, else HRS-032."""
    spec, chosen = spec_of(app), str(uuid.uuid4())
    assert spec.start(chosen.upper()).unwrap().workflow_id == chosen
    error = refused(spec.start("order-7"))
    assert (error.code, error.workflow_id) == (WorkflowStartErrorCode.VALIDATION_FAILED, "order-7")
    assert getattr(error.exception, "code", None) is ErrorCode.WORKFLOW_INVALID_ID
    assert uuid.UUID(spec.start().unwrap().workflow_id) != uuid.UUID(chosen)
    assert engine.select("select count(*) from horsies.workflows") == [(2,)]


def test_an_id_that_exists(app: Horsies, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """W-28: the same workflow is left as it is, with one warning; another name is refused, naming both."""
    chosen = spec_of(app).start().unwrap().workflow_id
    again = spec_of(app).start(chosen)
    assert isinstance(again, Ok)
    assert [record.message for record in caplog.records if record.name == "horsies.workflow"] == [
        f"workflow {chosen} (flow) exists already and was not started again"
    ]
    error = refused(spec_of(app, "other").start(chosen))
    assert error.code is WorkflowStartErrorCode.VALIDATION_FAILED
    assert "'flow'" in error.message
    assert "'other'" in error.message
    assert engine.select("select count(*) from horsies.workflow_nodes") == [(2,)]


def test_many_starts_of_one_id_make_one_workflow(app: Horsies, engine: Engine) -> None:
    """W-28."""
    spec, chosen = spec_of(app), str(uuid.uuid4())
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(spec.start(chosen))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {result.unwrap().workflow_id for result in results} == {chosen}
    assert len(results) == 8
    assert engine.select("select count(*) from horsies.workflow_nodes") == [(2,)]
    assert engine.select("select count(*) from horsies.tasks") == [(1,)]


def test_a_start_that_fails_leaves_nothing(
    app: Horsies, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W-26, 05 section 5: a refusal of the database is ENQUEUE_FAILED, not retryable."""
    engine.connection.execute(
        "alter table horsies.workflow_nodes add constraint no_second check (node_id <> 'second')"
    )
    error = refused(spec_of(app).start())
    assert (error.code, error.retryable) == (WorkflowStartErrorCode.ENQUEUE_FAILED, False)
    assert isinstance(error.exception, psycopg.errors.CheckViolation)
    for table in ("workflows", "workflow_nodes", "workflow_edges", "tasks"):
        assert engine.select(f"select count(*) from horsies.{table}") == [(0,)]


def test_without_broker() -> None:
    """05 section 5: BROKER_NOT_CONFIGURED."""
    app = make_app()
    task = app.task("count", count)
    spec = WorkflowSpec("loose", [TaskNode(fn=task, kwargs={"n": 1}, queue="default", priority=1)])
    error = refused(spec.start())
    assert (error.code, error.workflow_name) == (WorkflowStartErrorCode.BROKER_NOT_CONFIGURED, "loose")
    assert str(uuid.UUID(error.workflow_id)) == error.workflow_id


def test_a_spec_that_is_not_bound(app: Horsies) -> None:
    """HRS-014: at the start."""
    spec = WorkflowSpec("loose", [TaskNode(fn=app.task("count", count), kwargs={"n": 1})])
    error = refused(start_workflow(spec, app.get_broker()))
    assert error.code is WorkflowStartErrorCode.VALIDATION_FAILED
    assert error.exception is not None


def test_starts_are_suppressed_like_sends(app: Horsies, engine: Engine) -> None:
    """W-58, 05 section 5."""
    spec = spec_of(app)
    with suppress_sends():
        error = refused(spec.start())
    assert error.code is WorkflowStartErrorCode.VALIDATION_FAILED
    assert engine.select("select count(*) from horsies.workflows") == [(0,)]


def test_an_unreachable_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """05 section 5: retryable, and the id is there for a retry."""
    error = refused(spec_of(make_app(UNREACHABLE)).start())
    assert (error.code, error.retryable) == (WorkflowStartErrorCode.ENQUEUE_FAILED, True)
    assert str(uuid.UUID(error.workflow_id)) == error.workflow_id


def test_retry_start(app: Horsies, engine: Engine) -> None:
    """W-29: under the same id, for ENQUEUE_FAILED of the same workflow only."""
    spec = spec_of(app)
    chosen = str(uuid.uuid4())

    def error(code: WorkflowStartErrorCode, name: str = "flow") -> WorkflowStartError:
        return WorkflowStartError(code, "x", retryable=True, workflow_name=name, workflow_id=chosen)

    failed = WorkflowStartErrorCode.ENQUEUE_FAILED
    for wrong in (error(WorkflowStartErrorCode.INTERNAL_FAILED), error(failed, "other")):
        assert refused(spec.retry_start(wrong)).code is WorkflowStartErrorCode.VALIDATION_FAILED
    assert engine.select("select count(*) from horsies.workflows") == [(0,)]
    assert spec.retry_start(error(failed)).unwrap().workflow_id == chosen
    assert spec.retry_start(error(failed)).unwrap().workflow_id == chosen
    assert engine.select("select id::text from horsies.workflows") == [(chosen,)]


def test_resends(database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-30: three more times after 200, 400 and 800 ms; other errors never."""
    pauses: list[float] = []
    monkeypatch.setattr("horsies.delivery.time.sleep", pauses.append)
    app = make_app(UNREACHABLE, resend_on_transient_err=True)
    assert refused(spec_of(app).start()).retryable
    assert pauses == [0.2, 0.4, 0.8]
    pauses.clear()
    good = Horsies(AppConfig(broker=PostgresConfig(database_url=database_url), resend_on_transient_err=True))
    engine.connection.execute("drop table horsies.workflow_edges")
    assert not refused(spec_of(good).start()).retryable
    assert pauses == []
    good.get_broker().close()


def test_a_handle_by_hand(app: Horsies) -> None:
    """W-31: as a started one."""
    started = spec_of(app).start().unwrap()
    made = WorkflowHandle[int](started.workflow_id, app.get_broker())
    assert made.status().unwrap() == started.status().unwrap()
    assert isinstance(made.broker, Broker)
