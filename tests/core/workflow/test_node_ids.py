"""Node ids, keys and names (W-1 to W-4, W-8)."""

from typing import Any, get_args

import pytest

from horsies import ErrorCode, WorkflowValidationError
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.node_key import NodeKey, slugify
from horsies.workflow.nodes import AnyNode, SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import app, number


class Child(WorkflowDefinition[int]):
    name = "child flow"
    definition_key = "tests.node_ids.child"
    only = TaskNode(fn=number)


class Nameless(WorkflowDefinition[int]):
    definition_key = "tests.node_ids.nameless"
    only = TaskNode(fn=number)


def test_a_node_is_called_like_what_it_runs() -> None:
    """W-1."""
    assert TaskNode(fn=number).name == "shop.number"
    assert SubWorkflowNode(workflow_def=Child).name == "child flow"
    assert SubWorkflowNode(workflow_def=Nameless).name == "Nameless"


def test_the_key_of_a_node_needs_an_id() -> None:
    """W-1."""
    assert TaskNode(fn=number, node_id="n").key() == NodeKey("n")
    with pytest.raises(WorkflowValidationError, match="no node_id yet"):
        TaskNode(fn=number).key()


def test_keys_compare_by_value_and_cannot_change() -> None:
    """W-2."""
    key: NodeKey[int] = NodeKey("a")
    other: NodeKey[Any] = NodeKey("a")
    assert key == other
    assert len({key, other, NodeKey[int]("b")}) == 2
    assert key.key() is key
    with pytest.raises(AttributeError):
        key.node_id = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_any_node_is_the_union_of_the_kinds() -> None:
    """W-2."""
    assert get_args(AnyNode) == (TaskNode[Any], SubWorkflowNode[Any])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("daily report", "daily_report"),
        ("a/b*c", "abc"),
        ("Ünïcode 9_-:.", "ncode_9_-:."),
        ("", "_"),
        ("äöü", "_"),
        ("  ", "__"),
        ("tab\there", "tabhere"),
    ],
)
def test_slugify(given: str, expected: str) -> None:
    """W-3."""
    assert slugify(given) == expected


def test_ids_are_given_or_derived_from_the_workflow() -> None:
    """W-4, W-6: the given nodes learn place and id."""
    first, second = TaskNode(fn=number), TaskNode(fn=number, node_id="mine")
    spec = WorkflowSpec("daily report!", [first, second])
    assert [node.node_id for node in spec.tasks] == ["daily_report:0", "mine"]
    assert (first.index, first.node_id) == (0, "daily_report:0")
    assert (second.index, second.node_id) == (1, "mine")
    assert first.key() == spec.tasks[0].key()


def test_nodes_of_a_definition_are_called_like_their_attribute() -> None:
    """W-4: stamped when the class is made."""
    assert Child.only.node_id == "only"


@pytest.mark.parametrize(
    ("node_id", "problem"),
    [
        ("", "is empty"),
        ("x" * 129, "129 characters"),
        ("a b", "holds ' '"),
        ("ä", "holds 'ä'"),
        ("a\n", "holds"),
    ],
)
def test_an_id_has_to_be_usable(node_id: str, problem: str) -> None:
    """W-4, HRS-003."""
    with pytest.raises(WorkflowValidationError, match=problem) as caught:
        WorkflowSpec("w", [TaskNode(fn=number, node_id=node_id)])
    assert caught.value.code is ErrorCode.WORKFLOW_INVALID_NODE_ID


def test_an_id_is_text() -> None:
    """W-4, HRS-003."""
    node_id: Any = 7
    with pytest.raises(WorkflowValidationError, match="is a string, not a int"):
        WorkflowSpec("w", [TaskNode(fn=number, node_id=node_id)])


def test_an_id_may_have_128_characters() -> None:
    """W-4."""
    assert WorkflowSpec("w", [TaskNode(fn=number, node_id="x" * 128)]).tasks[0].node_id == "x" * 128
    assert WorkflowSpec("x" * 126, [TaskNode(fn=number)]).tasks[0].node_id == "x" * 126 + ":0"


def test_a_name_too_long_for_ids_is_blamed_itself() -> None:
    """HRS-003: of a derived id the workflow's name is blamed."""
    with pytest.raises(WorkflowValidationError, match="its name makes the id of node 0") as caught:
        WorkflowSpec("x" * 127, [TaskNode(fn=number)])
    assert caught.value.code is ErrorCode.WORKFLOW_INVALID_NODE_ID


def test_an_id_is_used_once() -> None:
    """HRS-004."""
    same = TaskNode(fn=number)
    for tasks in ([TaskNode(fn=number, node_id="a"), TaskNode(fn=number, node_id="a")], [same, same]):
        with pytest.raises(WorkflowValidationError, match="nodes 0 and 1 have the same id") as caught:
            WorkflowSpec("w", tasks)
        assert caught.value.code is ErrorCode.WORKFLOW_DUPLICATE_NODE_ID


def test_a_given_id_can_meet_a_derived_one() -> None:
    """HRS-004."""
    with pytest.raises(WorkflowValidationError, match="nodes 0 and 1 have the same id 'w:1'"):
        WorkflowSpec("w", [TaskNode(fn=number, node_id="w:1"), TaskNode(fn=number)])


def test_one_node_may_serve_several_specs() -> None:
    """W-8: derived ids are made anew, given ones stay."""
    derived, given = TaskNode(fn=number), TaskNode(fn=number, node_id="mine")
    one = WorkflowSpec("one", [derived, given])
    two = WorkflowSpec("two", [given, derived])
    assert [node.node_id for node in one.tasks] == ["one:0", "mine"]
    assert [node.node_id for node in two.tasks] == ["mine", "two:1"]
    assert (derived.index, derived.node_id) == (1, "two:1")


def test_a_derived_id_that_is_set_by_hand_stays() -> None:
    """W-8: from then on it is a given one."""
    node = TaskNode(fn=number)
    WorkflowSpec("one", [node])
    node.node_id = node.node_id
    assert WorkflowSpec("two", [node]).tasks[0].node_id == "one:0"


def test_a_node_that_was_in_a_spec_is_named_by_its_attribute_all_the_same() -> None:
    """W-4: an id that a spec made is no id of its own."""
    node = TaskNode(fn=number)
    WorkflowSpec("one", [node])

    class Shop(WorkflowDefinition[int]):
        name = "shop"
        definition_key = "tests.shop_of_used_nodes"
        total = node

        class Meta:
            output = node

    assert Shop.total.node_id == "total"


def test_nodes_taken_out_of_a_spec_keep_their_id() -> None:
    """W-8."""
    one = WorkflowSpec("one", [TaskNode(fn=number)])
    two = WorkflowSpec("two", [TaskNode(fn=number), *one.tasks])
    assert [node.node_id for node in two.tasks] == ["two:0", "one:0"]
    assert one.tasks[0].index == 0


def test_nodes_of_a_definition_keep_id_and_place_in_other_specs() -> None:
    """W-8, W-18: class nodes never change."""
    spec = WorkflowSpec("other", [TaskNode(fn=number), Child.only])
    assert [node.node_id for node in spec.tasks] == ["other:0", "only"]
    assert Child.only.index is None


def test_a_node_out_of_a_spec_can_be_a_class_attribute() -> None:
    """W-8: it keeps its id there as well."""
    spec = WorkflowSpec("one", [TaskNode(fn=number, node_id="mine")])

    class Reused(WorkflowDefinition[None]):
        name = "reused"
        definition_key = "tests.node_ids.reused"
        attribute = spec.tasks[0]

    assert [node.node_id for node in Reused.build(app).tasks] == ["mine"]
