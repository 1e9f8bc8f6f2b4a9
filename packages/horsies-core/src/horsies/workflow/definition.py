"""WorkflowDefinition: a workflow as a class, which workers can find by its key and other workflows can contain."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from types import FunctionType
from typing import Any, cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import SourceLocation, WorkflowValidationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.state import OnError
from horsies.workflow.binding import bind, make_bound_spec
from horsies.workflow.building import BuildCall, building
from horsies.workflow.call_signature import BuildSignature, build_with_problem
from horsies.workflow.definition_base import (
    DefinitionBase,
    DefinitionClass,
    DefinitionFacts,
    facts_of,
    keep_facts,
    label_of,
    name_of,
)
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.freeze import write
from horsies.workflow.host import WorkflowHost
from horsies.workflow.node import Node
from horsies.workflow.nodes import TaskNode
from horsies.workflow.output_type import output_type_error, read_output_type
from horsies.workflow.policy import SuccessCase, SuccessPolicy
from horsies.workflow.spec import WorkflowSpec, is_spec


class WorkflowDefinition[T](DefinitionBase[T]):
    """A workflow as a class. `T` is the success value of its output node.

        class Etl(WorkflowDefinition[int]):
            name = "etl"
            definition_key = "shop.etl.v1"
            load = TaskNode(fn=load_rows)
            total = TaskNode(fn=sum_rows, waits_for=[load], args_from={"rows": load})

            class Meta:
                output = "total"

        spec = Etl.build(app)

    The nodes are those of the class's own body; an attribute's name is the id of its node unless it has one.
    `Meta` may set `output`, `on_error` and `success_policy`. There, a node is named by the node itself, by the name of
    its attribute, or by its task if only one node runs it.

    Attributes:
        name: The workflow's name.
        definition_key: Names the definition in the database, for workers; unique, and set in each class anew.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the class, name its nodes and register it.

        Raises:
            WorkflowValidationError: HRS-017, another class has its key; HRS-023, its `build_with` cannot be called.
        """
        super().__init_subclass__(**kwargs)
        _register(cls, _place_of_class_statement())

    @classmethod
    def build(cls, app: WorkflowHost) -> WorkflowSpec[T]:
        """A fresh spec of this workflow, bound to an app.

        Args:
            app: The `Horsies` app.

        Raises:
            WorkflowValidationError: HRS-001, no name; HRS-002, no nodes; HRS-016, no definition_key; HRS-025, the
                output is not a T; and what `WorkflowSpec` raises.
            ConfigurationError: HRS-103 or HRS-200, a node goes to a queue that the app does not have.
            MultipleValidationErrors: Several of these.
        """
        _raise(cls, _incomplete(cls))
        facts = facts_of(cls)
        meta = getattr(cls, "Meta", None)
        spec = make_bound_spec(
            app,
            cls.name,
            list(facts.nodes.values()),
            on_error=getattr(meta, "on_error", OnError.FAIL),
            output=_member(cls, getattr(meta, "output", None)),
            success_policy=_policy(cls, getattr(meta, "success_policy", None)),
            definition_key=facts.key,
            workflow_def_cls=cls,
        )
        return _checked(cls, spec)

    @classmethod
    def build_with(
        cls, app: Any, *args: Any, **params: Any
    ) -> WorkflowSpec[T]:  # Any: overrides name their own types
        """A fresh spec of this workflow, made for these parameters.

        Override it to make the graph depend on parameters. The override is a classmethod that takes `app` first and
        returns a spec made during the call. This default takes no notice of parameters.

        Args:
            app: The `Horsies` app.
            *args: For overrides.
            **params: For overrides: the `kwargs` of a `SubWorkflowNode`, and the results its `args_from` name.

        Raises:
            WorkflowValidationError: HRS-016, no definition_key; HRS-025, the output is not a T; or it returned
                something else than a spec made during this call.
        """
        return cls.build(app)


def _register(cls: type[WorkflowDefinition[Any]], place: SourceLocation | None) -> None:
    body = vars(cls)
    key: object = body.get("definition_key")
    own_key = key if isinstance(key, str) and key else None
    override: object = body.get("build_with")
    report = ValidationReport(label_of(cls))
    collision = None if own_key is None else DEFINITIONS.collision(cls, own_key, place)
    if collision is not None:
        report.add(collision)
    problem = None if override is None else build_with_problem(override)
    if problem is not None:
        report.add(
            WorkflowValidationError(
                f"{label_of(cls)}: its build_with {problem}",
                code=ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING,
                location=place,
                help_text="write it as: @classmethod\ndef build_with(cls, app, *, parameter: Type) -> WorkflowSpec[T]:",
            )
        )
    raise_collected(report)
    build = _inherited_build(cls)
    if override is not None:
        function = cast("FunctionType", cast("classmethod[Any, Any, Any]", override).__func__)
        build = BuildSignature(function)
        type.__setattr__(cls, "build_with", classmethod(_guarded(function)))
    keep_facts(
        cls,
        DefinitionFacts(
            nodes=_own_nodes(cls),
            key=own_key,
            output_type=read_output_type(cls),
            build=build,
            location=place,
        ),
    )
    DEFINITIONS.add(cls, own_key, place)


def _own_nodes(cls: type[WorkflowDefinition[Any]]) -> dict[str, Node[Any]]:
    nodes: dict[str, Node[Any]] = {}
    for attribute, value in vars(cls).items():
        # A second name for the same node is no second node.
        if isinstance(value, Node) and not any(node is value for node in nodes.values()):
            nodes[attribute] = value
            value.name_by_attribute(attribute)
    return nodes


def _inherited_build(cls: DefinitionClass) -> BuildSignature | None:
    for base in cls.__mro__[1:]:
        if "build_with" in vars(base):
            return facts_of(cast("DefinitionClass", base)).build
    return None


def _guarded(function: Callable[..., Any]) -> Callable[..., WorkflowSpec[Any]]:
    """A `build_with` of the user's, with the promises that the library makes about all of them."""

    @wraps(function)
    def build_with(
        cls: type[WorkflowDefinition[Any]], app: WorkflowHost, *args: Any, **params: Any
    ) -> WorkflowSpec[Any]:
        _raise(cls, _without_key(cls))
        with building(cls) as call:
            spec = _spec_of(cls, call, function(cls, app, *args, **params))
            if spec.definition_key is None:
                write(spec, definition_key=facts_of(cls).key)
            if spec.workflow_def_cls is None:
                write(spec, workflow_def_cls=cls)
            bind(spec, app)
            return _checked(cls, spec)

    return build_with


def _spec_of(cls: DefinitionClass, call: BuildCall, returned: object) -> WorkflowSpec[Any]:
    if not is_spec(returned):
        raise WorkflowValidationError(
            f"{label_of(cls)}: its build_with returned {returned!r}, not a WorkflowSpec",
            help_text="return app.workflow(...) or cls.build(app)",
        )
    if not call.has_made(returned):
        raise WorkflowValidationError(
            f"{label_of(cls)}: its build_with returned a spec that was made before this call",
            help_text="make the spec inside build_with, so that each workflow gets one of its own",
        )
    return returned


def _checked(cls: DefinitionClass, spec: WorkflowSpec[Any]) -> WorkflowSpec[Any]:
    error = output_type_error(spec, cls)
    if error is not None:
        raise error
    return spec


def _incomplete(cls: DefinitionClass) -> Iterator[WorkflowValidationError]:
    facts = facts_of(cls)
    if name_of(cls) is None:
        yield WorkflowValidationError(
            f"{label_of(cls)} has no name",
            code=ErrorCode.WORKFLOW_NO_NAME,
            location=facts.location,
            help_text="set name = '...' in the class body",
        )
    if not facts.nodes:
        yield WorkflowValidationError(
            f"{label_of(cls)} has no nodes",
            code=ErrorCode.WORKFLOW_NO_NODES,
            location=facts.location,
            help_text="set nodes in its own body, as load = TaskNode(fn=...); those of base classes do not count",
        )
    yield from _without_key(cls)


def _without_key(cls: DefinitionClass) -> Iterator[WorkflowValidationError]:
    if facts_of(cls).key is None:
        yield missing_key_error(cls)


def missing_key_error(definition: DefinitionClass) -> WorkflowValidationError:
    """HRS-016 of a definition class."""
    return WorkflowValidationError(
        f"{label_of(definition)} has no definition_key of its own",
        code=ErrorCode.WORKFLOW_NO_DEFINITION_KEY,
        location=facts_of(definition).location,
        help_text=f"set it in the class body, as definition_key = {_example_key(definition)!r}: "
        "workers find the class by it,\nso it has to stay the same; it is not inherited",
    )


def _example_key(definition: DefinitionClass) -> str:
    return f"{definition.__module__.partition('.')[0]}.{definition.__name__.lower()}.v1"


def _member(cls: DefinitionClass, reference: object) -> Any:
    """The node that `Meta` means; what names no node stays as it is, for the checks to refuse."""
    nodes = facts_of(cls).nodes
    if isinstance(reference, str):
        return nodes.get(reference, reference)
    running = [node for node in nodes.values() if _runs(node, reference)]
    return running[0] if len(running) == 1 else reference


def _runs(node: Node[Any], task: object) -> bool:
    return isinstance(node, TaskNode) and node.fn is task


def _policy(cls: DefinitionClass, policy: object) -> Any:
    if not isinstance(policy, SuccessPolicy):
        return policy
    cases = [
        SuccessCase([_member(cls, item) for item in case.required])
        if isinstance(cast("object", case), SuccessCase)
        else case
        for case in policy.cases
    ]
    optional = policy.optional
    return SuccessPolicy(cases, None if optional is None else [_member(cls, item) for item in optional])


def _raise(cls: DefinitionClass, errors: Iterator[WorkflowValidationError]) -> None:
    report = ValidationReport(label_of(cls))
    for error in errors:
        report.add(error)
    raise_collected(report)


def _place_of_class_statement() -> SourceLocation | None:
    """The line of the class statement: `__init_subclass__` is called from the frame it stands in."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return None if frame is None else SourceLocation.from_frame(frame)
