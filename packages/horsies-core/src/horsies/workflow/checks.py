"""The part of `Horsies.check` that concerns workflows: definitions, builders, and builders that nobody registered."""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Annotated, Any, Protocol, cast, get_args, get_origin, get_type_hints

from horsies.codec.structure import is_union
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError, SourceLocation, WorkflowValidationError
from horsies.errors.report import ValidationReport
from horsies.workflow.arguments import decode_arguments
from horsies.workflow.builders import BuilderRegistry, call_for_spec, is_decorated, run_builder
from horsies.workflow.declared_task import DeclaredTask
from horsies.workflow.definition import WorkflowDefinition, missing_key_error
from horsies.workflow.definition_base import DefinitionClass, facts_of, label_of
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.host import WorkflowHost
from horsies.workflow.nodes import SubWorkflowNode, TaskNode
from horsies.workflow.spec import WorkflowSpec

MAX_DEPTH = 32
NO_CHECK = "__horsies_no_check__"

_SPEC_NAME = re.compile(r"(\w+\.)*WorkflowSpec\b")


class CheckedHost(WorkflowHost, Protocol):
    """What these checks need of the app."""

    @property
    def tasks(self) -> Mapping[str, DeclaredTask[Any]]:
        """Its registered tasks."""
        ...

    @property
    def workflow_builders(self) -> BuilderRegistry:
        """Its registered builders."""
        ...


def check_definitions(app: CheckedHost, modules: Sequence[ModuleType]) -> list[HorsiesError]:
    """Build every definition that needs no parameters, and the children that it leads to (HRS-001 to HRS-033).

    A process may have several apps, and definitions name none; those that have to do with another one only are left
    out.

    Args:
        app: The app.
        modules: Its discovered modules.
    """
    report, children = ValidationReport("workflow definitions"), _Children(app)
    for definition in DEFINITIONS.all():
        facts = facts_of(definition)
        if not _concerns(app, definition, modules):
            continue
        if facts.key is None:
            # Without nodes it is a base class for others.
            if facts.nodes:
                report.add(missing_key_error(definition))
            continue
        if facts.build is not None and facts.build.required:
            continue
        for error in children.build(definition, {}):
            report.add(error)
    return report.errors


def check_builders(app: CheckedHost) -> list[HorsiesError]:
    """Run the registered builders with their cases (HRS-027 to HRS-029)."""
    report, children = ValidationReport("workflow builders"), _Children(app)
    for builder in app.workflow_builders:
        specs: list[WorkflowSpec[Any]] = []
        for error in run_builder(builder, specs):
            report.add(error)
        for spec in specs:
            for error in children.of(spec):
                report.add(error)
    return report.errors


def check_undecorated(modules: Iterable[ModuleType]) -> list[HorsiesError]:
    """HRS-030: functions of task modules that return a spec and are no builders.

    Args:
        modules: The discovered modules; a package stands for those of its modules that are loaded.
    """
    found: dict[FunctionType, None] = {}
    for module in modules:
        prefix = f"{module.__name__}."
        loaded = [item for name, item in sorted(sys.modules.items()) if name.startswith(prefix)]
        for part in (module, *(loaded if hasattr(module, "__path__") else ())):
            found |= dict.fromkeys(_own_functions(part))
    return [_undecorated(function) for function in found if _is_undecorated_builder(function)]


class _Children:
    """Builds child workflows whose parameters are known, each combination once."""

    def __init__(self, app: CheckedHost) -> None:
        self._app = app
        self._done: set[tuple[DefinitionClass, str | None]] = set()
        self._path: list[tuple[DefinitionClass, str | None]] = []

    def build(
        self, definition: DefinitionClass, kwargs: Mapping[str, Any], text: str | None = None, depth: int = 0
    ) -> Iterator[HorsiesError]:
        """The errors of one workflow and of its children.

        Args:
            definition: Its class.
            kwargs: Arguments for `build_with`.
            text: The same as JSON text.
            depth: How many workflows it is inside of.
        """
        mark = definition, text
        if mark in self._path:
            yield _endless([item for item, _ in self._path[self._path.index(mark) :]])
        if mark in self._done or depth > MAX_DEPTH:
            return
        self._done.add(mark)
        self._path.append(mark)
        kind = cast("type[WorkflowDefinition[Any]]", definition)
        spec, error = call_for_spec(lambda: kind.build_with(self._app, **kwargs))
        if isinstance(error, HorsiesError):
            yield error
        elif error is not None:
            yield _raised(definition, error)
        elif spec is not None:
            yield from self.of(spec, depth)
        self._path.pop()

    def of(self, spec: WorkflowSpec[Any], depth: int = 0) -> Iterator[HorsiesError]:
        """The errors of a spec's children, as far as their parameters are known before the workflow runs."""
        for node in spec.tasks:
            if isinstance(node, SubWorkflowNode) and not node.args_from:
                arguments = decode_arguments(node.signature, node.kwargs_json)
                yield from self.build(node.workflow_def, arguments, node.kwargs_json, depth + 1)


def _endless(circle: Sequence[DefinitionClass]) -> HorsiesError:
    path = " -> ".join(label_of(definition) for definition in (*circle, circle[0]))
    return WorkflowValidationError(
        f"definitions contain each other without end: {path}",
        code=ErrorCode.WORKFLOW_CYCLE_DETECTED,
        location=facts_of(circle[0]).location,
        help_text="take one of these child nodes out, or let build_with leave it out in the end",
    )


def _concerns(app: CheckedHost, definition: DefinitionClass, modules: Iterable[ModuleType]) -> bool:
    """Whether a definition belongs to the app: by the tasks it runs, else by the module it stands in."""
    tasks = [node.fn for node in facts_of(definition).nodes.values() if isinstance(node, TaskNode)]
    if tasks:
        return any(_is_task_of(app, task) for task in tasks)
    if any(module.__name__ == definition.__module__ for module in modules):
        return True
    names = vars(sys.modules[definition.__module__]) if definition.__module__ in sys.modules else {}
    return any(value is app or _is_task_of(app, value) for value in names.values())


def _is_task_of(app: CheckedHost, value: object) -> bool:
    return isinstance(value, DeclaredTask) and app.tasks.get(value.task_name) is value


def _raised(definition: DefinitionClass, error: BaseException) -> HorsiesError:
    found = WorkflowValidationError(
        f"{label_of(definition)}: its build_with raised {type(error).__name__}: {error}",
        code=ErrorCode.WORKFLOW_CHECK_BUILDER_EXCEPTION,
        location=facts_of(definition).location,
    )
    found.__cause__ = error
    return found


def _own_functions(module: ModuleType) -> list[FunctionType]:
    return [
        item
        for item in vars(module).values()
        if inspect.isfunction(item) and item.__module__ == module.__name__
    ]


def _is_undecorated_builder(function: FunctionType) -> bool:
    if is_decorated(function) or getattr(function, NO_CHECK, False) is True:
        return False
    return _returns_spec(function)


def _returns_spec(function: FunctionType) -> bool:
    declared: Any = function.__annotations__.get("return")
    try:
        declared = get_type_hints(function, include_extras=True).get("return")
    except Exception:  # another annotation cannot be resolved; the text will do
        if isinstance(declared, str):
            return _SPEC_NAME.match(declared) is not None
    return _is_spec(declared)


def _is_spec(declared: Any) -> bool:
    if get_origin(declared) is Annotated:
        return _is_spec(get_args(declared)[0])
    if is_union(declared):
        return any(_is_spec(member) for member in get_args(declared))
    kind = get_origin(declared) or declared
    return isinstance(kind, type) and issubclass(kind, WorkflowSpec)


def _undecorated(function: FunctionType) -> HorsiesError:
    return WorkflowValidationError(
        f"function {function.__module__}.{function.__qualname__} returns a WorkflowSpec and is not registered",
        code=ErrorCode.WORKFLOW_CHECK_UNDECORATED_BUILDER,
        location=SourceLocation.from_function(function),
        help_text=f"decorate it with @app.workflow_builder(), or set {function.__name__}.{NO_CHECK} = True",
    )
