"""Pause, resume and cancel workflows; each is one function of the schema, one transaction."""

from dataclasses import dataclass
from datetime import datetime

from horsies.db.effects import Op, Row, Run


@dataclass(frozen=True, slots=True)
class Control:
    """What became of it.

    Attributes:
        known: There is such a workflow.
        changed: It was in a state in which the action means something.
    """

    known: bool
    changed: bool


def pause(workflow_id: str, now: datetime | None) -> Op[Control]:
    """Pause a workflow and what runs below it (W-71, W-72)."""
    rows: list[Row] = yield Run("pause_workflow", {"id": workflow_id, "now": now})
    return Control(*rows[0])


def resume(workflow_id: str, now: datetime | None) -> Op[Control]:
    """Let a workflow and what is paused below it go on (W-75)."""
    rows: list[Row] = yield Run("resume_workflow", {"id": workflow_id, "now": now})
    return Control(*rows[0])


def cancel(workflow_id: str, now: datetime | None) -> Op[Control]:
    """Cancel a workflow and what has not ended below it (W-77)."""
    rows: list[Row] = yield Run("cancel_workflow", {"id": workflow_id, "now": now})
    return Control(*rows[0])
