"""A worker's own connection: which side gives a statement up first."""

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from horsies_worker import link as link_module
from horsies_worker.link import Link

SHOW = b"select current_setting('statement_timeout')"


async def shown(conninfo: str, *, prepare: bool = True, server_gives_up: bool = True) -> str:
    link = Link(conninfo, prepare=prepare, server_gives_up=server_gives_up)
    try:
        ((limit,),) = await link.execute(SHOW, {})
        return str(limit)
    finally:
        await link.close()


async def test_the_server_is_told_a_limit_below_this_sides(database_url: str) -> None:
    """R-092: not behind a pooler that hands its servers to others, and a lower limit stays."""
    assert await shown(database_url) == "54s"
    assert await shown(database_url, prepare=False) == "0"
    assert await shown(database_url, server_gives_up=False) == "0"
    lower = make_conninfo(database_url, options="-c statement_timeout=7s")
    assert await shown(lower) == "7s"
    higher = make_conninfo(database_url, options="-c statement_timeout=2min")
    assert await shown(higher) == "54s"


async def test_a_statement_that_waits_for_a_lock_takes_no_effect_after_its_sender_went_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-092."""
    monkeypatch.setattr(link_module, "STATEMENT_LIMIT_S", 1.0)
    link = Link(database_url, prepare=True, server_gives_up=True)
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as look:
        holder.execute("lock table horsies.queues in exclusive mode")
        insert = b"insert into horsies.queues (name, priority) values ('late', 1)"
        with pytest.raises(psycopg.errors.QueryCanceled):
            await link.execute(insert, {})
        holder.rollback()
        await asyncio.sleep(0.1)
        assert look.execute("select from horsies.queues where name = 'late'").fetchone() is None
    await link.close()
