"""What the coordinator and its executors say to each other: length-prefixed frames over a socket pair.

Both ends are the same Python, started by the same worker, so frames are marshalled: twice as fast as JSON for the texts
that travel here, and nothing but plain values can be in them. Arguments and results pass through as stored JSON text.
"""

import marshal
import struct
from typing import Any, TypedDict

_LENGTH = struct.Struct("!I")
HEADER = _LENGTH.size

# coordinator -> executor
INIT = 0  # {app, executor, log level, ...}, the first frame
RUN = 1  # [(seq, task name, kwargs text, kind, trace), ...], in the order they are to run
WITHDRAW = 2  # [seq, ...] that should not begin
BEAT = 3  # the coordinator lives
STOP = 4  # end when nothing is running
CANCEL = 5  # seq of an async task

# executor -> coordinator
READY = 10  # resident memory in bytes
DONE = 11  # [(seq, ok, envelope, error code, message, microseconds, trace context for a retry), ...]
WITHDRAWN = 12  # [seq, ...] that now never begin
START_FAILED = 13  # exit code, text
TOO_BIG = 14  # resident memory in bytes, after a task

type Frame = tuple[int, Any]


class Init(TypedDict):
    """What an executor is told first.

    Attributes:
        app: locator of the app.
        cwd: working directory.
        sys_path: where modules are looked for.
        loglevel: as of the worker.
        log_format: as of the worker.
        concurrency: thread and async tasks at once.
        memory_limit: resident bytes after which it asks to be replaced; None for no limit.
        silence_limit_s: it ends itself when it has not heard from the coordinator for so long.
    """

    app: str
    cwd: str
    sys_path: list[str]
    loglevel: str
    log_format: str
    concurrency: int
    memory_limit: int | None
    silence_limit_s: float


def pack(kind: int, body: Any) -> bytes:
    """One frame."""
    data = marshal.dumps((kind, body))
    return _LENGTH.pack(len(data)) + data


def unpack(data: bytes | bytearray | memoryview) -> Frame:
    """The content of one frame, without its length."""
    frame: Frame = marshal.loads(data)  # noqa: S302 - the other end is our own process
    return frame


def length(header: bytes | bytearray | memoryview) -> int:
    """How many bytes follow a header."""
    size: int = _LENGTH.unpack(header)[0]
    return size


class FrameBuffer:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete once `data` has arrived."""
        buffer = self._bytes
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER:
            end = start + HEADER + length(buffer[start : start + HEADER])
            if len(buffer) < end:
                break
            frames.append(unpack(buffer[start + HEADER : end]))
            start = end
        if start:
            del buffer[:start]
        return frames
