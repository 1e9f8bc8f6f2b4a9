"""Phase 3, the graph: dependencies are nodes of the workflow, and none waits for itself in the end."""

from collections.abc import Iterator

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError
from horsies.workflow.validate.draft import Draft


def no_roots(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-005."""
    if all(draft.dependencies(index) for index in range(len(draft.nodes))):
        yield draft.general_error(
            ErrorCode.WORKFLOW_NO_ROOT_TASKS,
            "every node waits for another, so none can be the first",
            "leave waits_for out at one node at least",
            draft.known_nodes,
        )


def foreign_dependencies(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-006."""
    for index in range(len(draft.nodes)):
        for other in draft.dependencies(index):
            if draft.place(other) is None:
                yield draft.error(
                    ErrorCode.WORKFLOW_INVALID_DEPENDENCY,
                    index,
                    f"waits for {other!r}, which is not among the workflow's nodes",
                    "add that very node to tasks, or take it out of waits_for",
                    draft.known_nodes,
                )


def cycles(draft: Draft) -> Iterator[HorsiesError]:
    """HRS-007 among the nodes."""
    cycle = _find_cycle(draft)
    if cycle:
        path = " -> ".join(repr(draft.ids[index]) for index in [*cycle, cycle[0]])
        yield draft.general_error(
            ErrorCode.WORKFLOW_CYCLE_DETECTED,
            f"nodes wait for each other in a circle: {path}",
            "take one of these dependencies out",
        )


def _find_cycle(draft: Draft) -> list[int]:
    """Nodes that wait for each other in a circle, each followed by one that it waits for; empty if there is none."""
    waiting = {
        index: [place for other in draft.dependencies(index) if (place := draft.place(other)) is not None]
        for index in range(len(draft.nodes))
    }
    dependents: dict[int, list[int]] = {index: [] for index in waiting}
    for index, others in waiting.items():
        for other in others:
            dependents[other].append(index)
    open_count = {index: len(others) for index, others in waiting.items()}
    free = [index for index, count in open_count.items() if count == 0]
    while free:
        for index in dependents[free.pop()]:
            open_count[index] -= 1
            if open_count[index] == 0:
                free.append(index)
    stuck = {index for index, count in open_count.items() if count > 0}
    if not stuck:
        return []
    # What is left waits for something that is left too, so that this walk comes back to where it was.
    path = [min(stuck)]
    while True:
        following = next(other for other in waiting[path[-1]] if other in stuck)
        if following in path:
            return path[path.index(following) :]
        path.append(following)
