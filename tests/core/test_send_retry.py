"""Repeating a send that failed: by hand and by `resend_on_transient_err` (01 section 5, 04 section 7)."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from horsies import (
    BrokerErrorCode,
    Err,
    Horsies,
    Ok,
    OperationalErrorCode,
    Result,
    RetryPolicy,
    TaskError,
    TaskResult,
    TaskSendError,
    TaskSendErrorCode,
    TaskSendPayload,
)
from horsies import delivery as delivery_module
from horsies.delivery import Pause, resending
from horsies.send_errors import compute_enqueue_sha
from tests.core.apps import make_app, make_queue_app
from tests.core.cutting_proxy import CuttingProxy
from tests.core.task_rows import TaskRows

type Sent = Result[Any, TaskSendError]


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
    yield found
    found.get_broker().close()


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    found = CuttingProxy(database_url)
    yield found
    found.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resends without their pauses."""
    monkeypatch.setattr(delivery_module, "RESEND_PAUSES", (Pause(0.0), Pause(0.0), Pause(0.0)))


def error_of(sent: Sent) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def failed(**changes: Any) -> TaskSendError:
    """The error of a send that found no database; `payload_...` changes a field of its payload."""
    task = make_app().task("pack")(pack)
    delay = changes.pop("delay", None)
    error = error_of(task.send(5) if delay is None else task.schedule(delay, 5))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.payload is not None
    fields = {
        name.removeprefix("payload_"): changes.pop(name) for name in [*changes] if name.startswith("payload_")
    }
    payload = dataclasses.replace(error.payload, **fields)
    return dataclasses.replace(error, **{"payload": payload, **changes})


def assert_invalid(sent: Sent, *parts: str) -> None:
    error = error_of(sent)
    assert error.code is TaskSendErrorCode.VALIDATION_FAILED
    assert error.retryable is False
    assert (error.task_id, error.payload) == (None, None)
    for part in parts:
        assert part in error.message


# -- a retry by hand


def test_a_retry_sends_exactly_what_failed(app: Horsies, rows: TaskRows) -> None:
    """E-20: id, sent_at and payload are reused."""
    task = app.task("pack")(pack)
    error = failed()
    sent = task.retry_send(error)
    assert isinstance(sent, Ok)
    assert sent.ok_value.task_id == error.task_id
    assert error.payload is not None
    row = rows.one()
    assert str(row["id"]) == error.task_id
    assert row["kwargs"] == error.payload.kwargs_json == '{"weight":5}'
    assert row["sent_at"] == error.payload.sent_at
    assert row["enqueue_sha"] == error.payload.enqueue_sha
    assert row["options"] == error.payload.task_options


def test_an_async_retry(app: Horsies, rows: TaskRows) -> None:
    """E-20."""
    error = failed()
    sent = asyncio.run(app.task("pack")(pack).retry_send_async(error))
    assert isinstance(sent, Ok)
    assert str(rows.one()["id"]) == error.task_id


def test_all_options_survive_a_retry(database_url: str, rows: TaskRows) -> None:
    """E-20, CF-31, T-28."""
    deadline = datetime.now(UTC) + timedelta(hours=1)

    def declare(app: Horsies) -> Any:
        policy = RetryPolicy.fixed([5, 30], auto_retry_for=["BUSY"])
        return app.task("pack", queue_name="mail", timeout_ms=5000, executor="thread", retry_policy=policy)(
            pack
        )

    unreachable = declare(make_queue_app()).with_options(
        queue_name="bulk",
        priority=3,
        good_until=deadline,
        idempotency_key="k",
        retention_class_key=None,
        delay=60,
    )
    error = error_of(unreachable.send(5))
    assert error.payload is not None
    assert error.payload.retention_class_key == "forever"
    assert error.payload.enqueue_delay_seconds == 60
    app = make_queue_app(database_url)
    assert declare(app).retry_schedule(error).is_ok()
    row = rows.one()
    assert (row["queue_name"], row["priority"], row["executor"]) == ("bulk", 3, "thread")
    assert (row["good_until"], row["idempotency_key"]) == (deadline, "k")
    assert (row["retention_class"], row["timeout_ms"], row["max_retries"]) == ("forever", 5000, 2)
    assert row["waits"] == timedelta(seconds=60)
    app.get_broker().close()


def test_a_retry_of_what_got_in_is_the_same_task(app: Horsies, rows: TaskRows) -> None:
    """T-40: no second row, whether the task is live or has ended."""
    task = app.task("pack")(pack)
    error = failed()
    assert error.task_id is not None
    for _ in range(2):
        assert task.retry_send(error).unwrap().task_id == error.task_id
    rows.start(error.task_id)
    assert task.retry_send(error).unwrap().task_id == error.task_id
    rows.succeed(error.task_id, "5")
    sent = task.retry_send(error)
    assert sent.unwrap().task_id == error.task_id
    assert rows.count() == 1
    assert sent.unwrap().get() == TaskResult(ok=5)


@pytest.mark.parametrize("ended", [False, True])
def test_an_id_taken_by_other_content(app: Horsies, rows: TaskRows, ended: bool) -> None:
    """T-40."""
    task = app.task("pack")(pack)
    error = failed()
    assert error.task_id is not None
    assert task.retry_send(dataclasses.replace(failed(), task_id=error.task_id)).is_ok()
    if ended:
        rows.start(error.task_id)
        rows.succeed(error.task_id, "5")
    found = error_of(task.retry_send(error))
    assert found.code is TaskSendErrorCode.PAYLOAD_MISMATCH
    assert found.retryable is False
    assert found.broker_code is BrokerErrorCode.PAYLOAD_MISMATCH
    assert (found.task_id, found.payload) == (error.task_id, error.payload)
    assert rows.count() == 1


def test_a_failed_retry_can_be_retried(app: Horsies, rows: TaskRows) -> None:
    """T-37: the error of a retry holds what the next one needs."""
    error = failed()
    again = error_of(make_app().task("pack")(pack).retry_send(error))
    assert again.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert (again.task_id, again.payload) == (error.task_id, error.payload)
    assert app.task("pack")(pack).retry_send(again).is_ok()
    assert str(rows.one()["id"]) == error.task_id


# -- what cannot be retried (E-19)


@pytest.mark.parametrize("code", sorted(TaskSendErrorCode))
def test_codes_that_can_be_retried(app: Horsies, code: TaskSendErrorCode) -> None:
    """E-19."""
    sent = app.task("pack")(pack).retry_send(failed(code=code))
    if code in (TaskSendErrorCode.ENQUEUE_FAILED, TaskSendErrorCode.ASYNC_CONTEXT):
        assert sent.is_ok()
    else:
        assert_invalid(sent, code.value)


@pytest.mark.parametrize("missing", ["task_id", "payload"])
def test_nothing_to_replay(missing: str) -> None:
    """E-19."""
    assert_invalid(make_app().task("pack")(pack).retry_send(failed(**{missing: None})), "payload")


def test_the_error_of_another_task() -> None:
    """E-19."""
    other = make_app().task("other")(pack)
    assert_invalid(other.retry_send(failed()), "'pack'")


def test_delayed_and_undelayed_are_retried_apart() -> None:
    """E-19: with_options(delay=...) counts as delayed, also by no seconds at all."""
    task = make_app().task("pack")(pack)
    assert_invalid(task.retry_schedule(failed()), "retry_send")
    assert_invalid(task.retry_send(failed(delay=0)), "retry_schedule")
    chosen = error_of(task.with_options(delay=5).send(5))
    assert_invalid(task.retry_send(chosen), "retry_schedule")
    assert error_of(task.retry_schedule(chosen)).code is TaskSendErrorCode.ENQUEUE_FAILED


def test_anything_but_a_send_error() -> None:
    """E-19."""
    task: Any = make_app().task("pack")(pack)
    for value in (None, "error", ValueError("x"), Err(failed())):
        assert_invalid(task.retry_send(value), "TaskSendError")


@pytest.mark.parametrize(
    "change",
    [
        {"payload_queue_name": "bulk"},
        {"payload_priority": 5},
        {"payload_kwargs_json": '{"weight":6}'},
        {"payload_sent_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"payload_sent_at": datetime(2026, 1, 1)},
        {"payload_sent_at": "now"},
        {"payload_good_until": datetime(2030, 1, 1, tzinfo=UTC)},
        {"payload_task_options": "{}"},
        {"payload_enqueue_sha": "0" * 64},
    ],
)
def test_a_changed_payload(change: dict[str, Any]) -> None:
    """E-20: refused before the database is asked."""
    error = error_of(make_app().task("pack")(pack).retry_send(failed(**change)))
    assert error.code is TaskSendErrorCode.PAYLOAD_MISMATCH
    assert error.exception is None


def with_own_digest(error: TaskSendError, **changes: Any) -> TaskSendError:
    """The error with a payload that was made by hand, digest included."""
    assert error.payload is not None
    payload: TaskSendPayload = dataclasses.replace(error.payload, **changes)
    sha = compute_enqueue_sha(
        task_name=payload.task_name,
        queue_name=payload.queue_name,
        priority=payload.priority,
        kwargs_json=payload.kwargs_json,
        sent_at=payload.sent_at,
        good_until=payload.good_until,
        enqueue_delay_seconds=payload.enqueue_delay_seconds,
        task_options=payload.task_options,
    )
    return dataclasses.replace(error, payload=dataclasses.replace(payload, enqueue_sha=sha))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"queue_name": "gone"}, "gone"),
        ({"retention_class_key": "q_gone_7d"}, "q_gone_7d"),
        ({"task_options": "no json"}, "task_options"),
        ({"task_options": json.dumps({"retry_policy": {"intervals": []}})}, "task_options"),
    ],
)
def test_a_payload_this_app_cannot_send(changes: dict[str, Any], says: str) -> None:
    """CF-18, CF-33: an unknown queue or class would never be served."""
    sent = make_app().task("pack")(pack).retry_send(with_own_digest(failed(), **changes))
    assert_invalid(sent, says)


# -- resend_on_transient_err (T-43)


def test_the_pauses_between_resends() -> None:
    """T-43: up to 3 more times, after 200, 400, 800 ms."""

    def insert() -> Any:
        yield

    steps = resending(insert(), insert)
    inserts, pauses = [next(steps)], list[float]()
    for _ in range(3):
        pause = steps.throw(psycopg.OperationalError("gone"))
        assert isinstance(pause, Pause)
        pauses.append(pause.seconds)
        inserts.append(next(steps))
    assert pauses == [0.2, 0.4, 0.8]
    assert not any(isinstance(step, Pause) for step in inserts)
    with pytest.raises(psycopg.OperationalError):
        steps.throw(psycopg.OperationalError("gone"))


def test_what_is_not_transient_is_not_resent() -> None:
    """T-43."""

    def insert() -> Any:
        yield

    steps = resending(insert(), insert)
    next(steps)
    with pytest.raises(psycopg.DataError):
        steps.throw(psycopg.DataError("bad"))


@pytest.mark.usefixtures("at_once")
def test_a_send_outlasts_a_short_outage(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43."""
    app = make_app(proxy.url, resend_on_transient_err=True)
    task = app.task("pack")(pack)
    proxy.refuse(3)
    assert task.send(5).is_ok()
    assert len(rows.live()) == 1
    app.get_broker().close()


@pytest.mark.usefixtures("at_once")
def test_a_send_gives_up_after_three_resends(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43."""
    app = make_app(f"{proxy.url}?sslmode=disable", resend_on_transient_err=True)
    proxy.refuse(100)
    error = error_of(app.task("pack")(pack).send(5))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is True
    assert proxy.connections == 4
    assert rows.count() == 0
    app.get_broker().close()


def test_without_the_setting_nothing_is_resent(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43."""
    app = make_app(f"{proxy.url}?sslmode=disable")
    proxy.refuse(100)
    assert error_of(app.task("pack")(pack).send(5)).retryable is True
    assert proxy.connections == 1
    app.get_broker().close()


@pytest.mark.usefixtures("at_once")
def test_a_lost_answer_does_not_make_a_second_task(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43, T-40, E-20: same id and payload."""
    app = make_app(proxy.url, resend_on_transient_err=True)
    task = app.task("pack")(pack)
    assert task.send(1).is_ok()
    proxy.lose_answers(1)
    sent = task.send(2)
    assert isinstance(sent, Ok)
    assert [row["kwargs"] for row in rows.live()] == ['{"weight":1}', '{"weight":2}']
    assert str(rows.live()[1]["id"]) == sent.ok_value.task_id
    app.get_broker().close()


@pytest.mark.usefixtures("at_once")
async def test_a_lost_answer_on_an_event_loop(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43, T-40."""
    app = make_app(proxy.url, resend_on_transient_err=True)
    task = app.task("pack")(pack)
    assert (await task.send_async(1)).is_ok()
    proxy.lose_answers(1)
    assert (await task.send_async(2)).is_ok()
    assert len(rows.live()) == 2
    await app.get_broker().close_async()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("key", [None, "k"])
def test_a_lost_answer_under_a_key(proxy: CuttingProxy, rows: TaskRows, key: str | None) -> None:
    """T-43, T-45."""
    app = make_app(proxy.url, resend_on_transient_err=True)
    task = app.task("pack")(pack)
    assert task.send(1).is_ok()
    proxy.lose_answers(1)
    sent = task.with_options(idempotency_key=key).send(2)
    assert str(rows.live()[1]["id"]) == sent.unwrap().task_id
    assert rows.count() == 2
    app.get_broker().close()


@pytest.mark.usefixtures("at_once")
def test_a_lost_answer_of_send_many(proxy: CuttingProxy, rows: TaskRows) -> None:
    """T-43, T-42: all once."""
    app = make_app(proxy.url, resend_on_transient_err=True)
    task = app.task("pack")(pack)
    assert task.send(1).is_ok()
    proxy.lose_answers(1)
    handles = task.send_many([{"weight": number} for number in range(20)]).unwrap()
    assert [str(row["id"]) for row in rows.live()][1:] == [handle.task_id for handle in handles]
    app.get_broker().close()


def test_a_lost_answer_is_settled_by_hand(proxy: CuttingProxy, rows: TaskRows) -> None:
    """E-20: a retry after an uncertain commit cannot create a second task."""
    app = make_app(proxy.url)
    task = app.task("pack")(pack)
    assert task.send(1).is_ok()
    proxy.lose_answers(1)
    error = error_of(task.send(2))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is True
    assert error.task_id is not None
    rows.start(error.task_id)
    rows.fail(error.task_id, TaskError(error_code=OperationalErrorCode.WORKER_CRASHED))
    assert task.retry_send(error).unwrap().task_id == error.task_id
    assert rows.count() == 2
    app.get_broker().close()
