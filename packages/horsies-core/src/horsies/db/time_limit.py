"""A time limit for statements on the client's side: a server that hangs, or whose host is gone, must not hold a caller.

psycopg drives a statement by a generator and tells it every tenth of a second that nothing has come; that is where the
limit is looked at, so a statement that is answered in time pays for one more function call (0.5 µs).
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg


class StatementTimeout(psycopg.OperationalError):
    """The server did not answer a statement in time; the connection is not used again."""


def limited[R](gen: Generator[Any, Any, R], seconds: float) -> Generator[Any, Any, R]:
    """The generator `gen` with a limit of `seconds` from now.

    Raises:
        StatementTimeout: it is not done by then.
    """
    deadline = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise StatementTimeout(f"the database did not answer a statement within {seconds:.0f} s")
            wanted = gen.send(ready)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        gen.close()
