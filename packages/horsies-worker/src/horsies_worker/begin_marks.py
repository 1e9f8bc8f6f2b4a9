"""Begin marks: which dispatched tasks an executor has begun, in memory that outlives it (R-042).

A ring of one byte per task in an anonymous file that both processes map. The coordinator clears a task's byte before
it sends the task, the executor sets it before the first step of user code, so after the executor's death a clear byte
proves that the task did not begin. The ring is far longer than what can be in flight in one executor.
"""

import mmap
import os

SIZE = 1 << 16
_MASK = SIZE - 1


class BeginMarks:
    """One executor's marks; `fd` is inherited by the executor."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            fd = os.memfd_create("horsies-begin-marks") if hasattr(os, "memfd_create") else _anonymous_file()
            os.ftruncate(fd, SIZE)
        self.fd = fd
        self._bytes = mmap.mmap(fd, SIZE)

    def clear(self, seq: int) -> None:
        """Forget task `seq`, before it is sent."""
        self._bytes[seq & _MASK] = 0

    def set(self, seq: int) -> None:
        """Task `seq` begins."""
        self._bytes[seq & _MASK] = 1

    def begun(self, seq: int) -> bool:
        """Whether task `seq` has begun."""
        return self._bytes[seq & _MASK] == 1

    def close(self) -> None:
        """Release the memory and the descriptor."""
        self._bytes.close()
        os.close(self.fd)


def _anonymous_file() -> int:
    import tempfile  # only where memfd_create is missing, as on macOS

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
