"""Who leads: one of those with the same schedules, until its session ends (08 section 4)."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import psycopg
import pytest

from horsies.sql import Statements
from horsies_scheduler.leader import Leadership, group_of

type MakeLeadership = Callable[..., Leadership]

SESSIONS = (
    "select pid from pg_locks where locktype = 'advisory' and granted and database ="
    " (select oid from pg_database where datname = current_database())"
)


@pytest.fixture
async def make(database_url: str) -> AsyncGenerator[MakeLeadership]:
    """Candidates for one group, unless said otherwise."""
    made: list[Leadership] = []

    def make_one(group: str = "g", schema: str = "horsies") -> Leadership:
        made.append(Leadership(lambda: database_url, Statements(schema), group))
        return made[-1]

    yield make_one
    for each in made:
        await each.close()


@pytest.fixture
def admin(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def test_one_leads(make: MakeLeadership, admin: psycopg.Connection[Any]) -> None:
    """S-040: the others ask in vain until it gives the lock back; who leads is on display."""
    first, second = make(), make()
    assert await first.try_to_lead() is True
    assert (await second.try_to_lead(), await second.try_to_lead()) == (False, False)
    assert (first.held, second.held) == (True, False)
    lease = admin.execute("select name, holder from horsies.leases").fetchone()
    assert lease is not None
    assert lease[0] == "scheduler:g"
    await first.release()
    assert admin.execute("select count(*) from horsies.leases").fetchone() == (0,)
    assert await second.try_to_lead() is True


async def test_other_apps_and_schemas_have_a_leader_of_their_own(make: MakeLeadership) -> None:
    """S-053, S-059, D-001, D-006: the lock is that of schema and schedules."""
    assert await make("a").try_to_lead()
    assert await make("b").try_to_lead()
    elsewhere = make("a", "elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):  # it got as far as the lease
        await elsewhere.try_to_lead()
    assert not await make("a").try_to_lead()
    assert group_of(["x", "y"]) == group_of(["y", "x"]) != group_of(["x"])


async def test_a_lost_session_is_noticed(make: MakeLeadership, admin: psycopg.Connection[Any]) -> None:
    """S-042: at once, without a statement being sent; the lock is then another's."""
    first, second = make(), make()
    assert await first.try_to_lead()
    keeping = asyncio.create_task(first.keep())
    (pid,) = admin.execute(SESSIONS).fetchone() or (0,)
    assert admin.execute("select pg_terminate_backend(%s, 10000)", [pid]).fetchone() == (True,)
    await asyncio.wait_for(keeping, 10)
    assert first.held is False
    assert await second.try_to_lead()
    await first.close()
    assert await first.try_to_lead() is False


async def test_a_held_lock_stays_held(make: MakeLeadership) -> None:
    """S-042: watching proves the connection again and again."""
    leader = make()
    assert await leader.try_to_lead()
    before = leader.answered_at
    keeping = asyncio.create_task(leader.keep())
    async with asyncio.timeout(20):
        while leader.answered_at == before:
            await asyncio.sleep(0.05)
    assert leader.held
    assert not keeping.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert leader.held


async def test_without_a_database(make: MakeLeadership) -> None:
    """S-070: the error is raised, and the next call connects anew."""
    nowhere = Leadership(lambda: "postgresql://nobody@127.0.0.1:1/none", Statements("horsies"), "g")
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            await nowhere.try_to_lead()
    assert nowhere.held is False


def test_the_server_watches_the_session(admin: psycopg.Connection[Any]) -> None:
    """S-041: 5 s of silence, then three probes 3 s apart, also when an answer is under way: the lock is free within
    15 s of its host's disappearance."""
    admin.execute(Statements("horsies")["watch_session"])
    settings = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    shown = [admin.execute("select current_setting(%s)", [name]).fetchone() for name in settings]
    assert shown == [("5",), ("3",), ("3",), ("14000",)]


async def test_a_role_that_may_not_write_the_lease_leads(
    make: MakeLeadership, admin: psycopg.Connection[Any], database_url: str
) -> None:
    """D-072: the lease is for display only."""
    admin.execute("create role plain_scheduler login password 'p'")
    try:
        admin.execute("grant usage on schema horsies to plain_scheduler")
        address = database_url.split("@", 1)[1]
        url = f"postgresql://plain_scheduler:p@{address}"
        leader = Leadership(lambda: url, Statements("horsies"), "g")
        assert await leader.try_to_lead()
        await leader.release()
        assert not leader.held
    finally:
        admin.execute("drop owned by plain_scheduler")
        admin.execute("drop role plain_scheduler")
