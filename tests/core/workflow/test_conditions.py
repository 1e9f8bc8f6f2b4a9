"""Where conditions may stand (W-64, HRS-033)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from horsies import ErrorCode, MultipleValidationErrors, WorkflowContext, WorkflowValidationError
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.workflow.shop import app, codes, number


def no(context: WorkflowContext) -> bool:
    return False


def yes(context: WorkflowContext) -> int:
    return 1


async def later(context: WorkflowContext) -> bool:
    return True


class Callable1:
    def __call__(self, context: WorkflowContext) -> bool:
        return True


class CallableLater:
    async def __call__(self, context: WorkflowContext) -> bool:
        return True


def refused(make: Callable[[], object]) -> WorkflowValidationError:
    with pytest.raises(WorkflowValidationError) as caught:
        make()
    assert caught.value.code is ErrorCode.WORKFLOW_INVALID_CONDITION
    return caught.value


class Guarded(WorkflowDefinition[None]):
    name = "guarded"
    definition_key = "tests.conditions.guarded"
    root = TaskNode(fn=number, run_when=yes)
    guarded = TaskNode(fn=number, waits_for=[root], skip_when=no, run_when=Callable1(), node_id="g")
    seeing = TaskNode(fn=number, waits_for=[root], workflow_ctx_from=[root], skip_when=partial(no))

    @classmethod
    def build_with(cls, app: Any, how: str = "build") -> WorkflowSpec[Any]:
        nodes: list[Any] = [cls.root, cls.guarded, cls.seeing]
        match how:
            case "build":
                return cls.build(app)
            case "own nodes":
                return app.workflow("w", nodes)  # type: ignore[no-any-return]
            case "own key":
                return WorkflowSpec("w", nodes, definition_key=cls.definition_key)
            case "copies":
                return app.workflow("w", [*cls.build(app).tasks, TaskNode(fn=number)])  # type: ignore[no-any-return]
            case "new node":
                return app.workflow("w", [TaskNode(fn=number, skip_when=no)])  # type: ignore[no-any-return]
            case "same id":
                return app.workflow("w", [TaskNode(fn=number, node_id="root", run_when=yes)])  # type: ignore[no-any-return]
            case _:
                return app.workflow("w", nodes, definition_key="another.key")  # type: ignore[no-any-return]


class Other(WorkflowDefinition[None]):
    name = "other"
    definition_key = "tests.conditions.other"
    root = TaskNode(fn=number)


def test_class_attributes_may_have_conditions() -> None:
    """W-64: roots too; with conditions a context needs no parameter of the task."""
    spec = Guarded.build(app)
    assert [(node.skip_when, node.run_when) for node in spec.tasks[:2]] == [
        (None, yes),
        (no, Guarded.guarded.run_when),
    ]
    assert spec.tasks[2].workflow_ctx_from == (spec.tasks[0],)
    assert all(node.has_conditions for node in spec.tasks)


@pytest.mark.parametrize("how", ["build", "own nodes", "own key", "copies"])
def test_an_override_may_use_the_nodes_of_its_class(how: str) -> None:
    """W-64: they are found again by the key that the workflow is stored with."""
    assert Guarded.build_with(app, how=how).definition_key == Guarded.definition_key


@pytest.mark.parametrize("how", ["new node", "same id"])
def test_new_nodes_in_an_override_may_not(how: str) -> None:
    """W-64."""
    assert "could not find its function again" in refused(lambda: Guarded.build_with(app, how=how)).message


def test_under_another_key_they_cannot_be_found() -> None:
    """W-64."""
    with pytest.raises(MultipleValidationErrors) as caught:
        Guarded.build_with(app, how="another key")
    assert codes(caught.value) == [ErrorCode.WORKFLOW_INVALID_CONDITION] * 3


@pytest.mark.parametrize("key", [None, "tests.conditions.nobody", Other.definition_key])
def test_elsewhere_conditions_are_refused(key: str | None) -> None:
    """W-64: app.workflow."""
    node = TaskNode(fn=number, skip_when=no, node_id="n")
    error = refused(lambda: app.workflow("w", [node], definition_key=key))
    assert error.message.startswith("workflow 'w': node 'n' has a condition")
    refused(lambda: WorkflowSpec("w", [Guarded.root]))
    child: SubWorkflowNode[Any] = SubWorkflowNode(workflow_def=Other, run_when=yes)
    refused(lambda: app.workflow("w", [child], definition_key=key))


def test_the_nodes_of_a_class_under_its_key() -> None:
    """W-64: nodes that are class attributes of a registered definition."""
    assert app.workflow("w", [Guarded.root], definition_key=Guarded.definition_key).tasks


def test_a_condition_that_was_exchanged_cannot_be_found() -> None:
    """W-64: workers would ask the function that the class has."""
    spec = Guarded.build(app)
    node = spec.tasks[0]
    object.__setattr__(node, "run_when", no)
    refused(lambda: app.workflow("w", [node], definition_key=Guarded.definition_key))


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (later, "is async"),
        (partial(later), "is async"),
        (CallableLater(), "is async"),
        (True, "is True, not a function"),
        ("no", "is 'no', not a function"),
    ],
)
@pytest.mark.parametrize("name", ["skip_when", "run_when"])
def test_a_condition_is_a_plain_function(name: str, condition: Any, problem: str) -> None:
    """W-64: plain and callable."""

    options: dict[str, Any] = {name: condition}
    kind: Any = type(
        "Broken",
        (WorkflowDefinition,),
        {
            "name": "broken",
            "definition_key": "tests.conditions.broken",
            "only": TaskNode(fn=number, **options),
        },
    )
    error = refused(lambda: kind.build(app))
    assert f"node 'only' has a {name} that {problem}" in error.message
