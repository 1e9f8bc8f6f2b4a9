"""Cancels that meet others: another cancel, a claim, a finish, a waiting handle (M-050, M-054, M-056)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from horsies import Err, Horsies, Ok, TaskHandle
from horsies.errors.codes import OutcomeCode
from horsies.monitoring import TaskActionErrorCode, TaskCancelled
from horsies.state import TaskStatus
from tests.core.control.conftest import QUEUES, Connect, Send
from tests.core.control.looks import Rows, at_once, ended, live, number, one, wait_for_blocked
from tests.core.cycle_driver import CycleDriver
from tests.helpers import eventually


def test_of_many_concurrent_cancels_one_wins(app: Horsies, rows: Rows, send: Send) -> None:
    """M-050: the others see the new status"""
    task_id = send()
    results = at_once(8, lambda: app.cancel_task(task_id))
    won = [result for result in results if result.is_ok()]
    assert won == [Ok(TaskCancelled(task_id, TaskStatus.PENDING, stopped=True))]
    lost = [result.err_value for result in results if isinstance(result, Err)]
    assert {(error.code, error.current_status) for error in lost} == {
        (TaskActionErrorCode.TASK_NOT_CANCELLABLE, TaskStatus.CANCELLED)
    }
    assert len(lost) == 7
    assert number(rows, "select count(*) from horsies.task_history") == 1


def test_a_cancel_waits_for_the_one_before(app: Horsies, rows: Rows, send: Send, connect: Connect) -> None:
    """M-050: under the row's lock"""
    task_id = send()
    rival = connect()
    with ThreadPoolExecutor(1) as thread:
        with rival.transaction():
            rival.execute("select * from horsies.cancel_task(%s, false, 'rival')", [task_id])
            second = thread.submit(app.cancel_task, task_id)
            wait_for_blocked(rows, rival)
        result = second.result(20)
    assert isinstance(result, Err)
    assert result.err_value.current_status is TaskStatus.CANCELLED
    assert one(ended(rows, task_id))["failed_reason"] == "cancelled by rival"


def test_a_claim_leaves_a_row_that_is_being_cancelled(
    app: Horsies, rows: Rows, send: Send, connect: Connect, worker: CycleDriver
) -> None:
    """M-056, R-050"""
    dropped, kept = send(1), send(2)
    rival = connect()
    with rival.transaction():
        rival.execute("select * from horsies.cancel_task(%s, false, null)", [dropped])
        assert worker.claim(2).ids == [kept]
    assert worker.claim(2).ids == []
    assert one(ended(rows, dropped))["status"] == "CANCELLED"


def test_a_cancel_that_waited_for_a_claim_finds_the_task_running(
    app: Horsies, rows: Rows, send: Send, connect: Connect
) -> None:
    """M-050: the row is read again after the wait"""
    task_id = send()
    connection = connect()
    claimer = CycleDriver(connection, QUEUES)
    with ThreadPoolExecutor(1) as thread:
        with connection.transaction():
            assert claimer.claim().ids == [task_id]
            second = thread.submit(app.cancel_task, task_id)
            wait_for_blocked(rows, connection)
        result = second.result(20)
    assert isinstance(result, Err)
    assert result.err_value.current_status is TaskStatus.RUNNING
    assert one(live(rows, task_id))["status"] == "RUNNING"


def test_a_cancel_that_waited_for_a_finish_finds_it_in_history(
    app: Horsies, rows: Rows, send: Send, connect: Connect
) -> None:
    """M-054, D-012"""
    task_id = send()
    connection = connect()
    claimer = CycleDriver(connection, QUEUES)
    (claim,) = claimer.claim().claimed
    with ThreadPoolExecutor(1) as thread:
        with connection.transaction():
            claimer.complete(claim)
            second = thread.submit(app.cancel_task, task_id, include_running=True)
            wait_for_blocked(rows, connection)
        result = second.result(20)
    assert isinstance(result, Err)
    assert result.err_value.current_status is TaskStatus.COMPLETED


def test_many_cancels_and_claims_give_each_task_one_fate(
    app: Horsies, rows: Rows, send: Send, connect: Connect
) -> None:
    """M-050, M-056, D-010: what was cancelled was never claimed, what was claimed was never cancelled"""
    ids = [send(n) for n in range(60)]
    claimer = CycleDriver(connect(), QUEUES)

    def claim_all() -> list[str]:
        found: list[str] = []
        while number(rows_of_claimer, "select count(*) from horsies.tasks where status = 'PENDING'"):
            found += claimer.claim(3).ids
        return found

    rows_of_claimer = connect()
    with ThreadPoolExecutor(4) as threads:
        claiming = threads.submit(claim_all)
        results = list(threads.map(app.cancel_task, reversed(ids)))
        claimed = claiming.result(30)
    cancelled = {result.ok_value.task_id for result in results if isinstance(result, Ok)}
    assert cancelled.isdisjoint(claimed)
    assert cancelled | set(claimed) == set(ids)
    assert number(rows, "select count(*) from horsies.tasks where status = 'RUNNING'") == len(claimed)
    assert number(rows, "select count(*) from horsies.task_history where status = 'CANCELLED'") == len(
        cancelled
    )


def test_the_call_waits_for_the_stop(app: Horsies, rows: Rows, send: Send, worker: CycleDriver) -> None:
    """M-053"""
    task_id = send()
    (claim,) = worker.claim().claimed
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(app.cancel_task, task_id, include_running=True, wait_ms=30_000)
        eventually(lambda: one(live(rows, task_id))["awaited"])
        assert one(live(rows, task_id))["cancel_requested_at"] is not None
        worker.fail(claim, "TASK_CANCELLED")
        result = waiting.result(20)
    assert result == Ok(TaskCancelled(task_id, TaskStatus.RUNNING, stopped=True))


async def test_the_awaiting_call_learns_of_a_finish_that_came_first(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-054: TASK_NOT_CANCELLABLE with the final status"""
    task_id = await asyncio.to_thread(send)
    (claim,) = worker.claim().claimed
    waiting = asyncio.create_task(app.cancel_task_async(task_id, include_running=True, wait_ms=30_000))
    await asyncio.to_thread(eventually, lambda: one(live(rows, task_id))["awaited"])
    worker.complete(claim)
    result = await waiting
    assert isinstance(result, Err)
    assert result.err_value.code is TaskActionErrorCode.TASK_NOT_CANCELLABLE
    assert result.err_value.current_status is TaskStatus.COMPLETED


def test_when_the_time_is_up_the_request_stays(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-053"""
    task_id = send()
    worker.claim()
    result = app.cancel_task(task_id, include_running=True, wait_ms=50)
    assert result == Ok(TaskCancelled(task_id, TaskStatus.RUNNING, stopped=False))
    assert one(live(rows, task_id))["cancel_requested_at"] is not None


def test_a_waiting_handle_gets_the_cancel(app: Horsies, rows: Rows, send: Send) -> None:
    """M-056, D-047"""
    task_id = send()
    handle = TaskHandle[int](task_id, app, ok_type=int)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(handle.get, 30_000)
        eventually(lambda: one(live(rows, task_id))["awaited"])
        assert app.cancel_task(task_id).is_ok()
        assert waiting.result(20).unwrap_err().error_code is OutcomeCode.TASK_CANCELLED
