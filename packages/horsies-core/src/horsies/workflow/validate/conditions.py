"""Phase 3, conditions: only where workers can find the functions again, by definition key and node id."""

import inspect
from collections.abc import Iterator
from typing import Any

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.building import definition_being_built
from horsies.workflow.definition_base import DefinitionClass, facts_of
from horsies.workflow.definition_registry import DEFINITIONS
from horsies.workflow.node import Node
from horsies.workflow.validate.draft import Draft


def unusable_conditions(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-033."""
    code = ErrorCode.WORKFLOW_INVALID_CONDITION
    for index, node in enumerate(draft.nodes):
        if not node.has_conditions:
            continue
        for name, condition in (("skip_when", node.skip_when), ("run_when", node.run_when)):
            problem = _function_problem(condition)
            if problem is not None:
                yield draft.error(
                    code,
                    index,
                    f"has a {name} that {problem}",
                    "a condition is a plain function that takes a WorkflowContext",
                )
        if not _can_be_found(draft, node):
            yield draft.error(
                code,
                index,
                "has a condition, and workers could not find its function again",
                "conditions belong to nodes that are attributes of a WorkflowDefinition with a definition_key",
            )


def _function_problem(condition: object) -> str | None:
    if condition is None:
        return None
    if not callable(condition):
        return f"is {condition!r}, not a function"
    called = condition.__call__  # of an object that can be called like a function
    return "is async" if any(_is_async(item) for item in (condition, called)) else None


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _can_be_found(draft: Draft, node: Node[Any]) -> bool:
    definition = _stored_definition(draft)
    if definition is None:
        return False
    # Not by id alone: a new node of the same id would be guarded by the functions of another one.
    source = node.original
    return any(own is source for own in facts_of(definition).nodes.values()) and (
        source.skip_when is node.skip_when and source.run_when is node.run_when
    )


def _stored_definition(draft: Draft) -> DefinitionClass | None:
    """The class that workers will find by the key the workflow is stored with."""
    building = definition_being_built()
    for definition in (draft.definition, building):
        if definition is not None and draft.definition_key in (None, facts_of(definition).key):
            return definition if facts_of(definition).key is not None else None
    key = draft.definition_key
    return DEFINITIONS.find(key) if isinstance(key, str) else None
