"""The schema's versions: probing, upgrading by steps, many at once, what stops it (11-database section 6)."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from horsies.db import migrate
from horsies.db.migrate import Migration, SchemaError, SchemaState
from horsies.sql import Statements
from tests.helpers import eventually

STATEMENTS = Statements("horsies")
CREATE = "create table {schema}.novelty (n integer);"


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """On a migrated database."""
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


@pytest.fixture
def second_version(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    """This program expects version 2; what migration 2 does is the test's, in the list that it is given."""
    steps = list(migrate.migrations())
    monkeypatch.setattr(migrate, "EXPECTED_VERSION", 2)
    monkeypatch.setattr(migrate, "migrations", lambda: tuple(steps))
    return steps


def versions(connection: psycopg.Connection[Any]) -> list[int]:
    return [
        version
        for (version,) in connection.execute("select version from horsies.schema_migrations order by 1")
    ]


class Counting(psycopg.Connection[Any]):
    """Counts its statements."""

    count = 0

    def execute(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        return super().execute(*arguments, **options)


def test_a_match_is_told_by_one_query(database_url: str) -> None:
    """D-061: no DDL either, and migrating anew does nothing more."""
    with Counting.connect(database_url, autocommit=True) as connection:
        assert migrate.probe(connection, STATEMENTS).state is SchemaState.MATCH
        assert connection.count == 1
        connection.execute("set default_transaction_read_only = on")
        assert migrate.apply_migrations(connection, "horsies").state is SchemaState.MATCH
        assert connection.count == 3


def test_what_stored_versions_mean(second_version: list[Migration]) -> None:
    """Section 6: the four states that an answer can have."""
    assert migrate.judge(None, None).state is SchemaState.ABSENT
    assert migrate.judge(1, 1).state is SchemaState.BEHIND
    assert migrate.judge(2, 1).state is SchemaState.MATCH
    assert migrate.judge(3, 2).state is SchemaState.MATCH
    assert migrate.judge(3, 3).state is SchemaState.AHEAD


@pytest.mark.parametrize("there", [False, True])
def test_absent_with_and_without_an_empty_schema(empty_database_url: str, there: bool) -> None:
    """D-060: an administrator may have made the schema, so that no right to make one is needed."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        if there:
            connection.execute("create schema horsies")
        assert migrate.probe(connection, STATEMENTS).state is SchemaState.ABSENT
        assert migrate.apply_migrations(connection, "horsies").state is SchemaState.MATCH


def test_many_at_once_create_one_schema(empty_database_url: str) -> None:
    """D-063."""
    outcomes: list[SchemaState] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait(30)
        outcomes.append(migrate.migrate(empty_database_url).state)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == [SchemaState.MATCH] * 8
    with psycopg.connect(empty_database_url) as connection:
        assert versions(connection) == [1]


def test_a_step_is_applied_and_recorded(
    connection: psycopg.Connection[Any], second_version: list[Migration]
) -> None:
    """D-060, D-066: its locks are waited for 10 s at most."""
    limit = "create table {schema}.novelty as select current_setting('lock_timeout') as lock_timeout;"
    second_version.append(Migration(2, "expand", "novelty", limit))
    assert migrate.apply_migrations(connection, "horsies").stored == 2
    assert versions(connection) == [1, 2]
    assert connection.execute("select lock_timeout from horsies.novelty").fetchone() == ("10s",)


def test_a_step_that_fails_leaves_the_version_before_it(
    connection: psycopg.Connection[Any], second_version: list[Migration]
) -> None:
    """D-065: nothing of the step is there, and the next try goes on from where it stands."""
    second_version.append(Migration(2, "expand", "novelty", CREATE + "select 1 / 0;"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.apply_migrations(connection, "horsies")
    assert versions(connection) == [1]
    assert connection.execute("select to_regclass('horsies.novelty')").fetchone() == (None,)
    second_version[1] = Migration(2, "expand", "novelty", CREATE)
    assert migrate.apply_migrations(connection, "horsies").stored == 2


def test_a_contract_step_waits_for_the_command(
    connection: psycopg.Connection[Any], second_version: list[Migration]
) -> None:
    """D-060, D-062: programs that start do not apply it, and say what to run."""
    second_version.append(Migration(2, "contract", "novelty", CREATE))
    with pytest.raises(SchemaError, match="BEHIND") as raised:
        migrate.apply_migrations(connection, "horsies")
    assert "horsies db upgrade" in (raised.value.help_text or "")
    assert versions(connection) == [1]


def test_a_changed_migration_stops_the_upgrade(
    connection: psycopg.Connection[Any], second_version: list[Migration]
) -> None:
    """D-067: it is named, and nothing is applied."""
    assert migrate.changed_migrations(connection, STATEMENTS) == []
    connection.execute("update horsies.schema_migrations set checksum = 'other' where version = 1")
    assert migrate.changed_migrations(connection, STATEMENTS) == [1]
    second_version.append(Migration(2, "expand", "novelty", CREATE))
    with pytest.raises(SchemaError, match="migration 1 was applied from another text"):
        migrate.apply_migrations(connection, "horsies")
    assert versions(connection) == [1]


def test_ddl_does_not_wait_long_for_a_lock(
    connection: psycopg.Connection[Any],
    second_version: list[Migration],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D-066: it gives way to those behind it, and tries again."""
    monkeypatch.setattr(migrate, "LOCK_PAUSE_S", 0.0)
    second_version.append(
        Migration(
            2,
            "expand",
            "novelty",
            "set local lock_timeout = '20ms'; alter table {schema}.queues add novel text;",
        )
    )
    done = threading.Event()

    def upgrade() -> None:
        migrate.migrate(database_url)
        done.set()

    with psycopg.connect(database_url) as reader:
        reader.execute("select count(*) from horsies.queues")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate.apply_migrations(connection, "horsies")  # as often as it is tried
        monkeypatch.setattr(migrate, "LOCK_TRIES", 1_000_000)
        thread = threading.Thread(target=upgrade)
        thread.start()
        waiting = (
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        eventually(lambda: connection.execute(waiting).fetchone(), 30)
        assert not done.is_set()
    thread.join(30)
    assert done.is_set()
    assert versions(connection) == [1, 2]
