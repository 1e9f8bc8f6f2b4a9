"""Static arguments travel as they will at run time, checked when the spec is made (W-10, HRS-031)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from horsies import ErrorCode, MultipleValidationErrors, TaskError, TaskResult, WorkflowValidationError
from horsies.codec.problems import DecodeError
from horsies.workflow.arguments import decode_arguments, encode_argument, join_arguments
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import CallNode, SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import Order, add, app, codes, collect, keyed, number, observe, text, three


def refused(node: CallNode[Any], *others: TaskNode[Any]) -> WorkflowValidationError:
    with pytest.raises(WorkflowValidationError) as caught:
        WorkflowSpec("w", [*others, node])
    assert caught.value.code is ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE
    return caught.value


def kept(node: CallNode[Any]) -> CallNode[Any]:
    copy = WorkflowSpec("w", [node]).tasks[0]
    assert isinstance(copy, CallNode)
    return copy


def test_arguments_are_kept_as_they_will_arrive() -> None:
    """W-10: encoded and decoded by the parameter's type."""
    node = kept(TaskNode(fn=three, kwargs={"a": "5", "b": "ü", "c": 1}))
    assert node.kwargs == {"a": 5, "b": "ü", "c": 1.0}
    assert isinstance(node.kwargs["c"], float)
    assert node.kwargs_json == '{"a":5,"b":"ü","c":1.0}'


def test_without_arguments_nothing_is_stored() -> None:
    """K §1: null if none were given."""
    assert kept(TaskNode(fn=number)).kwargs_json is None


def test_the_text_is_what_a_send_would_write() -> None:
    """W-10, T-34: one form on the wire, whoever wrote it."""
    arguments: dict[str, object] = {"event": {"at": datetime(2024, 5, 1, tzinfo=UTC)}, "order": Order([1])}
    node = kept(TaskNode(fn=collect, kwargs=arguments))
    signature = collect.definition.signature
    assert node.kwargs_json == signature.encode(arguments)
    assert signature.decode(node.kwargs_json) == arguments


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (TaskNode(fn=number, kwargs={"value": "x"}), "value for 'value' that cannot be sent as int"),
        (TaskNode(fn=collect, kwargs={"event": {"a": object()}}), "value for 'event'"),
        (TaskNode(fn=collect, kwargs={"event": {"__h_tag__": 1}}), "reserved"),
        (TaskNode(fn=collect, kwargs={"event": {"a": (1, 2)}}), "value for 'event'"),
        (TaskNode(fn=text, kwargs={"value": "\ud800"}), "surrogate"),
        (TaskNode(fn=keyed, kwargs={"ratio": float("nan")}), "NaN"),
        (TaskNode(fn=keyed, kwargs={"ratio": float("inf")}), "infinite"),
        (TaskNode(fn=keyed, kwargs={"by_number": {1: "a", "1": "b"}}), "two keys of a dict are the same"),
        (TaskNode(fn=keyed, kwargs={"nested": [{}, {1: 1, "1": 2}]}), "two keys of a dict are the same"),
    ],
)
def test_what_cannot_travel_is_refused(node: TaskNode[int], problem: str) -> None:
    """W-10, K-37, HRS-031: NaN and colliding keys included."""
    error = refused(node)
    assert problem in error.message
    assert error.message.startswith("workflow 'w': node 'w:0' has a value for ")
    assert error.__cause__ is not None


@pytest.mark.parametrize("name", ["workflow_ctx", "workflow_meta"])
def test_the_engine_s_own_parameters_are_not_static(name: str) -> None:
    """W-10, HRS-031."""
    assert "filled in by the engine" in refused(TaskNode(fn=observe, kwargs={name: None})).message


def test_results_are_not_static() -> None:
    """W-10, HRS-031: by args_from only."""
    for value in (1, TaskResult[int, TaskError](ok=1), None):
        assert "takes the result of a node" in refused(TaskNode(fn=add, kwargs={"left": value})).message


def test_all_bad_values_are_told() -> None:
    """W-15."""
    one = TaskNode(fn=number, kwargs={"value": "x"})
    two = TaskNode(fn=three, kwargs={"a": "x", "b": 1, "c": "y"}, good_until=datetime(2024, 5, 1))
    with pytest.raises(MultipleValidationErrors) as caught:
        WorkflowSpec("w", [one, two])
    assert codes(caught.value) == [ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE] * 5


class Touchy(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def check(cls, value: int) -> int:
        if value < 0:
            raise RuntimeError("no negative values here")
        return value


@app.task("shop.touchy")
def touchy(item: Touchy) -> TaskResult[int, TaskError]:
    return TaskResult(ok=item.value)


def test_user_code_that_raises_is_told() -> None:
    """W-10: methods of the user's own models run when values are checked."""
    error = refused(TaskNode(fn=touchy, kwargs={"item": {"value": -1}}))
    assert "raised RuntimeError: no negative values here" in error.message
    assert isinstance(error.__cause__, RuntimeError)


def test_user_code_that_raises_at_the_other_end_is_told_too() -> None:
    """W-57: the process that reads the arguments goes on."""
    with pytest.raises(DecodeError, match="'item' cannot be read: RuntimeError: no negative values here"):
        decode_arguments(TaskNode(fn=touchy).signature, '{"item":{"value":-1}}')


@pytest.mark.parametrize(
    ("deadline", "problem"),
    [(datetime(2024, 5, 1), "without a time zone"), ("2024-05-01", "is a str"), (5, "is a int")],
)
def test_a_deadline_names_an_instant(deadline: Any, problem: str) -> None:
    """W-10, HRS-031."""
    assert problem in refused(TaskNode(fn=number, good_until=deadline)).message


def test_a_past_deadline_is_the_caller_s_business() -> None:
    """W-10."""
    node = kept(TaskNode(fn=number, good_until=datetime(2000, 1, 1, tzinfo=UTC)))
    assert isinstance(node, TaskNode)
    assert node.good_until == datetime(2000, 1, 1, tzinfo=UTC)


class Report(WorkflowDefinition[int]):
    name = "report"
    definition_key = "tests.static_arguments.report"
    only = TaskNode(fn=number)

    @classmethod
    def build_with(  # type: ignore[no-untyped-def]
        cls,
        app: Any,
        month: int,
        *,
        at: datetime | None = None,
        rows: TaskResult[int, TaskError] | None = None,
        free: Any = None,
        bare=None,  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
        **more: Any,
    ) -> WorkflowSpec[int]:
        return cls.build(app)


def test_arguments_of_a_child_go_by_the_parameters_of_build_with() -> None:
    """W-10: names without a parameter, and parameters without a type, are untyped."""
    at = datetime(2024, 5, 1, tzinfo=UTC)
    node = kept(
        SubWorkflowNode(
            workflow_def=Report, kwargs={"month": "5", "at": at, "free": at, "bare": [1], "extra": {"a": at}}
        )
    )
    assert node.kwargs == {"month": 5, "at": at, "free": at, "bare": (1,), "extra": {"a": at}}
    tag = '{"__h_tag__":"datetime","v":"2024-05-01T00:00:00+00:00"}'
    assert node.kwargs_json is not None
    assert node.kwargs_json.endswith(f'"free":{tag},"bare":[1],"extra":{{"a":{tag}}}}}')
    assert decode_arguments(node.signature, node.kwargs_json)["bare"] == [1]


@pytest.mark.parametrize(
    ("name", "value"), [("month", "May"), ("rows", 1), ("extra", object()), ("at", "never")]
)
def test_bad_arguments_of_a_child(name: str, value: object) -> None:
    """W-10, HRS-031."""
    error = refused(SubWorkflowNode(workflow_def=Report, kwargs={"month": 5, name: value}))
    assert f"has a value for {name!r} that" in error.message


@pytest.mark.parametrize("text", ["[]", "{", '{"month":"May"}', '{"extra":{"__h_tag__":"x"}}'])
def test_stored_arguments_that_do_not_fit(text: str) -> None:
    """What a prepare step would find after the definition changed (05 section 17)."""
    signature = SubWorkflowNode(workflow_def=Report).signature
    with pytest.raises(DecodeError, match="cannot be read"):
        decode_arguments(signature, text)


def test_nodes_of_another_spec_are_checked_again() -> None:
    """W-8, HRS-031: their text has to fit the parameters it has now."""
    spec = WorkflowSpec("w", [SubWorkflowNode(workflow_def=Report, kwargs={"month": 5})])
    node = spec.tasks[0]
    object.__setattr__(node, "kwargs_json", '{"month":"May"}')
    with pytest.raises(WorkflowValidationError, match="arguments of another workflow's node") as caught:
        WorkflowSpec("again", spec.tasks)
    assert caught.value.code is ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE


def test_parts_of_an_argument_text() -> None:
    signature = SubWorkflowNode(workflow_def=Report).signature
    text, value = encode_argument(signature, "month", "5")
    assert (text, value) == ("5", 5)
    assert join_arguments({}) is None
    assert join_arguments({"größe": "1", "b": "[]"}) == '{"größe":1,"b":[]}'
