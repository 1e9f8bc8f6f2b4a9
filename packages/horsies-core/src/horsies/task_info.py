"""What can be read about a task: its record, and the record of each of its runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from horsies.state import AttemptOutcome, TaskStatus
from horsies.task_result import TaskError, TaskResult


@dataclass(frozen=True, slots=True)
class TaskAttemptInfo:
    """One run of a task.

    Attributes:
        task_id: The task's id.
        attempt: Number of the run, from 1.
        outcome: How it ended.
        will_retry: Another run was scheduled because of it.
        started_at: When user code could begin (database time).
        finished_at: When the end was recorded (database time).
        error_code: Code of the run's error, if it has one.
        error_message: Message of that error; cut at 4,096 characters for all runs but the last.
        failed_reason: What the worker or the reaper has to say about a crash, timeout or worker failure.
        worker_id: The worker that ran it.
        worker_hostname: Its host.
        worker_pid: Process that executed it.
        worker_process_name: Name of that process.
    """

    task_id: str
    attempt: int
    outcome: AttemptOutcome
    will_retry: bool
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    failed_reason: str | None = None
    worker_id: str | None = None
    worker_hostname: str | None = None
    worker_pid: int | None = None
    worker_process_name: str | None = None


# Without slots: in a frozen class with slots, assigning to the property `result` ends in an internal TypeError.
@dataclass(frozen=True)
class TaskInfo:
    """One task, as it was when it was read. What was not asked for is `None` (or `False`).

    Attributes:
        task_id: The task's id.
        task_name: The task's name.
        status: Where it is in its life.
        queue_name: Its queue.
        priority: 1 (first) to 100.
        retry_count: How many retries were scheduled so far.
        max_retries: How many retries its policy allows.
        next_retry_at: When the next run is due, while a retry waits.
        sent_at: Clock of the sender at the call.
        enqueued_at: When it may be claimed (database time).
        claimed_at: When a worker claimed it.
        started_at: When user code could begin.
        completed_at: When it succeeded.
        failed_at: When it failed, was cancelled or expired.
        worker_hostname: Host of the worker that runs or ran it.
        worker_pid: Process that executes it.
        worker_process_name: Name of that process.
        error_code: Code of its error.
        raw_result: The stored envelope.
        decoded_result: The result, if it is an error or the task is registered here.
        result_decoded: Whether `decoded_result` holds the result.
        failed_reason: What the worker, the reaper or the canceller has to say about the end.
        attempts: Its runs, newest first.
    """

    task_id: str
    task_name: str
    status: TaskStatus
    queue_name: str
    priority: int
    retry_count: int
    max_retries: int
    next_retry_at: datetime | None = None
    sent_at: datetime | None = None
    enqueued_at: datetime | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    worker_hostname: str | None = None
    worker_pid: int | None = None
    worker_process_name: str | None = None
    error_code: str | None = None
    raw_result: dict[str, Any] | None = None
    decoded_result: TaskResult[Any, TaskError] | None = None
    result_decoded: bool = False
    failed_reason: str | None = None
    attempts: list[TaskAttemptInfo] | None = None

    @property
    def result(self) -> TaskResult[Any, TaskError] | None:
        """The same as `decoded_result`."""
        return self.decoded_result
