"""`app.check()` for workflows: definitions, builders, undecorated functions (W-19, W-22 to W-25, CF-44)."""

# pyright: reportUnusedClass=false
# A definition is there once its class statement has run.

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from horsies import ErrorCode, Horsies, HorsiesError, TaskError, TaskResult, TaskSendErrorCode
from horsies.workflow.definition import WorkflowDefinition
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec
from tests.core.apps import make_app

KEYS = iter(range(10_000))


def key() -> str:
    """A definition key that no other test has."""
    return f"tests.checks.{next(KEYS)}"


@pytest.fixture
def app() -> Horsies:
    """An app of the test's own: definitions of other tests have nothing to do with it."""
    return make_app()


@pytest.fixture
def number(app: Horsies) -> Any:
    @app.task("number")
    def number(value: int = 1) -> TaskResult[int, TaskError]:
        return TaskResult(ok=value)

    return number


def found(app: Horsies) -> list[ErrorCode | None]:
    return [error.code for error in app.check()]


# -- definitions


def test_definitions_are_built(app: Horsies, number: Any) -> None:
    """W-24, CF-44: phase 3."""

    class Good(WorkflowDefinition[None]):
        name = "good"
        definition_key = key()
        only = TaskNode(fn=number)

    assert app.check() == []

    class Wrong(WorkflowDefinition[str]):
        name = "wrong"
        definition_key = key()
        only = TaskNode(fn=number)

        class Meta:
            output = "only"

    class Broken(WorkflowDefinition[None]):
        name = "broken"
        definition_key = key()
        one = TaskNode(fn=number, kwargs={"vlaue": 1})
        two = TaskNode(fn=number, kwargs={"wert": 1})

    errors = app.check()
    assert [error.code for error in errors] == [
        ErrorCode.WORKFLOW_OUTPUT_TYPE_MISMATCH,
        ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
        ErrorCode.WORKFLOW_INVALID_KWARG_KEY,
    ]
    assert Good.only.index is None


def test_a_definition_without_a_key(app: Horsies, number: Any) -> None:
    """W-19, HRS-016 in phase K; a base class without nodes is none."""

    class Base(WorkflowDefinition[int]):
        name = "base"

    assert app.check() == []

    class Keyless(Base):
        only = TaskNode(fn=number)

    assert found(app) == [ErrorCode.WORKFLOW_NO_DEFINITION_KEY]


def test_definitions_of_other_apps_are_left_out(app: Horsies, number: Any) -> None:
    class Broken(WorkflowDefinition[str]):
        name = "broken"
        definition_key = key()
        only = TaskNode(fn=number, kwargs={"wrong": 1})

    other = make_app()

    @other.task("number")
    def twin(value: int = 1) -> TaskResult[int, TaskError]:
        return TaskResult(ok=value)

    assert other.check() == []
    assert found(app) == [ErrorCode.WORKFLOW_INVALID_KWARG_KEY]


def test_definitions_with_parameters_are_not_built(app: Horsies, number: Any) -> None:
    """W-24: alone, their inputs are not known; without required ones they are built once."""
    calls: list[object] = []

    class Sized(WorkflowDefinition[None]):
        name = "sized"
        definition_key = key()
        first = TaskNode(fn=number)

        @classmethod
        def build_with(cls, app: Any, *, size: int) -> WorkflowSpec[None]:
            raise AssertionError("nobody knows the size")

    class Default(WorkflowDefinition[None]):
        name = "default"
        definition_key = key()
        first = TaskNode(fn=number)

        @classmethod
        def build_with(cls, app: Any, *, size: int = 1) -> WorkflowSpec[None]:
            calls.append(size)
            return cls.build(app)

    assert app.check() == []
    assert calls == [1]


def test_what_build_with_raises(app: Horsies, number: Any) -> None:
    """W-23: as HRS-029; errors of horsies as they are."""
    problem: list[BaseException] = [RuntimeError("no luck"), SystemExit(3)]

    class Failing(WorkflowDefinition[None]):
        name = "failing"
        definition_key = key()
        first = TaskNode(fn=number)

        @classmethod
        def build_with(cls, app: Any) -> WorkflowSpec[None]:
            raise problem[0]

    error = app.check()[0]
    assert error.code is ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION
    assert "Failing: its build_with raised RuntimeError: no luck" in error.message
    assert error.__cause__ is problem[0]
    problem.pop(0)
    assert found(app) == [ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION]
    problem[0] = known = HorsiesError("known", code=ErrorCode.CLI_INVALID_ARGS)
    assert app.check() == [known]


def test_static_children_are_built_once(app: Horsies, number: Any) -> None:
    """W-24: recursively, each (key, kwargs) once; children with results as input are not."""
    calls: list[object] = []

    class Leaf(WorkflowDefinition[None]):
        name = "leaf"
        definition_key = key()

        @classmethod
        def build_with(
            cls, app: Any, *, size: int, rows: TaskResult[int, TaskError] | None = None
        ) -> WorkflowSpec[Any]:
            calls.append(size)
            return app.workflow("leaf", [TaskNode(fn=number, kwargs={"wrong": 1} if size > 2 else {})])  # type: ignore[no-any-return]

    class Middle(WorkflowDefinition[None]):
        name = "middle"
        definition_key = key()
        up = TaskNode(fn=number)
        one: Any = SubWorkflowNode(workflow_def=Leaf, kwargs={"size": 1})
        same: Any = SubWorkflowNode(workflow_def=Leaf, kwargs={"size": 1})
        three: Any = SubWorkflowNode(workflow_def=Leaf, kwargs={"size": 3})
        fed: Any = SubWorkflowNode(
            workflow_def=Leaf, kwargs={"size": 4}, waits_for=[up], args_from={"rows": up}
        )

    class Top(WorkflowDefinition[None]):
        name = "top"
        definition_key = key()
        start = TaskNode(fn=number)
        child: Any = SubWorkflowNode(workflow_def=Middle)

    assert found(app) == [ErrorCode.WORKFLOW_INVALID_KWARG_KEY]
    assert calls == [1, 3]
    assert Top.child.index is None


def test_endless_nesting(app: Horsies, number: Any) -> None:
    """W-24, W-88: the same definition with the same parameters inside of itself is a circle, HRS-007."""
    calls: list[int] = []

    class Endless(WorkflowDefinition[None]):
        name = "endless"
        definition_key = key()
        first = TaskNode(fn=number)

        @classmethod
        def build_with(cls, app: Any) -> WorkflowSpec[Any]:
            calls.append(0)
            nodes: list[Any] = [TaskNode(fn=number), SubWorkflowNode(workflow_def=cls)]
            return app.workflow("endless", nodes)  # type: ignore[no-any-return]

    errors = app.check()
    assert [error.code for error in errors] == [ErrorCode.WORKFLOW_CYCLE_DETECTED]
    assert "definitions contain each other without end" in errors[0].message
    assert calls == [0]


def test_nesting_is_followed_to_depth_32(app: Horsies, number: Any) -> None:
    """W-24."""
    calls: list[int] = []

    class Growing(WorkflowDefinition[None]):
        name = "growing"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any, *, size: int) -> WorkflowSpec[Any]:
            calls.append(size)
            nodes: list[Any] = [
                TaskNode(fn=number),
                SubWorkflowNode(workflow_def=cls, kwargs={"size": size + 1}),
            ]
            return app.workflow("growing", nodes)  # type: ignore[no-any-return]

    @app.workflow_builder()
    def grow() -> WorkflowSpec[Any]:
        return Growing.build_with(app, size=0)

    assert app.check() == []
    assert calls == list(range(33))


# -- builders


def test_a_builder_comes_back_unchanged(app: Horsies) -> None:
    """Section 4."""

    def build() -> WorkflowSpec[Any]:
        raise AssertionError("only check calls it")

    assert app.workflow_builder()(build) is build
    decorate: Any = app.workflow_builder
    with pytest.raises(TypeError, match="with parentheses"):
        decorate(build)


def test_a_builder_without_required_parameters_is_called_once(app: Horsies, number: Any) -> None:
    """W-22: its cases are ignored."""
    calls: list[int] = []

    @app.workflow_builder(cases=[{"size": 5}, {"wrong": 1}])
    def build(size: int = 1, *args: int, **kwargs: int) -> WorkflowSpec[Any]:
        calls.append(size)
        return app.workflow("w", [TaskNode(fn=number)])

    assert app.check() == []
    assert calls == [1]


@pytest.mark.parametrize("cases", [None, []])
def test_a_builder_that_needs_cases(app: Horsies, cases: Any) -> None:
    """W-22, HRS-027."""

    @app.workflow_builder(cases=cases)
    def build(size: int, name: str, deep: bool = False) -> WorkflowSpec[Any]:
        raise AssertionError("never called")

    error = app.check()[0]
    assert error.code is ErrorCode.WORKFLOW_CHECK_CASES_REQUIRED
    assert "build needs values for 'size', 'name', and has no cases" in error.message


def test_a_builder_is_called_for_every_good_case(app: Horsies, number: Any) -> None:
    """W-22, HRS-028: bad cases are told by number, the others still run."""
    calls: list[int] = []
    cases: list[Any] = [{"size": 1}, {"sise": 2}, {}, [3], {"size": 4, "name": "x"}, {5: 5, "size": 5}]

    @app.workflow_builder(cases=cases)
    def build(size: int, *, name: str = "w") -> WorkflowSpec[Any]:
        calls.append(size)
        return app.workflow(name, [TaskNode(fn=number)])

    errors = app.check()
    assert [error.code for error in errors] == [ErrorCode.WORKFLOW_CHECK_CASE_INVALID] * 4
    assert [error.message.rpartition("build has ")[2] for error in errors] == [
        "case 2 that gives 'sise', which is no parameter; there are name, size",
        "case 3 that lacks 'size'",
        "case 4 that is a list, not a dict of parameter names to values",
        "case 6 that gives 5, which is no parameter; there are name, size",
    ]
    assert calls == [1, 4]


def test_cases_for_open_parameters(app: Horsies, number: Any) -> None:
    """W-22: with **kwargs every name is known."""

    @app.workflow_builder(cases=[{"size": 1, "more": 2}])
    def build(size: int, **kwargs: int) -> WorkflowSpec[Any]:
        return app.workflow("w", [TaskNode(fn=number, kwargs={"value": kwargs["more"]})])

    assert app.check() == []


def test_cases_that_are_no_list(app: Horsies) -> None:
    """HRS-028."""
    cases: Any = {"size": 1}

    @app.workflow_builder(cases=cases)
    def build(size: int) -> WorkflowSpec[Any]:
        raise AssertionError("never called")

    assert found(app) == [ErrorCode.WORKFLOW_CHECK_CASE_INVALID]


def test_what_a_builder_raises(app: Horsies, number: Any) -> None:
    """W-23, HRS-029: naming builder and case; errors of horsies are reported as they are."""

    @app.workflow_builder(cases=[{"size": 0}, {"size": 1}, {"size": 2}])
    def build(size: int) -> WorkflowSpec[Any]:
        nodes = [TaskNode(fn=number, kwargs={"value": 1 // size}, node_id="n")]
        return app.workflow("w", nodes * size)

    errors = app.check()
    assert [error.code for error in errors] == [
        ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION,
        ErrorCode.WORKFLOW_DUPLICATE_NODE_ID,
    ]
    assert "build raised ZeroDivisionError (case 1)" in errors[0].message
    assert isinstance(errors[0].__cause__, ZeroDivisionError)


def _nothing() -> Any:
    return None


async def _later() -> Any:
    return None


def _hidden(size: int, /) -> Any:
    raise AssertionError("never called")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (_nothing, "_nothing did not return a WorkflowSpec"),
        (_later, "_later did not return a WorkflowSpec"),
        (_hidden, "positional-only parameter 'size'"),
        (type, "no readable signature"),
    ],
)
def test_builders_that_give_no_spec(app: Horsies, function: Callable[..., Any], problem: str) -> None:
    """W-23, HRS-029."""
    app.workflow_builder(cases=[{"size": 1}])(function)
    errors = app.check()
    assert [error.code for error in errors] == [ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION]
    assert problem in errors[0].message


def test_children_of_built_specs_are_checked(app: Horsies, number: Any) -> None:
    """W-24."""

    class Leaf(WorkflowDefinition[None]):
        name = "leaf"
        definition_key = key()

        @classmethod
        def build_with(cls, app: Any, *, size: int) -> WorkflowSpec[Any]:
            raise LookupError(size)

    @app.workflow_builder()
    def build() -> WorkflowSpec[Any]:
        return app.workflow("w", [SubWorkflowNode(workflow_def=Leaf, kwargs={"size": 1})])

    error = app.check()[0]
    assert error.code is ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION
    assert "Leaf: its build_with raised LookupError: 1" in error.message


def test_the_same_builder_again_is_a_re_import(app: Horsies, number: Any) -> None:
    calls: list[int] = []

    def define(mark: int) -> None:
        @app.workflow_builder()
        def build() -> WorkflowSpec[Any]:
            calls.append(mark)
            return app.workflow("w", [TaskNode(fn=number)])

    define(1)
    define(2)
    assert app.check() == []
    assert calls == [2]


def test_sends_are_suppressed_while_builders_run(app: Horsies, number: Any) -> None:
    """Section 4."""
    codes: list[object] = []

    @app.workflow_builder()
    def build() -> WorkflowSpec[Any]:
        codes.append(number.send(1).err_value.code)
        return app.workflow("w", [TaskNode(fn=number)])

    assert app.check() == []
    assert codes == [TaskSendErrorCode.SEND_SUPPRESSED]


def test_definitions_come_before_builders(app: Horsies, number: Any) -> None:
    """CF-44: the first phase with errors is the last."""

    class Broken(WorkflowDefinition[None]):
        name = "broken"
        definition_key = key()
        only = TaskNode(fn=number, kwargs={"wrong": 1})

    @app.workflow_builder()
    def build() -> WorkflowSpec[Any]:
        raise AssertionError("not reached")

    assert found(app) == [ErrorCode.WORKFLOW_INVALID_KWARG_KEY]


# -- undecorated functions, and modules


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Writes modules of a package that can be imported during the test; gives its name."""
    name = f"flows_{next(KEYS)}"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(**modules: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(modules.pop("init", ""))
        for module, source in modules.items():
            (tmp_path / name / f"{module}.py").write_text(source.replace("PACKAGE", name))
        return name

    yield write
    for module in [item for item in sys.modules if item.partition(".")[0] == name]:
        del sys.modules[module]


SOURCE = """
from typing import Annotated, Optional
from horsies import Horsies
from horsies.workflow import spec as specs
from horsies.workflow.spec import WorkflowSpec
from tests.core.apps import make_app

app = make_app()
"""


def test_functions_that_build_and_are_not_registered(app: Horsies, package: Callable[..., str]) -> None:
    """W-25, HRS-030."""
    name = package(
        flows=SOURCE
        + """
def plain() -> WorkflowSpec: ...
def typed() -> WorkflowSpec[int]: ...
def text() -> "WorkflowSpec[int]": ...
def dotted() -> specs.WorkflowSpec[int]: ...
def optional() -> Optional[WorkflowSpec]: ...
def annotated() -> Annotated[WorkflowSpec, 1]: ...
def unresolved(x: "Missing") -> "specs.WorkflowSpec[int]": ...
async def later() -> WorkflowSpec: ...

def silenced() -> WorkflowSpec: ...
silenced.__horsies_no_check__ = True

@app.workflow_builder()
def registered() -> WorkflowSpec: ...

def another(x: "Missing") -> "list[WorkflowSpec]": ...
def other() -> list[WorkflowSpec]: ...
def unannotated(): ...

class Holder:
    def method(self) -> WorkflowSpec: ...
"""
    )
    app.discover_tasks([f"{name}.flows"])
    errors = app.check()
    assert {error.code for error in errors} == {ErrorCode.WORKFLOW_CHECK_UNDECORATED_BUILDER}
    assert [error.message.split()[1].rpartition(".")[2] for error in errors] == [
        "plain",
        "typed",
        "text",
        "dotted",
        "optional",
        "annotated",
        "unresolved",
        "later",
    ]
    assert errors[0].location is not None
    assert errors[0].location.get_source_line() == "def plain() -> WorkflowSpec: ..."


def test_imported_functions_are_not_flagged(app: Horsies, package: Callable[..., str]) -> None:
    """W-25: a package covers its loaded submodules, a module only itself."""
    build = SOURCE + "\ndef build() -> WorkflowSpec: ...\n"
    name = package(inner=build, unloaded=build, outer="from PACKAGE.inner import build\n")
    app.discover_tasks([f"{name}.outer"])
    assert app.check() == []
    app.discover_tasks([name])
    errors = app.check()
    assert [error.message.split()[1] for error in errors] == [f"{name}.inner.build"]


NODELESS = """
from horsies.workflow.definition import WorkflowDefinition

class Nodeless(WorkflowDefinition):
    name = "nodeless"
    definition_key = "tests.checks.PACKAGE"
"""


def test_a_definition_without_nodes_belongs_to_its_module(app: Horsies, package: Callable[..., str]) -> None:
    """W-18, HRS-002: found for the app that discovers the module, or that the module knows."""
    name = package(flows=NODELESS)
    app.discover_tasks([f"{name}.flows"])
    assert found(app) == [ErrorCode.WORKFLOW_NO_NODES]
    other = make_app()
    assert other.check() == []
    module: Any = sys.modules[f"{name}.flows"]
    assert isinstance(module, ModuleType)
    vars(module)["app"] = other
    assert found(other) == [ErrorCode.WORKFLOW_NO_NODES]
