"""Making nodes, by hand and with the typed builder (W-5, W-9, W-11, W-12)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from horsies import ErrorCode, HorsiesError, MultipleValidationErrors, WorkflowValidationError
from horsies.workflow.builder import from_node
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import add, codes, number, text, three


class Child(WorkflowDefinition[int]):
    name = "child"
    definition_key = "tests.nodes.child"
    only = TaskNode(fn=number)


def test_defaults_of_a_task_node() -> None:
    """The table of section 1."""
    node = TaskNode(fn=number)
    assert (node.args, node.kwargs, node.waits_for, node.args_from) == ((), {}, [], {})
    assert (node.workflow_ctx_from, node.skip_when, node.run_when) == (None, None, None)
    assert (node.queue, node.priority, node.good_until) == (None, None, None)
    assert (node.allow_failed_deps, node.join, node.min_success) == (False, "all", None)
    assert (node.node_id, node.index) == (None, None)


def test_defaults_of_a_sub_workflow_node() -> None:
    """The table of section 1."""
    node = SubWorkflowNode(workflow_def=Child)
    assert (node.kwargs, node.waits_for, node.args_from) == ({}, [], {})
    assert (node.workflow_ctx_from, node.skip_when, node.run_when) == (None, None, None)
    assert (node.allow_failed_deps, node.join, node.min_success) == (False, "all", None)
    assert (node.node_id, node.index) == (None, None)


@pytest.mark.parametrize("name", ["fn", "args", "queue", "priority", "good_until"])
def test_a_sub_workflow_node_has_no_fields_of_a_task(name: str) -> None:
    """Section 1: passing one is a TypeError."""
    make: Any = SubWorkflowNode
    with pytest.raises(TypeError, match=name):
        make(workflow_def=Child, **{name: None})


def test_a_node_runs_a_task_or_a_definition() -> None:
    make: Any = TaskNode
    with pytest.raises(TypeError, match=r"decorated with @app\.task"):
        make(fn=lambda: None)
    make = SubWorkflowNode
    for wrong in (number, Child(), int):
        with pytest.raises(TypeError, match="WorkflowDefinition class"):
            make(workflow_def=wrong)


def test_positional_values_are_bound_to_names() -> None:
    """W-5: in the order of the parameters, keyword-only ones too, the engine's own left out."""
    node = TaskNode(fn=three, args=(1, "x", 2.5))
    assert node.args == ()
    assert node.kwargs == {"a": 1, "b": "x", "c": 2.5}
    assert TaskNode(fn=three, args=[1], kwargs={"b": "y"}).kwargs == {"a": 1, "b": "y"}


def test_too_many_positional_values() -> None:
    """W-5, HRS-026."""
    with pytest.raises(WorkflowValidationError, match=r"'shop\.number': 2 positional values") as caught:
        TaskNode(fn=number, args=(1, 2))
    assert caught.value.code is ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED
    assert caught.value.notes == ["its parameters: value"]


def test_a_value_by_position_and_by_name() -> None:
    """W-5, HRS-026."""
    with pytest.raises(WorkflowValidationError, match="'value' is given by position") as caught:
        TaskNode(fn=number, args=(1,), kwargs={"value": 2})
    assert caught.value.code is ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED


def test_a_bound_value_and_a_source() -> None:
    """W-5, HRS-021."""
    up = TaskNode(fn=number)
    with pytest.raises(WorkflowValidationError, match="'left' has a static value") as caught:
        TaskNode(fn=add, args=(1,), waits_for=[up], args_from={"left": up})
    assert caught.value.code is ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP


def test_all_mistakes_of_one_node_are_told() -> None:
    """W-5, W-15."""
    up = TaskNode(fn=number)
    with pytest.raises(MultipleValidationErrors) as caught:
        TaskNode(fn=add, args=(1, 2, 3, 4), kwargs={"right": 1}, args_from={"left": up})
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
        ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP,
        ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
    ]


def test_args_that_are_set_later_are_refused() -> None:
    """HRS-026 in phase 3."""
    node = TaskNode(fn=number)
    node.args = (1,)
    with pytest.raises(WorkflowValidationError, match="args set after it was made") as caught:
        WorkflowSpec("w", [node])
    assert caught.value.code is ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED


def test_a_node_keeps_its_own_lists() -> None:
    waits_for: list[TaskNode[int]] = []
    kwargs = {"value": 1}
    node = TaskNode(fn=number, waits_for=waits_for, kwargs=kwargs)
    waits_for.append(TaskNode(fn=number))
    kwargs["value"] = 2
    assert node.waits_for == []
    assert node.kwargs == {"value": 1}


def test_doubled_dependencies_count_once() -> None:
    """W-9: by identity, the first one is kept, before they are counted."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    last = TaskNode(fn=number, waits_for=[two, one, two, one], join="quorum", min_success=2)
    spec = WorkflowSpec("w", [one, two, last])
    assert list(spec.tasks[2].waits_for) == [spec.tasks[1], spec.tasks[0]]
    last.min_success = 3
    with pytest.raises(WorkflowValidationError, match="min_success 3 and 2 dependencies"):
        WorkflowSpec("w", [one, two, last])


# -- the typed builder


def test_the_builder_passes_every_option() -> None:
    """W-11."""
    up, deadline = TaskNode(fn=number), datetime(2030, 1, 1, tzinfo=UTC)
    factory: Any = add.node(
        waits_for=[up],
        workflow_ctx_from=[up],
        args_from={"left": up},
        queue="default",
        priority=7,
        allow_failed_deps=True,
        join="quorum",
        min_success=1,
        good_until=deadline,
        node_id="mine",
        skip_when=bool,
        run_when=callable,
    )
    node: TaskNode[int] = factory(scale=3)
    assert node.fn is add
    assert (node.kwargs, node.args_from) == ({"scale": 3}, {"left": up})
    assert (node.waits_for, node.workflow_ctx_from) == ([up], [up])
    assert (node.queue, node.priority, node.good_until) == ("default", 7, deadline)
    assert (node.allow_failed_deps, node.join, node.min_success) == (True, "quorum", 1)
    assert (node.node_id, node.skip_when, node.run_when) == ("mine", bool, callable)


def test_each_call_makes_a_new_node() -> None:
    """W-11."""
    up = TaskNode(fn=number)
    factory = add.node()
    first, second = factory(left=from_node(up)), factory(left=from_node(up), scale=2)
    assert first is not second
    assert (first.kwargs, second.kwargs) == ({}, {"scale": 2})
    assert factory(left=from_node(first)).waits_for == [first]
    assert first.waits_for == [up]


def test_the_builder_takes_no_positions() -> None:
    """W-11, HRS-026."""
    with pytest.raises(WorkflowValidationError, match="takes its arguments by name") as caught:
        number.node()(1)
    assert caught.value.code is ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED


def test_the_builder_refuses_arguments_of_the_task_as_options() -> None:
    make: Any = number.node
    with pytest.raises(TypeError, match=r"no option 'value'.*second call"):
        make(value=1)


def test_from_node_is_source_and_dependency() -> None:
    """W-12."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    node = add.node(waits_for=[two])(left=from_node(one), right=from_node(two), scale=2)
    assert node.args_from == {"left": one, "right": two}
    assert node.waits_for == [two, one]
    assert node.kwargs == {"scale": 2}


def test_one_source_may_feed_several_parameters() -> None:
    """W-12."""
    up = TaskNode(fn=number)
    node = add.node()(left=from_node(up), right=from_node(up))
    assert node.waits_for == [up]
    spec = WorkflowSpec("w", [up, node])
    assert spec.tasks[1].args_from == {"left": spec.tasks[0], "right": spec.tasks[0]}


@pytest.mark.parametrize("wrong", [number, "up", None, NotImplemented])
def test_from_node_takes_nodes_only(wrong: object) -> None:
    """W-12, HRS-008."""
    call = cast("Callable[[object], object]", from_node)
    with pytest.raises(WorkflowValidationError, match="from_node takes a node") as caught:
        call(wrong)
    assert caught.value.code is ErrorCode.WORKFLOW_INVALID_ARGS_FROM


@pytest.mark.parametrize("marked", [True, False])
def test_an_argument_in_the_call_and_in_args_from(marked: bool) -> None:
    """W-12, HRS-021."""
    up = TaskNode(fn=number)
    factory: Any = add.node(args_from={"left": up}, waits_for=[up])
    with pytest.raises(
        WorkflowValidationError, match="'left' is given in the call and in args_from"
    ) as caught:
        factory(left=from_node(up) if marked else 1)
    assert caught.value.code is ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP


def test_a_marker_among_static_arguments() -> None:
    """W-12, HRS-008: found when the spec is made."""
    up = TaskNode(fn=number)
    node = TaskNode(fn=add, kwargs={"left": from_node(up)}, waits_for=[up])
    with pytest.raises(WorkflowValidationError, match="where it means nothing") as caught:
        WorkflowSpec("w", [up, node])
    assert caught.value.code is ErrorCode.WORKFLOW_INVALID_ARGS_FROM


def test_reprs_name_the_node_and_no_values() -> None:
    node = TaskNode(fn=text, kwargs={"value": "secret"}, node_id="n")
    assert repr(node) == "<TaskNode 'shop.text' node_id='n'>"
    assert "from_node(<TaskNode 'shop.text'" in repr(from_node(node))
    assert issubclass(WorkflowValidationError, HorsiesError)
