"""What a spec is made of, and that nothing in it changes afterwards (W-6, W-7, W-13, W-14, W-16)."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from horsies import (
    AppConfig,
    ConfigurationError,
    ErrorCode,
    Horsies,
    MultipleValidationErrors,
    OnError,
    PostgresConfig,
    TaskError,
    TaskResult,
    WorkflowValidationError,
)
from horsies.workflow.nodes import TaskNode
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.spec import WorkflowSpec
from tests.core.apps import UNREACHABLE, make_app, make_queue_app
from tests.core.workflow.shop import Order, Point, add, app, codes, collect, number, point

queue_app = make_queue_app()


@queue_app.task("mail.send", queue_name="mail")
def send(to: str = "") -> TaskResult[int, TaskError]:
    return TaskResult(ok=len(to))


@queue_app.task("bulk.run", queue_name="bulk")
def run() -> TaskResult[int, TaskError]:
    return TaskResult(ok=0)


def queues(spec: WorkflowSpec[Any]) -> list[tuple[str | None, int | None]]:
    return [(node.queue, node.priority) for node in spec.tasks if isinstance(node, TaskNode)]


# -- copies


def test_a_spec_holds_copies_that_refer_to_each_other() -> None:
    """W-6."""
    up = TaskNode(fn=number)
    down = TaskNode(fn=add, waits_for=[up], args_from={"left": up}, workflow_ctx_from=[], node_id="down")
    spec = WorkflowSpec(
        "w", [up, down], output=down, success_policy=SuccessPolicy([SuccessCase([down])], optional=[up])
    )
    first, second = spec.tasks
    assert first is not up
    assert second is not down
    assert isinstance(second, TaskNode)
    assert (second.waits_for, second.args_from) == ((first,), {"left": first})
    assert spec.output is second
    policy = spec.success_policy
    assert policy is not None
    assert [list(case.required) for case in policy.cases] == [[second]]
    assert policy.optional == (first,)


def test_the_given_nodes_learn_their_place() -> None:
    """W-6."""
    up, down = TaskNode(fn=number), TaskNode(fn=number, node_id="down")
    app.workflow("w", [up, down])
    assert [(node.index, node.node_id) for node in (up, down)] == [(0, "w:0"), (1, "down")]


@pytest.mark.parametrize("make", [WorkflowSpec, app.workflow])
def test_after_a_failure_the_given_nodes_are_unchanged(make: Callable[..., object]) -> None:
    """W-6."""
    up, down = TaskNode(fn=number), TaskNode(fn=number, kwargs={"value": "x"})
    with pytest.raises(WorkflowValidationError):
        make("w", [up, down])
    assert [(node.index, node.node_id) for node in (up, down)] == [(None, None)] * 2
    assert down.kwargs == {"value": "x"}


def test_later_changes_do_not_reach_the_spec() -> None:
    """W-7."""
    event: dict[str, Any] = {"tags": ["a"], "deep": {"x": [1]}}
    order = Order([1, 2])
    up = TaskNode(fn=number)
    node = TaskNode(fn=collect, kwargs={"event": event, "order": order}, waits_for=[up])
    policy_members = [node]
    spec = WorkflowSpec("w", [up, node], success_policy=SuccessPolicy([SuccessCase(policy_members)]))
    event["tags"].append("b")
    event["new"] = 1
    order.lines.append(3)
    policy_members.clear()
    node.waits_for = []
    node.queue = "elsewhere"
    cast("dict[str, Any]", node.kwargs)["event"] = {}
    kept = spec.tasks[1]
    assert isinstance(kept, TaskNode)
    assert kept.kwargs == {"event": {"tags": ("a",), "deep": {"x": (1,)}}, "order": Order([1, 2])}
    assert kept.kwargs_json == '{"event":{"tags":["a"],"deep":{"x":[1]}},"order":{"lines":[1,2]}}'
    assert (kept.waits_for, kept.queue) == ((spec.tasks[0],), None)
    assert spec.success_policy is not None
    assert len(spec.success_policy.cases[0].required) == 1


# -- frozen


@pytest.mark.parametrize("name", ["fn", "kwargs", "node_id", "index", "queue", "waits_for", "invented"])
def test_nodes_of_a_spec_are_frozen(name: str) -> None:
    """W-7."""
    node = WorkflowSpec("w", [TaskNode(fn=number)]).tasks[0]
    with pytest.raises(AttributeError, match="belongs to a WorkflowSpec"):
        setattr(node, name, None)
    with pytest.raises(AttributeError, match="belongs to a WorkflowSpec"):
        delattr(node, name)


@pytest.mark.parametrize("name", ["name", "tasks", "output", "success_policy", "broker", "invented"])
def test_a_spec_is_frozen(name: str) -> None:
    """W-7."""
    spec = WorkflowSpec("w", [TaskNode(fn=number)])
    with pytest.raises(AttributeError, match="frozen"):
        setattr(spec, name, None)
    with pytest.raises(AttributeError, match="frozen"):
        delattr(spec, name)


def test_a_policy_is_frozen() -> None:
    """W-7, W-16."""
    node = TaskNode(fn=number)
    given = SuccessPolicy([SuccessCase([node])])
    spec = WorkflowSpec("w", [node], success_policy=given)
    for policy in (given, spec.success_policy):
        assert policy is not None
        for target, name in ((policy, "cases"), (policy, "optional"), (policy.cases[0], "required")):
            with pytest.raises(AttributeError):
                setattr(target, name, ())
            with pytest.raises(AttributeError):
                delattr(target, name)
        assert isinstance(policy.cases, tuple)
        assert isinstance(policy.cases[0].required, tuple)


def test_containers_in_a_spec_are_frozen() -> None:
    """W-7: mappings are read-only, sequences are tuples, also inside each other."""
    up = TaskNode(fn=number)
    node = TaskNode(
        fn=collect,
        kwargs={"event": {"list": [{"a": 1}, [2]]}},
        waits_for=[up],
        workflow_ctx_from=[],
    )
    kept: Any = WorkflowSpec("w", [up, node]).tasks[1]
    for container in (kept.waits_for, kept.workflow_ctx_from, kept.kwargs["event"]["list"]):
        assert isinstance(container, tuple)
    for mapping in (kept.kwargs, kept.args_from, kept.kwargs["event"], kept.kwargs["event"]["list"][0]):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["new"] = 1
        assert not hasattr(mapping, "update")


def test_a_named_tuple_stays_one() -> None:
    """W-7."""
    kept: Any = WorkflowSpec("w", [TaskNode(fn=point, kwargs={"where": Point(1, [2])})]).tasks[0]
    assert kept.kwargs["where"] == Point(1, [2])
    assert kept.kwargs_json == '{"where":[1,[2]]}'


def test_nodes_of_a_spec_can_make_another_one() -> None:
    """W-8: their values were frozen and still fit."""
    one = WorkflowSpec("one", [TaskNode(fn=collect, kwargs={"event": {"list": [1, {"x": []}]}})])
    two = WorkflowSpec("two", one.tasks)
    first, second = one.tasks[0], two.tasks[0]
    assert isinstance(first, TaskNode)
    assert isinstance(second, TaskNode)
    assert second is not first
    assert second.kwargs == first.kwargs
    assert second.kwargs_json == first.kwargs_json == '{"event":{"list":[1,{"x":[]}]}}'


# -- app.workflow


def test_in_default_mode_everything_goes_to_the_default_queue() -> None:
    """W-13."""
    node = TaskNode(fn=number)
    spec = app.workflow("w", [node, TaskNode(fn=number, queue="default", priority=3)])
    assert queues(spec) == [("default", 100), ("default", 3)]
    assert (node.queue, node.priority) == (None, None)


def test_a_node_takes_its_own_queue_else_that_of_its_task() -> None:
    """W-13: and its own priority, else that of the queue it goes to."""
    nodes = [
        TaskNode(fn=send),
        TaskNode(fn=send, queue="bulk"),
        TaskNode(fn=send, queue="bulk", priority=1),
        TaskNode(fn=run, priority=100),
    ]
    assert queues(queue_app.workflow("w", nodes)) == [("mail", 10), ("bulk", 90), ("bulk", 1), ("bulk", 100)]
    assert [(node.queue, node.priority) for node in nodes] == [
        (None, None),
        ("bulk", None),
        ("bulk", 1),
        (None, 100),
    ]


def test_all_bad_queues_are_told() -> None:
    """W-13, HRS-103: they name the valid ones."""
    nodes = [
        TaskNode(fn=send, queue="nail", node_id="a"),
        TaskNode(fn=send),
        TaskNode(fn=number, node_id="c"),
    ]
    with pytest.raises(MultipleValidationErrors) as caught:
        queue_app.workflow("w", nodes)
    assert codes(caught.value) == [ErrorCode.TASK_INVALID_QUEUE] * 2
    first, second = caught.value.report.errors
    assert "node 'a' (task 'mail.send'): invalid queue_name 'nail'" in first.message
    assert "node 'c' (task 'shop.number'): invalid queue_name 'default'" in second.message
    assert first.notes == ["valid queues: ['mail', 'bulk']"]


def test_a_queue_in_default_mode() -> None:
    """W-13, HRS-200."""
    with pytest.raises(ConfigurationError, match="node 0") as caught:
        app.workflow("w", [TaskNode(fn=number, queue="mail")])
    assert caught.value.code is ErrorCode.CONFIG_INVALID_QUEUE_MODE


@pytest.mark.parametrize("priority", [0, 101, True, "high", 1.5])
def test_a_priority_has_to_be_one(priority: Any) -> None:
    """HRS-015."""
    with pytest.raises(WorkflowValidationError, match="priority is") as caught:
        app.workflow("w", [TaskNode(fn=number, priority=priority)])
    assert caught.value.code is ErrorCode.WORKFLOW_UNRESOLVED_PRIORITY


def test_a_spec_of_an_app_knows_its_broker() -> None:
    """W-13: attached, made at the first use only."""
    own = Horsies(AppConfig(broker=PostgresConfig(database_url=UNREACHABLE), resend_on_transient_err=True))
    spec = own.workflow("w", [TaskNode(fn=number)])
    assert spec.host is own
    assert spec.config is own.config
    assert spec.broker is own.get_broker()
    assert spec.resend_on_transient_err is True
    assert app.workflow("w", [TaskNode(fn=number)]).resend_on_transient_err is False


def test_a_spec_made_by_hand_belongs_to_nobody() -> None:
    spec = WorkflowSpec("w", [TaskNode(fn=number)])
    assert (spec.host, spec.broker, spec.config) == (None, None, None)
    assert (spec.definition_key, spec.workflow_def_cls, spec.resend_on_transient_err) == (None, None, False)
    assert queues(spec) == [(None, None)]


def test_a_spec_made_by_hand_takes_a_broker() -> None:
    broker = make_app().get_broker()
    spec = WorkflowSpec("w", [TaskNode(fn=number)], broker=broker, resend_on_transient_err=True)
    assert spec.broker is broker
    assert spec.resend_on_transient_err is True


def test_a_definition_key_is_kept() -> None:
    """W-13."""
    assert app.workflow("w", [TaskNode(fn=number)], definition_key="k").definition_key == "k"
    assert app.workflow("w", [TaskNode(fn=number)]).definition_key is None


@pytest.mark.parametrize("key", ["", 7])
def test_a_definition_key_is_text(key: Any) -> None:
    """W-13, HRS-016."""
    with pytest.raises(WorkflowValidationError, match="definition_key is") as caught:
        app.workflow("w", [TaskNode(fn=number)], definition_key=key)
    assert caught.value.code is ErrorCode.WORKFLOW_NO_DEFINITION_KEY


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (OnError.PAUSE, OnError.PAUSE),
        ("pause", OnError.PAUSE),
        (OnError.FAIL, OnError.FAIL),
        ("fail", OnError.FAIL),
    ],
)
def test_on_error_is_a_member_or_its_value(given: OnError | str, expected: OnError) -> None:
    """W-14."""
    assert app.workflow("w", [TaskNode(fn=number)], given).on_error is expected
    assert WorkflowSpec("w", [TaskNode(fn=number)], on_error=given).on_error is expected
    assert WorkflowSpec("w", [TaskNode(fn=number)]).on_error is OnError.FAIL


@pytest.mark.parametrize("given", ["PAUSE", "stop", "", None, 1])
def test_any_other_on_error_is_refused(given: Any) -> None:
    """W-14."""
    with pytest.raises(ValueError, match=r"OnError\.FAIL"):
        app.workflow("w", [TaskNode(fn=number)], given)


def test_tasks_are_nodes() -> None:
    tasks: Any = [number]
    for make in (WorkflowSpec, app.workflow):
        with pytest.raises(TypeError, match="tasks of a workflow are nodes"):
            cast("Callable[..., object]", make)("w", tasks)
