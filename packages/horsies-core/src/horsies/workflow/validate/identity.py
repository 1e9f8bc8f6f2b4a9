"""Phases 1 and 2: the workflow has a name and nodes, and every node an id of its own."""

from collections.abc import Iterator

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.storable import unstorable
from horsies.workflow.node_key import node_id_problem
from horsies.workflow.validate.draft import Draft


def no_name(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-001."""
    if not isinstance(draft.name, str) or not draft.name:
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_NAME, "it has no name", "give it a name: a text that is not empty"
        )
    elif (problem := unstorable(draft.name)) is not None:
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_NAME, f"its name holds {problem}", "leave that character out of the name"
        )


def no_nodes(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-002."""
    if not draft.nodes:
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_NODES, "it has no nodes", "list its nodes: tasks=[TaskNode(fn=...), ...]"
        )


def invalid_ids(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-003."""
    for index, node in enumerate(draft.nodes):
        problem = node_id_problem(draft.ids[index])
        if problem is None:
            continue
        code = ErrorCode.WORKFLOW_INVALID_NODE_ID
        if node.given_id is None:
            yield draft.general_error(
                code,
                f"its name makes the id of node {index}, and that {problem}",
                "give the workflow a shorter name, or the node a node_id",
            )
        else:
            yield draft.general_error(
                code,
                f"the id {draft.ids[index]!r} of node {index} (task {node.name!r}) {problem}",
                "choose another node_id; in a definition class that is the attribute's name if none is given",
                location=node.location,
            )


def duplicate_ids(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-004."""
    first: dict[str, int] = {}
    for index, node_id in enumerate(draft.ids):
        if node_id not in first:
            first[node_id] = index
            continue
        same = draft.nodes[first[node_id]] is draft.nodes[index]
        yield draft.general_error(
            ErrorCode.WORKFLOW_DUPLICATE_NODE_ID,
            f"nodes {first[node_id]} and {index} have the same id {node_id!r}",
            "list each node once" if same else "give each node a node_id of its own",
            location=None if same else draft.nodes[index].location,
        )
