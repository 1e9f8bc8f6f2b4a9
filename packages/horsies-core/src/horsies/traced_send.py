"""A send within a producer span; called only where OpenTelemetry is loaded, which is what makes the imports cheap."""

from collections.abc import Awaitable, Callable

from horsies.ops.enqueue import EnqueueRow
from horsies.ops.send import Answer


def traced[A: Answer | None](insert: Callable[[], A], row: EnqueueRow, count: int = 1) -> A:
    """Insert a task, or `count` tasks that share the rest of their row with the first, and say so in a span."""
    from horsies.spans import sending  # imports OpenTelemetry, which most programs do not have

    with sending(row.task_name, row.queue_name, row.id, count) as span:
        row.trace_context = span.context
        answer = insert()
        if answer is not None:
            span.answered(answer[0])
        return answer


async def traced_async[A: Answer | None](
    insert: Callable[[], Awaitable[A]], row: EnqueueRow, count: int = 1
) -> A:
    """As `traced`, for event loops."""
    from horsies.spans import sending  # as above

    with sending(row.task_name, row.queue_name, row.id, count) as span:
        row.trace_context = span.context
        answer = await insert()
        if answer is not None:
            span.answered(answer[0])
        return answer
