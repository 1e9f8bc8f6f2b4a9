"""Programs that run beside this one: their output line by line, their end in any case."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from horsies_cli import guard

type LineSink = Callable[[str, str, str], None]
"""Takes the name of the child, `stdout` or `stderr`, and one line without its end."""

_READER_SECONDS = 5.0


class Child:
    """A program in a session of its own under a guard, which ends it when this process dies (SIGKILL too)."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], sink: LineSink
    ) -> None:
        """Start it; every line it writes goes to `sink`, from a thread."""
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", guard.__file__, *command],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(kind, stream, sink), daemon=True)
            for kind, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, kind: str, stream: IO[bytes], sink: LineSink) -> None:
        with stream:
            for line in stream:
                sink(self.name, kind, line.decode(errors="replace").rstrip("\r\n"))

    @property
    def status(self) -> int | None:
        """The program's exit status, None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Send the program SIGTERM."""
        self._order(guard.TERMINATE)

    def kill(self) -> None:
        """Kill the program and everything in its process group; returns when it is gone."""
        self._order(guard.KILL)
        self.close()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within the time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.status is not None

    def close(self) -> None:
        """Wait for its end and for the rest of its output."""
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        for reader in self._readers:
            reader.join(_READER_SECONDS)

    def _order(self, order: bytes) -> None:
        stream = self._process.stdin
        if stream is not None and not stream.closed:
            with contextlib.suppress(BrokenPipeError):
                stream.write(order)
                stream.flush()
