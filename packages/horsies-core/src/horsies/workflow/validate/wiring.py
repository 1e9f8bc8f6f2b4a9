"""Phase 3, how nodes feed each other: sources of arguments and of the context are dependencies."""

from collections.abc import Iterator
from typing import cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.builder import FromNode
from horsies.workflow.node import Node
from horsies.workflow.nodes import TaskNode
from horsies.workflow.validate.draft import Draft


def foreign_sources(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-008: a source of `args_from` that the node does not wait for."""
    for index, node in draft.calls():
        for name, source in node.args_from.items():
            if not draft.waits_for(index, source):
                yield draft.error(
                    ErrorCode.WORKFLOW_INVALID_ARGS_FROM,
                    index,
                    f"takes {name!r} from {draft.label_of(source)}, which it does not wait for",
                    "args_from hands a result over, waits_for gives the order: add the node there too"
                    if isinstance(cast("object", source), Node)
                    else "args_from takes nodes, not tasks or values; static values go into kwargs",
                )


def foreign_context(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-009."""
    for index, node in enumerate(draft.nodes):
        for other in node.workflow_ctx_from or ():
            if not draft.waits_for(index, other):
                yield draft.error(
                    ErrorCode.WORKFLOW_INVALID_CTX_FROM,
                    index,
                    f"has {draft.label_of(other)} in workflow_ctx_from, which it does not wait for",
                    "add that node to waits_for",
                )


def context_not_taken(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-010."""
    for index, node in draft.calls():
        if (
            node.workflow_ctx_from
            and node.injects_context
            and not node.has_conditions
            and "workflow_ctx" not in draft.signature(index).parameters
        ):
            yield draft.error(
                ErrorCode.WORKFLOW_CTX_PARAM_MISSING,
                index,
                f"has workflow_ctx_from, but its task {node.name!r} has no parameter workflow_ctx",
                "declare workflow_ctx: WorkflowContext | None = None in the task, or leave workflow_ctx_from out",
            )


def positional_arguments(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-026: `args` that were set after the node was made."""
    for index, node in enumerate(draft.nodes):
        if isinstance(node, TaskNode) and node.args:
            yield draft.error(
                ErrorCode.WORKFLOW_POSITIONAL_ARGS_NOT_SUPPORTED,
                index,
                "had its args set after it was made; only the constructor binds them to parameters",
                "set kwargs, or give args to TaskNode(...)",
            )


def misplaced_markers(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-008: `from_node(...)` among static arguments."""
    for index, node in draft.calls():
        for name, value in node.kwargs.items():
            if isinstance(value, FromNode):
                yield draft.error(
                    ErrorCode.WORKFLOW_INVALID_ARGS_FROM,
                    index,
                    f"has {value!r} for {name!r} in kwargs, where it means nothing",
                    f"use args_from={{{name!r}: node}} and waits_for=[node], or task.node()({name}=from_node(node))",
                )


def overlapping_arguments(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-021."""
    for index, node in draft.calls():
        for name in node.kwargs:
            if name in node.args_from:
                yield draft.error(
                    ErrorCode.WORKFLOW_KWARGS_ARGS_FROM_OVERLAP,
                    index,
                    f"has {name!r} in kwargs and in args_from",
                    "keep one of the two",
                )
