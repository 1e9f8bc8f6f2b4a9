"""Which executor the next rows are for: breadth first, so that nothing waits while an executor is free."""

from horsies_worker.executor_process import ExecutorProcess
from horsies_worker.read_ahead import ReadAhead


def free_places(executors: list[ExecutorProcess], read_ahead: ReadAhead) -> list[ExecutorProcess]:
    """One entry for each row that may be claimed now, in the order in which rows are to be placed."""
    depth = read_ahead.depth()
    loads = [
        (len(executor.flights), _room(executor, depth, read_ahead), executor)
        for executor in executors
        if executor.ready
    ]
    if depth == 1:
        return [executor for load, _, executor in loads if load == 0]
    places: list[ExecutorProcess] = []
    for level in range(depth):
        places.extend(executor for load, room, executor in loads if load <= level < load + room)
    return places


def _room(executor: ExecutorProcess, depth: int, read_ahead: ReadAhead) -> int:
    """Rows that this executor may get on top of what it has: none behind a task that is slow or not measured yet."""
    head = executor.head()
    if head is None:
        return depth
    if not read_ahead.is_quick(head.task_name):
        return 0
    return max(0, depth - len(executor.flights))
