"""Who of several schedulers fires: an advisory lock on a session of its own (S-040 to S-042).

Only an optimisation: what keeps a slot from firing twice is the transaction that fires it.
"""

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable

import psycopg

from horsies.db.connect import OwnedAsyncConnection, connect_async
from horsies.sql import Statements

logger = logging.getLogger("horsies.scheduler")

CONNECT_LIMIT_S = 10.0
STATEMENT_LIMIT_S = 5.0
"""A silent server must be given up well before it gives up this session (14 s), or two would believe to lead."""
LOOK_INTERVAL_S = 1.0


class Leadership:
    """The lock of one group of schedulers: those that have the same schedules.

    Schedulers of other apps in the same database have schedules of their own, and lead beside it.

    Attributes:
        held: Whether this process leads.
        answered_at: When the database last answered here, on the monotonic clock.
    """

    def __init__(self, conninfo: Callable[[], str], statements: Statements, group: str) -> None:
        """Opens nothing yet.

        Args:
            conninfo: Gives the connection string of a connection that keeps its session.
            statements: The statements of the schema.
            group: Tells these schedulers from those of other apps; see `group_of`.
        """
        self._conninfo = conninfo
        self._statements = statements
        self._group = group
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._connection: OwnedAsyncConnection | None = None
        self.held = False
        self.answered_at = float("-inf")

    async def try_to_lead(self) -> bool:
        """Take the lock if it is free; whether it is held now.

        Raises:
            psycopg.Error: the database does not answer; the next call connects anew.
        """
        try:
            if self._connection is None:
                self._connection = await self._connect()
            rows = await self._execute(self._connection, "try_to_lead", {"group": self._group})
        except BaseException:
            await self.close()
            raise
        if rows[0][0]:
            self.held = True
            await self._record(self._connection)
        return self.held

    async def keep(self) -> None:
        """Watch over the session that holds the lock; returns when it is lost, and that is noticed at once."""
        connection = self._connection
        if connection is None:
            return
        try:
            while True:
                # Waits on the socket, so a session that the server ends is noticed when it ends.
                async for _ in connection.notifies(timeout=LOOK_INTERVAL_S):
                    pass
                await self._execute(connection, "select_one", {})
        except Exception as error:  # whatever it is: unwatched, the lock counts as lost
            self.held = False
            logger.warning("the connection that holds the leadership was lost: %s", str(error).strip())

    async def release(self) -> None:
        """Give the lock back, if it is held, and close the connection."""
        connection, was_held = self._connection, self.held
        if connection is not None and was_held:
            # Said aloud: the server ends the session, and with it the lock, some time after the connection is closed.
            group: dict[str, object] = {"group": self._group}
            for name, params in (("drop_lease", self._lease()), ("stop_leading", group)):
                try:
                    await self._execute(connection, name, params)
                except psycopg.Error as error:
                    logger.debug("%s failed: %s", name, str(error).strip())
        await self.close()

    async def close(self) -> None:
        """Close the connection; the lock goes with it."""
        connection, self._connection = self._connection, None
        self.held = False
        if connection is not None:
            await connection.close()

    async def _connect(self) -> OwnedAsyncConnection:
        connection = await connect_async(self._conninfo(), timeout=CONNECT_LIMIT_S, prepare=False)
        connection.statement_limit = STATEMENT_LIMIT_S
        await self._execute(connection, "watch_session", {})
        return connection

    async def _record(self, connection: OwnedAsyncConnection) -> None:
        """For display only, so a role without the right to write it leads all the same."""
        try:
            await self._execute(connection, "take_lease", self._lease())
        except psycopg.errors.InsufficientPrivilege as error:
            logger.info("who leads is not recorded: %s", str(error).strip())

    def _lease(self) -> dict[str, object]:
        return {"group": self._group, "holder": self._holder}

    async def _execute(
        self, connection: OwnedAsyncConnection, name: str, params: dict[str, object]
    ) -> list[tuple[object, ...]]:
        cursor = await connection.execute(self._statements[name], params)
        rows = await cursor.fetchall() if cursor.description else []
        self.answered_at = time.monotonic()
        return rows


def group_of(names: Iterable[str]) -> str:
    """What the schedulers of one app have in common: the names of its schedules, as a short digest."""
    content = json.dumps(sorted(names), ensure_ascii=True).encode()
    return hashlib.sha256(content).hexdigest()[:16]
