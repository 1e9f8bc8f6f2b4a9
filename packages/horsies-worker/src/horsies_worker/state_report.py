"""What a worker says of itself with each heartbeat (10-monitoring §2)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from horsies.config import AppConfig
from horsies_worker.claims import ServedQueue
from horsies_worker.options import WorkerOptions

if TYPE_CHECKING:
    from horsies_worker.measurements import Measurements


class StateReport:
    """Gathers the snapshot. `upkeep` tells how the history's partitions fare, under its own keys."""

    def __init__(
        self,
        config: AppConfig,
        options: WorkerOptions,
        queues: Sequence[ServedQueue],
        *,
        running: Callable[[], int],
        claimed: Callable[[], int] = lambda: 0,
        executor_pids: Callable[[], Iterable[int]],
        upkeep: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._running = running
        self._claimed = claimed
        self._executor_pids = executor_pids
        self._upkeep = upkeep
        self._measurements: Measurements | None = None
        self._recovery = config.recovery.model_dump(mode="json")
        self._constant: dict[str, object] = {
            "processes": options.processes,
            "concurrency": options.concurrency,
            "executor": options.executor,
            "prefetch_buffer": config.prefetch_buffer,
            "cluster_wide_cap": config.cluster_wide_cap,
            "queues": [queue.name for queue in queues],
            "queue_priorities": {queue.name: queue.rank for queue in queues},
            "queue_max_concurrency": {queue.name: queue.cap for queue in queues},
        }

    def snapshot(self) -> dict[str, object]:
        """What is known without measuring."""
        return {
            **self._constant,
            "recovery_config": {**self._recovery, **self._upkeep()},
            "tasks_running": self._running(),
            "tasks_claimed": self._claimed(),
        }

    async def take(self) -> Mapping[str, object]:
        """What is measured."""
        if self._measurements is None:
            from horsies_worker.measurements import Measurements  # the worker has imported it at its start

            self._measurements = Measurements()
        return self._measurements.take(self._executor_pids())
