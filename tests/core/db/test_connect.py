"""Opening a connection, and giving up on it (D-007)."""

import asyncio

import pytest
from psycopg.errors import ConnectionTimeout

from horsies.db.connect import connect_async


class Silent:
    """A server that hears a greeting and says nothing."""

    def __init__(self) -> None:
        self.greeted = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            self.greeted.set()
        await reader.read()
        self.left.set()
        writer.close()


async def silent_server() -> tuple[Silent, asyncio.Server, str]:
    silent = Silent()
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return silent, server, f"postgresql://nobody@127.0.0.1:{port}/none"


async def test_a_cancelled_attempt_hangs_up_at_once() -> None:
    """A server's process left in the middle of a greeting holds up whoever drops a database, for a minute."""
    silent, server, url = await silent_server()
    async with server, asyncio.timeout(20):
        attempt = asyncio.create_task(connect_async(url, timeout=3600, prepare=True))
        await silent.greeted.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await attempt
        await silent.left.wait()
    assert (
        caught.value.__traceback__ is not None
    )  # which keeps the attempt's frames, and what they hold, alive


async def test_an_attempt_without_an_answer_hangs_up() -> None:
    """D-007: in time, and says where nobody answered."""
    silent, server, url = await silent_server()
    async with server, asyncio.timeout(20):
        with pytest.raises(ConnectionTimeout, match=r"127\.0\.0\.1.* did not answer within 0\.2 s"):
            await connect_async(url, timeout=0.2, prepare=True)
        await silent.left.wait()
