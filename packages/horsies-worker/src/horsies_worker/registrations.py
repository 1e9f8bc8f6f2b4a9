"""What the registration of a task says about its rows, where the row leaves it open (D-027)."""

from collections.abc import Mapping
from typing import Any, Literal

from horsies.task import TaskFunction
from horsies.tracing import is_loaded
from horsies_worker.flight import Flight
from horsies_worker.places import Lane

LANE_EXECUTORS: Mapping[str, Mapping[Lane, str]] = {
    "process": {"process": "default,process", "shared": "thread,async"},
    "thread": {"process": "process", "shared": "default,thread,async"},
}
"""The worker's default kind -> which executor values of rows each lane takes."""


class Registrations:
    """The tasks registered in this worker, as its rows ask for them."""

    def __init__(
        self,
        tasks: Mapping[str, TaskFunction[..., Any]],
        default: Literal["process", "thread"],
        *,
        tracing: bool,
    ) -> None:
        """Make it.

        Args:
            tasks: By name.
            default: The kind of `def` tasks that name none.
            tracing: Whether runs are to be traced where the program uses OpenTelemetry.
        """
        self._tasks = tasks
        self._default = default
        self._tracing = tracing

    def flight(self, row: tuple[Any, ...]) -> Flight:
        """A claimed row of the cycle's answer."""
        _, identity, generation, name, queue, kind, kwargs, options, *numbers, _, flow, context = row
        flight = Flight(identity, generation, name, queue, kind, kwargs, options, *numbers)
        flight.workflow_id = flow
        if self._tracing and (context is not None or is_loaded()):
            flight.trace = (context, identity, queue, flight.retry_count)
        task = self._tasks.get(name)
        if task is not None and task.definition.signature.is_async:
            flight.kind = "async"
        elif kind == "default":
            flight.kind = (task.definition.executor if task is not None else None) or self._default
        if flight.max_retries is None and task is not None and flight.timeout_ms is None:
            flight.timeout_ms = task.definition.timeout_ms
        return flight

    def usual_lanes(self) -> set[Lane]:
        """The lanes to which the rows of the tasks registered here belong."""
        kinds = {task.definition.executor or "default" for task in self._tasks.values()}
        lanes = LANE_EXECUTORS[self._default]
        return {lane for lane, values in lanes.items() if not kinds.isdisjoint(values.split(","))}
