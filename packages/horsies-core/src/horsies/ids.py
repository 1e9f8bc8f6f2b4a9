"""Task ids: UUIDv7 (RFC 9562), strictly increasing within one process, a sequence of its own in a forked child.

The 74 bits behind the millisecond hold a random start that grows by a random step while the clock stands still or
goes back, so ids sort by creation and a stranger cannot guess the next one.
"""

import os
import random
import threading
import time

_RANDOM_BITS = 74
_STEP_BITS = 32
_MAX_TAIL = (1 << _RANDOM_BITS) - 1
_VERSION = 0x7000_8000_0000_0000_0000  # version 7 and variant 10 at their places in the low 80 bits
_LOW_62 = (1 << 62) - 1

_lock = threading.Lock()
_random = random.Random()  # noqa: S311 - ids are unique and hard to guess, not secret
_last_ms = 0
_tail = 0


def new_task_id() -> str:
    """A new id as lower-case canonical text."""
    global _last_ms, _tail
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms = now_ms
            # The top bit stays free, so that the tail has room to grow within the millisecond.
            _tail = _random.getrandbits(_RANDOM_BITS - 1)
        else:
            _tail += 1 + _random.getrandbits(_STEP_BITS)
            if _tail > _MAX_TAIL:
                _last_ms += 1
                _tail = _random.getrandbits(_RANDOM_BITS - 1)
        ms, tail = _last_ms, _tail
    text = f"{(ms << 80) | _VERSION | ((tail >> 62) << 64) | (tail & _LOW_62):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _start_over() -> None:
    """In a forked child: another tail, and a lock that no thread of the parent can hold."""
    global _lock, _last_ms
    _lock = threading.Lock()
    _random.seed()
    _last_ms = 0


os.register_at_fork(after_in_child=_start_over)
