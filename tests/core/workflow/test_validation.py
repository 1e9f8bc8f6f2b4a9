"""The checks of phases 1 and 3 and how their errors are collected (05 section 16, W-15)."""

from collections.abc import Sequence
from typing import Any

import pytest

from horsies import ErrorCode, HorsiesError, MultipleValidationErrors, WorkflowValidationError
from horsies.workflow.node import Node
from horsies.workflow.nodes import TaskNode
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import add, app, codes, needs_context, number, observe, text, three


def refused(code: ErrorCode, name: Any, tasks: Sequence[Any], **options: Any) -> HorsiesError:
    """The one error that making a spec raises."""
    with pytest.raises(WorkflowValidationError) as caught:
        WorkflowSpec(name, tasks, **options)
    assert caught.value.code is code
    return caught.value


# -- collecting


def test_errors_of_a_phase_are_collected_in_order() -> None:
    """W-15: in the order of the codes' checks, within one check in the order of the nodes."""
    foreign = TaskNode(fn=number)
    first = TaskNode(fn=number, kwargs={"wrong": 1}, node_id="first")
    second = TaskNode(fn=add, waits_for=[foreign], args_from={"left": first}, node_id="second")
    third = TaskNode(fn=number, waits_for=[foreign], join="some", node_id="third")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(MultipleValidationErrors) as caught:
        WorkflowSpec("w", [first, second, third], output=foreign)
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_INVALID_DEPENDENCY,
        ErrorCode.WORKFLOW_INVALID_DEPENDENCY,
        ErrorCode.WORKFLOW_INVALID_ARGS_FROM,
        ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
        ErrorCode.WORKFLOW_INVALID_OUTPUT,
        ErrorCode.WORKFLOW_INVALID_JOIN,
    ]
    assert caught.value.report.phase_name == "workflow 'w'"


def test_a_phase_with_errors_is_the_last() -> None:
    """W-15: names before ids, ids before structure, structure before arguments."""
    both = [TaskNode(fn=number, node_id="", kwargs={"value": "x", "wrong": 1})]
    assert codes(refused(ErrorCode.WORKFLOW_NO_NAME, "", both)) == [ErrorCode.WORKFLOW_NO_NAME]
    refused(ErrorCode.WORKFLOW_INVALID_NODE_ID, "w", both)
    both[0].node_id = "fine"
    refused(ErrorCode.WORKFLOW_INVALID_KWARG_KEY, "w", both)
    both[0].kwargs = {"value": "x"}
    refused(ErrorCode.WORKFLOW_KWARGS_NOT_SERIALIZABLE, "w", both)


def test_errors_point_at_the_code_that_makes_the_spec() -> None:
    error = refused(ErrorCode.WORKFLOW_NO_NODES, "w", [])
    assert error.location is not None
    assert error.location.file == __file__
    assert error.help_text


# -- phase 1


@pytest.mark.parametrize("name", ["", None, 5, "a\0b", "a\ud800"])
def test_a_workflow_has_a_name(name: object) -> None:
    """HRS-001."""
    refused(ErrorCode.WORKFLOW_NO_NAME, name, [TaskNode(fn=number)])


def test_a_workflow_has_nodes() -> None:
    """HRS-002."""
    assert "'w'" in refused(ErrorCode.WORKFLOW_NO_NODES, "w", []).message


def test_neither_name_nor_nodes() -> None:
    """W-15, HRS-001, HRS-002."""
    with pytest.raises(MultipleValidationErrors) as caught:
        WorkflowSpec("", [])
    assert codes(caught.value) == [ErrorCode.WORKFLOW_NO_NAME, ErrorCode.WORKFLOW_NO_NODES]


# -- the graph


def test_a_dependency_is_one_of_the_nodes() -> None:
    """HRS-006: that very node, not a copy of it."""
    up = TaskNode(fn=number, node_id="up")
    copy = WorkflowSpec("other", [up]).tasks[0]
    down = TaskNode(fn=number, waits_for=[up], node_id="down")
    error = refused(ErrorCode.WORKFLOW_INVALID_DEPENDENCY, "w", [copy, down])
    assert "node 'down' waits for <TaskNode 'shop.number' node_id='up'>" in error.message
    assert error.notes == ["its nodes: 'up', 'down'"]


def test_a_dependency_is_a_node() -> None:
    """HRS-006."""
    waits_for: Any = ["up"]
    refused(
        ErrorCode.WORKFLOW_INVALID_DEPENDENCY,
        "w",
        [TaskNode(fn=number), TaskNode(fn=number, waits_for=waits_for)],
    )


def test_nodes_without_a_first_one() -> None:
    """HRS-005: and the circle that makes it so, HRS-007."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    one.waits_for, two.waits_for = [two], [one]
    with pytest.raises(MultipleValidationErrors) as caught:
        WorkflowSpec("w", [one, two])
    assert codes(caught.value) == [ErrorCode.WORKFLOW_NO_ROOT_TASKS, ErrorCode.WORKFLOW_CYCLE_DETECTED]


def test_a_circle_lists_its_nodes() -> None:
    """HRS-007: those in the circle, not those before or behind it."""
    names = ["root", "before", "a", "b", "c", "behind"]
    nodes = {name: TaskNode(fn=number, node_id=name) for name in names}

    def wait(name: str, *others: str) -> None:
        nodes[name].waits_for = [nodes[other] for other in others]

    wait("before", "root")
    wait("a", "before", "c")
    wait("b", "a")
    wait("c", "b")
    wait("behind", "c")
    error = refused(ErrorCode.WORKFLOW_CYCLE_DETECTED, "w", list(nodes.values()))
    assert "'a' -> 'c' -> 'b' -> 'a'" in error.message
    assert "behind" not in error.message


def test_a_node_that_waits_for_itself() -> None:
    """HRS-007."""
    node = TaskNode(fn=number, node_id="me")
    node.waits_for = [node]
    error = refused(ErrorCode.WORKFLOW_CYCLE_DETECTED, "w", [TaskNode(fn=number), node])
    assert "'me' -> 'me'" in error.message


def test_a_long_chain_is_no_circle() -> None:
    """HRS-007: and nothing here depends on Python's recursion limit."""
    nodes: list[TaskNode[int]] = []
    for _ in range(3000):
        nodes.append(TaskNode(fn=number, waits_for=nodes[-1:]))
    assert len(app.workflow("w", list(reversed(nodes))).tasks) == 3000


# -- feeding each other


def test_a_source_is_a_dependency() -> None:
    """HRS-008."""
    up = TaskNode(fn=number, node_id="up")
    error = refused(
        ErrorCode.WORKFLOW_INVALID_ARGS_FROM,
        "w",
        [up, TaskNode(fn=add, args_from={"left": up}, node_id="down")],
    )
    assert error.message == "workflow 'w': node 'down' takes 'left' from 'up', which it does not wait for"


def test_a_source_is_a_node() -> None:
    """HRS-008."""
    up = TaskNode(fn=number)
    sources: Any = {"left": number}
    node = TaskNode(fn=add, waits_for=[up], args_from=sources)
    refused(ErrorCode.WORKFLOW_INVALID_ARGS_FROM, "w", [up, node])


def test_a_node_of_the_context_is_a_dependency() -> None:
    """HRS-009."""
    up = TaskNode(fn=number)
    refused(ErrorCode.WORKFLOW_INVALID_CTX_FROM, "w", [up, TaskNode(fn=observe, workflow_ctx_from=[up])])


def test_a_context_is_taken() -> None:
    """HRS-010: an empty list asks for none."""
    up = TaskNode(fn=number)
    node = TaskNode(fn=number, waits_for=[up], workflow_ctx_from=[up])
    error = refused(ErrorCode.WORKFLOW_CTX_PARAM_MISSING, "w", [up, node])
    assert "'shop.number' has no parameter workflow_ctx" in error.message
    node.workflow_ctx_from = []
    assert WorkflowSpec("w", [up, node]).tasks[1].workflow_ctx_from == ()
    assert WorkflowSpec("w", [up, TaskNode(fn=observe, waits_for=[up], workflow_ctx_from=[up])]).tasks


def test_a_value_and_a_source() -> None:
    """HRS-021 in phase 3."""
    up = TaskNode(fn=number)
    node = TaskNode(fn=add, waits_for=[up], args_from={"left": up}, kwargs={"left": 1})
    refused(ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP, "w", [up, node])


# -- parameters


def test_arguments_have_a_parameter() -> None:
    """HRS-019: the valid ones are listed."""
    up = TaskNode(fn=number)
    error = refused(ErrorCode.WORKFLOW_INVALID_KWARG_KEY, "w", [TaskNode(fn=text, kwargs={"vlaue": "x"})])
    assert error.notes == ["its parameters: value"]
    refused(
        ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
        "w",
        [up, TaskNode(fn=text, waits_for=[up], args_from={"vlaue": up})],
    )


def test_required_parameters_are_given() -> None:
    """HRS-020: all that are missing, by name."""
    error = refused(ErrorCode.WORKFLOW_MISSING_REQUIRED_PARAMS, "w", [TaskNode(fn=three)])
    assert "does not give 'a', 'b' to 'shop.three'" in error.message
    refused(ErrorCode.WORKFLOW_MISSING_REQUIRED_PARAMS, "w", [TaskNode(fn=add)])


def test_meta_is_always_injected() -> None:
    """W-56, HRS-020: also as a required parameter."""
    assert WorkflowSpec("w", [TaskNode(fn=observe)]).tasks


def test_a_required_context_needs_nodes() -> None:
    """W-55, HRS-020: without them the parameter would keep a default it does not have."""
    up = TaskNode(fn=number)
    refused(ErrorCode.WORKFLOW_MISSING_REQUIRED_PARAMS, "w", [up, TaskNode(fn=needs_context, waits_for=[up])])
    assert WorkflowSpec("w", [up, TaskNode(fn=needs_context, waits_for=[up], workflow_ctx_from=[up])]).tasks


# -- the end


@pytest.mark.parametrize("output", [TaskNode(fn=number), "w:0", number, 0])
def test_the_output_is_one_of_the_nodes(output: object) -> None:
    """HRS-011."""
    error = refused(ErrorCode.WORKFLOW_INVALID_OUTPUT, "w", [TaskNode(fn=number)], output=output)
    assert error.notes == ["its nodes: 'w:0'"]


def _policies(node: Node[Any]) -> dict[str, Any]:
    wrong: Any = [node]
    foreign = TaskNode(fn=number)
    return {
        "has no cases": SuccessPolicy([]),
        "case 1 of its success policy requires no node": SuccessPolicy([SuccessCase([])]),
        "case 2": SuccessPolicy([SuccessCase([node]), SuccessCase([foreign])]),
        "optional": SuccessPolicy([SuccessCase([node])], optional=[foreign]),
        "names 'w:0'": SuccessPolicy([SuccessCase(["w:0"])]),
        "case 1 of its success policy is": SuccessPolicy([wrong]),
        "not a SuccessPolicy": [SuccessCase([node])],
    }


@pytest.mark.parametrize("problem", _policies(TaskNode(fn=number)))
def test_a_policy_speaks_of_the_nodes(problem: str) -> None:
    """HRS-012, W-16."""
    node = TaskNode(fn=number)
    policy = _policies(node)[problem]
    assert (
        problem
        in refused(ErrorCode.WORKFLOW_INVALID_SUCCESS_POLICY, "w", [node], success_policy=policy).message
    )


# -- joins


@pytest.mark.parametrize(
    ("join", "least", "problem"),
    [
        ("most", None, "has the join 'most'"),
        (None, None, "has the join None"),
        ("quorum", None, "no min_success"),
        ("quorum", 0, "min_success 0 and 2 dependencies"),
        ("quorum", 3, "min_success 3 and 2 dependencies"),
        ("quorum", True, "the min_success True"),
        ("quorum", "1", "the min_success '1'"),
        ("all", 1, "min_success with the join 'all'"),
        ("any", 1, "min_success with the join 'any'"),
    ],
)
def test_a_join_can_be_reached(join: Any, least: Any, problem: str) -> None:
    """HRS-013."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    node = TaskNode(fn=number, waits_for=[one, two], join=join, min_success=least)
    assert problem in refused(ErrorCode.WORKFLOW_INVALID_JOIN, "w", [one, two, node]).message


@pytest.mark.parametrize(("join", "least"), [("any", None), ("quorum", 1), ("quorum", 2), ("all", None)])
def test_joins_that_can_be_reached(join: Any, least: Any) -> None:
    """HRS-013."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    node = TaskNode(fn=number, waits_for=[one, two], join=join, min_success=least)
    kept = WorkflowSpec("w", [one, two, node]).tasks[2]
    assert (kept.join, kept.min_success) == (join, least)


@pytest.mark.parametrize(("join", "least"), [("any", None), ("quorum", 1)])
def test_with_these_joins_a_source_may_have_nothing_yet(join: Any, least: Any) -> None:
    """HRS-013: its parameter needs a default then."""
    one, two = TaskNode(fn=number), TaskNode(fn=number)
    node = TaskNode(
        fn=add,
        waits_for=[one, two],
        args_from={"left": one, "right": two},
        join=join,
        min_success=least,
    )
    error = refused(ErrorCode.WORKFLOW_INVALID_JOIN, "w", [one, two, node])
    assert "'left' has no default" in error.message
