"""Pooled connections for threads (CF-25, D-007, E-10, T-37, CF-40), on a real server."""

import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.errors import ConnectionTimeout
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from horsies.db.connect import OwnedConnection, connect
from horsies.db.pool import ConnectionPool, PoolClosed, PoolSettings, PoolTimeout
from tests.core.db.network import line_to, refusing_port, silent_port, with_port
from tests.helpers import eventually, running

type Admin = psycopg.Connection[TupleRow]

LONG_S = 1000.0
"""A wait that would run into the time limit of the test."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings(empty_database_url: str) -> PoolSettings:
    return PoolSettings(
        conninfo=empty_database_url,
        max_size=3,
        keep=3,
        timeout=20.0,
        recycle=1800.0,
        pre_ping=True,
        prepare=True,
    )


@contextmanager
def pool_of(settings: PoolSettings, clock: Callable[[], float] | None = None) -> Generator[ConnectionPool]:
    pool = ConnectionPool(settings, clock=clock) if clock else ConnectionPool(settings)
    try:
        yield pool
    finally:
        pool.close()


def backend(connection: OwnedConnection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def backends(admin: Admin, url: str) -> set[int]:
    name = urlsplit(url).path.strip("/")
    rows = admin.execute(
        "select pid from pg_stat_activity where datname = %s and backend_type = 'client backend'", [name]
    )
    return {int(row[0]) for row in rows}


def terminate(admin: Admin, pid: int) -> None:
    admin.execute("select pg_terminate_backend(%s)", [pid])
    eventually(lambda: not admin.execute("select 1 from pg_stat_activity where pid = %s", [pid]).fetchall())


def test_opens_lazily_and_reuses_the_last_one(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25
    with pool_of(settings) as pool:
        assert pool.size == 0
        assert backends(admin_connection, settings.conninfo) == set()
        first, second = pool.acquire(), pool.acquire()
        assert backend(first) != backend(second)
        pool.release(first)
        pool.release(second)
        assert pool.acquire() is second
        assert pool.acquire() is first
        assert pool.size == 2


def test_connections_are_autocommit_and_prepare(settings: PoolSettings) -> None:
    # D-007, CF-23
    for prepare in (True, False):
        with pool_of(replace(settings, prepare=prepare)) as pool:
            connection = pool.acquire()
            assert connection.autocommit
            connection.execute("select %s::int", [1])
            assert connection.info.transaction_status == TransactionStatus.IDLE
            prepared = connection.execute("select count(*) from pg_prepared_statements", prepare=False)
            assert prepared.fetchone() == (int(prepare),)
            assert connection.info.encoding == "utf-8"
            pool.release(connection)


def test_fifty_threads_share_five_connections(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25: never more than the limit, nobody goes without, no connection is in two hands
    users: Counter[int] = Counter()
    seen: set[int] = set()

    def work(pool: ConnectionPool) -> int:
        for _ in range(40):
            connection = pool.acquire()
            users[id(connection)] += 1
            assert users[id(connection)] == 1
            seen.add(backend(connection))
            users[id(connection)] -= 1
            pool.release(connection)
        return 1

    settings = replace(settings, max_size=5, keep=5)
    with pool_of(settings) as pool:
        with ThreadPoolExecutor(50) as threads:
            assert sum(threads.map(work, [pool] * 50)) == 50
        assert pool.size == len(seen) == 5
        assert backends(admin_connection, settings.conninfo) == seen


def test_keeps_only_so_many_unused_connections(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25: the overflow is closed when it is not needed any more
    with pool_of(replace(settings, keep=1)) as pool:
        held = [pool.acquire() for _ in range(3)]
        for connection in held:
            pool.release(connection)
        assert pool.size == 1
        eventually(lambda: len(backends(admin_connection, settings.conninfo)) == 1)
        assert pool.acquire() is held[2]


def test_a_checkout_that_waits_too_long_is_retryable(settings: PoolSettings) -> None:
    # CF-25, E-10
    with pool_of(replace(settings, max_size=1, timeout=2.0)) as pool:
        held = pool.acquire()
        with pytest.raises(PoolTimeout, match="pool_size") as caught:
            pool.acquire()
        assert isinstance(caught.value, psycopg.OperationalError)
        pool.release(held)
        assert pool.acquire() is held


def test_a_waiter_gets_what_is_released(settings: PoolSettings, admin_connection: Admin) -> None:
    with pool_of(replace(settings, max_size=1)) as pool, ThreadPoolExecutor(1) as threads:
        held = pool.acquire()
        waiting = threads.submit(pool.acquire)
        eventually(lambda: pool.waiting == 1)
        pool.release(held)
        assert waiting.result() is held

        # a broken one: its place goes to the waiter, who opens a new one
        broken = backend(held)
        waiting = threads.submit(pool.acquire)
        eventually(lambda: pool.waiting == 1)
        terminate(admin_connection, broken)
        with pytest.raises(psycopg.OperationalError):
            held.execute("select 1")
        pool.release(held)
        assert backend(waiting.result()) != broken
        assert pool.size == 1


def test_a_connection_lately_used_is_not_checked(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25, the price of a send: no ping. The caller finds out, and the pool takes the loss.
    clock = Clock()
    with pool_of(settings, clock) as pool:
        connection = pool.acquire()
        pid = backend(connection)
        pool.release(connection)
        terminate(admin_connection, pid)
        clock.now += 5.0
        assert pool.acquire() is connection
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        pool.release(connection)
        assert pool.size == 0


def test_an_idle_connection_is_checked_first(settings: PoolSettings, admin_connection: Admin) -> None:
    # pool_pre_ping of 02-configuration section 5
    clock = Clock()
    with pool_of(settings, clock) as pool:
        connection = pool.acquire()
        pid = backend(connection)
        pool.release(connection)
        clock.now += 5.1
        assert pool.acquire() is connection
        pool.release(connection)

        terminate(admin_connection, pid)
        clock.now += 5.1
        replacement = pool.acquire()
        assert replacement is not connection
        assert backend(replacement) != pid
        assert pool.size == 1


def test_no_check_if_it_is_switched_off(settings: PoolSettings, admin_connection: Admin) -> None:
    clock = Clock()
    with pool_of(replace(settings, pre_ping=False), clock) as pool:
        connection = pool.acquire()
        pid = backend(connection)
        pool.release(connection)
        terminate(admin_connection, pid)
        clock.now += 1000
        assert pool.acquire() is connection


def test_a_dead_line_is_found_by_the_check(settings: PoolSettings) -> None:
    # T-37: the server does not say goodbye, it just never answers again
    clock = Clock()
    with (
        line_to(settings.conninfo) as line,
        pool_of(replace(settings, conninfo=line.url, timeout=4.0), clock) as pool,
    ):
        connection = pool.acquire()
        pid = backend(connection)
        pool.release(connection)
        line.cut()
        clock.now += 5.1
        assert backend(pool.acquire()) != pid
        assert pool.size == 1


def test_one_broken_connection_puts_the_others_to_the_test(
    settings: PoolSettings, admin_connection: Admin
) -> None:
    # After a server's restart one caller meets the loss, not one for each connection.
    with pool_of(replace(settings, pre_ping=False)) as pool:
        held = [pool.acquire() for _ in range(3)]
        pids = [backend(connection) for connection in held]
        pool.release(held[0])
        pool.release(held[1])
        for pid in pids:
            terminate(admin_connection, pid)
        with pytest.raises(psycopg.OperationalError):
            held[2].execute("select 1")
        pool.release(held[2])
        assert {backend(pool.acquire()) for _ in range(3)}.isdisjoint(pids)


def test_an_old_connection_is_replaced(settings: PoolSettings) -> None:
    # pool_recycle
    clock = Clock()
    with pool_of(replace(settings, recycle=60.0), clock) as pool:
        connection = pool.acquire()
        pool.release(connection)
        clock.now += 59
        assert pool.acquire() is connection
        pool.release(connection)
        clock.now += 1
        assert pool.acquire() is not connection
        assert connection.closed
        assert pool.size == 1


def test_a_connection_in_a_transaction_is_closed(settings: PoolSettings, admin_connection: Admin) -> None:
    # D-007: nothing of it stays behind
    with pool_of(settings) as pool:
        connection = pool.acquire()
        connection.execute("create table kept (id int)")
        connection.execute("begin")
        connection.execute("insert into kept values (1)")
        pid = backend(connection)
        pool.release(connection)
        assert pool.size == 0
        eventually(lambda: pid not in backends(admin_connection, settings.conninfo))
        assert pool.acquire().execute("select count(*) from kept").fetchone() == (0,)


def test_a_refused_connection_is_reported_at_once(settings: PoolSettings) -> None:
    # CF-25, T-37: neither retried nor waited for
    with refusing_port() as port:
        refused = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=LONG_S, max_size=1)
        with pool_of(refused) as pool:
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError, match="refused"):
                    pool.acquire()
            assert pool.size == 0


@pytest.mark.usefixtures("empty_database_url")
def test_a_host_that_never_answers(settings: PoolSettings) -> None:
    # T-37: within pool_timeout
    with silent_port() as port:
        silent = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=0.1, max_size=1)
        with pool_of(silent) as pool:
            for _ in range(2):
                with pytest.raises(ConnectionTimeout, match=f"port {port} did not answer"):
                    pool.acquire()
            assert pool.size == 0
            with ThreadPoolExecutor(4) as threads:
                errors = [task.exception() for task in [threads.submit(pool.acquire) for _ in range(4)]]
            assert {type(error) for error in errors} <= {ConnectionTimeout, PoolTimeout}
            assert pool.size == 0


def test_a_silent_host_leaves_time_for_the_next(settings: PoolSettings) -> None:
    with silent_port() as port:
        parts = urlsplit(settings.conninfo)
        both = f"{parts.username}:{parts.password}@127.0.0.1:{port},127.0.0.1:{parts.port}"
        connection = connect(parts._replace(netloc=both).geturl(), timeout=4.0, prepare=True)
        assert connection.info.port == parts.port
        connection.close()


def test_a_failed_opening_lets_the_next_waiter_try(settings: PoolSettings) -> None:
    with silent_port() as port:
        silent = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=2.0, max_size=1)
        with pool_of(silent) as pool, ThreadPoolExecutor(2) as threads:
            tasks = [threads.submit(pool.acquire) for _ in range(2)]
            eventually(lambda: pool.waiting == 1)
            assert all(isinstance(task.exception(), psycopg.OperationalError) for task in tasks)
            assert (pool.size, pool.waiting) == (0, 0)


def test_close(settings: PoolSettings, admin_connection: Admin) -> None:
    with pool_of(replace(settings, max_size=2)) as pool, ThreadPoolExecutor(1) as threads:
        unused, used = pool.acquire(), pool.acquire()
        waiting = threads.submit(pool.acquire)
        eventually(lambda: pool.waiting == 1)
        pool.release(unused)
        assert waiting.result() is unused
        waiting = threads.submit(pool.acquire)
        eventually(lambda: pool.waiting == 1)
        pool.close()
        assert isinstance(waiting.exception(), PoolClosed)
        with pytest.raises(PoolClosed):
            pool.acquire()
        assert used.execute("select 1").fetchone() == (1,)  # whoever has one may finish
        pool.release(used)
        pool.release(unused)
        assert used.closed
        assert unused.closed
        eventually(lambda: backends(admin_connection, settings.conninfo) == set())
        pool.close()


def test_an_interrupted_waiter_leaves_the_line(settings: PoolSettings) -> None:
    with pool_of(replace(settings, max_size=1, timeout=LONG_S)) as pool:
        held = pool.acquire()

        def interrupt() -> None:
            eventually(lambda: pool.waiting == 1)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        helper = threading.Thread(target=interrupt)
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            pool.acquire()
        helper.join()
        assert pool.waiting == 0
        pool.release(held)
        assert pool.acquire() is held


def test_the_settings_do_not_show_the_password(settings: PoolSettings) -> None:
    # CF-24
    assert settings.conninfo not in repr(settings)


_FORK = """
import os, sys, psycopg
from horsies.db.pool import ConnectionPool, PoolSettings

pool = ConnectionPool(PoolSettings(sys.argv[1], 2, 2, 20.0, 1800.0, True, True))
pid = lambda connection: connection.execute("select pg_backend_pid()").fetchone()[0]
held, unused = pool.acquire(), pool.acquire()
parents = {pid(held), pid(unused)}
held.execute("begin")
pool.release(unused)
child = os.fork()
if not child:
    assert pool.size == 0
    own = pool.acquire()
    assert pid(own) not in parents
    try:
        held.execute("select 1")
    except psycopg.OperationalError:
        pass
    else:
        raise AssertionError("the parent's connection works in the child")
    pool.release(held)
    pool.release(own)
    assert pool.size == 1 and pool.acquire() is own
    del held, unused
    sys.exit(0)  # a full end, with everything collected
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert held.execute("select 1").fetchone() == (1,)
held.execute("commit")
assert pool.acquire() is unused
assert {pid(held), pid(unused)} == parents
print("parent fine", flush=True)
"""


def test_a_forked_child_leaves_the_parents_connections_alone(empty_database_url: str) -> None:
    # CF-40
    with running([sys.executable, "-W", "error", "-c", _FORK, empty_database_url]) as process:
        assert process.wait() == 0, process.output
        assert "parent fine" in process.stdout


_ORPHAN = """
import os, signal, sys
from horsies.db.pool import ConnectionPool, PoolSettings

pool = ConnectionPool(PoolSettings(sys.argv[1], 2, 2, 20.0, 1800.0, True, True))
held = pool.acquire()
held.execute("begin")
held.execute("select pg_advisory_xact_lock(1)")
if not os.fork():
    print("forked", flush=True)
    signal.pause()
signal.pause()
"""


def test_a_child_does_not_keep_a_dead_parents_transaction_alive(
    empty_database_url: str, admin_connection: Admin
) -> None:
    # CF-40, D-007: the server notices the parent's death although the child lives
    with running([sys.executable, "-c", _ORPHAN, empty_database_url]) as process:
        process.wait_for("forked")
        assert len(backends(admin_connection, empty_database_url)) == 1
        process.send_signal(signal.SIGKILL)
        eventually(lambda: backends(admin_connection, empty_database_url) == set())
