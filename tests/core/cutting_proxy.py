"""A way to the database that can lose an answer: the statement has taken effect, and the client never learns it."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes connections on to a database; ends them, or refuses them, when told to."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections = 0
        self._answers_to_lose = 0
        self._refusals = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The database's URL through this proxy."""
        port = self._listening.getsockname()[1]
        user, _, _ = self._target.netloc.rpartition("@")
        location = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        return self._target._replace(netloc=location).geturl()

    @property
    def connections(self) -> int:
        """How many connections were asked for so far."""
        return self._connections

    def lose_answers(self, count: int) -> None:
        """The next answers of the database are swallowed, and their connections ended."""
        with self._lock:
            self._answers_to_lose = count

    def refuse(self, count: int) -> None:
        """The next connections are ended at once."""
        with self._lock:
            self._refusals = count

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._connections += 1
                if self._take("_refusals"):
                    client.close()
                    continue
                server = socket.create_connection((self._target.hostname or "", self._target.port or 5432))
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=(source, sink, answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self._take("_answers_to_lose"):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _take(self, counter: str) -> bool:
        with self._lock:
            left: int = getattr(self, counter)
            if left > 0:
                setattr(self, counter, left - 1)
            return left > 0
