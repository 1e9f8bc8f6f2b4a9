"""Least privilege (11-database section 7): what each part may do, tried with a login of its own."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from horsies import Err, Horsies, Ok, Result, TaskError, TaskResult, TaskSendError, TaskStatus
from horsies.db.migrate import SchemaError, apply_migrations, migrate
from horsies.workflow.nodes import TaskNode
from tests.core.apps import make_app
from tests.core.cycle_driver import CycleDriver
from tests.core.task_rows import TaskRows
from tests.fixtures.roles import PARTS, as_role, make_role, role_name, with_user

EVERYTHING = "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"
WORK = {
    "tasks",
    "workers",
    "worker_samples",
    "queues",
    "idempotency_keys",
    "workflows",
    "workflow_nodes",
    "workflow_edges",
}
ACTIONS = {
    *("cancel_task", "rerun_task", "pause_queue", "resume_queue"),
    *("pause_workflow", "resume_workflow", "cancel_workflow", "pause_schedule", "resume_schedule"),
}
RERUN = (
    "select outcome from horsies.rerun_task("
    "%s, '00000000-0000-7000-8000-000000000002', null, null, null, null, null, true, now())"
)
OWNER_ONLY = {"grant_role", "revoke_role", "renew_grants", "give_rights"}


def pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)


@contextmanager
def app_as(url: str, *parts: str) -> Generator[Horsies]:
    """An app whose login has these parts."""
    app = make_app(as_role(url, *parts))
    yield app
    app.get_broker().close()


def task_of(app: Horsies) -> Any:
    return app.task("pack", pack)


def error_of(sent: Result[Any, TaskSendError]) -> TaskSendError:
    assert isinstance(sent, Err)
    return sent.err_value


def refused(url: str, statement: str) -> None:
    """The login may not do this."""
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def tables_with(rows: TaskRows, role: str, right: str) -> set[str]:
    """The tables of the schema that a role has a right to as a whole, partitions left out."""
    found = rows.execute(
        "select relname from pg_class where relnamespace = 'horsies'::regnamespace and relkind in ('r', 'p', 'v')"
        " and not relispartition and has_table_privilege(%s, oid, %s)",
        [role, right],
    )
    return {row["relname"] for row in found}


def functions_of(rows: TaskRows, role: str) -> set[str]:
    """The functions that a role may call and that can change something."""
    found = rows.execute(
        "select proname from pg_proc where pronamespace = 'horsies'::regnamespace and provolatile = 'v'"
        " and has_function_privilege(%s, oid, 'execute')",
        [role],
    )
    return {row["proname"] for row in found}


# -- the rights as such


def test_rights_of_each_part(owned_url: str, rows: TaskRows) -> None:
    """D-070 to D-074: on whole tables; columns and functions are told by the tests below."""
    roles = {part: role_name(part) for part in PARTS}
    for part in PARTS:
        as_role(owned_url, part)
    everything = tables_with(rows, "horsies", "SELECT")
    read = {
        "tasks", "task_history", "queues", "workflows", "workflow_nodes", "workflow_edges", "node_states",
        "schema_migrations",
    }  # fmt: skip
    assert tables_with(rows, roles["producer"], "SELECT") == read
    assert tables_with(rows, roles["worker"], "SELECT") == read | WORK
    assert tables_with(rows, roles["scheduler"], "SELECT") == read | {"schedules", "leases"}
    assert tables_with(rows, roles["monitor"], "SELECT") == everything
    assert tables_with(rows, roles["operator"], "SELECT") == everything
    for right in EVERYTHING:
        for part in ("producer", "monitor", "operator"):
            assert tables_with(rows, roles[part], right) == set()
    for right in ("UPDATE", "DELETE"):
        assert tables_with(rows, roles["worker"], right) == WORK
        assert tables_with(rows, roles["scheduler"], right) == {"schedules", "leases"}
    assert tables_with(rows, roles["worker"], "INSERT") == WORK | {"task_history"}
    for part in PARTS:
        functions = functions_of(rows, roles[part])
        assert ACTIONS & functions == (ACTIONS if part == "operator" else set())
        assert functions.isdisjoint(OWNER_ONLY)
    assert functions_of(rows, roles["monitor"]) == {"read_result", "read_workflow"}


def test_public_has_no_right(owned_url: str, rows: TaskRows) -> None:
    """D-076: neither by default nor by a grant."""
    nobody = "select 1 from aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) a where a.grantee = 0"
    functions = nobody.format(acl="p.proacl", kind="'f'", owner="p.proowner")
    tables = nobody.format(acl="c.relacl", kind="'r'", owner="c.relowner")
    schema = nobody.format(acl="n.nspacl", kind="'n'", owner="n.nspowner")
    assert (
        rows.execute(
            f"select proname from pg_proc p where pronamespace = 'horsies'::regnamespace and exists ({functions})"
        )
        == []
    )
    assert (
        rows.execute(
            f"select relname from pg_class c where relnamespace = 'horsies'::regnamespace and exists ({tables})"
        )
        == []
    )
    assert rows.execute(f"select 1 from pg_namespace n where nspname = 'horsies' and exists ({schema})") == []
    stranger = role_name("stranger")
    with psycopg.connect(owned_url, autocommit=True) as connection:
        make_role(connection, stranger, "login password 'for tests only'")
    for statement in (
        "select * from horsies.tasks",
        "select horsies.enqueue('pack')",
        "select horsies.digest('')",
    ):
        refused(with_user(owned_url, stranger), statement)


def test_owner_s_functions_are_closed(rows: TaskRows) -> None:
    """D-077: a fixed search path, and values for arguments: no statement, and no name that is not quoted."""
    found = rows.execute(
        "select proname, proconfig, pg_get_userbyid(proowner) as owner, prosrc from pg_proc"
        " where pronamespace = 'horsies'::regnamespace and prosecdef"
    )
    assert {row["proname"] for row in found} >= ACTIONS | {
        "ensure_history_partition",
        "drop_history_partition",
    }
    for row in found:
        assert "search_path=pg_catalog, pg_temp" in row["proconfig"], row["proname"]
        assert row["owner"] == role_name("owner")
        for line in row["prosrc"].splitlines():
            assert not line.lstrip().startswith("execute") or "format(" in line, row["proname"]


def test_a_class_is_no_way_in(owned_url: str, rows: TaskRows) -> None:
    """D-071, D-077: a name that the owner's function builds a table's name of."""
    before = tables_with(rows, "horsies", "SELECT")
    with psycopg.connect(as_role(owned_url, "worker"), autocommit=True) as connection:
        make = "select horsies.ensure_history_partition(%s, '2020-01-01')"
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute(make, ["x; drop table horsies.tasks"])
        connection.execute(make, ['"; drop table horsies.tasks; --_1d'])
    assert tables_with(rows, "horsies", "SELECT") == before


def test_another_schema_is_closed(owned_url: str) -> None:
    """D-076, D-001: the parts of one installation are nothing in another of the same database."""
    with psycopg.connect(owned_url, autocommit=True) as connection:
        apply_migrations(connection, "other")
    for part in PARTS:
        url = as_role(owned_url, part)
        refused(url, "select * from other.tasks")
        refused(url, "select other.enqueue('pack')")


def test_a_part_is_taken_back_and_renewed(owned_url: str, rows: TaskRows) -> None:
    """D-070 to D-074: what a later migration adds reaches the roles; a revoked one has nothing and can be dropped."""
    url, role = as_role(owned_url, "monitor"), role_name("monitor")
    rows.execute("create table horsies.novelty (n integer)")
    refused(url, "select n from horsies.novelty")
    rows.execute("select horsies.renew_grants()")
    with psycopg.connect(url) as connection:
        connection.execute("select n from horsies.novelty")
    rows.execute("select horsies.revoke_role(%s)", [role])
    refused(url, "select 1 from horsies.tasks")
    assert rows.execute("select 1 from horsies.role_grants where role_name = %s", [role]) == []
    assert (
        rows.execute(
            "select 1 from pg_shdepend d join pg_database b on b.oid = d.dbid and b.datname = current_database()"
            " where d.refobjid = %s::regrole",
            [f'"{role}"'],
        )
        == []
    )


def test_mistakes_in_a_grant(rows: TaskRows) -> None:
    """D-070: they are named; PUBLIC is no role."""
    with pytest.raises(psycopg.errors.UndefinedObject, match="there is no role 'nobody_at_all'"):
        rows.execute("select horsies.grant_role('nobody_at_all', 'producer')")
    with pytest.raises(psycopg.errors.UndefinedObject, match="public"):
        rows.execute("select horsies.grant_role('public', 'monitor')")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="part is 'boss'"):
        rows.execute("select horsies.grant_role(current_user, 'boss')")


# -- each part at work


def test_a_producer_sends_and_waits(owned_url: str, rows: TaskRows) -> None:
    """D-070, D-061: every way of sending, reading and waiting; no DDL right is needed."""
    with app_as(owned_url, "producer") as app, psycopg.connect(owned_url, autocommit=True) as connection:
        task, worker = task_of(app), CycleDriver(connection)
        handle = task.send(5).unwrap()
        assert len(task.send_many([{"weight": 1}, {"weight": 2}]).unwrap()) == 2
        keyed = task.with_options(idempotency_key="k")
        assert keyed.send(3).unwrap().task_id == keyed.send(3).unwrap().task_id
        assert keyed.send(4).is_err()
        assert asyncio.run(_send_later(app, task)).is_ok()
        with psycopg.connect(as_role(owned_url, "producer")) as own:
            assert task.with_options(connection=own, idempotency_key="l").send(6).is_ok()
            own.execute("select horsies.enqueue('pack', '{\"weight\": 7}', idempotency_key => 'm')")
        first = TaskNode(fn=task, kwargs={"weight": 8}, node_id="first")
        flow = app.workflow("flow", [first]).start().unwrap()
        claims = worker.claim(20).claimed
        assert len(claims) == 7  # all but the delayed one
        assert handle.get(timeout_ms=100).err_value.error_code == "WAIT_TIMEOUT"
        assert rows.live(handle.task_id)[0]["awaited"] is True
        worker.complete(*claims, result='{"__h_task_result__":true,"ok":5,"err":null}')
        assert handle.get(timeout_ms=10_000).ok_value == 5
        info = handle.info(include_result=True, include_attempts=True).unwrap()
        assert info is not None
        assert info.status is TaskStatus.COMPLETED
        assert flow.get(10_000).is_ok()
        assert [node.status.value for node in flow.tasks().unwrap()] == ["COMPLETED"]


async def _send_later(app: Horsies, task: Any) -> Any:
    sent = await task.schedule_async(60, 9)
    await app.get_broker().close_async()
    return sent


@pytest.mark.parametrize(
    "statement",
    [
        "update horsies.tasks set priority = 1",
        "delete from horsies.tasks",
        "insert into horsies.tasks (id, task_name, queue_name, priority, sent_at, enqueued_at, workflow_id)"
        " values (gen_random_uuid(), 'x', 'default', 1, now(), now(), gen_random_uuid())",
        "insert into horsies.idempotency_keys (task_name, key, task_id, request_sha) values ('x', 'k', null, 'x')",
        "delete from horsies.task_history",
        "select * from horsies.workers",
        "select * from horsies.schedules",
        "update horsies.workflows set status = 'CANCELLED'",
        "select horsies.cancel_task(gen_random_uuid(), false, null)",
        "select horsies.ensure_history_partition('standard_30d', '2020-01-01')",
        "select horsies.grant_role('x', 'worker')",
        "create table horsies.mine (n integer)",
        "drop table horsies.tasks",
    ],
)
def test_a_producer_does_nothing_else(owned_url: str, statement: str) -> None:
    """D-070."""
    refused(as_role(owned_url, "producer"), statement)


def test_an_operator_acts(owned_url: str, rows: TaskRows) -> None:
    """D-073: a producer that may act as well; the action functions do it with the owner's rights."""
    with app_as(owned_url, "producer", "operator") as app:
        task = task_of(app)
        handle = task.send(5).unwrap()
        assert app.get_broker().pause_queue("default").is_ok()
        assert app.get_broker().resume_queue("default").is_ok()
        assert isinstance(handle.cancel(), Ok)
        assert [row["status"] for row in rows.execute("select status from horsies.task_history")] == [
            "CANCELLED"
        ]
        first = TaskNode(fn=task, kwargs={"weight": 8}, node_id="first")
        flow = app.workflow("flow", [first]).start().unwrap()
        assert flow.pause().is_ok()
        assert flow.resume().is_ok()
        assert flow.cancel().is_ok()
    with psycopg.connect(as_role(owned_url, "operator"), autocommit=True) as connection:
        outcome = connection.execute(RERUN, [handle.task_id]).fetchone()
        assert outcome == ("declined",)
    for statement in (
        "select horsies.enqueue('pack')",
        "delete from horsies.tasks",
        "delete from horsies.schedules",
    ):
        refused(as_role(owned_url, "operator"), statement)


def test_a_monitor_reads_everything(owned_url: str, rows: TaskRows) -> None:
    """D-074: tables, views and the library's own questions; nothing is written."""
    with app_as(owned_url, "producer") as app:
        task = task_of(app)
        task_id = task.send(5).unwrap().task_id
        flow_id = app.workflow("flow", [TaskNode(fn=task, kwargs={"weight": 8})]).start().unwrap().workflow_id
    with app_as(owned_url, "monitor") as app:
        task = task_of(app)
        assert app.get_task_info(task_id, include_attempts=True).unwrap() is not None
        assert app.get_result(task_id, timeout_ms=0).is_ok()
        assert app.list_worker_states().is_ok()
        assert app.list_schedules().is_ok()
        broker = app.get_broker()
        assert broker.get_queue_stats().unwrap()
        assert broker.ping_database().is_ok()
        assert error_of(task.send(5)).retryable is False
    url = as_role(owned_url, "monitor")
    with psycopg.connect(url, autocommit=True) as connection:
        for table in tables_with(rows, role_name("monitor"), "SELECT"):
            connection.execute(f'select * from horsies."{table}"'.encode())
        connection.execute("select * from horsies.read_workflow(%s, false)", [flow_id])
    for statement in ("update horsies.tasks set awaited = true", "delete from horsies.workers"):
        refused(url, statement)
    assert len(rows.live()) == 2


# -- without rights


def test_a_role_without_a_part_is_told_what_is_missing(owned_url: str) -> None:
    """D-062: HRS-211 and what to ask the owner for; a send is an error that is not retryable."""
    stranger = role_name("stranger")
    with psycopg.connect(owned_url, autocommit=True) as connection:
        make_role(connection, stranger, "login password 'for tests only'")
    app = make_app(with_user(owned_url, stranger))
    error = error_of(task_of(app).send(5))
    assert error.retryable is False
    assert "grant_role" in error.message


def test_a_role_that_may_not_create_the_schema(empty_database_url: str) -> None:
    """D-062: the state, and the command for somebody who may."""
    stranger = role_name("stranger")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        make_role(connection, stranger, "login password 'for tests only'")
    with pytest.raises(SchemaError, match="ABSENT") as raised:
        migrate(with_user(empty_database_url, stranger))
    assert "permission denied" in raised.value.message
    assert "horsies db init" in (raised.value.help_text or "")
