"""Idempotency keys and repeated inserts, with rivals that have not committed (T-40, T-44 to T-46, D-013, D-014)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from horsies import Err, Horsies, Ok
from horsies.broker import Broker
from horsies.broker_errors import BrokerErrorCode
from horsies.channels import queue_channel
from horsies.config import PostgresConfig
from horsies.db.drive import drive_on
from horsies.ids import new_task_id
from horsies.ops.enqueue import EnqueueRow, KeyedOutcome, enqueue_keyed, enqueue_replay
from horsies.ops.send import request_sha
from horsies.send_errors import format_utc
from horsies.sql import Statements
from horsies.task import SyncTaskFunction
from tests.core.control.conftest import Connect, Send
from tests.core.control.looks import Rows, at_once, ended, live, number, one, wait_for_blocked
from tests.core.cycle_driver import CycleDriver

STATEMENTS = Statements("horsies")
TASKS = "select count(*) from horsies.tasks"
KEYS = "select count(*) from horsies.idempotency_keys"


@pytest.fixture
def broker(database_url: str) -> Iterator[Broker]:
    """A broker of its own, so that two sends never share a connection."""
    found = Broker(PostgresConfig(database_url=database_url, pool_timeout=5))
    yield found
    found.close()


def row_of(kwargs: str = '{"n":1}', key: str | None = "k", task_id: str | None = None) -> EnqueueRow:
    return EnqueueRow(
        id=task_id or new_task_id(),
        task_name="pack",
        queue_name="mail",
        priority=10,
        executor="default",
        enqueue_sha=f"sha of {kwargs}",
        kwargs=kwargs,
        options="{}",
        timeout_ms=None,
        sent_at=format_utc(datetime.now(UTC)),
        delay_s=0,
        good_until=None,
        max_retries=0,
        retention_class="standard_30d",
        retain_rerun_input=False,
        channel=queue_channel("horsies", "mail"),
        idempotency_key=key,
    )


def keyed_on(connection: Rows, row: EnqueueRow) -> tuple[KeyedOutcome, str]:
    return drive_on(connection, STATEMENTS, enqueue_keyed(row, request_sha(row)))


def keyed(broker: Broker, row: EnqueueRow, now: datetime | None = None) -> tuple[KeyedOutcome, str]:
    return broker.run(enqueue_keyed(row, request_sha(row), now))


def test_the_same_request_gives_the_first_task(rows: Rows, pack: SyncTaskFunction[..., int]) -> None:
    """T-45"""
    send = pack.with_options(idempotency_key="k")
    first = send.send(n=1).unwrap()
    assert send.send(n=1).unwrap().task_id == first.task_id
    assert pack.with_options(idempotency_key="K").send(n=1).unwrap().task_id != first.task_id
    assert number(rows, TASKS) == 2


def test_another_request_is_refused(rows: Rows, pack: SyncTaskFunction[..., int]) -> None:
    """T-46"""
    first = pack.with_options(idempotency_key="k").send(n=1).unwrap()
    for result in (
        pack.with_options(idempotency_key="k").send(n=2),
        pack.with_options(idempotency_key="k", priority=3).send(n=1),
        pack.with_options(idempotency_key="k", queue_name="bulk").send(n=1),
        pack.with_options(idempotency_key="k", delay=5).send(n=1),
        pack.with_options(idempotency_key="k", good_until=datetime(2031, 1, 1, tzinfo=UTC)).send(n=1),
        pack.with_options(idempotency_key="k", retention_class_key=None).send(n=1),
    ):
        assert isinstance(result, Err)
        assert result.err_value.broker_code is BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT
        assert not result.err_value.retryable
        assert first.task_id in result.err_value.message
    assert number(rows, TASKS) == 1


@pytest.mark.parametrize(
    ("kwargs", "outcome"), [('{"n":1}', "same"), ('{"n":2}', "conflict")], ids=["same", "other"]
)
def test_a_rival_that_has_not_committed_is_waited_for(
    broker: Broker, rows: Rows, connect: Connect, kwargs: str, outcome: KeyedOutcome
) -> None:
    """T-44, T-45, T-46: and its commit decides"""
    rival, first = connect(), row_of()
    with ThreadPoolExecutor(1) as thread:
        with rival.transaction():
            assert keyed_on(rival, first) == ("inserted", first.id)
            second = thread.submit(keyed, broker, row_of(kwargs))
            wait_for_blocked(rows, rival)
        assert second.result(20) == (outcome, first.id)
    assert number(rows, TASKS) == 1


def test_a_rival_that_rolls_back_leaves_the_key(broker: Broker, rows: Rows, connect: Connect) -> None:
    """T-44"""
    rival, mine = connect(), row_of('{"n":2}')
    with ThreadPoolExecutor(1) as thread:
        with rival.transaction(force_rollback=True):
            keyed_on(rival, row_of())
            second = thread.submit(keyed, broker, mine)
            wait_for_blocked(rows, rival)
        assert second.result(20) == ("inserted", mine.id)
    assert live(rows, mine.id) is not None


def test_of_many_at_once_one_is_inserted(broker: Broker, rows: Rows) -> None:
    """T-44, T-45"""
    answers = at_once(12, lambda: keyed(broker, row_of()))
    assert len({holder for _, holder in answers}) == 1
    assert sorted(outcome for outcome, _ in answers) == ["inserted"] + ["same"] * 11
    assert number(rows, TASKS) == number(rows, KEYS) == 1


def test_the_key_is_held_for_a_day_after_the_end(
    broker: Broker, rows: Rows, send: Send, worker: CycleDriver
) -> None:
    """T-44, D-014: not before, and the record itself need not be there any more"""
    first = row_of()
    keyed(broker, first)
    assert one(rows.execute("select expires_at from horsies.idempotency_keys").fetchone()) == {
        "expires_at": None
    }
    worker.complete(*worker.claim().claimed)
    end = one(ended(rows, first.id))["terminal_at"]
    rows.execute("delete from horsies.task_history")
    day = timedelta(hours=24)
    assert keyed(broker, row_of(), end + day - timedelta(microseconds=1)) == ("same", first.id)
    assert keyed(broker, row_of('{"n":2}'), end + day - timedelta(microseconds=1)) == ("conflict", first.id)
    second = row_of('{"n":2}')
    assert keyed(broker, second, end + day) == ("inserted", second.id)
    assert one(rows.execute("select task_id::text, expires_at from horsies.idempotency_keys").fetchone()) == {
        "task_id": second.id,
        "expires_at": None,
    }


@pytest.mark.parametrize("end", ["fail", "expire", "retry"])
def test_which_ends_start_the_day(broker: Broker, rows: Rows, worker: CycleDriver, end: str) -> None:
    """T-44: terminal ones; a retry does not"""
    keyed(broker, row_of())
    (claim,) = worker.claim().claimed
    worker.fail(
        claim, status="EXPIRED" if end == "expire" else "FAILED", retry_s=1 if end == "retry" else None
    )
    running_out = "select count(*) from horsies.idempotency_keys where expires_at is not null"
    assert number(rows, running_out) == (0 if end == "retry" else 1)


def test_a_key_that_ran_out_is_taken_over_by_one(broker: Broker, rows: Rows, worker: CycleDriver) -> None:
    """T-44, D-014: under concurrency"""
    keyed(broker, row_of())
    worker.complete(*worker.claim().claimed)
    rows.execute("update horsies.idempotency_keys set expires_at = now() - interval '1 second'")
    answers = at_once(12, lambda: keyed(broker, row_of(f'{{"n":"{new_task_id()}"}}')))
    assert sorted(outcome for outcome, _ in answers) == ["conflict"] * 11 + ["inserted"]
    assert number(rows, TASKS) == 1


def test_a_replay_after_the_key_ran_out_does_not_hold_it_again(
    broker: Broker, rows: Rows, worker: CycleDriver
) -> None:
    """T-40, T-44: the task ended long ago; nobody would ever free the key"""
    first = row_of()
    keyed(broker, first)
    worker.complete(*worker.claim().claimed)
    rows.execute("update horsies.idempotency_keys set expires_at = now() - interval '1 second'")
    assert keyed(broker, first) == ("same", first.id)
    assert number(rows, KEYS) == 0
    changed = replace(first, kwargs="{}", enqueue_sha="other")
    assert keyed(broker, changed) == ("different", first.id)
    assert (number(rows, KEYS), number(rows, TASKS)) == (0, 0)


def test_only_a_replay_asks_history(app: Horsies, rows: Rows, send: Send) -> None:
    """T-40, D-013: a send under a key makes its id itself"""
    for partition in rows.execute(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = 'horsies.task_history_standard_30d'::regclass"
    ).fetchall():
        rows.execute(f"drop table {partition['name']}".encode())
    rows.execute("alter table horsies.task_history rename to out_of_reach")
    task_id = send(1, idempotency_key="k")
    assert send(1, idempotency_key="k") == task_id


def test_a_replay_that_waits_for_its_first_try(broker: Broker, rows: Rows, connect: Connect) -> None:
    """T-40, D-013: the connection died after the insert was sent; the commit comes meanwhile"""
    rival, row = connect(), row_of(key=None)
    with ThreadPoolExecutor(1) as thread:
        with rival.transaction():
            assert drive_on(rival, STATEMENTS, enqueue_replay(row)) == "inserted"
            again = thread.submit(broker.run, enqueue_replay(row))
            wait_for_blocked(rows, rival)
        assert again.result(20) == "same"
    assert number(rows, TASKS) == 1


def test_a_replay_meets_a_finish_that_has_not_committed(
    broker: Broker, rows: Rows, connect: Connect, send: Send
) -> None:
    """D-013: the insert waits for the delete, then finds the task in history and undoes itself"""
    row = row_of(key=None)
    broker.run(enqueue_replay(row))
    connection = connect()
    worker = CycleDriver(connection, {"mail": (1, None)})
    (claim,) = worker.claim().claimed
    with ThreadPoolExecutor(1) as thread:
        with connection.transaction():
            worker.complete(claim)
            again = thread.submit(broker.run, enqueue_replay(row))
            wait_for_blocked(rows, connection)
        assert again.result(20) == "same"
    assert (live(rows, row.id), one(ended(rows, row.id))["status"]) == (None, "COMPLETED")
    assert broker.run(enqueue_replay(replace(row, enqueue_sha="other"))) == "different"
    assert number(rows, TASKS) == 0


def test_a_send_that_waited_gets_in_when_the_rival_gives_up(
    app: Horsies, rows: Rows, send: Send, connect: Connect
) -> None:
    """T-44: through the public calls"""
    rival = connect()
    with ThreadPoolExecutor(1) as thread:
        with rival.transaction(force_rollback=True):
            rival.execute(
                "insert into horsies.idempotency_keys values ('pack', 'k', %s, 'other')", [new_task_id()]
            )
            waiting = thread.submit(send, 1, idempotency_key="k")
            wait_for_blocked(rows, rival)
        task_id = waiting.result(20)
    assert app.get_task_info(task_id).unwrap() is not None


def test_a_send_that_finds_its_key_held_holds_up_nobody(
    rows: Rows, connect: Connect, worker: CycleDriver, broker: Broker
) -> None:
    """T-41, T-45, D-007: an open transaction of a caller does not stop the end of the task that holds the key"""
    first, other = row_of(), row_of('{"n":2}', key="late")
    keyed(broker, first)
    rival, caller = connect(), connect()
    with caller.transaction():
        assert keyed_on(caller, row_of()) == ("same", first.id)
        with ThreadPoolExecutor(1) as thread:
            with rival.transaction():
                keyed_on(rival, other)
                waited = thread.submit(keyed_on, caller, replace(row_of('{"n":3}'), idempotency_key="late"))
                wait_for_blocked(rows, rival)
            assert waited.result(20) == ("conflict", other.id)
        claims = worker.claim(2).claimed
        assert {claim.id for claim in claims} == {first.id, other.id}
        assert worker.complete(*claims).lost == []
    assert number(rows, "select count(*) from horsies.idempotency_keys where expires_at is not null") == 2


def test_keys_are_compared_byte_by_byte(rows: Rows, pack: SyncTaskFunction[..., int]) -> None:
    """T-44"""
    keys = ["é", "e\u0301", "E", "e", " e", "e ", "%s", "'; --", "\u00df", "ss"]
    ids = {pack.with_options(idempotency_key=key).send(n=1).unwrap().task_id for key in keys}
    assert len(ids) == len(keys)
    stored = rows.execute("select key from horsies.idempotency_keys").fetchall()
    assert {row["key"] for row in stored} == set(keys)


def test_a_transaction_of_the_caller_s_holds_the_key(
    app: Horsies, rows: Rows, pack: SyncTaskFunction[..., int], database_url: str
) -> None:
    """T-41, T-44: it vanishes with the rollback"""
    with psycopg.connect(database_url) as connection:
        sent = pack.with_options(idempotency_key="k", connection=connection).send(n=1)
        assert isinstance(sent, Ok)
        connection.rollback()
    assert (number(rows, TASKS), number(rows, KEYS)) == (0, 0)
