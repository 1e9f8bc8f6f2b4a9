"""A task in the hands of this worker, from its claim to the write of its outcome."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Flight:
    """One claimed row and where it is. (id, generation) with the worker's id is the fence of every write."""

    id: str
    generation: int
    task_name: str
    queue_name: str
    kind: str
    kwargs: str | None
    options: str | None
    timeout_ms: int | None
    retry_count: int
    max_retries: int | None  # None: the row was sent by SQL, the registration decides
    workflow_id: str | None = None
    seq: int = 0  # number of the dispatch, unique in this worker
    run_us: int = 0
    is_cancelled: bool = (
        False  # somebody wants it stopped: whatever its end, it is CANCELLED unless it completes
    )
    place: int = 1  # number of the executor that ran it, from 1
    trace: tuple[str | None, str, str, int] | None = None
    """`RunTrace` as plain values, for the span of the run."""
    trace_for_retry: str | None = None  # trace context, with the span of this run, which was the first


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `envelope` is the stored result; the rest is None for a success."""

    flight: Flight
    envelope: str
    error_code: str | None = None
    message: str | None = None
    failed_reason: str | None = None
    by_worker: bool = False  # written by the worker, not by the task's own run (T-61, T-69)

    @property
    def is_expiry(self) -> bool:
        """Whether the deadline had passed before the task could begin (T-64)."""
        return self.by_worker and self.error_code == "TASK_EXPIRED"
