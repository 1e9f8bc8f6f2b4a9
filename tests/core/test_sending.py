"""The road of a send: checks in order, the row, what comes back (01 sections 4 and 5)."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from horsies import (
    BrokerErrorCode,
    Err,
    Horsies,
    Ok,
    PayloadPolicy,
    PostgresConfig,
    Result,
    RetentionConfig,
    RetryPolicy,
    TaskError,
    TaskFunction,
    TaskHandle,
    TaskResult,
    TaskSendError,
    TaskSendErrorCode,
    WorkflowContext,
)
from horsies.send_errors import compute_enqueue_sha
from horsies.suppression import suppress_sends
from tests.core.apps import make_app, make_queue_app
from tests.core.task_rows import TaskRows
from tests.helpers import running


def pack(weight: int, *, to: str = "here", gift: bool = False) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{weight} {to} {gift}")


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


type Sent = Result[Any, TaskSendError]


def error_of(sent: Sent) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def assert_invalid(sent: Sent, *parts: str) -> None:
    error = error_of(sent)
    assert error.code is TaskSendErrorCode.VALIDATION_FAILED
    assert error.retryable is False
    assert error.task_id is None
    assert error.payload is None
    for part in parts:
        assert part in error.message


# -- the row (T-38, T-39, T-55)


def test_a_send_writes_one_row(app: Horsies, rows: TaskRows) -> None:
    """T-55, T-33, T-39."""
    task = app.task("pack")(pack)
    before = datetime.now(UTC)
    sent = task.send(5, to="there")
    after = datetime.now(UTC)
    assert isinstance(sent, Ok)
    row = rows.one()
    assert str(row["id"]) == sent.ok_value.task_id
    assert row["status"] == "PENDING"
    assert row["task_name"] == "pack"
    assert row["queue_name"] == "default"
    assert row["priority"] == 100
    assert row["executor"] == "default"
    assert row["kwargs"] == '{"weight":5,"to":"there"}'
    assert json.loads(row["options"]) == {"retry_policy": None, "good_until": None, "timeout_ms": None}
    assert row["timeout_ms"] is None
    assert row["retry_count"] == row["max_retries"] == 0
    assert row["good_until"] is None
    assert row["retention_class"] == "standard_30d"
    assert row["retain_rerun_input"] is False
    assert before <= row["sent_at"] <= after
    assert row["waits"] == timedelta(0)


def test_the_digest_covers_what_was_sent(app: Horsies, rows: TaskRows) -> None:
    """E-18."""
    assert app.task("pack")(pack).with_options(priority=7).schedule(9, 5).is_ok()
    row = rows.one()
    assert row["enqueue_sha"] == compute_enqueue_sha(
        task_name="pack",
        queue_name="default",
        priority=7,
        kwargs_json=row["kwargs"],
        sent_at=row["sent_at"],
        good_until=None,
        enqueue_delay_seconds=9,
        task_options=row["options"],
    )


def test_a_task_without_arguments_sends_none(app: Horsies, rows: TaskRows) -> None:
    """03 section 1."""
    assert app.task("nothing")(nothing).send().is_ok()
    assert rows.one()["kwargs"] is None


def test_defaults_do_not_travel(app: Horsies, rows: TaskRows) -> None:
    """T-38, K-02."""
    assert app.task("pack")(pack).send(5).is_ok()
    assert rows.one()["kwargs"] == '{"weight":5}'


def test_the_declaration_goes_into_the_row(database_url: str, rows: TaskRows) -> None:
    """T-55, CF-13, CF-31, R-030, 03 section 1."""
    app = make_queue_app(
        broker=PostgresConfig(database_url=database_url, retain_rerun_input_default=True),
        retention=RetentionConfig(queue_retention={"mail": timedelta(days=7)}),
    )
    policy = RetryPolicy.fixed([5, 30], auto_retry_for=["BUSY"])
    task = app.task("pack", queue_name="mail", timeout_ms=5000, executor="thread", retry_policy=policy)(pack)
    assert task.send(5).is_ok()
    row = rows.one()
    assert row["queue_name"] == "mail"
    assert row["priority"] == 10
    assert row["executor"] == "thread"
    assert row["timeout_ms"] == 5000
    assert row["max_retries"] == 2
    assert row["retention_class"] == "q_mail_7d"
    assert row["retain_rerun_input"] is True
    options = json.loads(row["options"])
    assert options["timeout_ms"] == 5000
    assert RetryPolicy.from_options(options["retry_policy"]) == policy
    app.get_broker().close()


async def test_an_async_task_is_sent_the_same_way(app: Horsies, rows: TaskRows) -> None:
    """T-25, R-030."""

    async def fetch(url: str) -> TaskResult[int, TaskError]:
        return TaskResult(ok=len(url))

    sent = await app.task("fetch")(fetch).send_async("http://x")
    assert isinstance(sent, Ok)
    assert rows.one()["executor"] == "async"


def test_ids_are_uuid7_and_increase(app: Horsies, rows: TaskRows) -> None:
    """T-39."""
    task = app.task("pack")(pack)
    ids = [task.send(number).unwrap().task_id for number in range(20)]
    many = task.send_many([{"weight": 1}] * 20).unwrap()
    ids += [handle.task_id for handle in many]
    assert ids == sorted(set(ids))
    for task_id in ids:
        assert UUID(task_id).version == 7
        assert task_id == str(UUID(task_id))
    assert [str(row["id"]) for row in rows.live()] == ids


# -- delays (T-32)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (0, 0),
        (60, 60),
        (timedelta(minutes=2), 120),
        (timedelta(milliseconds=1), 1),
        (timedelta(seconds=59, microseconds=1), 60),
        (timedelta(0), 0),
    ],
)
def test_delays(app: Horsies, rows: TaskRows, delay: Any, seconds: int) -> None:
    """T-32, T-39: enqueued_at is database time plus the delay."""
    task = app.task("pack")(pack)
    assert task.schedule(delay, 5).is_ok()
    assert task.with_options(delay=delay).send(5).is_ok()
    assert task.with_options(delay=delay).send_many([{"weight": 1}, {"weight": 2}]).is_ok()
    assert task.with_options(priority=3).schedule(delay, 5).is_ok()
    assert [row["waits"] for row in rows.live()] == [timedelta(seconds=seconds)] * 5


@pytest.mark.parametrize(
    "delay", [True, -1, 1.5, "60", timedelta(seconds=-1), None, 10**12, 10**30, timedelta.max]
)
def test_bad_delays(delay: Any) -> None:
    """T-32."""
    task = make_app().task("pack")(pack)
    assert_invalid(task.schedule(delay, 5), "delay")
    assert_invalid(asyncio.run(task.schedule_async(delay, 5)), "delay")
    if delay is not None:
        assert_invalid(task.with_options(delay=delay).send(5), "delay")


def test_two_delays_contradict_each_other() -> None:
    """T-32."""
    options = make_app().task("pack")(pack).with_options(delay=5)
    assert_invalid(options.schedule(5, 1), "delay=", "schedule")
    assert_invalid(asyncio.run(options.schedule_async(5, 1)), "delay=", "schedule")


# -- other options (T-27 to T-31)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"good_until": datetime(2030, 1, 1)}, "good_until"),
        ({"good_until": "2030-01-01"}, "good_until"),
        ({"good_until": 5}, "good_until"),
        ({"idempotency_key": 5}, "idempotency_key"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 256}, "256"),
        ({"idempotency_key": "ß" * 128}, "256"),
        ({"idempotency_key": "a\0"}, "idempotency_key"),
        ({"idempotency_key": "a\ud800"}, "idempotency_key"),
        ({"retention_class_key": "q_mail_7d"}, "q_mail_7d"),
        ({"retention_class_key": "forever"}, "forever"),
        ({"retention_class_key": 7}, "retention_class_key"),
        ({"priority": 0}, "priority"),
        ({"priority": 101}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 5.0}, "priority"),
        ({"queue_name": "mail"}, "mail"),
        ({"queue_name": 7}, "queue_name"),
    ],
)
def test_bad_options_fail_the_send(options: dict[str, Any], says: str) -> None:
    """T-27, T-28, T-29, T-30, T-31; with_options itself never raises, and the database is not asked."""
    chosen: Any = make_app().task("pack")(pack).with_options(**options)
    assert_invalid(chosen.send(5), says, "'pack'")
    assert_invalid(chosen.schedule(1, 5), says)
    assert_invalid(chosen.send_many([{"weight": 5}]), says)
    assert_invalid(asyncio.run(chosen.send_async(5)), says)
    assert_invalid(asyncio.run(chosen.schedule_async(1, 5)), says)
    assert_invalid(asyncio.run(chosen.send_many_async([{"weight": 5}])), says)


def test_an_unknown_queue_of_a_custom_app() -> None:
    """T-31, CF-18."""
    task = make_queue_app().task("pack", queue_name="mail")(pack)
    assert_invalid(task.with_options(queue_name="mial").send(5), "mial", "bulk")


def test_another_queue_brings_its_priority(database_url: str, rows: TaskRows) -> None:
    """T-31, CF-13, CF-31."""
    app = make_queue_app(database_url, retention=RetentionConfig(queue_retention={"bulk": None}))
    task = app.task("pack", queue_name="mail")(pack)
    assert task.with_options(queue_name="bulk").send(1).is_ok()
    assert task.with_options(queue_name="bulk", priority=3).send(2).is_ok()
    assert task.with_options(priority=4).send(3).is_ok()
    assert task.send(4).is_ok()
    found = [(row["queue_name"], row["priority"], row["retention_class"]) for row in rows.live()]
    assert found == [
        ("bulk", 90, "forever"),
        ("bulk", 3, "forever"),
        ("mail", 4, "standard_30d"),
        ("mail", 10, "standard_30d"),
    ]
    app.get_broker().close()


def test_retention_keys(database_url: str, rows: TaskRows) -> None:
    """CF-31, CF-33."""
    app = make_queue_app(
        database_url,
        retention=RetentionConfig(
            terminal_record_retention_hours=48, queue_retention={"mail": timedelta(hours=36)}
        ),
    )
    task = app.task("pack", queue_name="mail")(pack)
    assert task.send(1).is_ok()
    assert task.with_options(retention_class_key=None).send(2).is_ok()
    assert task.with_options(retention_class_key="standard_30d").send(3).is_ok()
    assert task.with_options(queue_name="bulk").send(4).is_ok()
    assert task.with_options(queue_name="bulk", retention_class_key="q_mail_36h").send(5).is_ok()
    classes = [row["retention_class"] for row in rows.live()]
    assert classes[:3] == ["q_mail_36h", "forever", "standard_30d"]
    assert classes[3] == app.config.retention.default_class
    assert classes[4] == "q_mail_36h"
    app.get_broker().close()


def test_a_deadline(app: Horsies, rows: TaskRows) -> None:
    """T-27: also in the past, and from any time zone; 03 section 1."""
    deadline = datetime.fromisoformat("2020-01-01T02:00:00+02:00")
    assert app.task("pack")(pack).with_options(good_until=deadline).send(5).is_ok()
    row = rows.one()
    assert row["good_until"] == deadline
    assert datetime.fromisoformat(json.loads(row["options"])["good_until"]) == deadline


# -- arguments (T-33, T-34)


def needs_context(
    weight: int,
    workflow_ctx: WorkflowContext | None = None,
    earlier: TaskResult[int, TaskError] | None = None,
) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


MISUSES: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((1, 2), {}, "positional"),
    ((1,), {"size": 3}, "size"),
    ((1,), {"weight": 3}, "weight"),
    ((), {}, "weight"),
    ((1,), {"workflow_ctx": None}, "workflow_ctx"),
    ((1,), {"earlier": TaskResult(ok=1)}, "earlier"),
]


@pytest.mark.parametrize(("args", "kwargs", "says"), MISUSES)
def test_arguments_that_do_not_go_with_the_parameters(
    args: tuple[Any, ...], kwargs: dict[str, Any], says: str
) -> None:
    """T-33, K-35."""
    function = needs_context if {"workflow_ctx", "earlier"} & set(kwargs) else pack
    task: Any = make_app().task("t", function)
    assert_invalid(task.send(*args, **kwargs), "'t'", says)
    assert_invalid(asyncio.run(task.send_async(*args, **kwargs)), "'t'", says)
    assert_invalid(task.schedule(1, *args, **kwargs), "'t'", says)


def test_a_parameter_may_be_called_self_or_delay(app: Horsies, rows: TaskRows) -> None:
    def odd(self: int, delay: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=self + delay)

    task: Any = app.task("odd", odd)
    assert task(self=1, delay=2) == TaskResult(ok=3)
    assert task.send(self=1, delay=2).is_ok()
    assert task.schedule(5, self=1, delay=2).is_ok()
    assert [row["kwargs"] for row in rows.live()] == ['{"self":1,"delay":2}'] * 2


def test_a_value_that_does_not_fit_its_type() -> None:
    """T-34, K-36."""
    task: Any = make_app().task("pack")(pack)
    sent = task.send("heavy")
    assert_invalid(sent, "'pack'", "'weight'")
    assert isinstance(error_of(sent).exception, ValueError)


def test_lax_values_travel_converted(app: Horsies, rows: TaskRows) -> None:
    """K-18."""
    task: Any = app.task("pack")(pack)
    assert task.send("5").is_ok()
    assert rows.one()["kwargs"] == '{"weight":5}'


# -- size (T-35, CF-19 to CF-21)


def test_a_payload_over_the_limit_is_refused() -> None:
    """T-35, CF-19, CF-21; E section 7: with an id, without a payload."""
    text = '{"weight":5,"to":"ßß"}'
    size = len(text.encode())
    app = make_app(payload=PayloadPolicy(reject_bytes=size - 1))
    task = app.task("pack")(pack)
    for sent in (
        task.send(5, to="ßß"),
        task.schedule(1, 5, to="ßß"),
        asyncio.run(task.send_async(5, to="ßß")),
    ):
        error = error_of(sent)
        assert error.code is TaskSendErrorCode.PAYLOAD_TOO_LARGE
        assert error.retryable is False
        assert error.task_id is not None
        assert error.payload is None
    error = error_of(task.send_many([{"weight": 1}, {"weight": 5, "to": "ßß"}]))
    assert error.code is TaskSendErrorCode.PAYLOAD_TOO_LARGE
    assert "1" in error.message
    assert error.payload is None


def test_a_payload_at_the_limit_passes(database_url: str, rows: TaskRows) -> None:
    """CF-19: broken when greater."""
    size = len('{"weight":5,"to":"ßß"}'.encode())
    app = make_app(database_url, payload=PayloadPolicy(reject_bytes=size))
    assert app.task("pack")(pack).send(5, to="ßß").is_ok()
    assert len(rows.live()) == 1
    app.get_broker().close()


def test_a_large_payload_is_warned_of_once(app: Horsies, caplog: pytest.LogCaptureFixture) -> None:
    """CF-20, CF-21."""
    warned = make_app(payload=PayloadPolicy(warn_bytes=12), broker=app.config.broker)
    task = warned.task("warned_of_once")(pack)
    other = warned.task("warned_of_too")(pack)
    with caplog.at_level(logging.WARNING, "horsies.payload"):
        assert task.send(1).is_ok()  # 12 bytes are not more than 12
        assert not caplog.records
        for _ in range(3):
            assert task.send(22).is_ok()
        assert other.send(22).is_ok()
    assert [record.getMessage().count("warned_of") for record in caplog.records] == [1, 1]
    warned.get_broker().close()


# -- suppression (CF-45, CF-46)


def all_sends(task: TaskFunction[..., Any]) -> list[Callable[[], Sent]]:
    failed = TaskSendError(TaskSendErrorCode.ENQUEUE_FAILED, "x")
    chosen = task.with_options(priority=1)
    return [
        lambda: task.send(5),
        lambda: task.schedule(1, 5),
        lambda: task.send_many([{"weight": 5}]),
        lambda: task.send_many([]),
        lambda: task.retry_send(failed),
        lambda: task.retry_schedule(failed),
        lambda: asyncio.run(task.send_async(5)),
        lambda: asyncio.run(task.schedule_async(1, 5)),
        lambda: asyncio.run(task.send_many_async([{"weight": 5}])),
        lambda: asyncio.run(task.retry_send_async(failed)),
        lambda: asyncio.run(task.retry_schedule_async(failed)),
        lambda: chosen.send(5),
        lambda: chosen.schedule(1, 5),
        lambda: chosen.send_many([{"weight": 5}]),
        lambda: asyncio.run(chosen.send_async(5)),
        lambda: asyncio.run(chosen.schedule_async(1, 5)),
        lambda: asyncio.run(chosen.send_many_async([{"weight": 5}])),
    ]


def assert_suppressed(sent: Sent) -> None:
    error = error_of(sent)
    assert error.code is TaskSendErrorCode.SEND_SUPPRESSED
    assert error.task_id is None
    assert error.payload is None
    assert error.retryable is False


def test_suppressed_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """CF-45: every sending method; direct calls still run."""
    task = make_app().task("pack")(pack)
    with suppress_sends():
        for send in all_sends(task):
            assert_suppressed(send())
        assert task(5).is_ok()
    monkeypatch.setenv("HORSIES_SUPPRESS_SENDS", "1")
    assert_suppressed(task.send(5))
    monkeypatch.setenv("HORSIES_SUPPRESS_SENDS", "0")
    assert error_of(task.send(5)).code is TaskSendErrorCode.ENQUEUE_FAILED


def test_suppression_goes_before_every_other_check() -> None:
    """01 section 5: the order of the checks."""
    task: Any = make_app().task("pack")(pack)
    with suppress_sends():
        assert_suppressed(task.send("nonsense", 1, 2))
        assert_suppressed(task.schedule(-1, 5))
        assert_suppressed(task.with_options(priority=0).send(5))
        assert_suppressed(task.send_many(5))


# -- event loops (T-36)


async def test_a_blocking_send_on_a_running_loop() -> None:
    """T-36: with an id and a payload."""
    task = make_app().task("pack")(pack)
    error = error_of(task.with_options(idempotency_key="k").send(5))
    assert error.code is TaskSendErrorCode.ASYNC_CONTEXT
    assert error.retryable is False
    assert error.task_id is not None
    assert error.payload is not None
    assert error.payload.kwargs_json == '{"weight":5}'
    assert error.payload.idempotency_key == "k"
    assert error_of(task.schedule(7, 5)).payload is not None
    many = error_of(task.send_many([{"weight": 5}]))
    assert (many.code, many.payload) == (TaskSendErrorCode.ASYNC_CONTEXT, None)


async def test_checks_before_the_loop_check() -> None:
    """01 section 5: the order of the checks."""
    task: Any = make_app(payload=PayloadPolicy(reject_bytes=20)).task("pack")(pack)
    assert_invalid(task.send("heavy"))
    assert_invalid(task.with_options(priority=0).send(5))
    assert error_of(task.send(5, to="x" * 20)).code is TaskSendErrorCode.PAYLOAD_TOO_LARGE


async def test_a_blocking_send_in_another_thread_is_fine(app: Horsies, rows: TaskRows) -> None:
    """T-36: the thread counts, not the process."""
    task = app.task("pack")(pack)
    sent = await asyncio.to_thread(task.send, 5)
    assert sent.is_ok()
    assert len(rows.live()) == 1


async def test_a_send_that_met_a_loop_is_finished_by_the_async_retry(app: Horsies, rows: TaskRows) -> None:
    """T-36, E-19."""
    task = app.task("pack")(pack)
    error = error_of(task.send(5))
    sent = await task.retry_send_async(error)
    assert isinstance(sent, Ok)
    assert sent.ok_value.task_id == error.task_id
    assert str(rows.one()["id"]) == error.task_id


# -- the insert (T-37)


def test_a_refused_connection() -> None:
    """T-37, E-10; E-17: the texts hold no arguments."""
    task = make_app().task("pack")(pack)
    for sent in (task.send(5, to="secret"), asyncio.run(task.send_async(5, to="secret"))):
        error = error_of(sent)
        assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
        assert error.retryable is True
        assert error.broker_code is BrokerErrorCode.ENQUEUE_FAILED
        assert isinstance(error.exception, psycopg.OperationalError)
        assert error.task_id is not None
        assert error.payload is not None
        assert error.payload.kwargs_json == '{"weight":5,"to":"secret"}'
        assert error.payload.args_json is None
        assert "secret" not in repr(error)
        assert "secret" not in error.message


def test_a_schema_that_is_missing_is_not_retryable(empty_database_url: str) -> None:
    """D-062: sends give an error that is not retryable."""
    app = Horsies(make_app(empty_database_url).config, run_schema_migrations=False)
    error = error_of(app.task("pack")(pack).send(5))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is False
    assert error.broker_code is BrokerErrorCode.SCHEMA_INIT_FAILED
    assert "horsies db" in error.message


def test_the_first_send_makes_the_schema(empty_database_url: str) -> None:
    """D-060."""
    app = make_app(empty_database_url)
    assert app.task("pack")(pack).send(5).is_ok()
    rows = TaskRows(empty_database_url)
    assert len(rows.live()) == 1
    rows.close()
    app.get_broker().close()


def test_a_row_the_database_refuses(app: Horsies, rows: TaskRows) -> None:
    """T-37: not retryable, and what the server says of the row stays out of the message."""
    rows.execute("alter table horsies.tasks add constraint no_secrets check (kwargs not like '%%secret%%')")
    error = error_of(app.task("pack")(pack).send(5, to="secret"))
    assert error.code is TaskSendErrorCode.ENQUEUE_FAILED
    assert error.retryable is False
    assert "no_secrets" in error.message
    assert "secret" not in error.message.replace("no_secrets", "")


# -- handles


def test_the_handle_knows_its_app_and_type(app: Horsies) -> None:
    handle = app.task("pack")(pack).send(5).unwrap()
    assert isinstance(handle, TaskHandle)
    assert handle.app is app
    assert handle.ok_type is str


def test_a_wake_up_comes_with_the_row(app: Horsies, database_url: str) -> None:
    """D-040, D-041: one message for the sends of one statement."""
    task = app.task("pack")(pack)
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute('listen "horsies:q:default"')
        assert task.send(5).is_ok()
        assert len(list(listening.notifies(timeout=10, stop_after=1))) == 1
        assert task.send_many([{"weight": number} for number in range(50)]).is_ok()
        assert len(list(listening.notifies(timeout=10, stop_after=1))) == 1
        assert list(listening.notifies(timeout=0.1)) == []


_FORK = """
import os, sys
from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult

app = Horsies(AppConfig(broker=PostgresConfig(database_url=sys.argv[1])))

@app.task("pack")
def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)

assert pack.send(1).is_ok()
broker = app.get_broker()
child = os.fork()
if not child:
    assert app.get_broker() is not broker
    assert pack.send(2).is_ok()
    sys.exit(0)  # a full end, with everything collected
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert app.get_broker() is broker
assert pack.send(3).is_ok()
print("parent fine", flush=True)
"""


def test_a_forked_child_sends_on_its_own(database_url: str, rows: TaskRows) -> None:
    """CF-40, T-39."""
    with running([sys.executable, "-W", "error", "-c", _FORK, database_url]) as process:
        assert process.wait() == 0, process.output
        assert "parent fine" in process.stdout
    assert sorted(row["kwargs"] for row in rows.live()) == [f'{{"weight":{n}}}' for n in (1, 2, 3)]
