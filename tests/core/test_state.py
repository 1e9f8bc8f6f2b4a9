"""Statuses and terminal sets (01 sections 9 and 10, 05 section 7)."""

from enum import StrEnum

import pytest

from horsies.state import (
    TASK_TERMINAL_STATES,
    TASK_TRANSITIONS,
    WORKFLOW_TASK_TERMINAL_STATES,
    WORKFLOW_TASK_TRANSITIONS,
    WORKFLOW_TERMINAL_STATES,
    WORKFLOW_TRANSITIONS,
    AttemptOutcome,
    OnError,
    TaskStatus,
    WorkflowStatus,
    WorkflowTaskStatus,
)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (TaskStatus, "PENDING CLAIMED RUNNING COMPLETED FAILED CANCELLED EXPIRED"),
        (AttemptOutcome, "COMPLETED FAILED WORKER_FAILURE"),
        (WorkflowStatus, "PENDING RUNNING COMPLETED FAILED PAUSED CANCELLED EXPIRED"),
        (WorkflowTaskStatus, "PENDING READY ENQUEUED RUNNING COMPLETED FAILED SKIPPED"),
    ],
)
def test_members(kind: type[StrEnum], names: str) -> None:
    """01 section 9, T-69, 05 section 7: the members, stored under their own names."""
    assert [member.name for member in kind] == [member.value for member in kind] == names.split()


def test_on_error_values() -> None:
    """05 section 7"""
    assert {member.name: member.value for member in OnError} == {"FAIL": "fail", "PAUSE": "pause"}


def test_terminal_sets() -> None:
    """01 section 9, 05 section 7"""
    assert {status.value for status in TASK_TERMINAL_STATES} == {
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "EXPIRED",
    }
    assert {s.value for s in WORKFLOW_TERMINAL_STATES} == {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}
    assert {s.value for s in WORKFLOW_TASK_TERMINAL_STATES} == {"COMPLETED", "FAILED", "SKIPPED"}
    assert isinstance(TASK_TERMINAL_STATES, frozenset)
    assert isinstance(WORKFLOW_TERMINAL_STATES, frozenset)
    assert [status for status in TaskStatus if status.is_terminal] == [
        status for status in TaskStatus if status in TASK_TERMINAL_STATES
    ]
    assert {status for status in WorkflowStatus if status.is_terminal} == WORKFLOW_TERMINAL_STATES
    assert {status for status in WorkflowTaskStatus if status.is_terminal} == WORKFLOW_TASK_TERMINAL_STATES


def test_every_status_has_its_moves() -> None:
    assert set(TASK_TRANSITIONS) == {None, *TaskStatus}
    assert set(WORKFLOW_TRANSITIONS) == {None, *WorkflowStatus}
    assert set(WORKFLOW_TASK_TRANSITIONS) == {None, *WorkflowTaskStatus}


def test_terminal_tasks_never_move() -> None:
    """T-66: and every other task can."""
    assert {status for status in TaskStatus if not TASK_TRANSITIONS[status]} == TASK_TERMINAL_STATES


def test_only_retry_failed_opens_what_has_ended() -> None:
    """05 section 7, last rows of both tables."""
    assert {s for s in WORKFLOW_TERMINAL_STATES if WORKFLOW_TRANSITIONS[s]} == {WorkflowStatus.FAILED}
    assert WORKFLOW_TRANSITIONS[WorkflowStatus.FAILED] == {WorkflowStatus.RUNNING}
    reopened = {s: WORKFLOW_TASK_TRANSITIONS[s] for s in WORKFLOW_TASK_TERMINAL_STATES}
    assert reopened == {
        WorkflowTaskStatus.COMPLETED: frozenset(),
        WorkflowTaskStatus.FAILED: {WorkflowTaskStatus.PENDING},
        WorkflowTaskStatus.SKIPPED: {WorkflowTaskStatus.PENDING},
    }
