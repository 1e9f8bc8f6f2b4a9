"""OpenTelemetry spans: one for each send, one for each run, joined by the context on the task's row (R-142).

The row's `trace_context` is JSON text with what the program's propagator writes, as a rule `traceparent`, and for a
retry the first attempt's span. Names and attributes follow the conventions for messaging; a task's name stands in
span names where a destination would, because many tasks share a queue.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    get_tracer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from horsies.tracing import RunTrace

FIRST_ATTEMPT = "horsies.first_attempt"
_TEXT_LIMIT = 4096
"""Characters of a message or a traceback that a span keeps."""


class SendSpan:
    """A send under way.

    Attributes:
        context: For the row; None where the program makes no spans.
    """

    __slots__ = ("_span", "context")

    def __init__(self, span: Span, context: str | None) -> None:
        self._span = span
        self.context = context

    def answered(self, outcome: str) -> None:
        """The database has said what became of it; any other answer than these is a refusal."""
        if outcome not in ("inserted", "same", "started"):
            _fail(self._span, outcome, f"refused: {outcome}")


def sending(
    task_name: str, queue_name: str, task_id: str, count: int = 1
) -> AbstractContextManager[SendSpan]:
    """A producer span around the insert of a task, or of `count` tasks whose first is `task_id`."""
    attributes: dict[str, AttributeValue] = {
        "messaging.operation.name": "send",
        "messaging.destination.name": queue_name,
        "horsies.task.name": task_name,
    }
    if count > 1:
        attributes["messaging.batch.message_count"] = count
    else:
        attributes["messaging.message.id"] = task_id
    return _producing(f"send {task_name}", attributes)


def starting(workflow_name: str) -> AbstractContextManager[SendSpan]:
    """A producer span around the start of a workflow; all its tasks are its children."""
    return _producing(
        f"start {workflow_name}",
        {
            "messaging.operation.name": "start",
            "horsies.workflow.name": workflow_name,
        },
    )


@contextmanager
def _producing(name: str, attributes: Mapping[str, AttributeValue]) -> Generator[SendSpan]:
    described = {"messaging.system": "horsies", "messaging.operation.type": "send", **attributes}
    with get_tracer("horsies").start_as_current_span(
        name, kind=SpanKind.PRODUCER, attributes=described
    ) as span:
        carrier: dict[str, str] = {}
        inject(carrier)
        yield SendSpan(span, _text(carrier))


class RunSpan:
    """A run under way."""

    __slots__ = ("_carrier", "_is_first", "_span")

    def __init__(self, span: Span, carrier: Mapping[str, str], *, is_first: bool) -> None:
        self._span = span
        self._carrier = carrier
        self._is_first = is_first

    def failed(self, error_code: str | None, message: str | None, envelope: str) -> str | None:
        """The run has failed; a success needs no word.

        Args:
            error_code: Code of its error.
            message: Message of its error.
            envelope: The stored result.

        Returns:
            After a first attempt, the trace context that the row needs for a retry.
        """
        _fail(self._span, error_code or "_OTHER", message or error_code or "")
        exception = _exception_in(envelope)
        if exception is not None:
            self._span.add_event("exception", exception)
        own = self._span.get_span_context()
        if not self._is_first or not own.is_valid:
            return None
        first = f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
        return _text({**self._carrier, FIRST_ATTEMPT: first})


@contextmanager
def running(task_name: str, trace: RunTrace) -> Generator[RunSpan]:
    """A consumer span around a run: a child of the send's span; that of a retry links to the first attempt's."""
    carrier = _carrier(trace.context)
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "horsies",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": trace.queue_name,
        "messaging.message.id": trace.task_id,
        "horsies.task.name": task_name,
        "horsies.task.attempt": trace.retry_count + 1,
    }
    with get_tracer("horsies").start_as_current_span(
        f"process {task_name}",
        context=extract(carrier, context=Context()),
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=_links(carrier),
    ) as span:
        yield RunSpan(span, carrier, is_first=trace.retry_count == 0)


def _fail(span: Span, error_type: str, message: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, message[:_TEXT_LIMIT]))


def _links(carrier: Mapping[str, str]) -> list[Link]:
    first = carrier.get(FIRST_ATTEMPT)
    if first is None:
        return []
    context = TraceContextTextMapPropagator().extract({"traceparent": first}, context=Context())
    span = get_current_span(context).get_span_context()
    return [Link(span)] if span.is_valid else []


def _text(carrier: Mapping[str, str]) -> str | None:
    return json.dumps(carrier, separators=(",", ":")) if carrier else None


def _carrier(text: str | None) -> dict[str, str]:
    """What the row holds; nothing where somebody has written something else there."""
    try:
        found: object = json.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    items = cast("dict[str, object]", found).items()
    return {key: value for key, value in items if isinstance(value, str)}


def _exception_in(envelope: str) -> dict[str, str] | None:
    """The exception that a failure's envelope keeps, as the attributes of an event."""
    error = cast("dict[str, dict[str, object] | None]", json.loads(envelope)).get("err")
    kept = error.get("exception") if error else None
    if not isinstance(kept, dict):
        return None
    fields = cast("dict[str, object]", kept)
    return {
        f"exception.{name}": str(fields.get(key) or "")[:_TEXT_LIMIT]
        for name, key in (("type", "type"), ("message", "message"), ("stacktrace", "traceback"))
    }
