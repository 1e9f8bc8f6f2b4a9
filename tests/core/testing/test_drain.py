"""drain: what is due runs in this process, on the real tables, as a worker would run it (01 §14)."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from horsies import (
    ConfigurationError,
    Horsies,
    OperationalErrorCode,
    OutcomeCode,
    RetryPolicy,
    TaskError,
    TaskResult,
    TaskStatus,
)
from horsies.testing import clock, drain, drain_async, enqueued
from tests.core.task_rows import TaskRows

SOON = RetryPolicy.fixed([60, 600], auto_retry_for=["BUSY"], jitter=False)


def test_what_is_due_runs_in_the_order_of_a_worker(app: Horsies) -> None:
    """T-60, R-050: by queue priority, then task priority; sync and async."""
    ran: list[int] = []

    @app.task("note", queue_name="mail")
    def note(n: int) -> TaskResult[int, TaskError]:
        ran.append(n)
        return TaskResult(ok=n * 10)

    @app.task("late", queue_name="bulk")
    async def late(n: int) -> TaskResult[int, TaskError]:
        await asyncio.sleep(0)
        ran.append(n)
        return TaskResult(ok=n)

    handles = [late.send(n=4), note.send(n=3), note.with_options(priority=1).send(n=1), note.send(n=3)]
    done = drain(app)
    assert ran == [1, 3, 3, 4]
    assert [info.status for info in done] == [TaskStatus.COMPLETED] * 4
    assert [info.decoded_result.ok for info in done if info.decoded_result] == [10, 30, 30, 4]
    assert done[0].task_id == handles[2].unwrap().task_id
    assert handles[0].unwrap().get(timeout_ms=0).unwrap() == 4
    assert done[0].started_at is not None
    assert done[0].worker_process_name == "inline"
    assert enqueued(app) == []


def test_what_a_task_sends_runs_too(app: Horsies) -> None:
    @app.task("count", queue_name="mail")
    def count(n: int) -> TaskResult[int, TaskError]:
        if n > 0:
            count.send(n=n - 1).unwrap()
        return TaskResult(ok=n)

    count.send(n=3).unwrap()
    assert [info.decoded_result.ok for info in drain(app) if info.decoded_result] == [3, 2, 1, 0]


def test_retries_run_without_waiting(app: Horsies) -> None:
    """T-52, T-62, T-68: the policy decides; the time of the statements moves on to the due time."""
    runs: list[int] = []

    @app.task("flaky", queue_name="mail", retry_policy=SOON)
    def flaky() -> TaskResult[str, TaskError]:
        runs.append(1)
        if len(runs) < 3:
            return TaskResult(err=TaskError(error_code="BUSY", message="not now"))
        return TaskResult(ok="done")

    flaky.send().unwrap()
    (info,) = drain(app)
    assert (info.status, info.retry_count, len(runs)) == (TaskStatus.COMPLETED, 2, 3)
    assert info.attempts is not None
    newest, *earlier = info.attempts
    assert [attempt.error_code for attempt in earlier] == ["BUSY", "BUSY"]
    first = earlier[1].started_at
    assert first is not None
    assert newest.started_at is not None
    assert newest.started_at - first >= timedelta(seconds=660)
    assert app.get_broker().now is None


def test_retries_end_with_their_number_and_other_codes_have_none(app: Horsies) -> None:
    """T-52, T-61."""

    @app.task("busy", queue_name="mail", retry_policy=SOON)
    def busy(code: str) -> TaskResult[str, TaskError]:
        return TaskResult(err=TaskError(error_code=code))

    busy.send(code="BUSY").unwrap()
    busy.send(code="OTHER").unwrap()
    listed, other = drain(app)
    assert (listed.status, listed.retry_count) == (TaskStatus.FAILED, 2)
    assert (other.status, other.retry_count, other.error_code) == (TaskStatus.FAILED, 0, "OTHER")


def test_a_deadline_bounds_the_retries(app: Horsies) -> None:
    """T-52: FAILED with its own error."""

    @app.task("busy", queue_name="mail", retry_policy=SOON)
    def busy() -> TaskResult[str, TaskError]:
        return TaskResult(err=TaskError(error_code="BUSY"))

    busy.with_options(good_until=datetime.now(UTC) + timedelta(seconds=100)).send().unwrap()
    (info,) = drain(app)
    assert (info.status, info.retry_count, info.error_code) == (TaskStatus.FAILED, 1, "BUSY")


def test_a_clock_of_the_test_stops_time(app: Horsies) -> None:
    """D-004: what is not due stays, retries too."""

    @app.task("busy", queue_name="mail", retry_policy=SOON)
    def busy() -> TaskResult[str, TaskError]:
        return TaskResult(err=TaskError(error_code="BUSY"))

    with clock(app) as time:
        busy.schedule(3600).unwrap()
        assert drain(app) == []
        time.advance(3600)
        (info,) = drain(app)
        assert (info.status, info.next_retry_at) == (TaskStatus.PENDING, time.now + timedelta(seconds=60))
        assert drain(app) == []
        time.advance(timedelta(seconds=60))
        assert [info.retry_count for info in drain(app)] == [2]
    assert drain(app) == []


def test_days_ahead_have_a_place_in_history(app: Horsies) -> None:
    """D-031: as a worker makes the day that is missing."""

    @app.task("note", queue_name="mail")
    def note() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    with clock(app) as time:
        time.advance(timedelta(days=40))
        note.with_options(retention_class_key=None).send().unwrap()
        (info,) = drain(app)
        assert info.completed_at == time.now


def test_what_is_past_its_deadline_expires(app: Horsies) -> None:
    """T-63, T-64, T-84: whether it was due or not."""

    @app.task("note", queue_name="mail")
    def note() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    past = datetime.now(UTC) - timedelta(seconds=1)
    sent = note.with_options(good_until=past).send().unwrap()
    delayed = note.with_options(good_until=past, delay=60).send().unwrap()
    assert drain(app) == []
    assert sent.get(timeout_ms=0).unwrap_err().error_code == OutcomeCode.TASK_EXPIRED
    assert delayed.get(timeout_ms=0).unwrap_err().error_code == OutcomeCode.TASK_EXPIRED


def test_errors_are_those_of_a_worker(app: Horsies, database_url: str) -> None:
    """T-49, T-51, T-69: an exception, an unknown task, arguments that cannot be read."""

    class Full(Exception):  # noqa: N818
        pass

    @app.task("raises", queue_name="mail", exception_mapper={Full: "STORE_FULL"})
    def raises() -> TaskResult[None, TaskError]:
        raise Full("no room")

    raises.send().unwrap()
    rows = TaskRows(database_url)
    rows.execute("insert into horsies.queues (name) values ('mail')")
    rows.execute("select horsies.enqueue('nobody', queue_name => 'mail')")
    rows.execute("select horsies.enqueue('raises', '{\"n\": 1}', queue_name => 'mail')")
    rows.close()
    found = {info.error_code: info for info in drain(app)}
    assert found.keys() == {"STORE_FULL", "WORKER_RESOLUTION_ERROR", "WORKER_SERIALIZATION_ERROR"}
    attempts = found[OperationalErrorCode.WORKER_RESOLUTION_ERROR.value].attempts
    assert attempts is not None
    assert attempts[0].outcome == "WORKER_FAILURE"


def test_only_the_queues_asked_for(app: Horsies) -> None:
    """R-061: nothing of a paused queue either."""

    @app.task("note", queue_name="mail")
    def note() -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    note.send().unwrap()
    note.with_options(queue_name="bulk").send().unwrap()
    assert [info.queue_name for info in drain(app, queues=["bulk"])] == ["bulk"]
    app.pause_queue("mail")
    assert drain(app) == []
    app.resume_queue("mail")
    assert [info.queue_name for info in drain(app)] == ["mail"]
    with pytest.raises(ConfigurationError, match="unknown queue"):
        drain(app, queues=["none"])


def test_a_task_that_never_ends_sending_is_named(app: Horsies) -> None:
    @app.task("forever", queue_name="mail")
    def forever() -> TaskResult[None, TaskError]:
        forever.send().unwrap()
        return TaskResult(ok=None)

    forever.send().unwrap()
    with pytest.raises(TimeoutError, match="more are due, the next being 'forever'"):
        drain(app, timeout_s=0.1)
    (left,) = enqueued(app)
    assert (left.status, left.retry_count) == (TaskStatus.PENDING, 0)


def test_an_interrupt_is_a_crash_and_goes_on_to_the_test(app: Horsies) -> None:
    """T-49, R-104."""

    @app.task("stop", queue_name="mail")
    def stop() -> TaskResult[None, TaskError]:
        raise KeyboardInterrupt

    handle = stop.send().unwrap()
    with pytest.raises(KeyboardInterrupt):
        drain(app)
    assert handle.get(timeout_ms=0).unwrap_err().error_code == OperationalErrorCode.WORKER_CRASHED


async def test_event_loops_go_on_meanwhile(app: Horsies) -> None:
    """T-36: sends of a drained task are not refused, also where `drain` is called by a test with a loop."""
    place: list[str] = []

    @app.task("outer", queue_name="mail")
    def outer() -> TaskResult[bool, TaskError]:
        place.append(threading.current_thread().name)
        return TaskResult(ok=inner.send().is_ok())

    @app.task("inner", queue_name="mail")
    async def inner() -> TaskResult[bool, TaskError]:
        await asyncio.sleep(0)
        return TaskResult(ok=True)

    await outer.send_async()
    done = await drain_async(app)
    assert [info.decoded_result.ok for info in done if info.decoded_result] == [True, True]
    await outer.send_async()
    assert len(drain(app)) == 2


def test_async_tasks_share_a_loop_and_may_send(app: Horsies) -> None:
    """Also once more, on the loop of another drain."""
    loops: set[int] = set()

    @app.task("count", queue_name="mail")
    async def count(n: int) -> TaskResult[int, TaskError]:
        loops.add(id(asyncio.get_running_loop()))
        if n > 0:
            (await count.send_async(n=n - 1)).unwrap()
        return TaskResult(ok=n)

    for _ in range(2):
        loops.clear()
        count.send(n=2).unwrap()
        assert len(drain(app)) == 3
        assert len(loops) == 1


def test_a_run_over_its_time_limit(app: Horsies) -> None:
    """T-53: cancelled, or, where nothing can be interrupted, told afterwards; retried only if that is listed."""

    @app.task("hangs", queue_name="mail", timeout_ms=1000)
    async def hangs() -> TaskResult[None, TaskError]:
        await asyncio.sleep(60)
        return TaskResult(ok=None)

    hangs.send().unwrap()
    (info,) = drain(app)
    assert (info.status, info.error_code) == (TaskStatus.FAILED, "TASK_TIMEOUT")
    assert info.failed_reason is not None


def test_what_the_database_refuses_is_raised(app: Horsies, database_url: str) -> None:
    with psycopg.connect(database_url) as rows:
        rows.execute("alter function horsies.cycle rename to no_cycle")
    with pytest.raises(psycopg.Error):
        drain(app)
