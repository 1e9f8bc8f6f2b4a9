"""The public SQL function `horsies.enqueue` (D-027): the row, the wake-up, every refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from horsies import Horsies, TaskError, TaskResult
from horsies.ids import new_task_id
from horsies.state import TaskStatus
from tests.core.control.conftest import Connect, Send
from tests.core.control.looks import Rows, live, number, one
from tests.core.cycle_driver import CycleDriver

DEADLINE = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


@pytest.fixture(autouse=True)
def known_queues(rows: Rows) -> None:
    """What workers have reported; `default` is always there."""
    rows.execute("insert into horsies.queues (name, priority) values ('mail', 10), ('it''s \"ü\"', 20)")


def enqueue(rows: Rows, *arguments: object, **named: object) -> str:
    """Call it by position and name."""
    parts = ["%s"] * len(arguments) + [f"{name} => %({name})s" for name in named]
    parameters: Any = named or list(arguments)
    if arguments and named:
        parts = [f"%(p{n})s" for n in range(len(arguments))] + parts[len(arguments) :]
        parameters = named | {f"p{n}": value for n, value in enumerate(arguments)}
    row = one(
        rows.execute(
            f"select horsies.enqueue({', '.join(parts)})::text as id".encode(), parameters
        ).fetchone()
    )
    return str(row["id"])


def test_the_row_is_that_of_a_send(app: Horsies, rows: Rows, send: Send) -> None:
    """D-027, T-55: all but what the registration decides"""
    sent = one(live(rows, send(7, priority=10)))
    row = one(live(rows, enqueue(rows, "pack", '{"n":7}', "mail")))
    different = {name for name in row if row[name] != sent[name]}
    assert different == {"id", "enqueue_sha", "options", "sent_at", "enqueued_at", "created_at"}
    assert (row["options"], row["timeout_ms"], row["executor"], row["max_retries"]) == (
        None,
        None,
        "default",
        0,
    )
    assert row["sent_at"] == row["enqueued_at"] == row["created_at"]
    assert row["retention_class"] == "standard_30d"


def test_defaults(rows: Rows) -> None:
    """D-027: queue default, its priority, no arguments, at once"""
    row = one(live(rows, enqueue(rows, "pack")))
    assert (row["queue_name"], row["priority"], row["kwargs"]) == ("default", 100, None)
    assert (row["good_until"], row["idempotency_key"], row["enqueued_at"]) == (None, None, row["created_at"])


def test_everything_given(rows: Rows) -> None:
    """D-027, D-018: arguments byte for byte"""
    task_id = new_task_id()
    kwargs = '{ "b": 1,  "a":"\\u0000 ü", "b": 1e400 }'
    given = enqueue(
        rows, "pack", kwargs, "mail", priority=3, delay=timedelta(seconds=90), good_until=DEADLINE,
        idempotency_key="k", id=UUID(task_id),
    )  # fmt: skip
    assert given == task_id
    row = one(live(rows, task_id))
    assert (row["kwargs"], row["queue_name"], row["priority"]) == (kwargs, "mail", 3)
    assert (row["good_until"], row["idempotency_key"]) == (DEADLINE, "k")
    assert row["enqueued_at"] - row["created_at"] == timedelta(seconds=90)


@pytest.mark.parametrize("queue", ["mail", 'it\'s "ü"', "default"])
def test_it_wakes_the_queue_once_a_transaction(rows: Rows, connect: Connect, queue: str) -> None:
    """D-027, D-040, D-041, D-005"""
    listener = connect()
    channel = sql.Identifier(f"horsies:q:{queue}")
    listener.execute(sql.SQL("listen {}").format(channel))
    with rows.transaction():
        for n in range(100):
            enqueue(rows, "pack", f'{{"n":{n}}}', queue)
        assert list(listener.notifies(timeout=0.1)) == []
    (message,) = listener.notifies(timeout=10, stop_after=1)
    assert message.payload == ""
    assert list(listener.notifies(timeout=0.1)) == []


def test_it_goes_with_the_caller_s_transaction(rows: Rows, connect: Connect, worker: CycleDriver) -> None:
    """D-027: gone after a rollback, unseen before the commit"""
    with rows.transaction(force_rollback=True):
        enqueue(rows, "pack", "{}", "mail", idempotency_key="k")
        assert worker.claim().ids == []
    assert number(rows, "select count(*) from horsies.tasks") == 0
    assert number(rows, "select count(*) from horsies.idempotency_keys") == 0
    task_id = enqueue(rows, "pack", "{}", "mail", idempotency_key="k")
    assert worker.claim().ids == [task_id]


def test_the_order_of_calls_is_the_order_of_claims(rows: Rows, worker: CycleDriver) -> None:
    """D-027, R-050: within one transaction the ids alone tell"""
    with rows.transaction():
        ids = [enqueue(rows, "pack", "{}", "mail") for _ in range(50)]
    assert worker.claim(50).ids == ids
    assert {UUID(task_id).version for task_id in ids} == {7}
    assert {UUID(task_id).variant for task_id in ids} == {"specified in RFC 4122"}
    age_s = datetime.now(UTC).timestamp() - (UUID(ids[0]).int >> 80) / 1000
    assert abs(age_s) < 600


def test_many_in_one_statement(rows: Rows) -> None:
    """D-027: ids never meet"""
    counted = "select count(distinct horsies.enqueue('pack')) from generate_series(1, 2000)"
    assert number(rows, counted) == 2000
    assert number(rows, "select count(*) from horsies.tasks") == 2000


def test_the_worker_s_registration_decides(rows: Rows, worker: CycleDriver) -> None:
    """D-027, T-55: no options and no limit of retries reach the worker; the first retry writes the limit down"""
    task_id = enqueue(rows, "pack", "{}", "mail")
    (claim,) = worker.claim().claimed
    assert (claim.options, claim.max_retries, claim.executor) == (None, None, "default")
    assert worker.fail(claim, "BUSY", retry_s=0, max_retries=3).retried == [task_id]
    assert (one(live(rows, task_id))["retry_count"], one(live(rows, task_id))["max_retries"]) == (1, 3)
    (again,) = worker.claim().claimed
    assert (again.options, again.max_retries, again.retry_count) == (None, None, 1)


def test_a_send_s_own_options_stay_its_own(app: Horsies, rows: Rows, send: Send, worker: CycleDriver) -> None:
    """T-52: a task sent without a policy is not retried by a registration that has one by now"""
    send()
    (claim,) = worker.claim().claimed
    assert (claim.options, claim.max_retries) == (None, 0)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("task_name", {"task_name": ""}),
        ("task_name", {"task_name": None}),
        ("task_name", {"task_name": "x" * 256}),
        ("task_name", {"task_name": "horsies.step"}),
        ("kwargs", {"kwargs": ""}),
        ("kwargs", {"kwargs": "nonsense"}),
        ("kwargs", {"kwargs": "[1]"}),
        ("kwargs", {"kwargs": "null"}),
        ("kwargs", {"kwargs": '"{}"'}),
        ("kwargs", {"kwargs": '{"a":NaN}'}),
        ("kwargs", {"kwargs": '{"a":1} x'}),
        ("kwargs", {"kwargs": '{"a":' + "[" * 100_000}),
        ("kwargs", {"kwargs": None}),
        ("queue_name", {"queue_name": "nowhere"}),
        ("queue_name", {"queue_name": ""}),
        ("queue_name", {"queue_name": None}),
        ("queue_name", {"queue_name": "horsies.steps"}),
        ("priority", {"priority": 0}),
        ("priority", {"priority": 101}),
        ("priority", {"priority": -2_000_000_000}),
        ("delay", {"delay": timedelta(microseconds=-1)}),
        ("delay", {"delay": timedelta(days=-30)}),
        ("delay", {"delay": timedelta(days=3_000_000)}),
        ("delay", {"delay": timedelta(days=100_000_000)}),
        ("delay", {"delay": None}),
        ("good_until", {"good_until": "infinity"}),
        ("good_until", {"good_until": "-infinity"}),
        ("good_until", {"good_until": "11000-01-01 00:00+00"}),
        ("good_until", {"good_until": "0044-03-15 00:00+00 BC"}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "ü" * 128}),
    ],
)
def test_what_is_refused(rows: Rows, argument: str, call: dict[str, object]) -> None:
    """D-027: an exception that names the argument; nothing is written"""
    rows.execute("insert into horsies.queues (name) values ('horsies.steps')")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^horsies.enqueue: {argument} "):
        enqueue(rows, **({"task_name": "pack"} | call))
    assert number(rows, "select count(*) from horsies.tasks") == 0


@pytest.mark.parametrize(
    "call",
    [
        {"task_name": "x" * 255},
        {"priority": 1},
        {"priority": 100},
        {"delay": timedelta(0)},
        {"idempotency_key": "ü" * 127 + "x"},
        {"good_until": "1999-01-01 00:00+00"},
        {"kwargs": ' \n{"a": "\\ud800"}\t'},
    ],
)
def test_what_is_just_allowed(rows: Rows, call: dict[str, object]) -> None:
    """D-027, T-27: a deadline in the past is accepted"""
    assert live(rows, enqueue(rows, **({"task_name": "pack"} | call))) is not None


@pytest.mark.parametrize("kwargs", ["{}", " { } ", "\n{\t}\r"])
def test_no_arguments_are_stored_as_none(rows: Rows, kwargs: str) -> None:
    """K section 1"""
    assert one(live(rows, enqueue(rows, "pack", kwargs)))["kwargs"] is None


def test_a_key_stands_for_one_task(rows: Rows) -> None:
    """D-027, T-45, T-46"""
    first = enqueue(rows, "pack", '{"n":1}', "mail", idempotency_key="k", delay=timedelta(seconds=5))
    again = enqueue(rows, "pack", '{"n":1}', "mail", idempotency_key="k", delay=timedelta(seconds=5))
    assert again == first
    assert enqueue(rows, "other", '{"n":1}', "mail", idempotency_key="k") != first
    for other in (
        {"kwargs": '{"n":2}'},
        {"queue_name": "default"},
        {"priority": 4},
        {"delay": timedelta(seconds=6)},
        {"good_until": DEADLINE},
    ):
        call = {
            "task_name": "pack",
            "kwargs": '{"n":1}',
            "queue_name": "mail",
            "delay": timedelta(seconds=5),
        } | other
        with pytest.raises(psycopg.errors.UniqueViolation, match=f"idempotency_key .* {first}"):
            enqueue(rows, **call, idempotency_key="k")
    assert number(rows, "select count(*) from horsies.tasks") == 2


def test_a_key_of_a_send_is_held_against_it(rows: Rows, send: Send) -> None:
    """T-44, T-46"""
    holder = send(1, idempotency_key="k")
    with pytest.raises(psycopg.errors.UniqueViolation, match=f"idempotency_key .* {holder}"):
        enqueue(rows, "pack", '{"n":1}', "mail", idempotency_key="k")


def test_an_id_stands_for_one_task(rows: Rows, worker: CycleDriver) -> None:
    """D-013, D-027: live and in history"""
    task_id = uuid4()
    for _ in range(2):
        assert enqueue(rows, "pack", '{"n":1}', "mail", id=task_id) == str(task_id)
    with pytest.raises(psycopg.errors.UniqueViolation, match="id is in use"):
        enqueue(rows, "pack", '{"n":2}', "mail", id=task_id)
    worker.complete(*worker.claim().claimed)
    assert enqueue(rows, "pack", '{"n":1}', "mail", id=task_id) == str(task_id)
    with pytest.raises(psycopg.errors.UniqueViolation, match="id is in use"):
        enqueue(rows, "pack", '{"n":2}', "mail", id=task_id)
    assert number(rows, "select count(*) from horsies.tasks") == 0


def test_an_id_of_a_send_is_held_against_it(rows: Rows, send: Send) -> None:
    """D-027"""
    task_id = send(1)
    with pytest.raises(psycopg.errors.UniqueViolation, match="id is in use"):
        enqueue(rows, "pack", '{"n":1}', "mail", id=UUID(task_id))


def test_settings_of_the_session_do_not_matter(rows: Rows, connect: Connect) -> None:
    """D-002, T-45: the same request from sessions with other habits"""
    other = connect()
    for setting in (
        "search_path = ''", "timezone = 'Asia/Kolkata'", "datestyle = 'SQL, DMY'", "intervalstyle = 'postgres_verbose'",
        "extra_float_digits = 0", "bytea_output = 'escape'",
    ):  # fmt: skip
        other.execute(f"set {setting}".encode())
    call: dict[str, Any] = {
        "good_until": DEADLINE,
        "delay": timedelta(days=40, seconds=7),
        "idempotency_key": "k",
    }
    assert enqueue(rows, "pack", **call) == enqueue(other, "pack", **call)


def test_a_paused_queue_takes_it(app: Horsies, rows: Rows, worker: CycleDriver) -> None:
    """M-070"""
    app.pause_queue("mail")
    task_id = enqueue(rows, "pack", "{}", "mail")
    assert worker.claim().ids == []
    app.resume_queue("mail")
    assert worker.claim().ids == [task_id]


def test_a_handle_sees_it(app: Horsies, rows: Rows) -> None:
    """D-027, T-79"""

    @app.task("pack", queue_name="mail")
    def pack(n: int) -> TaskResult[int, TaskError]:
        return TaskResult(ok=n)

    info = app.get_task_info(enqueue(rows, "pack", '{"n":1}', "mail")).unwrap()
    assert info is not None
    assert (info.task_name, info.status, info.max_retries) == (pack.task_name, TaskStatus.PENDING, 0)
