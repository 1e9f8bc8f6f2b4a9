"""One of the worker's own database connections, kept for its life; one statement at a time, each with a time limit."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg

from horsies.db.connect import OwnedAsyncConnection, connect_async
from horsies.db.drive import execute_async

CONNECT_TIMEOUT_S = 30.0
STATEMENT_LIMIT_S = 60.0


class Link:
    """A connection that can be opened again."""

    def __init__(self, conninfo: str, *, prepare: bool) -> None:
        self._conninfo = conninfo
        self._prepare = prepare
        self._connection: OwnedAsyncConnection | None = None
        self._turn = asyncio.Lock()
        self.answered_at = float("-inf")
        """When the database last answered, on the monotonic clock."""

    async def connect(self) -> None:
        """Open it.

        Raises:
            psycopg.OperationalError: refused, or no answer in time.
        """
        self._connection = await connect_async(
            self._conninfo, timeout=CONNECT_TIMEOUT_S, prepare=self._prepare
        )

    async def reconnect(self) -> None:
        """Close what is left of the connection and open a new one."""
        async with self._turn:
            await self._drop()
            await self.connect()

    async def execute(self, statement: bytes, params: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of one statement; after a failure of the connection it is opened anew by the next caller.

        Raises:
            psycopg.Error: what the database answered, or that it did not within the limit.
        """
        async with self._turn:
            if self._connection is None or self._connection.closed:
                await self.connect()
            connection = self._connection
            assert connection is not None
            try:
                async with asyncio.timeout(STATEMENT_LIMIT_S):
                    rows = await execute_async(connection, statement, params)
            except TimeoutError:
                await self._drop()
                raise psycopg.OperationalError(f"no answer within {STATEMENT_LIMIT_S:.0f} s") from None
            self.answered_at = time.monotonic()
            return rows

    async def close(self) -> None:
        """Close it."""
        async with self._turn:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()
