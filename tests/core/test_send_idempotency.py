"""Idempotency keys (01 section 6)."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import psycopg
import pytest

from horsies import (
    BrokerErrorCode,
    Err,
    Horsies,
    PostgresConfig,
    Result,
    RetryPolicy,
    TaskError,
    TaskHandle,
    TaskResult,
    TaskSendError,
    TaskSendErrorCode,
)
from tests.core.apps import make_app, make_queue_app
from tests.core.task_rows import TaskRows
from tests.helpers import eventually

WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def pack(weight: int, to: str = "here") -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    found = TaskRows(database_url)
    yield found
    found.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    found = make_queue_app(database_url)
    yield found
    found.get_broker().close()


def register(app: Horsies, name: str = "pack", **options: Any) -> Any:
    task: Any = app.task(name, pack, queue_name="mail", **options)
    return task


class Keys(str, Enum):  # noqa: UP042 - what programs have that are older than StrEnum
    BULK = "bulk"


def test_a_member_of_a_string_enum_stands_for_its_value(app: Horsies, rows: TaskRows) -> None:
    """T-28: it names the same task as the text."""
    task = register(app)
    first = task.with_options(idempotency_key=Keys.BULK).send(5).unwrap()
    assert task.with_options(idempotency_key="bulk").send(5).unwrap().task_id == first.task_id
    assert rows.one()["idempotency_key"] == "bulk"


def error_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def conflict_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    error = error_of(sent)
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
    assert error.retryable is False
    return error


def test_the_second_send_is_the_first(app: Horsies, rows: TaskRows) -> None:
    """T-45: zero rows, the handle of the first."""
    task = register(app).with_options(idempotency_key="k")
    first = task.send(5).unwrap()
    assert rows.one()["idempotency_key"] == "k"
    again = task.send(weight=5).unwrap()
    assert isinstance(again, TaskHandle)
    assert again.task_id == first.task_id
    assert rows.count() == 1


async def test_the_second_send_from_an_event_loop(app: Horsies, rows: TaskRows) -> None:
    """T-45."""
    task = register(app).with_options(idempotency_key="k")
    first = await task.send_async(5)
    again = await task.send_async(5)
    assert first.unwrap().task_id == again.unwrap().task_id
    assert rows.count() == 1


def test_another_request_is_a_conflict(app: Horsies, rows: TaskRows) -> None:
    """T-46: the message names the owning task."""
    task = register(app).with_options(idempotency_key="k")
    first = task.send(5).unwrap()
    error = conflict_of(task.send(6))
    assert first.task_id in error.message
    assert rows.count() == 1


@pytest.mark.parametrize(
    "options",
    [
        {"queue_name": "bulk", "priority": 10},
        {"priority": 11},
        {"good_until": datetime(2040, 1, 1, tzinfo=UTC)},
        {"delay": 5},
        {"retention_class_key": None},
    ],
)
def test_what_makes_another_request(app: Horsies, options: dict[str, Any]) -> None:
    """T-45."""
    task = register(app)
    assert task.with_options(idempotency_key="k").send(5).is_ok()
    conflict_of(task.with_options(idempotency_key="k", **options).send(5))


def test_other_task_options_make_another_request(app: Horsies, database_url: str) -> None:
    """T-45: task options and rerun-input choice."""
    assert register(app).with_options(idempotency_key="k").send(5).is_ok()
    policy = RetryPolicy.fixed([5], auto_retry_for=["BUSY"])
    other = make_queue_app(database_url)
    conflict_of(register(other, retry_policy=policy).with_options(idempotency_key="k").send(5))
    keeping = make_queue_app(
        broker=PostgresConfig(database_url=database_url, retain_rerun_input_default=True)
    )
    conflict_of(register(keeping).with_options(idempotency_key="k").send(5))
    for each in (other, keeping):
        each.get_broker().close()


def test_what_does_not_make_another_request(app: Horsies, rows: TaskRows) -> None:
    """T-45: not sent_at or id; options spelled out are the same as left out."""
    task = register(app)
    first = task.with_options(idempotency_key="k").send(5).unwrap()
    same = task.with_options(idempotency_key="k", queue_name="mail", priority=10).send(5).unwrap()
    assert same.task_id == first.task_id
    assert rows.count() == 1


def test_keys_are_exact_bytes_of_one_task(app: Horsies, rows: TaskRows) -> None:
    """T-44."""
    task, other = register(app), register(app, "other")
    ids = {
        each.with_options(idempotency_key=key).send(5).unwrap().task_id
        for each, key in [
            (task, "k"),
            (task, "K"),
            (task, "k "),
            (task, "ê"),
            (task, "e\u0302"),
            (other, "k"),
        ]
    }
    assert len(ids) == rows.count() == 6


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"])
def test_a_key_outlives_its_task_by_a_day(app: Horsies, rows: TaskRows, status: str) -> None:
    """T-44."""
    task = register(app).with_options(idempotency_key="k")
    first = task.send(5).unwrap()
    (held,) = rows.execute("select expires_at from horsies.idempotency_keys")
    assert held["expires_at"] is None
    rows.start(first.task_id)
    rows.end(first.task_id, status)
    (held,) = rows.execute(
        "select k.expires_at - h.terminal_at as left from horsies.idempotency_keys k, horsies.task_history h"
    )
    assert held["left"] == timedelta(hours=24)
    assert task.send(5).unwrap().task_id == first.task_id
    conflict_of(task.send(6))


def test_a_key_is_free_again_after_that(app: Horsies, rows: TaskRows) -> None:
    """T-44."""
    task = register(app).with_options(idempotency_key="k")
    first = task.send(5).unwrap()
    rows.start(first.task_id)
    rows.succeed(first.task_id, "5")
    rows.execute("update horsies.idempotency_keys set expires_at = now() - interval '1 second'")
    second = task.send(6).unwrap()
    assert second.task_id != first.task_id
    assert rows.count() == 2
    conflict_of(task.send(5))


def test_a_second_send_waits_for_an_uncommitted_first(
    app: Horsies, rows: TaskRows, database_url: str
) -> None:
    """T-44."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        first = task.with_options(idempotency_key="k", connection=connection).send(5).unwrap()
        sent: list[Any] = []
        waiter = threading.Thread(target=lambda: sent.append(task.with_options(idempotency_key="k").send(5)))
        waiter.start()
        eventually(lambda: rows.execute(WAITING))
        assert not sent
        connection.commit()
        waiter.join(timeout=20)
    assert sent[0].unwrap().task_id == first.task_id
    assert rows.count() == 1


def test_the_wait_for_an_uncommitted_first_has_an_end(rows: TaskRows, database_url: str) -> None:
    """T-37, T-44: the server refuses before the client gives up, so nothing is left that would enter later."""
    app = make_queue_app(broker=PostgresConfig(database_url=database_url, pool_timeout=1))
    task = register(app)
    with psycopg.connect(database_url) as connection:
        first = task.with_options(idempotency_key="k", connection=connection).send(5).unwrap()
        error = error_of(task.with_options(idempotency_key="k").send(5))
        assert (error.code, error.retryable) == (TaskSendErrorCode.ENQUEUE_FAILED, True)
        assert isinstance(error.exception, psycopg.errors.LockNotAvailable)
        assert "idempotency key" in error.message
        assert rows.execute(WAITING) == []
        connection.commit()
    assert task.retry_send(error).unwrap().task_id == first.task_id
    assert rows.count() == 1
    app.get_broker().close()


def test_the_wait_inside_a_transaction_has_an_end(rows: TaskRows, database_url: str) -> None:
    """T-41, T-44: the waiting transaction is as it was, its own lock timeout included."""
    app = make_queue_app(broker=PostgresConfig(database_url=database_url, pool_timeout=1))
    task = register(app)
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as two:
        assert task.with_options(idempotency_key="k", connection=one).send(5).is_ok()
        waited = error_of(task.with_options(idempotency_key="k", connection=two).send(5))
        assert (waited.retryable, waited.payload) == (False, None)
        assert task.with_options(idempotency_key="l", connection=two).send(5).is_ok()
        assert two.execute("show lock_timeout").fetchone() == ("0",)
        two.execute("set local lock_timeout = '20ms'")
        assert task.with_options(idempotency_key="k", connection=two).send(5).is_err()
        assert two.execute("show lock_timeout").fetchone() == ("20ms",)
    assert rows.count() == 2
    app.get_broker().close()


def test_a_rolled_back_first_leaves_the_key_free(app: Horsies, rows: TaskRows, database_url: str) -> None:
    """T-44, T-41."""
    task = register(app)
    with psycopg.connect(database_url) as connection:
        first = task.with_options(idempotency_key="k", connection=connection).send(5).unwrap()
        connection.rollback()
    second = task.with_options(idempotency_key="k").send(6).unwrap()
    assert second.task_id != first.task_id
    assert str(rows.one()["id"]) == second.task_id


# -- a send that is repeated late


def failed_keyed_send(task: Any) -> TaskSendError:
    """The error of a keyed send that got no answer; whether it got in is for the test to decide."""
    error = error_of(task.with_options(idempotency_key="k").send(5))
    assert error.retryable is True
    return error


@pytest.fixture
def lost(app: Horsies, rows: TaskRows) -> TaskSendError:
    """The error of a send that got in all the same: its task has ended, more than a day ago."""
    elsewhere = register(make_queue_app())
    error = failed_keyed_send(elsewhere)
    assert error.task_id is not None
    assert register(app).retry_send(error).unwrap().task_id == error.task_id
    rows.start(error.task_id)
    rows.succeed(error.task_id, "5")
    rows.execute("update horsies.idempotency_keys set expires_at = now() - interval '1 second'")
    return error


def test_a_send_repeated_after_its_key_ran_out(app: Horsies, rows: TaskRows, lost: TaskSendError) -> None:
    """T-40, T-44: it got in, so the answer is its task; nothing runs twice, and the key stays free."""
    assert register(app).retry_send(lost).unwrap().task_id == lost.task_id
    assert rows.count() == 1
    assert rows.execute("select key from horsies.idempotency_keys") == []
    assert register(app).with_options(idempotency_key="k").send(6).is_ok()


def test_a_send_repeated_after_its_key_went_to_another(
    app: Horsies, rows: TaskRows, lost: TaskSendError
) -> None:
    """T-40, T-46: its own task is the answer, and the other keeps the key."""
    other = register(app).with_options(idempotency_key="k").send(6).unwrap()
    assert register(app).retry_send(lost).unwrap().task_id == lost.task_id
    (held,) = rows.execute("select task_id::text from horsies.idempotency_keys")
    assert held["task_id"] == other.task_id
    assert rows.count() == 2


def test_a_send_repeated_after_its_record_was_pruned(
    app: Horsies, rows: TaskRows, lost: TaskSendError
) -> None:
    """T-44: nothing is known of it any more, so it is sent: the key was free again."""
    rows.execute("delete from horsies.task_history")
    assert register(app).retry_send(lost).unwrap().task_id == lost.task_id
    assert str(rows.one()["id"]) == lost.task_id
    assert rows.execute("select expires_at from horsies.idempotency_keys") == [{"expires_at": None}]


def test_a_send_that_never_got_in_meets_the_key_of_another(app: Horsies, rows: TaskRows) -> None:
    """T-46."""
    error = failed_keyed_send(register(make_queue_app()))
    assert register(app).with_options(idempotency_key="k").send(6).is_ok()
    conflict_of(register(app).retry_send(error))
    assert rows.count() == 1


def test_without_a_database() -> None:
    """T-37: the payload holds the key, so that a retry keeps the promise."""
    sent = make_app().task("pack")(pack).with_options(idempotency_key="k").send(5)
    assert isinstance(sent, Err)
    assert sent.err_value.retryable is True
    assert sent.err_value.payload is not None
    assert sent.err_value.payload.idempotency_key == "k"
