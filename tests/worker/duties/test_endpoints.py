"""The worker's pages: health, readiness, metrics (R-140)."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.http_endpoints import HttpEndpoints, Page
from horsies_worker.endpoints import Readiness, WorkerEndpoints
from horsies_worker.link import Link
from horsies_worker.metrics import WorkerMetrics
from tests.core.apps import UNREACHABLE
from tests.worker.recovery.stage import Stage

HOST = "127.0.0.1"


async def ask(port: int, request: bytes) -> tuple[str, bytes]:
    """Status line and all of the answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n", 1)[0].decode(), answer


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body."""
    line, answer = await ask(port, f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return int(line.split()[1]), answer.split(b"\r\n\r\n", 1)[1]


@dataclass
class Executor:
    ready: bool = True


class Scene:
    """A worker as its pages see it."""

    def __init__(self, stage: Stage, link: Link, port: int = 0) -> None:
        self.executors: list[Any] = [Executor(), Executor()]
        self.listening = True
        self.draining = False
        self.link = link
        readiness = Readiness(
            processes=2,
            executors=lambda: self.executors,
            is_listening=lambda: self.listening,
            is_draining=lambda: self.draining,
            links=(link,),
            statements=stage.broker.statements,
        )
        metrics = WorkerMetrics({"work"}, lambda: {"busy": 0, "free": 2})
        self.pages = WorkerEndpoints(HOST, port, readiness, metrics)

    async def ready(self) -> tuple[int, bytes]:
        return await get(self.pages.http.port, "/readyz")


@pytest.fixture
async def scene(stage: Stage, link: Link) -> AsyncGenerator[Scene]:
    """A worker that is ready."""
    scene = Scene(stage, link)
    await scene.pages.open()
    yield scene
    scene.pages.http.close()


async def test_health_is_that_of_the_loop(scene: Scene) -> None:
    """R-140: whatever else is wrong."""
    scene.listening = False
    assert await get(scene.pages.http.port, "/healthz") == (200, b"ok\n")


async def test_a_worker_that_could_take_a_task_is_ready(scene: Scene) -> None:
    """R-140: an idle one has not asked the database lately; then it is asked now."""
    assert scene.link.answered_at == 0.0
    scene.link.answered_at = -1000.0
    assert await scene.ready() == (200, b"ready\n")
    assert scene.link.answered_at > 0


async def test_without_executors_listener_or_while_draining_it_is_not(scene: Scene) -> None:
    """R-140: 503 with the reason."""
    scene.executors[1].ready = False
    assert await scene.ready() == (503, b"1 of 2 executors are up\n")
    scene.executors[1].ready = True
    scene.listening = False
    assert await scene.ready() == (503, b"the listening connection is down\n")
    scene.listening = True
    scene.draining = True
    assert await scene.ready() == (503, b"draining\n")


async def test_a_database_that_has_not_answered_for_long_is_not_ready(stage: Stage) -> None:
    """R-140: 30 s."""
    link = Link(UNREACHABLE, prepare=True)
    link.answered_at = -1000.0
    scene = Scene(stage, link)
    await scene.pages.open()
    try:
        assert await scene.ready() == (503, b"the database has not answered for 30 s\n")
    finally:
        scene.pages.http.close()


async def test_an_answer_of_late_is_enough(stage: Stage) -> None:
    """R-140: nothing is asked meanwhile."""
    link = Link(UNREACHABLE, prepare=True)
    link.answered_at = asyncio.get_running_loop().time()
    scene = Scene(stage, link)
    await scene.pages.open()
    try:
        assert await scene.ready() == (200, b"ready\n")
    finally:
        scene.pages.http.close()


async def test_metrics_are_text_for_prometheus(scene: Scene) -> None:
    """R-140."""
    line, answer = await ask(scene.pages.http.port, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert line == "HTTP/1.1 200 OK"
    assert b"Content-Type: text/plain; version=" in answer
    assert b'horsies_worker_slots{state="free"} 2.0' in answer


@contextmanager
def taken_port() -> Generator[int]:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield int(other.getsockname()[1])


async def test_a_port_that_is_taken_is_said_so(stage: Stage, link: Link) -> None:
    """R-140, 07 §1: the worker ends with 1."""
    with taken_port() as port:
        pages = Scene(stage, link, port).pages
        with pytest.raises(ConfigurationError, match=f"{HOST}:{port}") as caught:
            await pages.open()
    assert caught.value.code is ErrorCode.CLI_INVALID_ARGS


# -- as much HTTP as that takes


async def page() -> Page:
    return Page(b"content\n")


async def broken() -> Page:
    raise ValueError("no content")


@asynccontextmanager
async def served() -> AsyncGenerator[int]:
    http = HttpEndpoints(HOST, 0, {"/page": page, "/broken": broken})
    await http.open()
    run = asyncio.create_task(http.run())
    try:
        yield http.port
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        http.close()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /page HTTP/1.1", "200 OK"),
        (b"GET /page?x=1 HTTP/1.1", "200 OK"),
        (b"HEAD /page HTTP/1.1", "200 OK"),
        (b"POST /page HTTP/1.1", "405 Method Not Allowed"),
        (b"GET /other HTTP/1.1", "404 Not Found"),
        (b"GET /broken HTTP/1.1", "500 Internal Server Error"),
        (b"hello", "400 Bad Request"),
    ],
)
async def test_requests_and_their_status(request_line: bytes, status: str) -> None:
    async with served() as port:
        line, answer = await ask(port, request_line + b"\r\nHost: here\r\n\r\n")
    assert line == f"HTTP/1.1 {status}"
    assert b"Connection: close" in answer
    assert answer.endswith(b"content\n") is (status == "200 OK" and not request_line.startswith(b"HEAD"))


async def test_half_a_request_or_too_long_a_one_is_no_answer_worth() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /page HTTP/1.1\r\n")
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /" + b"x" * 40_000)
        answer = b""
        with suppress(ConnectionError):  # there was more to read when the server hung up
            answer = await reader.read()
        assert answer == b""
        writer.close()
        assert (await get(port, "/page"))[0] == 200


async def test_after_the_end_nobody_listens() -> None:
    async with served() as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port)
