"""D-007, T-37: a statement that is not answered is given up on the client's side."""

import psycopg
import pytest

from horsies.db.async_pool import AsyncConnectionPool
from horsies.db.pool import ConnectionPool, PoolSettings
from horsies.db.time_limit import StatementTimeout
from horsies.transient import is_transient


def settings(conninfo: str) -> PoolSettings:
    return PoolSettings(conninfo, max_size=2, keep=2, timeout=0.3, recycle=60, pre_ping=True, prepare=True)


def test_a_statement_that_hangs_is_given_up(database_url: str) -> None:
    pool = ConnectionPool(settings(database_url))
    connection = pool.acquire()
    with pytest.raises(StatementTimeout) as caught:
        connection.execute("select pg_sleep(30)")
    assert is_transient(caught.value)
    pool.release(connection)
    assert pool.size == 0
    again = pool.acquire()
    assert again.execute("select 1").fetchone() == (1,)
    pool.release(again)
    pool.close()


async def test_a_statement_that_hangs_is_given_up_in_an_event_loop(database_url: str) -> None:
    pool = AsyncConnectionPool(settings(database_url))
    connection = await pool.acquire()
    with pytest.raises(StatementTimeout):
        await connection.execute("select pg_sleep(30)")
    pool.release(connection)
    assert pool.size == 0
    pool.close()


def test_errors_of_the_server_pass_through(database_url: str) -> None:
    pool = ConnectionPool(settings(database_url))
    connection = pool.acquire()
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    pool.release(connection)
    assert pool.size == 1
    pool.close()
