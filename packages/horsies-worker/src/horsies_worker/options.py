"""What a worker can be told, in one frozen record."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of `horsies worker` and `run_worker` (07 §1).

    Attributes:
        processes: executor processes, at least 1.
        concurrency: thread and async tasks at once per executor process.
        executor: kind for `def` tasks that name none.
        queues: queues served; None means all configured ones.
        max_tasks_per_child: an executor is replaced after so many tasks; 0 never.
        max_memory_per_child_mb: an executor is replaced above this resident memory; None never.
        drain_timeout_s: how long running tasks may go on after a stop signal; 0 without limit.
        http_port: port of the health and metrics endpoints; None without.
        http_host: their address.
        migrate: create or upgrade the schema at start-up.
    """

    processes: int = 1
    concurrency: int = 10
    executor: Literal["process", "thread"] = "process"
    queues: tuple[str, ...] | None = None
    max_tasks_per_child: int = 0
    max_memory_per_child_mb: int | None = None
    drain_timeout_s: float = 300.0
    http_port: int | None = None
    http_host: str = "127.0.0.1"
    migrate: bool = True

    def __post_init__(self) -> None:
        for name, least in (
            ("processes", 1),
            ("concurrency", 1),
            ("max_tasks_per_child", 0),
            ("drain_timeout_s", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.max_memory_per_child_mb is not None and self.max_memory_per_child_mb <= 0:
            raise ValueError(f"max_memory_per_child_mb must be above 0, got {self.max_memory_per_child_mb}")

    @property
    def memory_limit(self) -> int | None:
        """`max_memory_per_child_mb` in bytes."""
        return None if self.max_memory_per_child_mb is None else self.max_memory_per_child_mb * 1_000_000
