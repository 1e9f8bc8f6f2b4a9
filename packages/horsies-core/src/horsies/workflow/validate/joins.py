"""Phase 3, joins: how many dependencies have to succeed is a number that they can reach."""

from collections.abc import Iterator
from typing import cast

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.node import Node
from horsies.workflow.nodes import CallNode
from horsies.workflow.validate.draft import Draft


def unusable_joins(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-013."""
    for index, node in enumerate(draft.nodes):
        join: object = node.join
        problem = _problem(node, join, len(draft.dependencies(index)))
        if problem is not None:
            yield draft.error(ErrorCode.WORKFLOW_INVALID_JOIN, index, *problem)
        if join in ("any", "quorum") and isinstance(node, CallNode):
            yield from _unfilled_parameters(draft, index, cast("CallNode[object]", node))


def _problem(node: Node[object], join: object, dependencies: int) -> tuple[str, str] | None:
    least: object = node.min_success
    if join not in ("all", "any", "quorum"):
        return f"has the join {join!r}", "use join='all', 'any' or 'quorum'"
    if join != "quorum":
        if least is not None:
            return f"has min_success with the join {join!r}", "min_success goes with join='quorum' only"
        return None
    if isinstance(least, bool) or not isinstance(least, int):
        shown = "no min_success" if least is None else f"the min_success {least!r}"
        return f"has the join 'quorum' and {shown}", "say how many have to succeed: min_success=2"
    if not 1 <= least <= dependencies:
        return (
            f"has min_success {least} and {dependencies} dependencies",
            "use a number from 1 to those it waits for",
        )
    return None


def _unfilled_parameters(draft: Draft, index: int, node: CallNode[object]) -> Iterator[HorsiesError]:
    """With these joins a node may run before a source has ended; its parameter then keeps its default."""
    for name in node.args_from:
        if draft.signature(index).is_required(name):
            yield draft.error(
                ErrorCode.WORKFLOW_INVALID_JOIN,
                index,
                f"has the join {node.join!r} and takes {name!r} from a node that may not have ended, "
                f"and {name!r} has no default",
                f"declare it as {name}: TaskResult[T, TaskError] | None = None",
            )
