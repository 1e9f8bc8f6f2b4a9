"""The pages about the database's side of sending, as a reader would run them."""

from typing import Any

import psycopg

from horsies import AppConfig, Horsies, PostgresConfig, TaskError, TaskResult
from tests.core.task_rows import TaskRows
from tests.core.transactions.callers import django_database
from tests.documents import blocks, run_python
from tests.fixtures.roles import role_name, with_user


def test_the_page_about_transactions(rows: TaskRows, database_url: str) -> None:
    """T-41: every example sends with its order."""
    with django_database(database_url):
        module = run_python("transactions.md", {"DATABASE_URL": database_url})
    app: Any = module["app"]
    app.get_broker().close()
    assert [row["number"] for row in rows.execute("select number from orders order by number")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert [row["kwargs"] for row in rows.live()] == [f'{{"order":{n}}}' for n in range(1, 6)]
    assert [row["idempotency_key"] for row in rows.live()] == [None, None, "receipt-3", None, None]


def test_the_page_about_sql(rows: TaskRows) -> None:
    """D-027, D-003: the examples send what they say; a trigger of the user's own is one of them."""
    for _, statement in blocks("sql.md", "sql"):
        rows.execute(statement.encode())
    sent = rows.execute(
        "select (kwargs::json ->> 'order')::integer as number, * from horsies.tasks order by 1"
    )
    assert [row["number"] for row in sent] == list(range(1, 10))
    second = sent[1]
    assert (second["priority"], second["idempotency_key"]) == (5, "receipt-2")
    assert str(second["id"]) == "0192f0c1-2d3e-7000-8000-00000000000a"
    assert [row["idempotency_key"] for row in sent[2:4]] == ["receipt-3", "receipt-4"]


def test_the_page_about_roles(empty_database_url: str) -> None:
    """D-070 to D-075: what the page makes can be worked with."""
    prefix = role_name("shop_")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        first, *others = [text.replace("shop_", prefix) for _, text in blocks("roles.md", "sql")]
        connection.execute(first.encode())
        ((_, install),) = blocks("roles.md", "python")
        exec(install.replace("shop_", prefix), {"ADMIN_URL": empty_database_url})
        grants, revoke = others
        connection.execute(grants.encode())
        parts = "select part, role_name from horsies.role_grants order by part"
        given = {"producer": "web", "worker": "worker", "scheduler": "scheduler", "operator": "support"}
        wanted = sorted((part, prefix + login) for part, login in given.items())
        found = connection.execute(parts.encode()).fetchall()
        assert found == sorted([*wanted, ("monitor", f"{prefix}dashboard")])
        owners = "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'horsies'::regnamespace"
        assert connection.execute(owners.encode()).fetchall() == [(f"{prefix}owner",)]
        web = with_user(empty_database_url, f"{prefix}web", "change me")
        app = Horsies(AppConfig(broker=PostgresConfig(database_url=web)))
        assert app.task("pack", _pack).send(5).is_ok()
        app.get_broker().close()
        connection.execute(revoke.encode())
        assert connection.execute(parts.encode()).fetchall() == wanted


def _pack(weight: int) -> TaskResult[int, TaskError]:
    return TaskResult(ok=weight)
