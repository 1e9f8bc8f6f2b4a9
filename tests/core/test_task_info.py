"""TaskInfo and TaskAttemptInfo (01 section 12)."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from horsies.state import AttemptOutcome, TaskStatus
from horsies.task_info import TaskAttemptInfo, TaskInfo
from horsies.task_result import (
    TaskError,
    TaskResult,
)


def info(**changes: Any) -> TaskInfo:
    fields: dict[str, Any] = {
        "task_id": "id",
        "task_name": "shop.charge",
        "status": TaskStatus.COMPLETED,
        "queue_name": "default",
        "priority": 100,
        "retry_count": 0,
        "max_retries": 0,
    }
    return TaskInfo(**{**fields, **changes})


def test_task_info_fields() -> None:
    """01 section 12"""
    assert [field.name for field in dataclasses.fields(TaskInfo)] == [
        *("task_id", "task_name", "status", "queue_name", "priority", "retry_count", "max_retries"),
        *("next_retry_at", "sent_at", "enqueued_at", "claimed_at", "started_at", "completed_at", "failed_at"),
        *("worker_hostname", "worker_pid", "worker_process_name", "error_code", "raw_result"),
        *("decoded_result", "result_decoded", "failed_reason", "attempts"),
    ]


def test_task_info_without_flags() -> None:
    """T-80, T-81: what was not asked for is None or False."""
    bare = info()
    assert (bare.raw_result, bare.decoded_result, bare.result) == (None, None, None)
    assert (bare.result_decoded, bare.failed_reason, bare.attempts) == (False, None, None)


def test_result_is_a_read_only_alias() -> None:
    """T-80"""
    decoded: TaskResult[Any, TaskError] = TaskResult(ok=1)
    full: Any = info(decoded_result=decoded, result_decoded=True)
    assert full.result is decoded
    for name in ("result", "decoded_result", "status"):
        with pytest.raises(AttributeError):
            setattr(full, name, None)


def test_attempt_info_fields() -> None:
    """T-81"""
    assert [field.name for field in dataclasses.fields(TaskAttemptInfo)] == [
        *("task_id", "attempt", "outcome", "will_retry", "started_at", "finished_at", "error_code"),
        *(
            "error_message",
            "failed_reason",
            "worker_id",
            "worker_hostname",
            "worker_pid",
            "worker_process_name",
        ),
    ]
    now = datetime.now(UTC)
    attempt: Any = TaskAttemptInfo("id", 1, AttemptOutcome.FAILED, True, now, now, "SHOP_BUSY", "m")
    assert attempt.failed_reason is None
    with pytest.raises(AttributeError):
        attempt.outcome = AttemptOutcome.COMPLETED
