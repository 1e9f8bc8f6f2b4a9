"""Phase 3, child workflows: their definitions can be found, built with what is given, and do not nest forever."""

from collections.abc import Iterator

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.storable import unstorable
from horsies.workflow.definition_base import DefinitionClass, facts_of, label_of
from horsies.workflow.nodes import SubWorkflowNode
from horsies.workflow.validate.draft import Draft

_RESERVED = ("app", "cls")


def missing_keys(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-016: of the workflow's own key, and of child definitions."""
    if draft.definition_key is not None and not (
        isinstance(draft.definition_key, str) and draft.definition_key
    ):
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_DEFINITION_KEY,
            f"definition_key is {draft.definition_key!r}",
            "leave it out, or give a text that is not empty",
        )
    elif draft.definition_key is not None and (problem := unstorable(draft.definition_key)) is not None:
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_DEFINITION_KEY,
            f"definition_key holds {problem}",
            "leave that character out of the key",
        )
    for index, node in draft.children():
        if facts_of(node.workflow_def).key is None:
            yield draft.error(
                ErrorCode.WORKFLOW_NO_DEFINITION_KEY,
                index,
                f"runs {label_of(node.workflow_def)}, which has no definition_key of its own",
                "set definition_key = '...' in the class body, so that workers can find it",
            )


def arguments_without_build_with(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-022."""
    for index, node in draft.children():
        if draft.takes_no_arguments(index) and (node.kwargs or node.args_from):
            given = ", ".join(repr(name) for name in (*node.kwargs, *node.args_from))
            yield draft.error(
                ErrorCode.WORKFLOW_SUBWORKFLOW_PARAMS_REQUIRE_BUILD_WITH,
                index,
                f"hands {given} to {label_of(node.workflow_def)}, whose build_with takes nothing",
                "override it: @classmethod def build_with(cls, app, *, ...) with these parameters",
            )


def unusable_arguments(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-023: names that are taken, and annotations that nobody can read."""
    for index, node in draft.children():
        code = ErrorCode.WORKFLOW_SUBWORKFLOW_BUILD_WITH_BINDING
        for name in (*node.kwargs, *node.args_from):
            if name in _RESERVED:
                yield draft.error(
                    code,
                    index,
                    f"hands {name!r} to build_with, which gets its own {name} already",
                    "choose another name for the parameter",
                )
        for problem in draft.signature(index).unresolved:
            yield draft.error(
                code,
                index,
                f"runs {label_of(node.workflow_def)}, whose build_with cannot be read: {problem}",
                "import the name where the class is defined, outside of `if TYPE_CHECKING`",
            )


def nested_in_a_circle(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-007 among definitions, as far as their class attributes show it."""
    for index, node in draft.children():
        cycle = _find_cycle([node.workflow_def], set())
        if cycle:
            path = " -> ".join(label_of(definition) for definition in cycle)
            yield draft.error(
                ErrorCode.WORKFLOW_CYCLE_DETECTED,
                index,
                f"runs definitions that contain each other: {path}",
                "take one of these child nodes out",
            )


def _find_cycle(path: list[DefinitionClass], done: set[DefinitionClass]) -> list[DefinitionClass]:
    for child in _children(path[-1]):
        if child in path:
            return [*path[path.index(child) :], child]
        cycle = [] if child in done else _find_cycle([*path, child], done)
        if cycle:
            return cycle
    done.add(path[-1])
    return []


def _children(definition: DefinitionClass) -> list[DefinitionClass]:
    nodes = facts_of(definition).nodes.values()
    return list(dict.fromkeys(node.workflow_def for node in nodes if isinstance(node, SubWorkflowNode)))
