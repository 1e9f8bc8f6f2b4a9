"""enqueued, assert_enqueued, clock: looking at what was sent, in a time of the test's own (01 §14)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from horsies import Horsies, TaskError, TaskResult
from horsies.task import SyncTaskFunction
from horsies.testing import assert_enqueued, clock, drain, enqueued
from tests.core.task_rows import TaskRows


@pytest.fixture
def resize(app: Horsies) -> SyncTaskFunction[..., str]:
    @app.task("resize", queue_name="mail")
    def resize(
        image_id: int, *, width: int = 800, price: Decimal | None = None
    ) -> TaskResult[str, TaskError]:
        return TaskResult(ok=f"{image_id}@{width}")

    return resize


def test_live_tasks_with_their_arguments(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    """T-38: in the order of the sends, as the declared types; defaults are not among them."""

    @app.task("other", queue_name="bulk")
    def other() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    deadline = datetime(2040, 1, 1, tzinfo=UTC)
    resize.with_options(good_until=deadline, priority=3, idempotency_key="k").send(7, price=Decimal("1.50"))
    other.send()
    first, second = enqueued(app)
    assert (first.task_name, first.queue_name, first.priority) == ("resize", "mail", 3)
    assert first.arguments == {"image_id": 7, "price": Decimal("1.50")}
    assert (first.good_until, first.idempotency_key, first.status) == (deadline, "k", "PENDING")
    assert (second.task_name, second.arguments) == ("other", {})
    assert [each.task_name for each in enqueued(app, resize)] == ["resize"]
    drain(app)
    assert enqueued(app) == []


def test_what_does_not_fit_is_shown_as_data(
    app: Horsies, resize: SyncTaskFunction[..., str], database_url: str
) -> None:
    rows = TaskRows(database_url)
    rows.execute("insert into horsies.queues (name) values ('mail')")
    rows.execute("select horsies.enqueue('resize', '{\"images\": [1]}', queue_name => 'mail')")
    rows.execute("select horsies.enqueue('unknown', '{\"a\": 1}', queue_name => 'mail')")
    rows.execute("select horsies.enqueue('unknown', '{\"a\": 1e400}', queue_name => 'mail')")
    rows.close()
    assert [each.arguments for each in enqueued(app)] == [{"images": [1]}, {"a": 1}, {"a": float("inf")}]


def test_the_assertion_gives_the_task(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    resize.send(1)
    sent = resize.send(2, width=100).unwrap()
    assert assert_enqueued(app, resize, image_id=2).task_id == sent.task_id
    assert assert_enqueued(app, resize).arguments == {"image_id": 1}
    assert assert_enqueued(app, resize, width=800, price=None).arguments == {"image_id": 1}


def test_the_assertion_names_the_nearest_miss(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    with pytest.raises(AssertionError, match="no task 'resize' is enqueued; enqueued: nothing"):
        assert_enqueued(app, resize, image_id=1)
    resize.send(1, width=50)
    near = resize.send(2, width=100).unwrap()
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(app, resize, image_id=2, width=101)
    assert str(raised.value).splitlines() == [
        f"none of the 2 enqueued tasks 'resize' has these arguments; the nearest is {near.task_id}:",
        "  width is 100, not 101",
    ]
    with pytest.raises(TypeError, match="has no parameter 'height'; it has: image_id, width, price"):
        assert_enqueued(app, resize, height=1)


def test_another_task_is_named(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    @app.task("other", queue_name="mail")
    def other() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    resize.send(1)
    resize.send(2)
    with pytest.raises(AssertionError, match=r"no task 'other' is enqueued; enqueued: resize \(2\)"):
        assert_enqueued(app, other)


def test_a_clock_that_is_set_by_hand(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    """D-004: sends, keys and deadlines go by it; afterwards the database's clock is back."""
    with clock(app) as time:
        began = time.now
        resize.schedule(60, 1)
        (sent,) = enqueued(app)
        assert sent.enqueued_at == began + timedelta(seconds=60)
        time.set(datetime(2031, 1, 1, tzinfo=UTC))
        assert time.advance(timedelta(days=1)) == time.now == datetime(2031, 1, 2, tzinfo=UTC)
        resize.send(2)
        assert enqueued(app)[1].enqueued_at == time.now
        with pytest.raises(ValueError, match="without a zone"):
            time.set(datetime(2031, 1, 1))
    assert app.get_broker().now is None


def test_a_key_is_free_again_after_a_day(app: Horsies, resize: SyncTaskFunction[..., str]) -> None:
    """T-44, by the clock."""
    keyed = resize.with_options(idempotency_key="once")
    with clock(app) as time:
        first = keyed.send(1).unwrap().task_id
        assert [info.task_id for info in drain(app)] == [first]
        time.advance(timedelta(hours=24) - timedelta(seconds=1))
        assert keyed.send(1).unwrap().task_id == first
        time.advance(1)
        assert keyed.send(1).unwrap().task_id != first
