"""Pooled connections for event loops (CF-25, D-007, E-10, T-37, CF-40), on a real server."""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.errors import ConnectionTimeout
from psycopg.pq import TransactionStatus

from horsies.db.async_pool import AsyncConnectionPool, AsyncPools
from horsies.db.connect import OwnedAsyncConnection
from horsies.db.pool import PoolClosed, PoolSettings, PoolTimeout
from tests.core.db.network import line_to, refusing_port, silent_port, with_port
from tests.core.db.test_pool import LONG_S, Admin, Clock, backends, terminate
from tests.helpers import eventually, running


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


@asynccontextmanager
async def pool_of(
    settings: PoolSettings, clock: Callable[[], float] | None = None
) -> AsyncGenerator[AsyncConnectionPool]:
    pool = AsyncConnectionPool(settings, clock=clock) if clock else AsyncConnectionPool(settings)
    try:
        yield pool
    finally:
        pool.close()


async def backend(connection: OwnedAsyncConnection) -> int:
    row = await (await connection.execute("select pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])


async def in_line(pool: AsyncConnectionPool, number: int) -> None:
    async with asyncio.timeout(10):
        while pool.waiting != number:
            await asyncio.sleep(0)


async def test_opens_lazily_and_reuses_the_last_one(settings: PoolSettings) -> None:
    # CF-25, D-007, CF-23
    async with pool_of(settings) as pool:
        assert pool.size == 0
        first, second = await pool.acquire(), await pool.acquire()
        assert await backend(first) != await backend(second)
        assert first.autocommit
        assert first.prepare_threshold == 0
        assert first.info.transaction_status == TransactionStatus.IDLE
        pool.release(first)
        pool.release(second)
        assert await pool.acquire() is second
        assert await pool.acquire() is first
        assert pool.size == 2
    async with pool_of(replace(settings, prepare=False)) as pool:
        assert (await pool.acquire()).prepare_threshold is None


async def test_many_tasks_share_few_connections(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25
    users: Counter[int] = Counter()
    seen: set[int] = set()

    async def work(pool: AsyncConnectionPool) -> None:
        for _ in range(20):
            connection = await pool.acquire()
            users[id(connection)] += 1
            assert users[id(connection)] == 1
            seen.add(await backend(connection))
            users[id(connection)] -= 1
            pool.release(connection)

    async with pool_of(settings) as pool:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(work(pool))
        assert pool.size == len(seen) == 3
        assert backends(admin_connection, settings.conninfo) == seen


async def test_keeps_only_so_many_unused_connections(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25
    async with pool_of(replace(settings, keep=1)) as pool:
        held = [await pool.acquire() for _ in range(3)]
        for connection in held:
            pool.release(connection)
        assert pool.size == 1
        eventually(lambda: len(backends(admin_connection, settings.conninfo)) == 1)
        assert await pool.acquire() is held[2]


async def test_a_checkout_that_waits_too_long_is_retryable(settings: PoolSettings) -> None:
    # CF-25, E-10
    async with pool_of(replace(settings, max_size=1, timeout=2.0)) as pool:
        held = await pool.acquire()
        with pytest.raises(PoolTimeout, match="pool_size"):
            await pool.acquire()
        assert pool.waiting == 0
        pool.release(held)
        assert await pool.acquire() is held


async def test_a_cancelled_waiter_loses_nothing(settings: PoolSettings) -> None:
    async with pool_of(replace(settings, max_size=1)) as pool:
        held = await pool.acquire()
        first = asyncio.create_task(pool.acquire())
        await in_line(pool, 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert pool.waiting == 0

        # cancelled in the moment in which the connection was handed over
        first = asyncio.create_task(pool.acquire())
        await in_line(pool, 1)
        pool.release(held)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await pool.acquire() is held

        # and when it was only the right to open one
        first = asyncio.create_task(pool.acquire())
        await in_line(pool, 1)
        await held.execute("begin")
        pool.release(held)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert pool.size == 0
        assert await pool.acquire() is not held


async def test_a_cancelled_opening_frees_its_place(settings: PoolSettings) -> None:
    with silent_port() as port:
        silent = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=LONG_S)
        async with pool_of(silent) as pool:
            opening = asyncio.create_task(pool.acquire())
            async with asyncio.timeout(10):
                while pool.size == 0:
                    await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert pool.size == 0


async def test_an_idle_connection_is_checked_first(settings: PoolSettings, admin_connection: Admin) -> None:
    # pool_pre_ping of 02-configuration section 5
    clock = Clock()
    async with pool_of(settings, clock) as pool:
        connection = await pool.acquire()
        pid = await backend(connection)
        pool.release(connection)
        clock.now += 5.1
        assert await pool.acquire() is connection
        pool.release(connection)

        terminate(admin_connection, pid)
        clock.now += 5.0
        assert await pool.acquire() is connection  # lately used: not checked
        pool.release(connection)
        clock.now += 5.1
        replacement = await pool.acquire()
        assert await backend(replacement) != pid
        assert pool.size == 1


async def test_a_dead_line_is_found_by_the_check(settings: PoolSettings) -> None:
    # T-37
    clock = Clock()
    with line_to(settings.conninfo) as line:
        async with pool_of(replace(settings, conninfo=line.url, timeout=4.0), clock) as pool:
            connection = await pool.acquire()
            pid = await backend(connection)
            pool.release(connection)
            line.cut()
            clock.now += 5.1
            assert await backend(await pool.acquire()) != pid
            assert pool.size == 1


async def test_one_broken_connection_puts_the_others_to_the_test(
    settings: PoolSettings, admin_connection: Admin
) -> None:
    async with pool_of(settings) as pool:
        held = [await pool.acquire() for _ in range(3)]
        pids = [await backend(connection) for connection in held]
        pool.release(held[0])
        pool.release(held[1])
        for pid in pids:
            terminate(admin_connection, pid)
        with pytest.raises(psycopg.OperationalError):
            await held[2].execute("select 1")
        pool.release(held[2])
        assert {await backend(await pool.acquire()) for _ in range(3)}.isdisjoint(pids)


async def test_an_old_connection_is_replaced(settings: PoolSettings) -> None:
    # pool_recycle
    clock = Clock()
    async with pool_of(replace(settings, recycle=60.0), clock) as pool:
        connection = await pool.acquire()
        pool.release(connection)
        clock.now += 60
        assert await pool.acquire() is not connection
        assert connection.closed
        assert pool.size == 1


async def test_a_connection_in_a_transaction_is_closed(
    settings: PoolSettings, admin_connection: Admin
) -> None:
    # D-007
    async with pool_of(settings) as pool:
        connection = await pool.acquire()
        await connection.execute("begin")
        pid = await backend(connection)
        pool.release(connection)
        assert pool.size == 0
        eventually(lambda: pid not in backends(admin_connection, settings.conninfo))


async def test_a_refused_connection_is_reported_at_once(settings: PoolSettings) -> None:
    # CF-25, T-37
    with refusing_port() as port:
        refused = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=LONG_S, max_size=1)
        async with pool_of(refused) as pool:
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError, match="refused"):
                    await pool.acquire()
            assert pool.size == 0


async def test_a_host_that_never_answers(settings: PoolSettings) -> None:
    # T-37
    with silent_port() as port:
        silent = replace(settings, conninfo=with_port(settings.conninfo, port), timeout=0.1, max_size=1)
        async with pool_of(silent) as pool:
            with pytest.raises(ConnectionTimeout, match=f"port {port} did not answer"):
                await pool.acquire()
            errors = await asyncio.gather(*[pool.acquire() for _ in range(4)], return_exceptions=True)
            assert {type(error) for error in errors} <= {ConnectionTimeout, PoolTimeout}
            assert (pool.size, pool.waiting) == (0, 0)


async def test_close(settings: PoolSettings, admin_connection: Admin) -> None:
    async with pool_of(replace(settings, max_size=1)) as pool:
        used = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await in_line(pool, 1)
        pool.close()
        with pytest.raises(PoolClosed):
            await waiting
        with pytest.raises(PoolClosed):
            await pool.acquire()
        await used.execute("select 1")
        pool.release(used)
        eventually(lambda: backends(admin_connection, settings.conninfo) == set())


def test_each_loop_has_its_own_pool(settings: PoolSettings, admin_connection: Admin) -> None:
    # CF-25: those of ended loops are closed, without a warning, before the next one opens any
    pools = AsyncPools(settings)

    async def use() -> int:
        pool = pools.current()
        assert pools.current() is pool
        connection = await pool.acquire()
        pid = await backend(connection)
        pool.release(connection)
        return pid

    loops = [asyncio.new_event_loop() for _ in range(2)]
    first, second = (loop.run_until_complete(use()) for loop in loops)
    assert first != second
    assert loops[0].run_until_complete(use()) == first
    for loop in loops:
        loop.close()
    third = asyncio.run(use())
    eventually(lambda: backends(admin_connection, settings.conninfo) <= {third})
    pools.close()
    eventually(lambda: backends(admin_connection, settings.conninfo) == set())
    with pytest.raises(PoolClosed):
        asyncio.run(use())


def test_a_forgotten_loop_takes_its_connections_along(
    settings: PoolSettings, admin_connection: Admin
) -> None:
    pools = AsyncPools(settings)

    async def use() -> None:
        pool = pools.current()
        pool.release(await pool.acquire())

    asyncio.run(use())
    gc.collect()  # no warning about an open connection: the suite would fail
    eventually(lambda: backends(admin_connection, settings.conninfo) == set())


async def test_closing_pools_of_the_running_loop(settings: PoolSettings, admin_connection: Admin) -> None:
    pools = AsyncPools(settings)
    pools.current().release(await pools.current().acquire())
    await asyncio.to_thread(pools.close)  # from another thread: the loop does it itself, in its own time
    async with asyncio.timeout(10):
        while backends(admin_connection, settings.conninfo):
            await asyncio.sleep(0)


_FORK = """
import asyncio, os, sys, psycopg
from horsies.db.async_pool import AsyncPools
from horsies.db.pool import PoolSettings

pools = AsyncPools(PoolSettings(sys.argv[1], 2, 2, 20.0, 1800.0, True, True))

async def pid(connection):
    return (await (await connection.execute("select pg_backend_pid()")).fetchone())[0]

async def use():
    pool = pools.current()
    connection = await pool.acquire()
    try:
        return pool, await pid(connection)
    finally:
        pool.release(connection)

loop = asyncio.new_event_loop()
pool, first = loop.run_until_complete(use())
child = os.fork()
if not child:
    assert pool.size == 0
    other, own = asyncio.run(use())
    assert other is not pool and own != first
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert loop.run_until_complete(use()) == (pool, first)
pools.close()
loop.close()
print("parent fine", flush=True)
"""


def test_a_forked_child_leaves_the_parents_connections_alone(empty_database_url: str) -> None:
    # CF-40
    with running([sys.executable, "-c", _FORK, empty_database_url]) as process:
        assert process.wait() == 0, process.output
        assert "parent fine" in process.stdout
