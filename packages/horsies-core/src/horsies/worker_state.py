"""What a worker tells of itself with its heartbeats, and what the age of the last one means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LATE_AFTER_INTERVALS = 3
LOST = "lost"
"""Shown instead of the last state of a worker that fell silent without saying `stopped`."""


@dataclass(frozen=True, slots=True)
class WorkerStateSnapshot:
    """A worker's state at one moment. What could not be measured is None.

    Attributes:
        worker_id: Its id, new at each start.
        snapshot_at: The heartbeat that brought this state.
        hostname: Where it runs.
        pid: Process id of its coordinator.
        state: `starting`, `running`, `draining`, `stopped`, or `lost`: silent for so long that its tasks are
            recovered.
        version: Version of `horsies-worker`.
        processes: Executor processes.
        concurrency: Thread and async tasks at once per executor process.
        executor: Kind for `def` tasks that name none, `process` or `thread`.
        prefetch_buffer: Tasks it may hold beyond its free places.
        cluster_wide_cap: Limit of running tasks in all workers together.
        queues: Queues it serves.
        queue_priorities: Priority by queue.
        queue_max_concurrency: Limit by queue; None for no limit.
        recovery_config: Its recovery settings, and under `partition_coverage` and `partition_pruning` how the upkeep
            of the history's partitions goes.
        tasks_running: Tasks in its executors.
        tasks_claimed: Tasks it holds beyond those.
        memory_usage_mb: Resident memory of the coordinator.
        children_memory_mb: Resident memory of all executors together.
        memory_percent: The coordinator's share of the machine's memory.
        cpu_percent: CPU use of the coordinator since the last measurement; 100 is one core.
        worker_started_at: When it registered.
        late: The heartbeat is older than three of its intervals.
        stale: The heartbeat is older than the worker's own `running_stale_threshold_ms`.
    """

    worker_id: str
    snapshot_at: datetime
    hostname: str
    pid: int
    state: str
    version: str
    processes: int | None = None
    concurrency: int | None = None
    executor: str | None = None
    prefetch_buffer: int | None = None
    cluster_wide_cap: int | None = None
    queues: tuple[str, ...] = ()
    queue_priorities: Mapping[str, int] | None = None
    queue_max_concurrency: Mapping[str, int | None] | None = None
    recovery_config: Mapping[str, Any] | None = None
    tasks_running: int | None = None
    tasks_claimed: int | None = None
    memory_usage_mb: float | None = None
    children_memory_mb: float | None = None
    memory_percent: float | None = None
    cpu_percent: float | None = None
    worker_started_at: datetime | None = None
    late: bool = False
    stale: bool = False


_REPORTED = (
    "processes",
    "concurrency",
    "executor",
    "prefetch_buffer",
    "cluster_wide_cap",
    "queue_priorities",
    "queue_max_concurrency",
    "recovery_config",
    "tasks_running",
    "tasks_claimed",
    "memory_usage_mb",
    "children_memory_mb",
    "memory_percent",
    "cpu_percent",
)


def latest_state(row: tuple[Any, ...]) -> WorkerStateSnapshot:
    """The state in a row of `workers`, judged by the age of its heartbeat (M-016)."""
    worker_id, at, hostname, pid, version, state, started_at, interval_ms, age_s, reported = row
    limit_ms = _threshold_ms(reported)
    stale = state != "stopped" and limit_ms is not None and age_s * 1000 > limit_ms
    late = state != "stopped" and age_s * 1000 > LATE_AFTER_INTERVALS * interval_ms
    return WorkerStateSnapshot(
        worker_id=worker_id,
        snapshot_at=at.astimezone(UTC),
        hostname=hostname,
        pid=pid,
        state=LOST if stale else state,
        version=version,
        queues=tuple(reported.get("queues") or ()),
        worker_started_at=started_at.astimezone(UTC),
        late=late,
        stale=stale,
        **_values(reported),
    )


def sampled_state(worker_id: str, at: datetime, reported: Mapping[str, Any]) -> WorkerStateSnapshot:
    """The state in a sample."""
    started_at = reported.get("worker_started_at")
    return WorkerStateSnapshot(
        worker_id=worker_id,
        snapshot_at=at.astimezone(UTC),
        hostname=str(reported.get("hostname") or ""),
        pid=int(reported.get("pid") or 0),
        state=str(reported.get("state") or ""),
        version=str(reported.get("version") or ""),
        queues=tuple(reported.get("queues") or ()),
        worker_started_at=datetime.fromisoformat(started_at).astimezone(UTC) if started_at else None,
        **_values(reported),
    )


def _values(reported: Mapping[str, Any]) -> dict[str, Any]:
    return {name: reported.get(name) for name in _REPORTED}


def _threshold_ms(reported: Mapping[str, Any]) -> int | None:
    config: Mapping[str, Any] = reported.get("recovery_config") or {}
    return config.get("running_stale_threshold_ms")
