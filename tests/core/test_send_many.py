"""Sending many at once (T-42)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from horsies import Err, Horsies, Ok, Result, TaskError, TaskResult, TaskSendError, TaskSendErrorCode
from tests.core.apps import make_app
from tests.core.task_rows import TaskRows


def pack(weight: int, to: str = "here") -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{weight} {to}")


def nothing() -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


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


def error_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def test_handles_come_in_the_order_of_the_items(app: Horsies, rows: TaskRows) -> None:
    """T-42, T-39: one sent_at, increasing ids."""
    items = [{"weight": number, "to": f'"{number}\\ {{,}} ü\n'} for number in range(50)]
    handles = app.task("pack")(pack).send_many(items).unwrap()
    assert [handle.task_id for handle in handles] == [str(row["id"]) for row in rows.live()]
    assert len({row["sent_at"] for row in rows.live()}) == 1
    assert len({row["enqueue_sha"] for row in rows.live()}) == 50
    for handle, item in zip(handles, items, strict=True):
        (row,) = rows.live(handle.task_id)
        assert app.tasks["pack"].definition.signature.decode(row["kwargs"]) == item


async def test_many_from_an_event_loop(app: Horsies, rows: TaskRows) -> None:
    """T-42."""
    sent = await app.task("pack")(pack).send_many_async([{"weight": 1}, {"weight": 2}])
    assert [handle.task_id for handle in sent.unwrap()] == [str(row["id"]) for row in rows.live()]


def test_items_without_arguments(app: Horsies, rows: TaskRows) -> None:
    assert app.task("nothing")(nothing).send_many([{}, {}, {}]).is_ok()
    assert [row["kwargs"] for row in rows.live()] == [None] * 3


@pytest.mark.parametrize("items", [[], ()])
def test_no_items_do_not_touch_the_database(items: Any) -> None:
    """T-42."""
    task = make_app().task("pack")(pack)  # nothing listens at its database's address
    assert task.send_many(items) == Ok([])
    assert asyncio.run(task.send_many_async(items)) == Ok([])
    assert task.with_options(priority=3).send_many(items) == Ok([])


@pytest.mark.parametrize(
    ("items", "index"),
    [
        ([{"weight": 1}, {"weight": "heavy"}, {"size": 1}], 1),
        ([{"weight": 1}, {}, {}], 1),
        ([{"weight": 1}, {"weight": 1}, {"weight": 1, "size": 2}], 2),
        ([{"weight": 1}, 5], 1),
        ([None], 0),
        ([{"weight": 1}, {3: 4}], 1),
    ],
)
def test_the_first_bad_item_fails_the_call(app: Horsies, rows: TaskRows, items: Any, index: int) -> None:
    """T-42: its index in the message; nothing is written."""
    task = app.task("pack")(pack)
    for sent in (task.send_many(items), asyncio.run(task.send_many_async(items))):
        error = error_of(sent)
        assert error.code is TaskSendErrorCode.VALIDATION_FAILED
        assert f"item {index}" in error.message
        assert error.payload is None
    assert rows.count() == 0


@pytest.mark.parametrize("items", [None, 5, {"weight": 1}, "ab", iter([{"weight": 1}]), {1, 2}])
def test_items_are_a_list(items: Any) -> None:
    """T-42."""
    error = error_of(make_app().task("pack")(pack).send_many(items))
    assert error.code is TaskSendErrorCode.VALIDATION_FAILED
    assert "list" in error.message


def test_options_apply_to_every_item(app: Horsies, rows: TaskRows) -> None:
    """T-42."""
    deadline = datetime.now(UTC) + timedelta(hours=1)
    task = app.task("pack")(pack).with_options(
        good_until=deadline, priority=3, delay=60, retention_class_key=None
    )
    assert task.send_many([{"weight": 1}, {"weight": 2}, {"weight": 3}]).is_ok()
    for row in rows.live():
        assert (row["good_until"], row["priority"]) == (deadline, 3)
        assert (row["waits"], row["retention_class"]) == (timedelta(seconds=60), "forever")


def test_one_key_cannot_stand_for_many(app: Horsies, rows: TaskRows) -> None:
    """T-42."""
    task = app.task("pack")(pack).with_options(idempotency_key="k")
    error = error_of(task.send_many([{"weight": 1}, {"weight": 2}]))
    assert error.code is TaskSendErrorCode.VALIDATION_FAILED
    assert rows.count() == 0


def test_one_key_stands_for_one(app: Horsies, rows: TaskRows) -> None:
    """T-42, T-45, T-46."""
    task = app.task("pack")(pack).with_options(idempotency_key="k")
    (first,) = task.send_many([{"weight": 1}]).unwrap()
    (again,) = task.send_many([{"weight": 1}]).unwrap()
    assert again.task_id == first.task_id
    error = error_of(task.send_many([{"weight": 2}]))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.payload is None
    assert rows.count() == 1


def test_all_or_nothing(app: Horsies, rows: TaskRows) -> None:
    """T-42: one statement."""
    rows.execute("alter table horsies.tasks add constraint light check (kwargs not like '%%99%%')")
    error = error_of(app.task("pack")(pack).send_many([{"weight": 1}, {"weight": 99}, {"weight": 3}]))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is False
    assert (error.task_id, error.payload) == (None, None)
    assert rows.count() == 0


def test_without_a_database() -> None:
    """T-42, T-37: retryable, but there is nothing to replay."""
    error = error_of(make_app().task("pack")(pack).send_many([{"weight": 1}, {"weight": 2}]))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is True
    assert error.payload is None
