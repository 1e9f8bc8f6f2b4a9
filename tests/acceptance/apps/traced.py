"""An app that uses OpenTelemetry: spans of all its processes go to one file. As a program it sends, in one span."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from horsies import AppConfig, Horsies, PostgresConfig, RetryPolicy, TaskError, TaskResult
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode

URL = os.environ.get("ACCEPTANCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
FOLDER = Path(os.environ.get("ACCEPTANCE_SPANS", "."))
WAIT_MS = 30_000

type Number = TaskResult[int, TaskError]


class FileExporter(SpanExporter):
    """One line of JSON for each span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        fd = os.open(FOLDER / "spans", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for span in spans:
            os.write(fd, (json.dumps(_described(span)) + "\n").encode())
        os.close(fd)
        return SpanExportResult.SUCCESS


def _described(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": context.trace_id,
        "id": context.span_id,
        "parent": span.parent.span_id if span.parent else None,
        "links": [link.context.span_id for link in span.links],
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "description": span.status.description,
        "events": [[event.name, dict(event.attributes or {})] for event in span.events],
        "pid": os.getpid(),
    }


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
trace.set_tracer_provider(provider)

app = Horsies(
    AppConfig(broker=PostgresConfig(database_url=URL), tracing=os.environ.get("ACCEPTANCE_TRACING") != "off")
)
app.discover_tasks(["tests.acceptance.apps.traced"])


@app.task("plain")
def plain(n: int) -> Number:
    return TaskResult(ok=n)


@app.task("threaded", executor="thread")
def threaded(n: int) -> Number:
    return TaskResult(ok=n)


@app.task("handing_on")
async def handing_on(n: int) -> Number:
    await asyncio.sleep(0)
    (await plain.send_async(n)).unwrap()
    return TaskResult(ok=n)


@app.task("third_time", retry_policy=RetryPolicy.fixed([1, 1], auto_retry_for=["BROKEN"], jitter=False))
def third_time(folder: str) -> Number:
    path = Path(folder, "tries")
    with path.open("a") as tries:
        tries.write("x")
    if path.stat().st_size < 3:
        return TaskResult(err=TaskError(error_code="BROKEN", message="not yet"))
    return TaskResult(ok=3)


@app.task("raising")
async def raising() -> Number:
    raise ValueError("as asked for")


@app.task("add")
def add(left: Number, *, right: int = 1) -> Number:
    return TaskResult(ok=left.unwrap() + right)


class Inner(WorkflowDefinition[int]):
    """Two tasks in a row."""

    name = "inner"
    definition_key = "acceptance.traced.inner"
    first = TaskNode(fn=plain, kwargs={"n": 1})
    second = TaskNode(fn=add, waits_for=[first], args_from={"left": first})

    class Meta:
        output = "second"


class Outer(WorkflowDefinition[int]):
    """A child workflow and a task after it."""

    name = "outer"
    definition_key = "acceptance.traced.outer"
    child = SubWorkflowNode(Inner)
    last = TaskNode(fn=add, kwargs={"right": 10}, waits_for=[child], args_from={"left": child})

    class Meta:
        output = "last"


def main(folder: str) -> None:
    """Send everything there is and wait for it."""
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("request"):
        handles = [plain.send(1).unwrap(), threaded.send(2).unwrap(), third_time.send(folder).unwrap()]
        handles += plain.send_many([{"n": 3}, {"n": 4}]).unwrap()
        handles.append(asyncio.run(handing_on.send_async(5)).unwrap())
        failed = raising.send().unwrap()
        plain.with_options(idempotency_key="k").send(6).unwrap()
        assert plain.with_options(idempotency_key="k").send(7).is_err()
        workflow = Outer.build(app).start().unwrap()
    for handle in handles:
        handle.get(timeout_ms=WAIT_MS).unwrap()
    assert failed.get(timeout_ms=WAIT_MS).is_err()
    assert workflow.get(timeout_ms=WAIT_MS).unwrap() == 12


if __name__ == "__main__":
    main(str(FOLDER))
