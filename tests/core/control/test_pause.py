"""Pausing and resuming queues: what stops, what goes back, who is woken (10 section 7)."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from horsies import Err, Horsies, Ok
from horsies.broker import Broker
from horsies.config import PostgresConfig
from horsies.monitoring import (
    QueueState,
    TaskActionErrorCode,
    pause_queue,
    pause_queue_sync,
    resume_queue,
    resume_queue_sync,
)
from tests.core.control.conftest import QUEUES, Connect, Send
from tests.core.control.looks import Rows, at_once, live, number, one, wait_for_blocked
from tests.core.cycle_driver import CycleDriver

PAUSED = Ok(QueueState("mail", paused=True, changed=True))
RESUMED = Ok(QueueState("mail", paused=False, changed=True))


@pytest.fixture
def broker(database_url: str) -> Iterator[Broker]:
    """A broker without an app."""
    found = Broker(PostgresConfig(database_url=database_url))
    yield found
    found.close()


def queue(rows: Rows, name: str = "mail") -> dict[str, object]:
    return one(rows.execute("select * from horsies.queues where name = %s", [name]).fetchone())


def test_nothing_is_claimed_from_a_paused_queue(app: Horsies, send: Send, worker: CycleDriver) -> None:
    """M-070, R-061: durable, other queues go on, sending is unaffected"""
    before = send(1)
    assert app.pause_queue("mail") == PAUSED
    after = send(2)
    other = send(3, queue_name="bulk")
    answer = worker.claim(3)
    assert (answer.ids, answer.again) == ([other], False)
    assert app.resume_queue("mail") == RESUMED
    assert worker.claim(3).ids == [before, after]


def test_a_paused_queue_is_not_looked_into_for_what_is_due(
    app: Horsies, send: Send, worker: CycleDriver
) -> None:
    """R-062: a paused queue sets no timer; resuming wakes"""
    send(1, delay=60)
    assert worker.claim().due_s is not None
    app.pause_queue("mail")
    assert worker.claim().due_s is None


@pytest.mark.parametrize(("cap", "cluster_cap"), [(5, None), (0, None), (None, 5), (2, 5)])
def test_pause_and_caps_do_not_mix(
    app: Horsies, send: Send, connect: Connect, cap: int | None, cluster_cap: int | None
) -> None:
    """M-072, R-058: either stops claiming, and neither blocks the queues behind"""
    first, other = send(1), send(2, queue_name="bulk")
    worker = CycleDriver(connect(), {"mail": (10, cap), "bulk": (90, None)}, cluster_cap=cluster_cap)
    app.pause_queue("mail")
    answer = worker.claim(4)
    assert (answer.ids, answer.again) == ([other], False)
    app.resume_queue("mail")
    assert worker.claim(4).ids == ([] if cap == 0 else [first])


def test_merged_queues_of_one_rank(app: Horsies, send: Send, connect: Connect) -> None:
    """R-050, R-058: of two queues served as one, the paused one stays behind"""
    worker = CycleDriver(connect(), {"mail": (10, None), "bulk": (10, None)})
    mails = [send(n) for n in range(2)]
    bulks = [send(n, queue_name="bulk", priority=10) for n in range(2)]
    app.pause_queue("mail")
    assert worker.claim(4).ids == bulks
    app.resume_queue("mail")
    assert worker.claim(4).ids == mails


def test_prefetched_rows_go_back_with_the_pause(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """M-070, T-59: PENDING without an owner, generation and retry count kept; the holder finds its claim lost"""
    held, running = send(1), send(2)
    bulk = send(3, queue_name="bulk")
    (claim, other) = worker.prefetch(held, bulk)
    assert worker.claim().ids == [running]
    assert app.pause_queue("mail") == PAUSED
    row = one(live(rows, held))
    assert (row["status"], row["worker_id"], row["claimed_at"], row["worker_hostname"]) == (
        "PENDING",
        None,
        None,
        None,
    )
    assert row["claim_generation"] == claim.generation
    assert one(live(rows, running))["status"] == "RUNNING"
    assert one(live(rows, bulk))["status"] == "CLAIMED"
    assert worker.complete(claim, other).lost == [held]


def test_a_row_that_somebody_holds_does_not_hold_up_the_pause(
    app: Horsies, rows: Rows, send: Send, worker: CycleDriver, connect: Connect
) -> None:
    """M-070: what a worker is starting right now is its own affair; no deadlock, no wait"""
    busy, free = send(1), send(2)
    worker.prefetch(busy, free)
    rival = connect()
    with rival.transaction():
        rival.execute("select from horsies.tasks where id = %s for update", [busy])
        assert app.pause_queue("mail") == PAUSED
        assert one(live(rows, free))["status"] == "PENDING"
    assert one(live(rows, busy))["status"] == "CLAIMED"


def test_deadlines_still_expire(app: Horsies, rows: Rows, send: Send, worker: CycleDriver) -> None:
    """M-070: what the pause gave back is PENDING with its deadline, as R-113 looks for it"""
    task_id = send()
    rows.execute("update horsies.tasks set good_until = now() - interval '1 second' where id = %s", [task_id])
    (claim,) = worker.claim().expired
    app.pause_queue("mail")
    row = one(live(rows, task_id))
    assert (row["status"], row["good_until"] is None) == ("PENDING", False)
    assert worker.fail(claim, "TASK_EXPIRED", status="EXPIRED").lost == [task_id]


def test_repetition_changes_nothing(app: Horsies, rows: Rows) -> None:
    """M-071"""
    assert app.resume_queue("mail") == Ok(QueueState("mail", paused=False, changed=False))
    assert app.pause_queue("mail", by="first") == PAUSED
    before = queue(rows)
    assert app.pause_queue("mail", by="second") == Ok(QueueState("mail", paused=True, changed=False))
    assert queue(rows) == before
    assert app.resume_queue("mail") == RESUMED
    assert app.resume_queue("mail") == Ok(QueueState("mail", paused=False, changed=False))


def test_who_and_when_is_recorded(app: Horsies, rows: Rows) -> None:
    """M-071"""
    app.pause_queue("mail", by="alice\0")
    row = queue(rows)
    assert (row["paused"], row["paused_by"]) == (True, "alice\ufffd")
    assert row["paused_at"] is not None
    app.resume_queue("mail", by="bob")
    later = queue(rows)
    assert (later["paused"], later["paused_by"]) == (False, "bob")
    assert later["paused_at"] != row["paused_at"]
    app.pause_queue("mail", by="")
    assert queue(rows)["paused_by"] is None


def test_a_queue_is_known_by_its_row_or_by_the_app(app: Horsies, rows: Rows, broker: Broker) -> None:
    """M-071"""
    refused = broker.pause_queue("mail")
    assert isinstance(refused, Err)
    assert refused.err_value.code is TaskActionErrorCode.QUEUE_NOT_FOUND
    assert app.resume_queue("mail") == Ok(QueueState("mail", paused=False, changed=False))
    assert app.pause_queue("mail") == PAUSED
    row = queue(rows)
    assert (row["priority"], row["max_concurrency"]) == (10, None)
    assert broker.resume_queue("mail") == RESUMED
    assert app.pause_queue("default") == Ok(QueueState("default", paused=True, changed=True))


@pytest.mark.parametrize("name", ["nowhere", "", "a\0b", "\ud800"])
def test_an_unknown_queue(app: Horsies, name: str) -> None:
    """M-071"""
    for result in (app.pause_queue(name), app.resume_queue(name)):
        assert isinstance(result, Err)
        assert result.err_value.code is TaskActionErrorCode.QUEUE_NOT_FOUND
        assert not result.err_value.retryable


def test_any_name_will_do(rows: Rows, broker: Broker, connect: Connect) -> None:
    """D-005"""
    name = 'it\'s "a" queue: ünï.código {x} %s ' + "y" * 200
    rows.execute("insert into horsies.queues (name) values (%s)", [name])
    listener = connect()
    listener.execute('listen "horsies:ctl"')
    assert broker.pause_queue(name) == Ok(QueueState(name, paused=True, changed=True))
    (message,) = listener.notifies(timeout=10, stop_after=1)
    assert json.loads(message.payload) == {"pause": name}


def test_resuming_wakes_the_workers(app: Horsies, connect: Connect) -> None:
    """M-070, D-040"""
    listener = connect()
    app.pause_queue("mail")
    for channel in ("horsies:ctl", "horsies:q:mail"):
        listener.execute(f'listen "{channel}"'.encode())
    app.resume_queue("mail")
    heard = {(note.channel, note.payload) for note in listener.notifies(timeout=10, stop_after=2)}
    assert heard == {("horsies:q:mail", ""), ("horsies:ctl", '{"resume" : "mail"}')}


async def test_the_same_from_an_event_loop(app: Horsies, broker: Broker) -> None:
    """M-070: app, broker and monitoring, each in both forms"""
    assert await app.pause_queue_async("mail") == PAUSED
    assert await app.resume_queue_async("mail") == RESUMED
    assert await broker.pause_queue_async("mail") == PAUSED
    assert await broker.resume_queue_async("mail") == RESUMED
    assert await pause_queue(broker, "mail", by="me") == PAUSED
    assert await resume_queue(broker, "mail") == RESUMED
    assert await asyncio.to_thread(pause_queue_sync, broker, "mail") == PAUSED
    assert await asyncio.to_thread(resume_queue_sync, broker, "mail") == RESUMED


def test_a_claim_that_waited_for_a_cap_sees_the_pause(
    app: Horsies, rows: Rows, send: Send, connect: Connect
) -> None:
    """R-061: read after the cap locks are held, in a statement of its own"""
    send(1)
    queues = {"mail": (10, 5), "bulk": (90, None)}
    holder = connect()
    worker = CycleDriver(connect(), queues)
    with ThreadPoolExecutor(1) as thread:
        with holder.transaction():
            holder.execute("select pg_advisory_xact_lock(hashtextextended('horsies:cap:mail', 0))")
            claiming = thread.submit(worker.claim, 1)
            wait_for_blocked(rows, holder)
            assert app.pause_queue("mail") == PAUSED
        assert claiming.result(20).ids == []


def test_concurrent_pauses_change_it_once(app: Horsies, rows: Rows, send: Send, worker: CycleDriver) -> None:
    """M-071"""
    worker.prefetch(*[send(n) for n in range(20)])
    results = at_once(6, lambda: app.pause_queue("mail"))
    assert sorted(result.unwrap().changed for result in results) == [False] * 5 + [True]
    assert number(rows, "select count(*) from horsies.tasks where status = 'PENDING'") == 20


def test_a_database_that_is_not_there(connect: Connect) -> None:
    """M-004, M-070"""
    broker = Broker(PostgresConfig(database_url="postgresql://nobody@127.0.0.1:1/none", pool_timeout=5))
    for result in (broker.pause_queue("mail"), broker.resume_queue("mail")):
        assert isinstance(result, Err)
        assert result.err_value.code is TaskActionErrorCode.DB_OPERATION_FAILED
        assert result.err_value.retryable


def test_queues_serve_as_the_driver_says(send: Send, worker: CycleDriver) -> None:
    """The worker of these tests takes mail first."""
    later, first = send(1, queue_name="bulk"), send(2)
    assert QUEUES["mail"][0] < QUEUES["bulk"][0]
    assert worker.claim(2).ids == [first, later]
