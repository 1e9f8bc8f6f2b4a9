"""What type checkers infer for workflows; mypy and pyright read this file, running it changes nothing.

Covers W-11, W-12, W-17, W-20, W-21, W-32, W-34, W-55: the result type of a node reaches args_from, from_node, outputs,
keys, handles.
"""

from collections.abc import Sequence
from typing import Any, assert_type

from horsies import (
    AnyNode,
    Err,
    HandleErrorCode,
    HandleOperationError,
    HandleResult,
    Horsies,
    NodeKey,
    Ok,
    SubWorkflowNode,
    SubWorkflowSummary,
    SuccessCase,
    SuccessPolicy,
    TaskError,
    TaskNode,
    TaskResult,
    WorkflowContext,
    WorkflowDefinition,
    WorkflowHandle,
    WorkflowMeta,
    WorkflowProgress,
    WorkflowSpec,
    WorkflowStartError,
    WorkflowStartResult,
    WorkflowStatus,
    WorkflowTaskInfo,
    WorkflowTaskStatus,
    from_node,
)
from horsies.workflow.node import Node
from horsies.workflow.spec import NodeResults
from tests.core.apps import make_app

app = make_app()


@app.task("fetch")
def fetch(url: str, *, depth: int = 1) -> TaskResult[bytes, TaskError]:
    return TaskResult(ok=url.encode() * depth)


@app.task("parse")
def parse(
    raw: TaskResult[bytes, TaskError], hint: TaskResult[str, TaskError] | None = None
) -> TaskResult[list[int], TaskError]:
    return TaskResult(ok=list(raw.unwrap()))


@app.task("later")
async def later(day: int) -> TaskResult[None, TaskError]:
    return TaskResult(ok=None)


@app.task("observe")
def observe(
    workflow_meta: WorkflowMeta, workflow_ctx: WorkflowContext | None = None
) -> TaskResult[int, TaskError]:
    if workflow_ctx is not None:
        seen_by_a_task(workflow_ctx)
    return TaskResult(ok=workflow_meta.task_index)


def nodes_know_their_result() -> None:
    assert_type(TaskNode(fn=fetch, kwargs={"url": "u"}), TaskNode[bytes])
    assert_type(TaskNode(fn=fetch, args=("u",)), TaskNode[bytes])
    assert_type(TaskNode(fn=later, args=(1,)), TaskNode[None])
    assert_type(TaskNode(fn=fetch).key(), NodeKey[bytes])
    assert_type(SubWorkflowNode(workflow_def=Etl), SubWorkflowNode[list[int]])
    assert_type(SubWorkflowNode(workflow_def=Etl).key(), NodeKey[list[int]])


def the_builder_takes_the_parameters_of_the_task() -> None:
    a = fetch.node(node_id="a")(url="u", depth=2)
    assert_type(a, TaskNode[bytes])
    assert_type(from_node(a), TaskResult[bytes, TaskError])
    assert_type(parse.node(waits_for=[a])(raw=from_node(a)), TaskNode[list[int]])
    fetch.node()(url=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch.node()()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fetch.node()(uri="u")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    b = parse.node()(raw=from_node(a), hint=None)
    parse.node()(raw=from_node(b))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    parse.node()(raw=from_node(a), hint=from_node(b))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch.node(queu="mail")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fetch.node(join="most")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def specs_know_the_result_of_their_output() -> None:
    a = TaskNode(fn=fetch, args=("u",))
    b = TaskNode(fn=parse, waits_for=[a], args_from={"raw": a})
    assert_type(app.workflow("w", [a, b]), WorkflowSpec[NodeResults])
    assert_type(app.workflow("w", [a, b], output=b), WorkflowSpec[list[int]])
    assert_type(app.workflow("w", [a, b], "pause", a), WorkflowSpec[bytes])
    assert_type(app.workflow("w", [a, b], output=a, definition_key="k"), WorkflowSpec[bytes])
    assert_type(WorkflowSpec("w", [a, b]), WorkflowSpec[NodeResults])
    assert_type(WorkflowSpec("w", [a, b], output=b), WorkflowSpec[list[int]])
    spec = WorkflowSpec("w", [a, b], "fail", a)
    assert_type(spec, WorkflowSpec[bytes])
    assert_type(spec.output, Node[bytes] | None)
    assert_type(spec.tasks, tuple[AnyNode, ...])
    for node in spec.tasks:
        if isinstance(node, TaskNode):
            assert_type(node, TaskNode[Any])
        else:
            assert_type(node, SubWorkflowNode[Any])
    policy = SuccessPolicy([SuccessCase([a]), SuccessCase(required=[b])], optional=[a])
    app.workflow("w", [a, b], success_policy=policy)


def any_kind_of_node_in_any_sequence(
    given: list[TaskNode[int]], more: Sequence[AnyNode]
) -> WorkflowSpec[Any]:
    last = TaskNode(fn=fetch, waits_for=given, workflow_ctx_from=more, run_when=condition)
    return app.workflow("w", [*given, *more, last])


def condition(context: WorkflowContext) -> bool:
    return context.has_result(Etl.load)


class Etl(WorkflowDefinition[list[int]]):
    name = "etl"
    definition_key = "tests.typing.etl"
    load = TaskNode(fn=fetch, args=("u",), skip_when=condition)
    total = TaskNode(fn=parse, waits_for=[load], args_from={"raw": load})

    class Meta:
        output = "total"
        success_policy = SuccessPolicy([SuccessCase(["total", fetch])])


class Sized(WorkflowDefinition[bytes]):
    name = "sized"
    definition_key = "tests.typing.sized"

    @classmethod
    def build_with(
        cls, app: Horsies, *, size: int, rows: TaskResult[list[int], TaskError] | None = None
    ) -> WorkflowSpec[bytes]:
        nodes = [TaskNode(fn=fetch, args=(str(number),)) for number in range(size)]
        return app.workflow("sized", nodes, output=nodes[-1])


def definitions_know_their_output() -> None:
    assert_type(Etl.build(app), WorkflowSpec[list[int]])
    assert_type(Etl.build_with(app), WorkflowSpec[list[int]])
    assert_type(Sized.build_with(app, size=3), WorkflowSpec[bytes])
    Sized.build_with(app, size="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    child = SubWorkflowNode(workflow_def=Sized, kwargs={"size": 3})
    assert_type(from_node(child), TaskResult[bytes, TaskError])
    assert_type(parse.node()(raw=from_node(child)), TaskNode[list[int]])
    assert_type(app.workflow("w", [child], output=child), WorkflowSpec[bytes])


def seen_by_a_task(context: WorkflowContext) -> None:
    key: NodeKey[int] = NodeKey("total")
    child = SubWorkflowNode(workflow_def=Etl)
    assert_type(context.result_for(Etl.load), TaskResult[bytes, TaskError])
    assert_type(context.result_for(Etl.total.key()), TaskResult[list[int], TaskError])
    assert_type(context.result_for(key), TaskResult[int, TaskError])
    assert_type(context.result_for(child), TaskResult[list[int], TaskError])
    assert_type(context.summary_for(child), SubWorkflowSummary)
    context.summary_for(Etl.load)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.result_for("total")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.workflow_builder(cases=[{"size": 2}])
def built(size: int) -> WorkflowSpec[bytes]:
    return Sized.build_with(app, size=size)


def builders_stay_what_they_are() -> None:
    assert_type(built(2), WorkflowSpec[bytes])
    built("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def handles_know_the_result_of_the_output() -> None:
    spec = Etl.build(app)
    assert_type(spec.start(), WorkflowStartResult[list[int]])
    handle = spec.start().unwrap()
    assert_type(handle, WorkflowHandle[list[int]])
    assert_type(handle.get(), TaskResult[list[int], TaskError])
    assert_type(handle.get(timeout_ms=5).unwrap(), list[int])
    assert_type(handle.get().err_value, TaskError)
    assert_type(Sized.build_with(app, size=1).start().unwrap().get(), TaskResult[bytes, TaskError])
    assert_type(Quiet.build(app).start().unwrap().get(), TaskResult[None, TaskError])
    a = TaskNode(fn=fetch, args=("u",))
    plain = app.workflow("w", [a]).start().unwrap()
    assert_type(plain.get(), TaskResult[NodeResults, TaskError])
    assert_type(plain.get().unwrap()["a"], TaskResult[Any, TaskError] | None)
    assert_type(app.workflow("w", [a], output=a).start().unwrap().get(), TaskResult[bytes, TaskError])
    match spec.start():
        case Ok(started):
            assert_type(started, WorkflowHandle[list[int]])
        case Err(error):
            assert_type(error, WorkflowStartError)
    by_hand: WorkflowHandle[int] = WorkflowHandle("id", app.get_broker())
    assert_type(by_hand.get(), TaskResult[int, TaskError])


class Quiet(WorkflowDefinition[None]):
    name = "quiet"
    definition_key = "tests.typing.quiet"
    only = TaskNode(fn=later, args=(1,))

    class Meta:
        output = "only"


def handles_know_the_results_of_nodes(handle: WorkflowHandle[Any]) -> None:
    key: NodeKey[str] = NodeKey("title")
    child = SubWorkflowNode(workflow_def=Etl)
    assert_type(handle.result_for(Etl.load), TaskResult[bytes, TaskError])
    assert_type(handle.result_for(Etl.total.key()), TaskResult[list[int], TaskError])
    assert_type(handle.result_for(key), TaskResult[str, TaskError])
    assert_type(handle.result_for(child), TaskResult[list[int], TaskError])
    handle.result_for("title")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def what_handles_tell(handle: WorkflowHandle[Any]) -> None:
    assert_type(handle.status(), HandleResult[WorkflowStatus])
    assert_type(handle.results(), HandleResult[dict[str, TaskResult[Any, TaskError]]])
    assert_type(handle.tasks(), HandleResult[list[WorkflowTaskInfo]])
    assert_type(handle.cancel(), HandleResult[None])
    assert_type(handle.pause(), HandleResult[bool])
    assert_type(handle.progress(), HandleResult[WorkflowProgress])
    assert_type(handle.progress(include_children=True).unwrap().counts, dict[WorkflowTaskStatus, int])
    assert_type(handle.progress().unwrap().fraction, float)
    assert_type(handle.to_mermaid("LR"), HandleResult[str])
    handle.to_mermaid("DT")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    match handle.status():
        case Ok(status):
            assert_type(status, WorkflowStatus)
        case Err(problem):
            assert_type(problem, HandleOperationError)
            assert_type(problem.code, HandleErrorCode)


async def the_same_in_event_loops() -> None:
    handle = (await Etl.build(app).start_async()).unwrap()
    assert_type(await handle.get_async(), TaskResult[list[int], TaskError])
    assert_type(await handle.result_for_async(Etl.load), TaskResult[bytes, TaskError])
    assert_type(await handle.progress_async(), HandleResult[WorkflowProgress])
    assert_type(await handle.to_mermaid_async(), HandleResult[str])
    assert_type(await handle.resume_async(), HandleResult[bool])


def results_in_args_from_are_nodes() -> None:
    a = TaskNode(fn=fetch, args=("u",))
    TaskNode(fn=parse, waits_for=[a], args_from={"raw": fetch})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    TaskNode(fn=parse, waits_for=[fetch], args_from={"raw": a})  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    app.workflow("w", [a], output="a")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    SuccessCase(required=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
