"""Bad networks for tests: a port that refuses, a host that never answers, a line that goes dead."""

import selectors
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


def with_port(url: str, port: int) -> str:
    """The same URL on another port of this machine."""
    parts = urlsplit(url)
    login = f"{parts.username}:{parts.password}@" if parts.password else f"{parts.username}@"
    return parts._replace(netloc=f"{login if parts.username else ''}127.0.0.1:{port}").geturl()


@contextmanager
def refusing_port() -> Generator[int]:
    """A port where nobody listens, and nobody else can begin to."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@contextmanager
def silent_port() -> Generator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Line:
    """A TCP forwarder whose open connections can go dead: not closed, just without an answer for ever."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = with_port(url, self._server.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._dead: list[socket.socket] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """All connections open now go dead; new ones work."""
        with self._lock:
            for one in self._peers:
                self._selector.unregister(one)
            self._dead.extend(self._peers)
            self._peers.clear()

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self._thread.join()
        for one in (*self._peers, *self._dead, self._server):
            one.close()
        self._selector.close()

    def _forward(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if key.fileobj is self._server:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._peers:
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._server.accept()
        upstream = socket.create_connection(self._target)
        for one, other in ((client, upstream), (upstream, client)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        peer = self._peers[source]
        data = b""
        with suppress(OSError):
            data = source.recv(65536)
            peer.sendall(data)
        if not data:
            for one in (source, peer):
                self._selector.unregister(one)
                del self._peers[one]
                one.close()


@contextmanager
def line_to(url: str) -> Generator[Line]:
    """A line to the server of `url` for the time of the block."""
    line = Line(url)
    try:
        yield line
    finally:
        line.close()
