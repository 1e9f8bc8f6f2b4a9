"""The fixtures that every other test builds on: fresh migrated databases, and a server that may be killed."""

import psycopg
import pytest

from tests.fixtures.server import PrivateServer


def _tables(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from pg_tables where schemaname = 'horsies'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("run", [1, 2])
def test_every_test_gets_a_migrated_database_of_its_own(database_url: str, run: int) -> None:
    assert _tables(database_url) > 0
    with psycopg.connect(database_url) as connection:
        connection.execute("create table seen ()")  # fails if another run's table is there


def test_an_empty_database_has_no_schema(empty_database_url: str) -> None:
    assert _tables(empty_database_url) == 0


def test_a_private_server_survives_every_end(server: PrivateServer) -> None:
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        connection.execute("create table kept as select 7 as n")
        pid, url = server.pid, server.database_url
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    server.start()
    assert server.pid != pid
    server.restart()
    assert server.database_url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("select n from kept").fetchone() == (7,)
