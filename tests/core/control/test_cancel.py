"""Cancel: what becomes of a task in each status, what is recorded, who is told (10 section 5)."""

import asyncio
import json
from typing import Any

import psycopg
import pytest

from horsies import Err, Horsies, Ok, TaskError, TaskHandle, TaskResult
from horsies.broker import Broker
from horsies.config import PostgresConfig
from horsies.errors.codes import OutcomeCode
from horsies.ids import new_task_id
from horsies.monitoring import (
    TaskActionError,
    TaskActionErrorCode,
    TaskCancelled,
    cancel_task,
    cancel_task_sync,
)
from horsies.result import Result
from horsies.state import AttemptOutcome, TaskStatus
from tests.core.control.conftest import Connect, Send
from tests.core.control.looks import Rows, ended, live, one
from tests.core.cycle_driver import CycleDriver

WORKFLOW = "00000000-0000-7000-8000-00000000000f"


def refusal(result: Result[TaskCancelled, TaskActionError]) -> tuple[TaskActionErrorCode, TaskStatus | None]:
    assert isinstance(result, Err), result
    assert not result.err_value.retryable
    return result.err_value.code, result.err_value.current_status


def wait_for_retry(rows: Rows, worker: CycleDriver, task_id: str) -> None:
    (claim,) = worker.claim().claimed
    assert worker.fail(claim, "BUSY", retry_s=3600).retried == [task_id]


def test_a_pending_task_ends_at_once(app: Horsies, rows: Rows, send: Send) -> None:
    """T-65, T-66, T-70, D-010, M-050"""
    task_id = send(7)
    assert app.cancel_task(task_id) == Ok(TaskCancelled(task_id, TaskStatus.PENDING, stopped=True))
    assert live(rows, task_id) is None
    row = one(ended(rows, task_id))
    assert row["status"] == "CANCELLED"
    assert row["error_code"] == "TASK_CANCELLED"
    assert row["failed_reason"] == "cancelled by an operator"
    assert row["terminal_at"] is not None
    assert (row["result"], row["worker_id"], row["claimed_at"], row["started_at"]) == (None,) * 4
    info = app.get_task_info(task_id, include_attempts=True).unwrap()
    assert info is not None
    assert (info.status, info.attempts, info.failed_at) == (TaskStatus.CANCELLED, [], row["terminal_at"])


def test_who_cancelled_is_recorded(app: Horsies, rows: Rows, send: Send) -> None:
    """M-050; U+0000 cannot be stored (D-018)"""
    task_id = send()
    assert cancel_task_sync(app.get_broker(), task_id, by="night\0shift").is_ok()
    assert one(ended(rows, task_id))["failed_reason"] == "cancelled by night\ufffdshift"


def test_a_task_that_waits_for_a_retry_keeps_its_attempts(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-050, T-68, T-70"""
    task_id = send()
    wait_for_retry(rows, worker, task_id)
    assert app.cancel_task(task_id).unwrap().was_status is TaskStatus.PENDING
    info = app.get_task_info(task_id, include_attempts=True).unwrap()
    assert info is not None
    assert info.attempts is not None
    assert [(a.attempt, a.outcome, a.error_code) for a in info.attempts] == [
        (1, AttemptOutcome.FAILED, "BUSY")
    ]


def test_a_prefetched_task_is_lost_to_its_holder(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-056, R-070"""
    task_id = send()
    (claim,) = worker.prefetch(task_id)
    assert app.cancel_task(task_id) == Ok(TaskCancelled(task_id, TaskStatus.CLAIMED, stopped=True))
    row = one(ended(rows, task_id))
    assert (row["status"], row["worker_id"], row["claimed_at"]) == ("CANCELLED", None, None)
    assert worker.complete(claim).lost == [task_id]
    assert one(ended(rows, task_id)) == row


def test_a_running_task_is_left_alone_unless_asked_for(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """10 section 5, RUNNING without include_running"""
    task_id = send()
    worker.claim()
    before = live(rows, task_id)
    result = app.cancel_task(task_id)
    assert refusal(result) == (TaskActionErrorCode.TASK_NOT_CANCELLABLE, TaskStatus.RUNNING)
    assert live(rows, task_id) == before


def test_a_running_task_s_worker_is_told(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, connect: Connect
) -> None:
    """M-051, M-052, M-053: recorded on the row, the owner notified, nothing waited for"""
    task_id = send()
    worker.claim()
    listener = connect()
    listener.execute('listen "horsies:ctl"')
    result = app.cancel_task(task_id, include_running=True, wait_ms=0)
    assert result == Ok(TaskCancelled(task_id, TaskStatus.RUNNING, stopped=False))
    row = one(live(rows, task_id))
    assert (row["status"], row["cancel_requested_by"]) == ("RUNNING", None)
    assert row["cancel_requested_at"] is not None
    (message,) = listener.notifies(timeout=10, stop_after=1)
    assert json.loads(message.payload) == {"cancel": task_id, "worker": worker.worker_id}


def test_asking_again_keeps_the_first_request_and_tells_again(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, connect: Connect
) -> None:
    """M-053"""
    task_id = send()
    worker.claim()
    listener = connect()
    listener.execute('listen "horsies:ctl"')
    broker = app.get_broker()
    for by in ("first", "second"):
        assert cancel_task_sync(broker, task_id, include_running=True, wait_ms=0, by=by).is_ok()
    assert one(live(rows, task_id))["cancel_requested_by"] == "first"
    assert len(list(listener.notifies(timeout=10, stop_after=2))) == 2


@pytest.mark.parametrize("code", ["BROKEN", "TASK_CANCELLED", "WORKER_CRASHED", "TASK_TIMEOUT"])
def test_after_a_request_every_bad_end_is_a_cancel_and_never_a_retry(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, code: str
) -> None:
    """M-051, M-054, T-69: one attempt, FAILED with TASK_CANCELLED"""
    task_id = send()
    (claim,) = worker.claim().claimed
    assert cancel_task_sync(app.get_broker(), task_id, include_running=True, wait_ms=0, by="me").is_ok()
    answer = worker.fail(claim, code, retry_s=1)
    assert (answer.retried, answer.lost) == ([], [])
    row = one(ended(rows, task_id))
    assert (row["status"], row["error_code"], row["result"]) == ("CANCELLED", "TASK_CANCELLED", None)
    assert row["failed_reason"] == "cancelled by me"
    info = app.get_task_info(task_id, include_attempts=True).unwrap()
    assert info is not None
    assert info.attempts is not None
    assert [(a.outcome, a.will_retry, a.error_code) for a in info.attempts] == [
        (AttemptOutcome.FAILED, False, "TASK_CANCELLED")
    ]


def test_an_ok_result_stays(app: Horsies, rows: Rows, send: Send, worker: CycleDriver) -> None:
    """M-054, T-67"""
    task_id = send()
    (claim,) = worker.claim().claimed
    assert app.cancel_task(task_id, include_running=True, wait_ms=0).is_ok()
    worker.complete(claim)
    assert one(ended(rows, task_id))["status"] == "COMPLETED"
    again = app.cancel_task(task_id, include_running=True)
    assert refusal(again) == (TaskActionErrorCode.TASK_NOT_CANCELLABLE, TaskStatus.COMPLETED)


def test_what_has_not_begun_is_withdrawn_and_does_not_run(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-051, R-075: handed back after a request it ends, without an attempt"""
    kept, dropped = send(1), send(2)
    claims = worker.claim(2).claimed
    assert app.cancel_task(dropped, include_running=True, wait_ms=0).is_ok()
    worker.hand_back(*claims)
    assert one(live(rows, kept))["status"] == "PENDING"
    row = one(ended(rows, dropped))
    assert (row["status"], row["failed_reason"]) == ("CANCELLED", "cancelled by an operator")
    assert (row["started_at"], row["worker_id"], row["worker_hostname"]) == (None, None, None)
    info = app.get_task_info(dropped, include_attempts=True).unwrap()
    assert info is not None
    assert info.attempts == []
    assert worker.claim(2).ids == [kept]


@pytest.mark.parametrize(
    ("end", "status"),
    [("COMPLETED", TaskStatus.COMPLETED), ("FAILED", TaskStatus.FAILED), ("EXPIRED", TaskStatus.EXPIRED)],
)
def test_an_ended_task_is_not_cancellable(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, end: str, status: TaskStatus
) -> None:
    """T-66, D-011"""
    task_id = send()
    (claim,) = worker.claim().claimed
    if end == "COMPLETED":
        worker.complete(claim)
    else:
        worker.fail(claim, status=end)
    before = ended(rows, task_id)
    result = app.cancel_task(task_id, include_running=True)
    assert refusal(result) == (TaskActionErrorCode.TASK_NOT_CANCELLABLE, status)
    assert ended(rows, task_id) == before


@pytest.mark.parametrize("status", ["PENDING", "CLAIMED", "RUNNING", "COMPLETED"])
def test_a_workflow_s_task_is_refused_in_any_status(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, status: str
) -> None:
    """M-057, W-82"""
    task_id = send()
    rows.execute(
        "update horsies.tasks set workflow_id = %s, node_index = 0, is_workflow_task = true where id = %s",
        [WORKFLOW, task_id],
    )
    if status == "CLAIMED":
        worker.prefetch(task_id)
    elif status != "PENDING":
        claims = worker.claim().claimed
        if status == "COMPLETED":
            worker.complete(*claims)
    before = live(rows, task_id), ended(rows, task_id)
    result = app.cancel_task(task_id, include_running=True)
    assert refusal(result) == (TaskActionErrorCode.TASK_IS_WORKFLOW_TASK, TaskStatus(status))
    assert (live(rows, task_id), ended(rows, task_id)) == before


@pytest.mark.parametrize("text", ["", "nonsense", "0" * 36, "{" + "0" * 34 + "}", "\0", "\ud800"])
def test_what_is_no_id_names_no_task(app: Horsies, text: str) -> None:
    """M-005"""
    assert refusal(app.cancel_task(text)) == (TaskActionErrorCode.TASK_NOT_FOUND, None)


def test_an_unknown_id(app: Horsies) -> None:
    """10 section 5, TASK_NOT_FOUND"""
    assert refusal(app.cancel_task(new_task_id())) == (TaskActionErrorCode.TASK_NOT_FOUND, None)


def test_the_key_of_a_cancelled_task_runs_out(app: Horsies, rows: Rows, send: Send) -> None:
    """T-44, D-014"""
    task_id = send(idempotency_key="k")
    assert app.cancel_task(task_id).is_ok()
    row = one(
        rows.execute(
            "select k.expires_at - h.terminal_at = interval '24 hours' as full_day, k.task_id::text"
            " from horsies.idempotency_keys k join horsies.task_history h on h.id = k.task_id"
        ).fetchone()
    )
    assert row == {"full_day": True, "task_id": task_id}


def test_the_arguments_are_kept_where_that_was_asked_for(app: Horsies, rows: Rows, send: Send) -> None:
    """M-060"""
    kept, dropped = send(1), send(2)
    rows.execute("update horsies.tasks set retain_rerun_input = true where id = %s", [kept])
    for task_id in (kept, dropped):
        assert app.cancel_task(task_id).is_ok()
    assert one(ended(rows, kept))["kwargs"] == '{"n":1}'
    assert len(one(ended(rows, kept))["kwargs_digest"]) == 64
    assert (one(ended(rows, dropped))["kwargs"], one(ended(rows, dropped))["kwargs_digest"]) == (None, None)


def test_history_s_day_is_made_where_it_is_missing(app: Horsies, rows: Rows, send: Send) -> None:
    """D-031, D-036: nobody has worked here for days"""
    task_id = send()
    for row in rows.execute(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'horsies.task_history_standard_30d'::regclass"
    ).fetchall():
        rows.execute(f"drop table {row['name']}".encode())
    assert app.cancel_task(task_id).is_ok()
    assert one(ended(rows, task_id))["status"] == "CANCELLED"


async def test_the_same_from_an_event_loop(app: Horsies, send: Send) -> None:
    """10 section 5: monitoring, app, handle"""
    ids = [await asyncio.to_thread(send) for _ in range(3)]
    expected = [Ok(TaskCancelled(task_id, TaskStatus.PENDING, stopped=True)) for task_id in ids]
    assert await cancel_task(app.get_broker(), ids[0]) == expected[0]
    assert await app.cancel_task_async(ids[1]) == expected[1]
    assert await TaskHandle[int](ids[2], app).cancel_async() == expected[2]


def test_a_handle_cancels_its_task(app: Horsies, send: Send) -> None:
    """T-86, T-75"""
    handle = TaskHandle[int](send(), app, ok_type=int)
    assert handle.cancel().is_ok()
    result: TaskResult[int, TaskError] = handle.get(timeout_ms=0)
    assert result.unwrap_err().error_code is OutcomeCode.TASK_CANCELLED


async def test_a_handle_without_an_app() -> None:
    """T-86"""
    handle = TaskHandle[int](new_task_id())
    for result in (handle.cancel(), await handle.cancel_async()):
        assert refusal(result) == (TaskActionErrorCode.DB_OPERATION_FAILED, None)


def test_a_database_that_is_not_there_may_come_back() -> None:
    """M-004"""
    config = PostgresConfig(database_url="postgresql://nobody@127.0.0.1:1/none", pool_timeout=5)
    result = cancel_task_sync(Broker(config), new_task_id())
    assert isinstance(result, Err)
    assert result.err_value.code is TaskActionErrorCode.DB_OPERATION_FAILED
    assert result.err_value.retryable


def test_a_schema_of_another_version_is_left_alone(database_url: str, rows: Rows) -> None:
    """M-081, D-062"""
    rows.execute("update horsies.schema_migrations set version = 999, compatible_from = 999")
    broker = Broker(PostgresConfig(database_url=database_url))
    result: Any = cancel_task_sync(broker, new_task_id())
    assert refusal(result) == (TaskActionErrorCode.SCHEMA_INCOMPATIBLE, None)


def test_a_role_without_the_right_may_not_cancel(database_url: str, rows: Rows, send: Send) -> None:
    """D-073, D-074, D-076: reading everything does not include the actions"""
    task_id = send()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set role pg_monitor")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select horsies.cancel_task(%s, false, null)", [task_id])
        connection.execute("reset role")
        connection.execute("grant usage on schema horsies to pg_monitor")
        connection.execute("set role pg_monitor")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cancel_task"):
            connection.execute("select horsies.cancel_task(%s, false, null)", [task_id])
    assert live(rows, task_id) is not None
