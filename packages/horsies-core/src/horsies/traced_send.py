"""Sends and starts of workflows within a producer span; called only where OpenTelemetry is loaded."""

from collections.abc import Awaitable, Callable
from typing import Any

from horsies.ops.enqueue import EnqueueRow
from horsies.ops.send import Answer
from horsies.ops.workflow_start import StartAnswer


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


def traced_start(start: Callable[[], StartAnswer], plan: dict[str, Any]) -> StartAnswer:
    """Start a workflow of this plan, which gets the span's context for all tasks to come."""
    from horsies.spans import starting  # as above

    with starting(plan["name"]) as span:
        plan["trace_context"] = span.context
        answer = start()
        span.answered(answer.outcome)
        return answer


async def traced_start_async(
    start: Callable[[], Awaitable[StartAnswer]], plan: dict[str, Any]
) -> StartAnswer:
    """As `traced_start`, for event loops."""
    from horsies.spans import starting  # as above

    with starting(plan["name"]) as span:
        plan["trace_context"] = span.context
        answer = await start()
        span.answered(answer.outcome)
        return answer
