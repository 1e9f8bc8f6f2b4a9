"""Rerun: every outcome, the order of the checks, what the new task takes over (T-82, T-83, M-060 to M-063)."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import psycopg
import pytest

from horsies import (
    BrokerErrorCode,
    Err,
    Horsies,
    Ok,
    PostgresConfig,
    RetentionConfig,
    RetryPolicy,
    TaskError,
    TaskResult,
)
from horsies.broker import Broker
from horsies.ids import new_task_id
from horsies.monitoring import (
    NotEligibleReason,
    RerunEnqueued,
    RerunEnqueuePolicy,
    RerunInputCorrupt,
    RerunInputDisposition,
    RerunInputUnavailable,
    RerunKeyConflict,
    RerunKeyReplay,
    RerunNotEligible,
    RerunOutcome,
    RerunSourceAbsent,
    RerunSourceLive,
    RerunTask,
    rerun_task,
    rerun_task_sync,
)
from tests.core.apps import make_queue_app
from tests.core.control.looks import Rows, at_once, ended, live, number, one
from tests.core.cycle_driver import CycleDriver

DEADLINE = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)

type Fail = Callable[..., str]


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app whose tasks keep their arguments for a rerun."""
    found = make_queue_app(
        broker=PostgresConfig(database_url=database_url, pool_timeout=5, retain_rerun_input_default=True),
        retention=RetentionConfig(queue_retention={"mail": timedelta(days=7)}),
    )
    yield found
    found.get_broker().close()


@pytest.fixture
def fail(app: Horsies, rows: Rows, worker: CycleDriver) -> Fail:
    """Sends a task, with options, and has it fail; gives the id."""
    policy = RetryPolicy.fixed([5, 30], auto_retry_for=["BUSY"])
    rows.execute("select horsies.ensure_history('q_mail_7d')")

    @app.task("pack", queue_name="mail", retry_policy=policy, timeout_ms=5000, executor="thread")
    def pack(text: str = "") -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    def fail_it(text: str | None = "é", **options: Any) -> str:
        sent = pack.with_options(**options)
        result = sent.send() if text is None else sent.send(text=text)
        assert isinstance(result, Ok), result
        (claim,) = worker.claim().claimed
        worker.fail(claim, "BROKEN")
        return result.ok_value.task_id

    return fail_it


def rerun(
    app: Horsies, task_id: str, deadline: datetime | None = None, key: str | None = None
) -> RerunOutcome:
    return rerun_task_sync(app.get_broker(), RerunTask(task_id, deadline, key)).unwrap()


def enqueued(outcome: RerunOutcome) -> RerunEnqueued:
    assert isinstance(outcome, RerunEnqueued), outcome
    return outcome


def test_the_outcomes_are_a_closed_union() -> None:
    """T-82"""
    assert set(get_args(RerunOutcome.__value__)) == {
        RerunEnqueued,
        RerunSourceLive,
        RerunSourceAbsent,
        RerunNotEligible,
        RerunInputUnavailable,
        RerunInputCorrupt,
        RerunKeyConflict,
        RerunKeyReplay,
    }


def test_a_rerun_is_a_new_task(app: Horsies, rows: Rows, fail: Fail, worker: CycleDriver) -> None:
    """M-062, T-82: same task, queue, arguments and options; counters, times and attempts start anew"""
    source = fail(priority=7)
    before = one(ended(rows, source))
    done = enqueued(rerun(app, source))
    assert (done.source_task_id, done.rerun_root_task_id) == (source, source)
    row = one(live(rows, done.new_task_id))
    same = [
        "task_name",
        "queue_name",
        "priority",
        "executor",
        "options",
        "timeout_ms",
        "max_retries",
        "kwargs",
    ]
    same += ["retention_class", "retain_rerun_input"]
    assert {name: row[name] for name in same} == {name: before[name] for name in same}
    assert row["kwargs"] == '{"text":"é"}'
    assert (row["status"], row["retry_count"], row["attempts"], row["claim_generation"]) == (
        "PENDING",
        0,
        None,
        0,
    )
    assert (row["idempotency_key"], row["good_until"], row["next_retry_at"]) == (None, None, None)
    assert (str(row["rerun_of"]), str(row["rerun_root"])) == (source, source)
    assert row["sent_at"] > before["terminal_at"] - timedelta(minutes=1)
    assert UUID(done.new_task_id).version == 7
    assert one(ended(rows, source)) == before
    (claim,) = worker.claim().claimed
    assert (claim.id, claim.kwargs, claim.options, claim.timeout_ms, claim.max_retries) == (
        done.new_task_id, before["kwargs"], before["options"], 5000, 2
    )  # fmt: skip


def test_a_rerun_wakes_its_queue(app: Horsies, fail: Fail, database_url: str) -> None:
    """M-062, D-040"""
    source = fail()
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute('listen "horsies:q:mail"')
        enqueued(rerun(app, source))
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1


def test_the_lineage_goes_on(app: Horsies, rows: Rows, fail: Fail, worker: CycleDriver) -> None:
    """T-82: of and root"""
    root = fail()
    second = enqueued(rerun(app, root)).new_task_id
    worker.fail(worker.claim().claimed[0])
    third = enqueued(rerun(app, second))
    assert (third.source_task_id, third.rerun_root_task_id) == (second, root)
    row = one(live(rows, third.new_task_id))
    assert (str(row["rerun_of"]), str(row["rerun_root"])) == (second, root)


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "EXPIRED"])
def test_any_end_but_success_can_be_rerun(app: Horsies, rows: Rows, fail: Fail, status: str) -> None:
    """T-82"""
    source = fail()
    rows.execute("update horsies.task_history set status = %s where id = %s", [status, source])
    enqueued(rerun(app, source))


@pytest.mark.parametrize("given", [None, DEADLINE])
@pytest.mark.parametrize("before", [None, datetime(2099, 1, 1, tzinfo=UTC)])
def test_the_deadline_is_the_request_s(
    app: Horsies, rows: Rows, fail: Fail, given: datetime | None, before: datetime | None
) -> None:
    """M-061: None means none; what the options say follows it"""
    source = fail(good_until=before)
    text = None if given is None else "2031-05-06T07:08:09.123456+00:00"
    row = one(live(rows, enqueued(rerun(app, source, given)).new_task_id))
    assert row["good_until"] == given
    options, old = json.loads(row["options"]), json.loads(one(ended(rows, source))["options"])
    assert options == old | {"good_until": text}


def test_a_deadline_must_be_given() -> None:
    """M-061"""
    with pytest.raises(TypeError):
        RerunTask("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (RerunTask(new_task_id(), datetime(2031, 1, 1)), None),
        (RerunTask(new_task_id(), "soon"), None),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (RerunTask(new_task_id(), None, ""), None),
        (RerunTask(new_task_id(), None, "k" * 256), None),
        (RerunTask(new_task_id(), None, "k\0"), None),
        (RerunTask(new_task_id(), None, 5), None),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (RerunTask(new_task_id(), None), RerunEnqueuePolicy(retention_class_key="nonsense")),
        (RerunTask(new_task_id(), None), RerunEnqueuePolicy(reservation_window=timedelta(0))),
        (RerunTask(new_task_id(), None), RerunEnqueuePolicy(reservation_window=5)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_makes_no_sense_is_refused(
    app: Horsies, request_: RerunTask, policy: RerunEnqueuePolicy | None
) -> None:
    """M-061, T-28, T-29"""
    result = rerun_task_sync(app.get_broker(), request_, policy)
    assert isinstance(result, Err)
    assert result.err_value.code is BrokerErrorCode.INVALID_TASK_OPTIONS
    assert not result.err_value.retryable


@pytest.mark.parametrize("status", ["PENDING", "CLAIMED", "RUNNING"])
def test_a_live_source(app: Horsies, rows: Rows, fail: Fail, worker: CycleDriver, status: str) -> None:
    """T-82, T-83: before eligibility"""
    task_id = enqueued(rerun(app, fail())).new_task_id
    rows.execute("update horsies.tasks set is_workflow_task = true where id = %s", [task_id])
    if status == "CLAIMED":
        worker.prefetch(task_id)
    elif status == "RUNNING":
        worker.claim()
    assert rerun(app, task_id) == RerunSourceLive(task_id)


def uuid7_of(moment: datetime) -> str:
    ms = int(moment.timestamp() * 1000)
    return str(UUID(int=(ms << 80) | (7 << 76) | (2 << 62) | 12345))


def test_an_absent_source(app: Horsies, rows: Rows) -> None:
    """T-82: an id so old that its record may be gone, a recent one, one that does not tell, and no id at all"""
    rows.execute("select horsies.ensure_history('forever')")
    now = datetime.now(UTC)
    for task_id, predates in [
        (new_task_id(), False),
        (uuid7_of(now - timedelta(days=29)), False),
        (uuid7_of(now - timedelta(days=31)), True),
        (str(uuid4()), None),
        ("nonsense", None),
        ("\0", None),
    ]:
        assert rerun(app, task_id) == RerunSourceAbsent(task_id, predates)


def test_the_shortest_retention_decides_about_absence(app: Horsies, fail: Fail) -> None:
    """T-82: with the class q_mail_7d in use, after eight days it may be gone"""
    fail()
    task_id = uuid7_of(datetime.now(UTC) - timedelta(days=8))
    assert rerun(app, task_id) == RerunSourceAbsent(task_id, True)


def spoil(rows: Rows, task_id: str, **columns: object) -> None:
    for name, value in columns.items():
        rows.execute(f"update horsies.task_history set {name} = %s where id = %s".encode(), [value, task_id])


def test_who_is_not_eligible(app: Horsies, rows: Rows, fail: Fail) -> None:
    """T-82, W-82, and T-83: checked before the input"""
    workflow, member, completed = fail(), fail(), fail()
    spoil(rows, workflow, is_workflow_task=True, retain_rerun_input=False)
    spoil(rows, member, workflow_id=str(uuid4()), kwargs="{}")
    spoil(rows, completed, status="COMPLETED", retain_rerun_input=False)
    assert rerun(app, workflow) == RerunNotEligible(workflow, NotEligibleReason.WORKFLOW_TASK)
    assert rerun(app, member) == RerunNotEligible(member, NotEligibleReason.WORKFLOW_TASK)
    assert rerun(app, completed) == RerunNotEligible(completed, NotEligibleReason.COMPLETED_SOURCE)


def test_input_that_was_not_kept(app: Horsies, database_url: str, rows: Rows, worker: CycleDriver) -> None:
    """M-060: the default"""
    plain = make_queue_app(database_url)

    @plain.task("plain", queue_name="mail")
    def task(n: int) -> TaskResult[None, TaskError]:
        return TaskResult(ok=None)

    source = task.send(1).unwrap().task_id
    worker.fail(worker.claim().claimed[0])
    plain.get_broker().close()
    assert one(ended(rows, source))["kwargs"] is None
    assert rerun(app, source) == RerunInputUnavailable(source, RerunInputDisposition.DECLINED_BY_POLICY, None)


@pytest.mark.parametrize("end", ["fail", "complete", "cancel"])
def test_input_over_64_kib_is_not_kept(
    app: Horsies, rows: Rows, fail: Fail, worker: CycleDriver, end: str
) -> None:
    """T-82: the limit is on the bytes of the text, wherever the task ends"""
    shell = len('{"text":""}')
    fits = fail("é" * ((65536 - shell) // 2))
    enqueued(rerun(app, fits))
    rows.execute("delete from horsies.tasks")
    if end == "fail":
        too_large = fail("é" * ((65536 - shell) // 2 + 1))
    else:
        too_large = app.tasks["pack"].send(text="x" * 65536).unwrap().task_id
        if end == "complete":
            worker.complete(*worker.claim().claimed)
            spoil(rows, too_large, status="FAILED")
        else:
            assert app.cancel_task(too_large).is_ok()
    row = one(ended(rows, too_large))
    assert (row["kwargs"], row["kwargs_digest"], row["retain_rerun_input"]) == (None, None, True)
    assert rerun(app, too_large) == RerunInputUnavailable(too_large, RerunInputDisposition.TOO_LARGE, None)


def test_a_task_without_arguments(app: Horsies, rows: Rows, fail: Fail) -> None:
    """M-060: nothing to keep is kept as well"""
    source = fail(None)
    assert one(ended(rows, source))["kwargs"] is None
    assert one(live(rows, enqueued(rerun(app, source)).new_task_id))["kwargs"] is None


@pytest.mark.parametrize("kwargs", ['{"text":"e"}', "", None])
def test_input_that_changed_is_not_run(app: Horsies, rows: Rows, fail: Fail, kwargs: str | None) -> None:
    """T-82, and T-83: checked before the key"""
    key = "held"
    other, source = fail(), fail()
    enqueued(rerun(app, other, key=key))
    spoil(rows, source, kwargs=kwargs)
    outcome = rerun(app, source, key=key)
    assert isinstance(outcome, RerunInputCorrupt)
    assert (outcome.task_id, "digest" in outcome.detail) == (source, True)


def test_without_a_key_each_rerun_is_a_task(app: Horsies, rows: Rows, fail: Fail) -> None:
    """M-063"""
    source = fail()
    first, second = enqueued(rerun(app, source)), enqueued(rerun(app, source))
    assert first.new_task_id != second.new_task_id
    assert number(rows, "select count(*) from horsies.tasks") == 2


def test_with_a_key_there_is_one(app: Horsies, rows: Rows, fail: Fail) -> None:
    """M-063, T-82: the same request again, and another one"""
    source, other = fail(), fail()
    first = enqueued(rerun(app, source, DEADLINE, "k"))
    assert one(live(rows, first.new_task_id))["idempotency_key"] == "k"
    assert rerun(app, source, DEADLINE, "k") == RerunKeyReplay(first.new_task_id)
    assert rerun(app, source, None, "k") == RerunKeyConflict(source, first.new_task_id)
    assert rerun(app, other, DEADLINE, "k") == RerunKeyConflict(other, first.new_task_id)
    assert enqueued(rerun(app, other, DEADLINE, "k2")).new_task_id != first.new_task_id
    assert number(rows, "select count(*) from horsies.tasks") == 2


def test_a_key_of_a_send_is_a_key(app: Horsies, fail: Fail) -> None:
    """T-82: keys are shared with sends of the same task"""
    holder = fail(idempotency_key="k")
    source = fail()
    assert rerun(app, source, key="k") == RerunKeyConflict(source, holder)


def test_a_key_is_free_again_after_its_window(
    app: Horsies, rows: Rows, fail: Fail, worker: CycleDriver
) -> None:
    """T-82, T-44: the window begins with the new task's end"""
    source = fail()
    policy = RerunEnqueuePolicy(reservation_window=timedelta(hours=2))
    request = RerunTask(source, None, "k")
    first = enqueued(rerun_task_sync(app.get_broker(), request, policy).unwrap()).new_task_id
    worker.fail(worker.claim().claimed[0])
    window = (
        "select extract(epoch from k.expires_at - h.terminal_at)::integer from horsies.idempotency_keys k"
        " join horsies.task_history h on h.id = k.task_id where k.task_id = %s"
    )
    assert number(rows, window, [first]) == 7200
    assert rerun_task_sync(app.get_broker(), request, policy).unwrap() == RerunKeyReplay(first)
    rows.execute("update horsies.idempotency_keys set expires_at = now() - interval '1 second'")
    second = enqueued(rerun_task_sync(app.get_broker(), request).unwrap()).new_task_id
    worker.fail(worker.claim().claimed[0])
    assert number(rows, window, [second]) == 24 * 3600


def test_one_key_many_callers(app: Horsies, rows: Rows, fail: Fail) -> None:
    """M-063, under concurrency"""
    source = fail()
    outcomes = at_once(8, lambda: rerun(app, source, key="k"))
    (first,) = [outcome for outcome in outcomes if isinstance(outcome, RerunEnqueued)]
    assert outcomes.count(RerunKeyReplay(first.new_task_id)) == 7
    assert number(rows, "select count(*) from horsies.tasks") == 1


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (None, ("q_mail_7d", True)),
        (RerunEnqueuePolicy(), ("q_mail_7d", True)),
        (RerunEnqueuePolicy(retention_class_key=None), ("forever", True)),
        (RerunEnqueuePolicy(retention_class_key="standard_30d"), ("standard_30d", True)),
        (RerunEnqueuePolicy(retention_class_key="q_mail_7d", retain_rerun_input=False), ("q_mail_7d", False)),
    ],
)
def test_how_the_new_task_is_kept(
    app: Horsies, rows: Rows, fail: Fail, policy: RerunEnqueuePolicy | None, kept: tuple[str, bool]
) -> None:
    """10 section 6: None is what an ordinary send to that queue gets, whatever the source had (CF-31, CF-33)"""
    source = fail(retention_class_key="standard_30d")
    outcome = rerun_task_sync(app.get_broker(), RerunTask(source, None), policy).unwrap()
    row = one(live(rows, enqueued(outcome).new_task_id))
    assert (row["retention_class"], row["retain_rerun_input"]) == kept


def test_without_an_app_the_source_s_retention_goes_on(database_url: str, rows: Rows, fail: Fail) -> None:
    """10 section 6: a broker alone does not know the app's rules"""
    source = fail()
    broker = Broker(PostgresConfig(database_url=database_url))
    outcome = rerun_task_sync(broker, RerunTask(source, None)).unwrap()
    broker.close()
    row = one(live(rows, enqueued(outcome).new_task_id))
    assert (row["retention_class"], row["retain_rerun_input"]) == ("q_mail_7d", False)


async def test_the_same_from_an_event_loop(app: Horsies, fail: Fail, rows: Rows) -> None:
    """10 section 6"""
    broker = app.get_broker()
    unknown = new_task_id()
    assert await rerun_task(broker, RerunTask(unknown, None)) == Ok(RerunSourceAbsent(unknown, False))
    assert await rerun_task(broker, RerunTask("x", None)) == Ok(RerunSourceAbsent("x", None))
    assert (await rerun_task(broker, RerunTask(unknown, None, ""))).is_err()


async def test_a_database_that_is_not_there() -> None:
    """M-001, M-004"""
    broker = Broker(PostgresConfig(database_url="postgresql://nobody@127.0.0.1:1/none", pool_timeout=5))
    request = RerunTask(new_task_id(), None)
    for result in (rerun_task_sync(broker, request), await rerun_task(broker, request)):
        assert isinstance(result, Err)
        assert (result.err_value.code, result.err_value.retryable) == (BrokerErrorCode.ENQUEUE_FAILED, True)
