"""Act on tasks and queues: cancel, pause, resume, rerun. Each action is one function of the schema, one transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from psycopg.errors import CheckViolation

from horsies.db.effects import Op, Row, Run
from horsies.ops.read import wait_result
from horsies.state import TaskStatus

type CancelOutcome = Literal["cancelled", "requested", "running", "ended", "workflow", "absent"]
type RerunAnswer = Literal[
    "enqueued",
    "live",
    "absent",
    "workflow",
    "completed",
    "declined",
    "too_large",
    "corrupt",
    "conflict",
    "same",
    "different",
]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a cancel.

    Attributes:
        outcome: `requested`: it runs and its worker was told; `running`: it runs and was left alone.
        was: Status found; `None` if there is no such task.
        final: Status after waiting for the stop; `None` if it has not ended yet.
    """

    outcome: CancelOutcome
    was: TaskStatus | None
    final: TaskStatus | None = None


@dataclass(frozen=True, slots=True)
class QueueChange:
    """What became of a pause or resume.

    Attributes:
        known: There is such a queue.
        changed: It was not in the wanted state before.
    """

    known: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class RerunRow:
    """What a rerun does not take over from its source.

    Attributes:
        source_id: The task to run again.
        id: The new task's id.
        deadline: UTC text.
        key: Idempotency key.
        keep: How long the key stays reserved after the new task's end.
        classes: Retention class by queue.
        retention_class: For queues not named there; `None` takes the source's.
        retain: Keep the arguments of the new task too.
        sent_at: UTC text.
    """

    source_id: str
    id: str
    deadline: str | None
    key: str | None
    keep: timedelta
    classes: Mapping[str, str]
    retention_class: str | None
    retain: bool
    sent_at: str


@dataclass(frozen=True, slots=True)
class Rerun:
    """What became of a rerun.

    Attributes:
        outcome: As the schema's function calls it.
        root: First task of the lineage.
        holder: The task that holds the key.
        kept_since: Of an absent source: whatever ended since then is still kept; `None`: everything is.
    """

    outcome: RerunAnswer
    root: str | None
    holder: str | None
    kept_since: datetime | None


def cancel(
    schema: str,
    task_id: str,
    *,
    include_running: bool,
    by: str | None,
    wait_s: float,
    now: datetime | None,
) -> Op[Cancelled]:
    """Cancel a task; if it runs and that is wanted, wait up to `wait_s` seconds for its stop (M-050 to M-054)."""
    params = {"id": task_id, "include_running": include_running, "by": by, "now": now}
    try:
        rows: list[Row] = yield Run("cancel_task", params)
    except CheckViolation as error:
        if error.diag.constraint_name is not None:
            raise
        # No partition of history takes the row: nobody has worked here for days, and this is the first end.
        yield Run("ensure_history_of_task", {"id": task_id, "now": now})
        rows = yield Run("cancel_task", params)
    outcome, was = rows[0]
    answer = Cancelled(outcome, None if was is None else TaskStatus(was))
    if answer.outcome != "requested" or wait_s <= 0:
        return answer
    stored = yield from wait_result(schema, task_id, wait_s)
    if stored is None or not stored.is_terminal:
        return answer
    return Cancelled(answer.outcome, answer.was, stored.status)


def pause_queue(
    name: str, by: str | None, configured: tuple[int, int | None] | None, now: datetime | None
) -> Op[QueueChange]:
    """Stop claiming from a queue; `configured`: its priority and cap, where an app knows it (M-070)."""
    priority, cap = configured or (None, None)
    rows: list[Row] = yield Run(
        "pause_queue", {"name": name, "by": by, "priority": priority, "cap": cap, "now": now}
    )
    return QueueChange(*rows[0])


def resume_queue(name: str, by: str | None, now: datetime | None) -> Op[QueueChange]:
    """Claim from a queue again."""
    rows: list[Row] = yield Run("resume_queue", {"name": name, "by": by, "now": now})
    return QueueChange(*rows[0])


def rerun(row: RerunRow, now: datetime | None) -> Op[Rerun]:
    """Send a terminal task again as a new one (T-82, T-83)."""
    rows: list[Row] = yield Run(
        "rerun_task",
        {
            "source": row.source_id,
            "id": row.id,
            "deadline": row.deadline,
            "key": row.key,
            "keep": row.keep,
            "classes": json.dumps(dict(row.classes)),
            "class": row.retention_class,
            "retain": row.retain,
            "sent_at": row.sent_at,
            "now": now,
        },
    )
    return Rerun(*rows[0])
