"""Handles: waiting for results, what is remembered, task records (01 sections 11 and 12, 02 CF-43)."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from horsies import (
    AttemptOutcome,
    BrokerErrorCode,
    BrokerResult,
    ContractCode,
    Err,
    Horsies,
    Ok,
    OperationalErrorCode,
    OutcomeCode,
    RetrievalCode,
    TaskError,
    TaskHandle,
    TaskInfo,
    TaskResult,
    TaskStatus,
)
from tests.core.apps import make_app
from tests.core.task_rows import WORKER_ID, TaskRows
from tests.helpers import eventually

ABSENT = "0190a5b0-0000-7000-8000-000000000000"


def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    found = TaskRows(database_url)
    yield found
    found.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    found = make_app(database_url)
    found.task("pack", pack)
    yield found
    found.get_broker().close()


def send(app: Horsies, weight: int = 5) -> TaskHandle[int]:
    task: Any = app.tasks["pack"]
    handle: TaskHandle[int] = task.send(weight).unwrap()
    return handle


def code_of(result: TaskResult[Any, TaskError]) -> Any:
    assert result.is_err()
    return result.err_value.error_code


type Get = Callable[..., TaskResult[int, TaskError]]


def get_sync(handle: TaskHandle[int], timeout_ms: int | None = None) -> TaskResult[int, TaskError]:
    return handle.get(timeout_ms)


def get_in_loop(handle: TaskHandle[int], timeout_ms: int | None = None) -> TaskResult[int, TaskError]:
    return asyncio.run(handle.get_async(timeout_ms))


both_ways = pytest.mark.parametrize("get", [get_sync, get_in_loop])


def ended(app: Horsies, rows: TaskRows, status: str = "COMPLETED", **columns: Any) -> TaskHandle[int]:
    """A handle of a task that has run and ended."""
    handle = send(app)
    rows.start(handle.task_id)
    rows.end(handle.task_id, status, **columns)
    return handle


# -- get


@both_ways
def test_the_value(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-71."""
    handle = send(app)
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    assert get(handle) == TaskResult(ok=5)


@both_ways
def test_the_error(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-71."""
    handle = send(app)
    rows.start(handle.task_id)
    error = TaskError(error_code="BUSY", message="later", data={"shelf": 3})
    rows.fail(handle.task_id, error)
    assert get(handle).err_value == error


@both_ways
def test_what_is_final_is_remembered(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-71: the database is not asked again."""
    handle = send(app)
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    first = get(handle)
    rows.execute("delete from horsies.task_history")
    assert get(handle) is first
    assert handle.get() is first


@both_ways
def test_not_ended_in_time(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-72: not remembered."""
    handle = send(app)
    for timeout_ms in (0, 1, -5):
        assert code_of(get(handle, timeout_ms)) is RetrievalCode.WAIT_TIMEOUT
    rows.start(handle.task_id)
    assert code_of(get(handle, 1)) is RetrievalCode.WAIT_TIMEOUT
    rows.succeed(handle.task_id, "5")
    assert get(handle, 0) == TaskResult(ok=5)


@both_ways
@pytest.mark.parametrize(
    "task_id", [ABSENT, "no id", "", "0190a5b0", "{0190a5b0-0000-7000-8000-000000000000}"]
)
def test_no_such_task(app: Horsies, get: Get, task_id: str) -> None:
    """T-73: at once, without waiting, though no limit is given; M-005."""
    handle = TaskHandle[int](task_id, app, ok_type=int)
    assert code_of(get(handle)) is RetrievalCode.TASK_NOT_FOUND


def test_an_absent_task_is_not_remembered(app: Horsies, rows: TaskRows) -> None:
    """T-73."""
    handle = send(app)
    rows.execute("create table aside as select * from horsies.tasks")
    rows.execute("delete from horsies.tasks")
    assert code_of(handle.get()) is RetrievalCode.TASK_NOT_FOUND
    rows.execute("insert into horsies.tasks select * from aside")
    assert code_of(handle.get(0)) is RetrievalCode.WAIT_TIMEOUT


@both_ways
def test_a_database_out_of_reach(get: Get) -> None:
    """T-74."""
    handle = TaskHandle[int](ABSENT, make_app(), ok_type=int)
    result = get(handle)
    assert code_of(result) is OperationalErrorCode.BROKER_ERROR
    assert isinstance(result.err_value.exception, psycopg.OperationalError)


def test_a_failure_of_the_database_is_not_remembered(app: Horsies, rows: TaskRows) -> None:
    """T-74."""
    handle = ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}')
    rows.execute("alter schema horsies rename to aside")
    assert code_of(handle.get()) is OperationalErrorCode.BROKER_ERROR
    rows.execute("alter schema aside rename to horsies")
    assert handle.get() == TaskResult(ok=5)


@both_ways
def test_cancelled(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-75: remembered."""
    handle = ended(app, rows, "CANCELLED", error_code="TASK_CANCELLED", failed_reason="cancelled by ops")
    result = get(handle)
    assert code_of(result) is OutcomeCode.TASK_CANCELLED
    assert "cancelled by ops" in str(result.err_value.message)
    rows.execute("delete from horsies.task_history")
    assert get(handle) is result


@both_ways
def test_ended_without_a_result(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-76: remembered."""
    handle = ended(app, rows, "FAILED")
    result = get(handle)
    assert code_of(result) is RetrievalCode.RESULT_NOT_AVAILABLE
    assert get(handle) is result


@both_ways
def test_without_an_app(get: Get) -> None:
    """T-76: remembered."""
    handle = TaskHandle[int](ABSENT)
    result = get(handle)
    assert code_of(result) is RetrievalCode.RESULT_NOT_AVAILABLE
    assert get(handle) is result


@both_ways
@pytest.mark.parametrize(
    "stored",
    [
        "no json",
        "[]",
        "{}",
        '{"__h_task_result__":true,"ok":"five","err":null}',
        '{"__h_task_result__":true,"ok":5,"err":{}}',
        '{"__h_task_result__":true,"ok":null,"err":{"error_code":{"__builtin_task_code__":"NO_SUCH"}}}',
    ],
)
def test_an_unreadable_result(app: Horsies, rows: TaskRows, get: Get, stored: str) -> None:
    """T-77, K-41: remembered."""
    handle = ended(app, rows, result=stored)
    result = get(handle)
    assert code_of(result) is OperationalErrorCode.RESULT_DESERIALIZATION_ERROR
    assert isinstance(result.err_value.exception, BaseException)
    assert get(handle) is result


@both_ways
def test_a_success_of_unknown_type(app: Horsies, rows: TaskRows, get: Get) -> None:
    """T-78, K-31, K-43: remembered."""
    untyped = TaskHandle[int](
        ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}').task_id, app
    )
    result = get(untyped)
    assert code_of(result) is ContractCode.NO_TYPE_AVAILABLE
    assert get(untyped) is result


def test_a_failure_needs_no_type(app: Horsies, rows: TaskRows) -> None:
    """K-31."""
    handle = send(app)
    rows.start(handle.task_id)
    rows.fail(handle.task_id, TaskError(error_code=OutcomeCode.TASK_TIMEOUT))
    untyped = TaskHandle[int](handle.task_id, app)
    assert code_of(untyped.get()) is OutcomeCode.TASK_TIMEOUT


def test_none_is_a_type(app: Horsies, rows: TaskRows) -> None:
    """T-78: a task without a value has a type all the same."""

    def nothing() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    handle = app.task("nothing", nothing).send().unwrap()
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "null")
    assert handle.get() == TaskResult(ok=None)


def test_broker_mode_has_no_effect(app: Horsies) -> None:
    """01 section 11."""
    handle = TaskHandle[int](ABSENT, app, True, int)
    assert code_of(handle.get()) is RetrievalCode.TASK_NOT_FOUND


def test_an_id_in_capitals(app: Horsies, rows: TaskRows) -> None:
    handle = send(app)
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    assert TaskHandle[int](handle.task_id.upper(), app, ok_type=int).get() == TaskResult(ok=5)


# -- waiting


def awaited(rows: TaskRows) -> bool:
    return any(row["awaited"] for row in rows.live())


def test_a_waiting_thread_is_woken(app: Horsies, rows: TaskRows) -> None:
    """T-71, D-047: without a limit, by listening."""
    handle = send(app)
    found: list[Any] = []
    waiter = threading.Thread(target=lambda: found.append(handle.get()))
    waiter.start()
    eventually(lambda: awaited(rows))
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    waiter.join(timeout=20)
    assert found == [TaskResult(ok=5)]


async def test_many_waiting_coroutines_are_woken(app: Horsies, rows: TaskRows) -> None:
    """T-71, D-043."""
    handles = [await asyncio.to_thread(send, app, number) for number in range(20)]
    waiting = [asyncio.create_task(handle.get_async()) for handle in handles]

    def all_awaited() -> bool:
        return all(row["awaited"] for row in rows.live())

    await asyncio.to_thread(eventually, all_awaited)
    for number, handle in enumerate(handles):
        await asyncio.to_thread(rows.start, handle.task_id)
        await asyncio.to_thread(rows.succeed, handle.task_id, str(number))
    assert await asyncio.gather(*waiting) == [TaskResult(ok=number) for number in range(20)]


async def test_a_cancelled_wait_propagates(app: Horsies, rows: TaskRows) -> None:
    """T-79, D-045: and leaves nothing behind."""
    handle = await asyncio.to_thread(send, app)
    waiting = asyncio.create_task(handle.get_async())
    await asyncio.to_thread(eventually, lambda: awaited(rows))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    assert await handle.get_async() == TaskResult(ok=5)


async def test_a_blocking_get_on_a_running_loop(app: Horsies, rows: TaskRows) -> None:
    """T-36: reads just block."""
    handle = await asyncio.to_thread(send, app)
    assert code_of(handle.get(1)) is RetrievalCode.WAIT_TIMEOUT
    assert handle.info().is_ok()


def test_no_listener_for_what_is_there(app: Horsies, rows: TaskRows) -> None:
    """D-043: a process that need not wait opens no listening connection."""
    handle = ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}')
    assert handle.get().is_ok()
    assert handle.get(0).is_ok()
    assert code_of(TaskHandle[int](ABSENT, app).get()) is RetrievalCode.TASK_NOT_FOUND
    assert code_of(send(app).get(0)) is RetrievalCode.WAIT_TIMEOUT
    connections = rows.execute(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert len(connections) == 1


# -- info


def info_of(result: BrokerResult[TaskInfo | None]) -> TaskInfo:
    assert isinstance(result, Ok)
    assert result.ok_value is not None
    return result.ok_value


def test_a_waiting_task(app: Horsies, rows: TaskRows) -> None:
    """T-79, T-80, T-85."""
    handle = send(app)
    info = info_of(handle.info())
    row = rows.one()
    assert info == TaskInfo(
        task_id=handle.task_id,
        task_name="pack",
        status=TaskStatus.PENDING,
        queue_name="default",
        priority=100,
        retry_count=0,
        max_retries=0,
        sent_at=row["sent_at"],
        enqueued_at=row["enqueued_at"],
    )
    rows.execute("update horsies.tasks set parked = true")
    assert info_of(handle.info()).status is TaskStatus.PENDING


def test_a_finished_task(app: Horsies, rows: TaskRows) -> None:
    """T-79, T-80: flags left out leave the fields empty; times are aware."""
    handle = send(app)
    rows.start(handle.task_id)
    assert info_of(handle.info()).status is TaskStatus.RUNNING
    rows.end(handle.task_id, "FAILED", result=None, error_code="BUSY", failed_reason="because")
    info = info_of(handle.info())
    assert (info.status, info.error_code) == (TaskStatus.FAILED, "BUSY")
    assert info.completed_at is None
    assert info.failed_at is not None
    assert info.failed_at.utcoffset() == datetime.now(UTC).utcoffset()
    assert info.started_at is not None
    assert (info.worker_hostname, info.worker_pid, info.worker_process_name) == ("host", 77, "executor-1")
    assert (info.raw_result, info.decoded_result, info.result_decoded) == (None, None, False)
    assert (info.failed_reason, info.attempts) == (None, None)
    assert info_of(handle.info(include_failed_reason=True)).failed_reason == "because"


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"])
def test_the_instant_of_the_end(app: Horsies, rows: TaskRows, status: str) -> None:
    """T-66."""
    info = info_of(ended(app, rows, status).info())
    assert info.status is TaskStatus(status)
    assert (info.completed_at is None) is (status != "COMPLETED")
    assert (info.failed_at is None) is (status == "COMPLETED")


def test_a_result_in_the_record(app: Horsies, rows: TaskRows) -> None:
    """T-80."""
    stored = '{"__h_task_result__":true,"ok":5,"err":null}'
    info = info_of(ended(app, rows, result=stored).info(include_result=True))
    assert info.raw_result == json.loads(stored)
    assert info.result_decoded is True
    assert info.decoded_result == info.result == TaskResult(ok=5)


def test_a_result_of_an_unregistered_task(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-80: an error is decoded all the same."""
    succeeded = ended(app, rows, result='{"__h_task_result__":true,"ok":5,"err":null}')
    failed = send(app)
    rows.start(failed.task_id)
    rows.fail(failed.task_id, TaskError(error_code="BUSY"))
    other = make_app(database_url)
    info = info_of(TaskHandle[int](succeeded.task_id, other).info(include_result=True))
    assert info.raw_result is not None
    assert (info.decoded_result, info.result_decoded) == (None, False)
    info = info_of(TaskHandle[int](failed.task_id, other).info(include_result=True))
    assert info.decoded_result == TaskResult(err=TaskError(error_code="BUSY"))
    assert info.result_decoded is True
    other.get_broker().close()


@pytest.mark.parametrize("stored", ["no json", '{"__h_task_result__":true,"ok":"five","err":null}'])
async def test_an_unreadable_result_in_the_record(app: Horsies, rows: TaskRows, stored: str) -> None:
    """K-42."""
    handle = await asyncio.to_thread(ended, app, rows, result=stored)
    for found in (handle.info(include_result=True), await handle.info_async(include_result=True)):
        assert isinstance(found, Err)
        assert found.err_value.code is BrokerErrorCode.INVALID_JSON_PAYLOAD
        assert found.err_value.retryable is False
    assert handle.info().is_ok()


@pytest.mark.parametrize("task_id", [ABSENT, "no id"])
async def test_the_record_of_no_task(app: Horsies, task_id: str) -> None:
    """T-79, M-003, M-005."""
    handle = TaskHandle[int](task_id, app)
    assert handle.info() == Ok(None)
    assert await handle.info_async() == Ok(None)


async def test_a_record_without_an_app() -> None:
    """T-79."""
    for found in (TaskHandle[int](ABSENT).info(), await TaskHandle[int](ABSENT).info_async()):
        assert isinstance(found, Err)
        assert found.err_value.code is BrokerErrorCode.NO_BROKER
        assert found.err_value.retryable is False


async def test_a_record_without_a_database() -> None:
    """04 section 3, E-10."""
    handle = TaskHandle[int](ABSENT, make_app())
    for found in (handle.info(), await handle.info_async()):
        assert isinstance(found, Err)
        assert found.err_value.code is BrokerErrorCode.TASK_INFO_QUERY_FAILED
        assert found.err_value.retryable is True


# -- attempts


def test_no_attempts_yet(app: Horsies) -> None:
    """T-81."""
    handle = send(app)
    assert info_of(handle.info(include_attempts=True)).attempts == []
    assert info_of(handle.info()).attempts is None


@pytest.mark.parametrize("status", ["CANCELLED", "EXPIRED"])
def test_an_end_before_the_start_is_no_attempt(app: Horsies, rows: TaskRows, status: str) -> None:
    """T-70."""
    handle = send(app)
    rows.end(handle.task_id, status)
    assert info_of(handle.info(include_attempts=True)).attempts == []


def test_the_last_attempt_is_the_record_itself(app: Horsies, rows: TaskRows) -> None:
    """T-68, T-69."""
    handle = send(app)
    rows.start(handle.task_id)
    rows.fail(handle.task_id, TaskError(error_code="BUSY", message="later"))
    info = info_of(handle.info(include_attempts=True))
    assert info.attempts is not None
    (attempt,) = info.attempts
    assert (attempt.task_id, attempt.attempt) == (handle.task_id, 1)
    assert (attempt.outcome, attempt.will_retry) == (AttemptOutcome.FAILED, False)
    assert (attempt.error_code, attempt.error_message) == ("BUSY", "later")
    assert (attempt.started_at, attempt.finished_at) == (info.started_at, info.failed_at)
    assert (attempt.worker_id, attempt.worker_hostname, attempt.worker_pid) == (WORKER_ID, "host", 77)
    assert attempt.worker_process_name == "executor-1"


def test_earlier_attempts_come_later(app: Horsies, rows: TaskRows) -> None:
    """T-68, T-81: newest first."""
    handle = send(app)
    kept = [
        {
            "attempt": number,
            "outcome": "FAILED",
            "will_retry": True,
            "started_at": f"2026-01-0{number}T00:00:00+00:00",
            "finished_at": f"2026-01-0{number}T00:00:05.25+00:00",
            "error_code": "BUSY",
            "error_message": f"no {number}",
            "failed_reason": None,
            "worker_id": WORKER_ID,
            "worker_hostname": "host",
            "worker_pid": 5,
            "worker_process_name": "executor-2",
        }
        for number in (1, 2)
    ]
    for number in (1, 2):
        rows.start(handle.task_id)
        rows.retry(handle.task_id, json.dumps(kept[:number]))
    waiting = info_of(handle.info(include_attempts=True))
    assert waiting.attempts is not None
    assert [attempt.attempt for attempt in waiting.attempts] == [2, 1]
    assert waiting.retry_count == 2
    assert waiting.next_retry_at is not None
    rows.start(handle.task_id)
    rows.succeed(handle.task_id, "5")
    attempts = info_of(handle.info(include_attempts=True)).attempts
    assert attempts is not None
    assert [attempt.attempt for attempt in attempts] == [3, 2, 1]
    assert [attempt.outcome for attempt in attempts] == [
        AttemptOutcome.COMPLETED,
        AttemptOutcome.FAILED,
        AttemptOutcome.FAILED,
    ]
    assert [attempt.will_retry for attempt in attempts] == [False, True, True]
    assert attempts[1].finished_at == datetime(2026, 1, 2, 0, 0, 5, 250_000, UTC)
    assert attempts[2].error_message == "no 1"


@pytest.mark.parametrize("code", ["WORKER_RESOLUTION_ERROR", "WORKER_SERIALIZATION_ERROR"])
def test_a_failure_of_the_worker(app: Horsies, rows: TaskRows, code: str) -> None:
    """T-69."""
    attempts = info_of(ended(app, rows, "FAILED", error_code=code).info(include_attempts=True)).attempts
    assert attempts is not None
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.WORKER_FAILURE]


def test_a_stopped_run_is_an_attempt(app: Horsies, rows: TaskRows) -> None:
    """T-69, T-70."""
    handle = ended(app, rows, "CANCELLED", error_code="TASK_CANCELLED", failed_reason="cancelled by ops")
    attempts = info_of(handle.info(include_attempts=True)).attempts
    assert attempts is not None
    (attempt,) = attempts
    assert (attempt.outcome, attempt.error_code) == (AttemptOutcome.FAILED, "TASK_CANCELLED")
    assert attempt.failed_reason == "cancelled by ops"
