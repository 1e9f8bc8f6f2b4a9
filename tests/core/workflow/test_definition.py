"""Workflows as classes (W-17 to W-21, W-88, HRS-001, 002, 007, 011, 012, 016, 017, 022, 023, 025)."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Never, cast

import pytest

from horsies import (
    ErrorCode,
    Horsies,
    HorsiesError,
    MultipleValidationErrors,
    OnError,
    TaskError,
    TaskResult,
    WorkflowValidationError,
)
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.definition_base import facts_of, find_node
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.spec import WorkflowSpec
from tests.core.apps import make_queue_app
from tests.core.workflow.shop import add, app, codes, number, text

KEYS = iter(range(10_000))


def key() -> str:
    """A definition key that no other test has."""
    return f"tests.definition.{next(KEYS)}"


def refused(code: ErrorCode | None, make: Callable[[], object]) -> HorsiesError:
    with pytest.raises(WorkflowValidationError) as caught:
        make()
    assert caught.value.code is code
    return caught.value


class Etl(WorkflowDefinition[int]):
    name = "etl"
    definition_key = "tests.definition.etl"
    load = TaskNode(fn=number, kwargs={"value": 2})
    check = TaskNode(fn=text, node_id="verify")
    total = TaskNode(fn=add, waits_for=[load, check], args_from={"left": load})
    again = total

    class Meta:
        output = "total"
        on_error = "pause"
        success_policy = SuccessPolicy([SuccessCase(["total", number])], optional=["check"])


# -- building


def test_a_definition_builds_a_spec() -> None:
    """W-17: its own nodes in order, each once; Meta."""
    spec = Etl.build(app)
    assert [node.node_id for node in spec.tasks] == ["load", "verify", "total"]
    assert spec.name == "etl"
    assert spec.on_error is OnError.PAUSE
    assert spec.output is spec.tasks[2]
    policy = spec.success_policy
    assert policy is not None
    assert [list(case.required) for case in policy.cases] == [[spec.tasks[2], spec.tasks[0]]]
    assert policy.optional == (spec.tasks[1],)
    assert (spec.definition_key, spec.workflow_def_cls) == ("tests.definition.etl", Etl)
    assert spec.host is app


def test_each_spec_is_fresh_and_the_class_does_not_change() -> None:
    """W-18."""
    one, two = Etl.build(app), Etl.build_with(app, ignored=1)
    assert one is not two
    assert one.tasks[0] is not two.tasks[0]
    assert isinstance(one.tasks[0], TaskNode)
    assert one.tasks[0].queue == "default"
    assert [node.index for node in (Etl.load, Etl.check, Etl.total)] == [None, None, None]
    assert (Etl.load.queue, Etl.load.kwargs, Etl.load.kwargs_json) == (None, {"value": 2}, None)


def test_inherited_nodes_are_not_collected() -> None:
    """W-17: the key neither (W-19)."""

    class Longer(Etl):
        definition_key = key()
        only = TaskNode(fn=number)

        class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]
            output = "only"

    assert [node.node_id for node in Longer.build(app).tasks] == ["only"]
    assert Longer.name == "etl"


def test_a_definition_without_name_or_nodes() -> None:
    """W-18, HRS-001, HRS-002, HRS-016."""

    class Bare(WorkflowDefinition[int]):
        pass

    class NoName(WorkflowDefinition[int]):
        definition_key = key()
        only = TaskNode(fn=number)

    class NoNodes(Etl):
        definition_key = key()

    with pytest.raises(MultipleValidationErrors) as caught:
        Bare.build(app)
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_NO_NAME,
        ErrorCode.WORKFLOW_NO_NODES,
        ErrorCode.WORKFLOW_NO_DEFINITION_KEY,
    ]
    error = refused(ErrorCode.WORKFLOW_NO_NAME, lambda: NoName.build(app))
    assert error.message == "workflow definition NoName has no name"
    assert error.location is not None
    assert error.location.file == __file__
    refused(ErrorCode.WORKFLOW_NO_NODES, lambda: NoNodes.build_with(app))


@pytest.mark.parametrize("way", ["node", "name", "task"])
def test_ways_to_name_the_output(way: str) -> None:
    """W-17: a node, the name of its attribute, or a task that only it runs."""
    node = TaskNode(fn=number, node_id="other-id")
    reference: dict[str, Any] = {"node": node, "name": "first", "task": number}

    class Ways(WorkflowDefinition[int]):
        name = "ways"
        definition_key = key()
        first = node
        second = TaskNode(fn=text)

        class Meta:
            output = reference[way]

    spec = Ways.build(app)
    assert spec.output is spec.tasks[0]


@pytest.mark.parametrize("reference", ["missing", "verify", text, TaskNode(fn=number), 7])
def test_what_names_no_node(reference: Any) -> None:
    """W-17, HRS-011: the nodes are named. An id is no attribute, and a task that two nodes run says too little."""

    class Broken(WorkflowDefinition[int]):
        name = "broken"
        definition_key = key()
        load = TaskNode(fn=text, node_id="verify")
        total = TaskNode(fn=text)

        class Meta:
            output = reference

    error = refused(ErrorCode.WORKFLOW_INVALID_OUTPUT, lambda: Broken.build(app))
    assert error.notes == ["its nodes: 'verify', 'total'"]
    assert error.help_text == "name a node by its attribute, or by its task if only one node runs it"


def test_cases_that_name_no_node() -> None:
    """W-17, HRS-012."""

    class Broken(WorkflowDefinition[None]):
        name = "broken"
        definition_key = key()
        load = TaskNode(fn=number)

        class Meta:
            success_policy = SuccessPolicy([SuccessCase(["load"]), SuccessCase(["lod"])], optional=[text])

    with pytest.raises(MultipleValidationErrors) as caught:
        Broken.build(app)
    assert codes(caught.value) == [ErrorCode.WORKFLOW_INVALID_SUCCESS_POLICY] * 2
    assert "case 2 of its success policy names 'lod'" in caught.value.report.errors[0].message


def test_a_policy_that_is_none() -> None:
    """HRS-012."""
    for policy in ("load", SuccessPolicy(["load"])):  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]

        class Broken(WorkflowDefinition[None]):
            name = "broken"
            definition_key = key()
            load = TaskNode(fn=number)

            class Meta:
                success_policy = policy

        refused(ErrorCode.WORKFLOW_INVALID_SUCCESS_POLICY, partial(Broken.build, app))


def test_a_bad_on_error() -> None:
    """W-14."""

    class Broken(WorkflowDefinition[None]):
        name = "broken"
        definition_key = key()
        load = TaskNode(fn=number)

        class Meta:
            on_error = "stop"

    with pytest.raises(ValueError, match="not 'stop'"):
        Broken.build(app)


def test_queues_are_bound_as_by_the_app() -> None:
    """W-13, W-18."""
    with pytest.raises(MultipleValidationErrors) as caught:
        Etl.build(make_queue_app())
    assert codes(caught.value) == [ErrorCode.TASK_INVALID_QUEUE] * 3


# -- keys


@pytest.mark.parametrize("given", [None, "", 5])
def test_a_key_of_its_own_is_needed(given: Any) -> None:
    """W-19, HRS-016: in the class's own body, from build and build_with and as a child."""

    class Keyless(Etl):
        only = TaskNode(fn=number)
        if given is not None:
            definition_key = given

        class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]
            output = "only"

    for make in (Keyless.build, Keyless.build_with):
        error = refused(ErrorCode.WORKFLOW_NO_DEFINITION_KEY, partial(make, app))
        assert "Keyless has no definition_key of its own" in error.message
    child = SubWorkflowNode(workflow_def=Keyless, node_id="child")
    error = refused(ErrorCode.WORKFLOW_NO_DEFINITION_KEY, lambda: WorkflowSpec("w", [child]))
    assert "node 'child' runs workflow definition Keyless" in error.message


def test_a_key_belongs_to_one_class() -> None:
    """W-19, HRS-017: from the class statement; the class is not registered."""
    taken = key()

    class First(WorkflowDefinition[int]):
        name = "first"
        definition_key = taken
        only = TaskNode(fn=number)

    def second() -> object:
        class Second(WorkflowDefinition[int]):
            name = "second"
            definition_key = taken
            only = TaskNode(fn=number)

        return Second

    error = refused(ErrorCode.WORKFLOW_DUPLICATE_DEFINITION_KEY, second)
    assert "Second: definition_key" in error.message
    assert "belongs to workflow definition First already" in error.message
    assert error.location is not None
    assert error.location.get_source_line() == "        class Second(WorkflowDefinition[int]):"
    assert error.notes[0].startswith("first defined at ")
    assert DEFINITIONS.find(taken) is First


def test_the_same_class_statement_again_is_a_re_import() -> None:
    """W-19: the later class takes the place of the earlier one."""
    taken = key()

    def define() -> type[WorkflowDefinition[None]]:
        class Again(WorkflowDefinition[None]):
            name = "again"
            definition_key = taken
            only = TaskNode(fn=number)

        return Again

    first, second = define(), define()
    assert first is not second
    assert DEFINITIONS.find(taken) is second
    assert DEFINITIONS.all().count(first) == 0
    assert first.build(app).workflow_def_cls is first


def test_unknown_keys_are_not_found() -> None:
    """W-19."""
    assert DEFINITIONS.find("tests.definition.none") is None


def test_nodes_are_found_by_their_id() -> None:
    """W-64: where workers look for conditions."""
    assert find_node(Etl, "load") is Etl.load
    assert find_node(Etl, "verify") is Etl.check
    assert find_node(Etl, "check") is None


# -- build_with


class Sized(WorkflowDefinition[int]):
    name = "sized"
    definition_key = "tests.definition.sized"
    first = TaskNode(fn=number)

    @classmethod
    def build_with(cls, app: Horsies, *, size: int, named: str | None = None) -> WorkflowSpec[int]:
        nodes = [TaskNode(fn=number, kwargs={"value": index}) for index in range(size)]
        return app.workflow(named or "sized flow", nodes, output=nodes[-1])


def test_an_override_gets_its_parameters() -> None:
    """W-20: the key and the class are filled in."""
    spec = Sized.build_with(app, size=3)
    assert [node.node_id for node in spec.tasks] == ["sized_flow:0", "sized_flow:1", "sized_flow:2"]
    assert (spec.definition_key, spec.workflow_def_cls) == ("tests.definition.sized", Sized)
    assert Sized.build_with(app=app, size=1, named="n").name == "n"


def test_a_key_that_the_spec_has_stays() -> None:
    """W-20."""

    class Keyed(WorkflowDefinition[None]):
        name = "keyed"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any) -> WorkflowSpec[Any]:
            return app.workflow("w", [TaskNode(fn=number)], definition_key="of.its.own")  # type: ignore[no-any-return]

    assert Keyed.build_with(app).definition_key == "of.its.own"


def test_an_unbound_spec_is_bound() -> None:
    """W-20, W-13."""

    class Unbound(WorkflowDefinition[None]):
        name = "unbound"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any, queue: str | None = None) -> WorkflowSpec[Any]:
            return WorkflowSpec("w", [TaskNode(fn=number, queue=queue)])

    spec = Unbound.build_with(app)
    node = spec.tasks[0]
    assert isinstance(node, TaskNode)
    assert (spec.host, node.queue, node.priority) == (app, "default", 100)
    with pytest.raises(HorsiesError) as caught:
        Unbound.build_with(app, queue="mail")
    assert caught.value.code is ErrorCode.CONFIG_INVALID_QUEUE_MODE


def test_an_override_can_use_the_default() -> None:
    """W-20: the nested build counts as made during the call; so does that of a base class."""

    class Wrapped(WorkflowDefinition[int]):
        name = "wrapped"
        definition_key = key()
        only = TaskNode(fn=number)

        class Meta:
            output = "only"

        @classmethod
        def build_with(cls, app: Any, *, times: int = 1) -> WorkflowSpec[int]:
            return super().build_with(app)

    class Twice(Wrapped):
        definition_key = key()
        only = TaskNode(fn=number)

        @classmethod
        def build_with(cls, app: Any, *, times: int = 2) -> WorkflowSpec[int]:
            return super().build_with(app, times=times)

    assert Twice.build_with(app, times=1).workflow_def_cls is Twice
    assert Wrapped.build_with(app).definition_key == Wrapped.definition_key


@pytest.mark.parametrize("what", ["old", "none", "number", "coroutine"])
def test_an_override_returns_a_spec_of_this_call(what: str) -> None:
    """W-20."""
    old: dict[str, Any] = {"old": app.workflow("w", [TaskNode(fn=number)]), "none": None, "number": 5}
    old["coroutine"] = type("C", (), {"__await__": None})()

    class Stale(WorkflowDefinition[None]):
        name = "stale"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any) -> WorkflowSpec[Any]:
            app.workflow("other", [TaskNode(fn=number)])
            return old[what]  # type: ignore[no-any-return]

    error = refused(None, lambda: Stale.build_with(app))
    assert ("made before this call" if what == "old" else "not a WorkflowSpec") in error.message


def test_what_an_override_raises_propagates() -> None:
    """W-20."""

    class Failing(WorkflowDefinition[None]):
        name = "failing"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any) -> Never:
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        Failing.build_with(app)


def plain(app: Any) -> Any: ...
async def awaited(cls: Any, app: Any) -> Any: ...
def no_app(cls: Any) -> Any: ...
def other_first(cls: Any, size: int, app: Any) -> Any: ...
def app_by_name(cls: Any, *, app: Any) -> Any: ...
def only_stars(cls: Any, *args: Any, **kwargs: Any) -> Any: ...
def hidden(cls: Any, app: Any, size: int, /) -> Any: ...
def starred(cls: Any, app: Any, /, size: int = 1, *args: Any, **kwargs: Any) -> Any: ...


MEMBERS: list[tuple[object, str]] = [
    (plain, "is not a classmethod"),
    (staticmethod(plain), "is not a classmethod"),
    (TaskNode(fn=number), "is not a classmethod"),
    (None.__class__, "is not a classmethod"),
    (classmethod(awaited), "is async"),
    (classmethod(cast("Any", len)), "not a plain function"),
    (classmethod(no_app), "does not take app as its first parameter"),
    (classmethod(other_first), "does not take app as its first parameter"),
    (classmethod(app_by_name), "does not take app as its first parameter"),
    (classmethod(only_stars), "does not take app as its first parameter"),
    (classmethod(hidden), "positional-only parameter 'size'"),
]


@pytest.mark.parametrize(("member", "problem"), MEMBERS)
def test_an_override_that_cannot_be_called(member: object, problem: str) -> None:
    """W-20, HRS-023: at class creation; the class is not registered."""
    taken = key()

    def define() -> object:
        return type(
            "Odd", (WorkflowDefinition,), {"name": "odd", "definition_key": taken, "build_with": member}
        )

    error = refused(ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING, define)
    assert problem in error.message
    assert DEFINITIONS.find(taken) is None


def test_an_override_may_take_everything() -> None:
    """W-20: *args and **kwargs are optional."""
    kind: Any = type(
        "Open",
        (WorkflowDefinition,),
        {"name": "open", "definition_key": key(), "build_with": classmethod(starred)},
    )
    build = facts_of(kind).build
    assert build is not None
    assert (list(build.call.parameters), build.call.takes_anything) == (["size"], True)


def test_a_class_with_two_mistakes() -> None:
    """W-15 at class creation: HRS-017, HRS-023."""

    def define() -> object:
        return type(
            "Odd",
            (WorkflowDefinition,),
            {"definition_key": Etl.definition_key, "build_with": plain},
        )

    with pytest.raises(MultipleValidationErrors) as caught:
        define()
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_DUPLICATE_DEFINITION_KEY,
        ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING,
    ]


# -- output types


def with_output(declared: Any, output: Any) -> type[WorkflowDefinition[Any]]:
    base: Any = WorkflowDefinition if declared is ... else WorkflowDefinition[declared]

    class Typed(base):  # type: ignore[misc]
        name = "typed"
        definition_key = key()
        first = TaskNode(fn=number)
        second = TaskNode(fn=text)

    if output is not None:
        cast("Any", Typed).Meta = SimpleNamespace(output=output)
    return Typed


@pytest.mark.parametrize(
    ("declared", "output"),
    [
        (int, "first"),
        (object, "first"),
        (float, "first"),
        (int | str, "second"),
        (int | None, "first"),
        (Any, "first"),
        (Any, None),
        (None, None),
        (..., "first"),
        (..., None),
    ],
)
def test_outputs_of_the_declared_type(declared: Any, output: str | None) -> None:
    """W-21: exact, subclass or union member; Any or no T is not checked; [None] allows no output."""
    assert with_output(declared, output).build(app).tasks
    assert with_output(declared, output).build_with(app).tasks


@pytest.mark.parametrize(
    ("declared", "output", "problem"),
    [
        (int, None, "declares int, and its workflow has no output node"),
        (int, "second", "declares int, and its workflow gives str by its output node 'second'"),
        (None, "first", "declares None, and its workflow gives int"),
        (bool, "first", "declares bool, and its workflow gives int"),
    ],
)
def test_outputs_of_another_type(declared: Any, output: str | None, problem: str) -> None:
    """W-21, HRS-025."""
    kind = with_output(declared, output)
    for make in (kind.build, kind.build_with):
        error = refused(ErrorCode.WORKFLOW_OUTPUT_TYPE_MISMATCH, partial(make, app))
        assert problem in error.message


def test_an_override_gives_the_declared_type() -> None:
    """W-21, HRS-025."""

    class Wrong(WorkflowDefinition[str]):
        name = "wrong"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any) -> WorkflowSpec[str]:
            node: Any = TaskNode(fn=number)
            return app.workflow("w", [node], output=node)  # type: ignore[no-any-return]

    refused(ErrorCode.WORKFLOW_OUTPUT_TYPE_MISMATCH, lambda: Wrong.build_with(app))


class Base[T](WorkflowDefinition[T]):
    """No workflow itself."""


class Lists[A, B](Base[list[B]]):
    """No workflow itself."""


class Mixin:
    """Something else."""


class Concrete(Mixin, Lists[str, int]):
    """No workflow itself."""


class Inherited(Concrete):
    """No workflow itself."""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Concrete, list[int]), (Inherited, list[int]), (Etl, int), (with_output(None, None), type(None))],
)
def test_the_type_is_found_through_base_classes(kind: Any, expected: Any) -> None:
    """W-21."""
    assert facts_of(kind).output_type == expected
    assert SubWorkflowNode(workflow_def=kind).ok_type == expected


# -- children


def test_arguments_need_an_override() -> None:
    """W-88, HRS-022: and are not complained about twice."""
    up = TaskNode(fn=number)
    child = SubWorkflowNode(workflow_def=Etl, kwargs={"a": 1}, waits_for=[up], args_from={"b": up})
    error = refused(
        ErrorCode.WORKFLOW_SUBWORKFLOW_PARAMS_REQUIRE_BUILD_WITH, lambda: WorkflowSpec("w", [up, child])
    )
    assert "hands 'a', 'b' to workflow definition Etl" in error.message


@pytest.mark.parametrize("name", ["app", "cls"])
def test_arguments_cannot_be_called_like_those_of_the_library(name: str) -> None:
    """W-88, HRS-023."""
    child = SubWorkflowNode(workflow_def=Sized, kwargs={"size": 1, name: 1})
    refused(ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING, lambda: WorkflowSpec("w", [child]))


def test_arguments_of_an_override_are_checked_like_those_of_a_task() -> None:
    """HRS-019, HRS-020."""
    child = SubWorkflowNode(workflow_def=Sized, kwargs={"sise": 1})
    with pytest.raises(MultipleValidationErrors) as caught:
        WorkflowSpec("w", [child])
    assert codes(caught.value) == [
        ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
        ErrorCode.WORKFLOW_MISSING_REQUIRED_PARAMS,
    ]
    assert caught.value.report.errors[0].notes == ["its parameters: size, named"]


class Fed(WorkflowDefinition[int]):
    name = "fed"
    definition_key = "tests.definition.fed"
    only = TaskNode(fn=number)

    class Meta:
        output = "only"

    @classmethod
    def build_with(
        cls,
        app: Any,
        rows: TaskResult[int, TaskError],
        late: TaskResult[int, TaskError] | None = None,
        **more: Any,
    ) -> WorkflowSpec[int]:
        return cls.build(app)


class FedLater(Fed):
    definition_key = "tests.definition.fed.later"
    only = TaskNode(fn=number)


@pytest.mark.parametrize("kind", [Fed, FedLater])
def test_results_go_to_an_override(kind: type[WorkflowDefinition[int]]) -> None:
    """HRS-019 is skipped with **kwargs, HRS-024 and HRS-013 hold; an inherited override counts."""
    up, other = TaskNode(fn=number), TaskNode(fn=text)

    def child(**options: Any) -> SubWorkflowNode[int]:
        return SubWorkflowNode(workflow_def=kind, waits_for=[up, other], **options)

    given = child(args_from={"rows": up, "new": other}, kwargs={"free": 1})
    assert WorkflowSpec("w", [up, other, given]).tasks
    refused(
        ErrorCode.WORKFLOW_ARGS_FROM_TYPE_MISMATCH,
        lambda: WorkflowSpec("w", [up, other, child(args_from={"rows": other})]),
    )
    refused(
        ErrorCode.WORKFLOW_INVALID_JOIN,
        lambda: WorkflowSpec("w", [up, other, child(args_from={"rows": up}, join="any")]),
    )


def test_an_annotation_that_nobody_can_read() -> None:
    """HRS-023."""

    class Blind(WorkflowDefinition[None]):
        name = "blind"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any, *, size: "Missing") -> Any:  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore
            return None

    child: Any = SubWorkflowNode(workflow_def=Blind, kwargs={"size": 1})
    error = refused(ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING, lambda: WorkflowSpec("w", [child]))
    assert "the annotation of 'size': NameError" in error.message


def test_definitions_that_contain_each_other() -> None:
    """W-88, HRS-007."""

    class Inner(WorkflowDefinition[None]):
        name = "inner"
        definition_key = key()
        first = TaskNode(fn=number)
        child: Any = SubWorkflowNode(workflow_def=Etl)

    class Outer(WorkflowDefinition[None]):
        name = "outer"
        definition_key = key()
        child: Any = SubWorkflowNode(workflow_def=Inner)
        second: Any = SubWorkflowNode(workflow_def=Inner)

    assert Outer.build(app).tasks
    Inner.child.workflow_def = Outer
    with pytest.raises(MultipleValidationErrors) as caught:
        Outer.build(app)
    assert codes(caught.value) == [ErrorCode.WORKFLOW_CYCLE_DETECTED] * 2
    assert (
        "Inner -> workflow definition Outer -> workflow definition Inner"
        in caught.value.report.errors[0].message
    )
    refused(ErrorCode.WORKFLOW_CYCLE_DETECTED, lambda: Inner.build(app))


def test_a_definition_may_contain_itself_until_its_parameters_end_it() -> None:
    """W-88: what build_with makes of parameters is no circle."""

    class Tree(WorkflowDefinition[None]):
        name = "tree"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any, *, depth: int) -> WorkflowSpec[Any]:
            nodes: list[Any] = [TaskNode(fn=number)]
            if depth:
                nodes.append(SubWorkflowNode(workflow_def=cls, kwargs={"depth": depth - 1}))
            return app.workflow("tree", nodes)  # type: ignore[no-any-return]

    assert len(Tree.build_with(app, depth=3).tasks) == 2
    assert len(Tree.build_with(app, depth=0).tasks) == 1
