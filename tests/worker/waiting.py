"""Waiting for conditions while the event loop runs on."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.worker.recovery.stage import Stage

LIMIT_S = 20.0
_POLL_S = 0.01


async def until(predicate: Callable[[], Any]) -> None:
    """Returns once the predicate is true; fails after 20 seconds."""
    async with asyncio.timeout(LIMIT_S):
        while not predicate():
            await asyncio.sleep(_POLL_S)


async def until_blocked_by(stage: Stage, pid: int) -> None:
    """Until a session waits for a lock that the session with this backend pid holds."""
    query = "select 1 from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
    await until(lambda: stage.rows.execute(query, [pid]))
