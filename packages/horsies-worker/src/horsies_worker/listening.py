"""The worker's ear: LISTEN on the served queues, a call for every wake-up."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence

import psycopg
from psycopg import sql as identifiers

from horsies.channels import channel_name
from horsies.db.connect import OwnedAsyncConnection, connect_async
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies_worker.link import CONNECT_TIMEOUT_S

logger = logging.getLogger("horsies.worker")

SILENCE_S = 30.0
ANSWER_S = 10.0
BACKOFF_MAX_S = 5.0
NOTICE_LIMIT_S = 10.0
"""How long a notification may be on its way when the connection is proven."""

type Notify = Callable[[str, str], Awaitable[None]]
"""Sends a payload to a channel, through another connection."""


class WorkerListener:
    """One session connection; reconnects by itself. The poll covers what is missed meanwhile (R-123)."""

    def __init__(
        self, conninfo: str, channels: Sequence[str], on_wake: Callable[[str, str], None], *, schema: str
    ) -> None:
        self._conninfo = conninfo
        self._channels = channels
        self._proof_channel = channel_name(schema, "check")
        self._on_wake = on_wake
        self._connection: OwnedAsyncConnection | None = None
        self.connected = False
        self._heard = False

    async def connect(self) -> None:
        """Open the connection and listen.

        Raises:
            psycopg.Error: it cannot be had.
        """
        self._connection = await connect_async(self._conninfo, timeout=CONNECT_TIMEOUT_S, prepare=False)
        for channel in self._channels:
            await self._connection.execute(
                identifiers.SQL("listen {}").format(identifiers.Identifier(channel))
            )
        self.connected = True

    async def prove(self, notify: Notify) -> None:
        """Make sure that what is sent through another connection arrives here (R-005).

        Raises:
            ConfigurationError: HRS-203, nothing is heard.
            psycopg.Error: one of the connections does not work.
        """
        connection, token = self._connection, uuid.uuid4().hex
        assert connection is not None
        channel = identifiers.Identifier(self._proof_channel)
        await connection.execute(identifiers.SQL("listen {}").format(channel))
        await notify(self._proof_channel, token)
        async for message in connection.notifies(timeout=NOTICE_LIMIT_S):
            if message.payload == token:
                break
        else:
            raise ConfigurationError(
                f"the listening connection heard nothing within {NOTICE_LIMIT_S:.0f} s of a notification",
                code=ErrorCode.BROKER_INVALID_URL,
                help_text="let session_database_url lead to the server itself: a pooler in transaction mode swallows\n"
                "notifications, and another database does not get them",
            )
        await connection.execute(identifiers.SQL("unlisten {}").format(channel))

    async def run(self) -> None:
        """Hear until cancelled."""
        backoff = 0.1
        while True:
            try:
                if self._connection is None:
                    await self.connect()
                    self._on_wake("", "")
                backoff = 0.1
                await self._hear()
            except psycopg.Error as error:
                logger.warning("the listening connection was lost: %s", str(error).strip())
            except TimeoutError:
                logger.warning("the listening connection does not answer")
            await self.close()
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_S)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        self.connected = False
        if connection is not None:
            await connection.close()

    async def _hear(self) -> None:
        """Until the connection is lost. Read on libpq directly: a wake-up is in every task's way."""
        connection = self._connection
        assert connection is not None
        pgconn, fd, loop = connection.pgconn, connection.fileno(), asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()

        def read() -> None:
            self._heard = True
            try:
                pgconn.consume_input()
            except psycopg.Error as error:
                loop.remove_reader(fd)
                if not lost.done():
                    lost.set_exception(error)
                return
            while message := pgconn.notifies():
                self._on_wake(message.relname.decode(), message.extra.decode())

        loop.add_reader(fd, read)
        try:
            read()  # what came while LISTEN was answered
            while True:
                self._heard = False
                await asyncio.wait((lost,), timeout=SILENCE_S)
                if lost.done():
                    lost.result()
                if not self._heard:
                    loop.remove_reader(fd)
                    async with asyncio.timeout(ANSWER_S):
                        await connection.execute("")
                    loop.add_reader(fd, read)
                    read()
        finally:
            loop.remove_reader(fd)
