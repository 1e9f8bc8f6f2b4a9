"""Where OpenTelemetry joins in (R-142), without importing it: `horsies.spans` does, and only a program that has loaded
OpenTelemetry itself gets there.
"""

import sys
from typing import NamedTuple

_API = "opentelemetry.trace"


def is_loaded() -> bool:
    """Whether this program uses OpenTelemetry."""
    return _API in sys.modules


class RunTrace(NamedTuple):
    """What a consumer span says about the run of a task; plain values, as it travels to executors.

    Attributes:
        context: The row's trace context.
        task_id: The task.
        queue_name: Its queue.
        retry_count: Earlier attempts.
    """

    context: str | None
    task_id: str
    queue_name: str
    retry_count: int
