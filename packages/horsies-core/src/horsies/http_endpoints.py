"""A few pages for machines that watch a worker or scheduler: health, readiness, metrics (R-140).

As much HTTP as that takes: GET and HEAD of fixed paths, one request a connection, in the loop that is asked about.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

logger = logging.getLogger("horsies.http")

REQUEST_LIMIT_BYTES = 16_384
REQUEST_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """An answer.

    Attributes:
        body: Its content.
        status: HTTP status code.
        content_type: Of the content.
    """

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


type Route = Callable[[], Awaitable[Page]]


class HttpEndpoints:
    """Serves pages by path, from `open` to `close`."""

    name = "http"

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        """Opens nothing yet.

        Args:
            host: Address to listen on.
            port: Port; 0 lets the system choose.
            routes: Path to what makes its page.
        """
        self._host = host
        self._port = port
        self._routes = routes
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for before `open`."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else self._port

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had, for example because the port is taken.
        """
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=REQUEST_LIMIT_BYTES
        )

    async def run(self) -> None:
        """Serve until cancelled, then close."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening; harmless if it does not."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_LIMIT_S):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    return
                method, page = await self._answer(head)
                writer.write(_response(page, with_body=method != "HEAD"))
                await writer.drain()
        except (TimeoutError, OSError):
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes) -> tuple[str, Page]:
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3:
            return "", Page(b"not a request\n", 400)
        method, target, _ = parts
        route = self._routes.get(target.split("?", 1)[0])
        if route is None:
            return method, Page(b"pages: " + " ".join(self._routes).encode() + b"\n", 404)
        if method not in ("GET", "HEAD"):
            return method, Page(b"only GET and HEAD\n", 405)
        try:
            return method, await route()
        except Exception:
            logger.exception("%s could not be made", target)
            return method, Page(b"failed\n", 500)


def _response(page: Page, *, with_body: bool) -> bytes:
    status = HTTPStatus(page.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + page.body if with_body else head
