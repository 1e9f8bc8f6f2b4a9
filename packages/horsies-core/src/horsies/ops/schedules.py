"""Schedules in the database: their rows, the firing of one slot, pause and resume (08-scheduler)."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from horsies.db import arrays
from horsies.db.effects import Op, Row, Run
from horsies.ops.enqueue import EnqueueRow
from horsies.schedule.models import TaskSchedule
from horsies.schedule.occurrences import next_run
from horsies.schedule.patterns import AnyPattern, SchedulePattern

type FireOutcome = Literal["inserted", "same", "different", "unreadable", "stale"]


@cache
def _patterns() -> TypeAdapter[AnyPattern]:
    # Building it takes longer than importing this module, which every app does.
    return TypeAdapter(SchedulePattern)


_UNKNOWN: Mapping[str, object] = {
    "task": None,
    "queue": None,
    "pattern": None,
    "timezone": None,
    "config_hash": None,
    "next": None,
}


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose time has come.

    Attributes:
        name: Its name.
        config_hash: Hash of the pattern and zone that its time was computed from.
        next_run_at: Its oldest slot not dealt with; `None`: due now.
        now: The database's clock when it was read.
    """

    name: str
    config_hash: str
    next_run_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class KnownSchedule:
    """A row as a scheduler compares it with its configuration.

    Attributes:
        name: Its name.
        task_name: The task it sends.
        queue_name: The queue it sends to.
        config_hash: Hash of its pattern and zone.
        enabled: False: the configuration that it was last brought up to date with has it disabled.
        led_by_others: That configuration is of another group of schedulers, which has a leader now.
    """

    name: str
    task_name: str
    queue_name: str | None
    config_hash: str
    enabled: bool
    led_by_others: bool


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """What a configuration says about a schedule's row.

    Attributes:
        name: Its name.
        task_name: The task it sends.
        queue_name: The queue it sends to; `None` if that is the task's and not known here.
        pattern: The pattern as JSON text.
        timezone: Its zone.
        config_hash: Hash of both.
    """

    name: str
    task_name: str
    queue_name: str | None
    pattern: str
    timezone: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """Where a schedule stands. Times are in UTC.

    Attributes:
        name: Its name.
        task_name: The task it sends.
        queue_name: The queue it sends to; `None` until a scheduler has run with it.
        pattern: Its pattern as JSON data.
        timezone: IANA name of the zone whose clock the pattern reads.
        config_hash: Tells whether pattern or zone changed.
        enabled: Whether its app has it enabled.
        paused: Whether it was paused; it then fires nothing.
        paused_by: Who paused or resumed it last.
        paused_at: When that was.
        next_run_at: Its oldest slot not dealt with; `None`: due now.
        last_run_at: When it last fired.
        last_slot_at: The slot it then fired.
        last_task_id: The task of that slot.
        run_count: Tasks it has enqueued.
        missed_count: Slots that were dropped because they were too late.
        last_error: Why a slot was given up.
        last_error_at: When that was.
        updated_at: When its row changed.
    """

    name: str
    task_name: str
    queue_name: str | None
    pattern: dict[str, Any]
    timezone: str
    config_hash: str
    enabled: bool
    paused: bool
    paused_by: str | None
    paused_at: datetime | None
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_slot_at: datetime | None
    last_task_id: str | None
    run_count: int
    missed_count: int
    last_error: str | None
    last_error_at: datetime | None
    updated_at: datetime

    def read_pattern(self) -> AnyPattern:
        """The pattern as a model, for `next_run` and `next_runs`.

        Raises:
            ValueError: It was written by a version of horsies that has other patterns.
        """
        return _patterns().validate_python(self.pattern)


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """What became of a pause or resume.

    Attributes:
        known: There is such a schedule.
        changed: It was not in the wanted state before.
    """

    known: bool
    changed: bool


# -- firing


def due_schedules(now: datetime | None) -> Op[list[DueSchedule]]:
    """Those whose time has come, oldest first; only they are read."""
    rows: list[Row] = yield Run("due_schedules", {"now": now})
    return [DueSchedule(*row) for row in rows]


def seconds_to_next(now: datetime | None) -> Op[float | None]:
    """How long until the next one is due, those that are due already left out; `None` if there is no other."""
    rows: list[Row] = yield Run("next_due", {"now": now})
    seconds: float | None = rows[0][0]
    return seconds


def fire_slot(
    due: DueSchedule,
    task: EnqueueRow,
    slot: datetime,
    next_run_at: datetime,
    missed: int,
    now: datetime | None,
) -> Op[FireOutcome]:
    """Enqueue the task of a slot and move the schedule on, in one transaction (S-043).

    Args:
        due: The schedule as it stood when the slot was computed.
        task: The task.
        slot: The slot it is for.
        next_run_at: Where the schedule stands afterwards.
        missed: Slots dropped along with it.
        now: The time that the statement takes for now, if not the database's.

    Returns:
        `inserted` or `same`: done. Otherwise nothing has changed: `stale`, the schedule stands elsewhere by now or
        somebody else is at it; `different`, the id belongs to a task of another content; `unreadable`, to one
        that this transaction cannot see.
    """
    rows: list[Row] = yield Run(
        "fire_slot", task.params(now) | _standing(due) | {"slot": slot, "next": next_run_at, "missed": missed}
    )
    outcome: FireOutcome = rows[0][0]
    return outcome


def pass_slots(
    due: DueSchedule, next_run_at: datetime, missed: int, error: str | None, now: datetime | None
) -> Op[bool]:
    """Move a schedule on without firing; false if it stands elsewhere by now.

    Args:
        due: The schedule as it stood.
        next_run_at: Where it stands afterwards.
        missed: Slots dropped for being late.
        error: Why a slot was given up, if one was.
        now: The time that the statement takes for now, if not the database's.
    """
    params = _standing(due) | {"next": next_run_at, "missed": missed, "error": error, "now": now}
    rows: list[Row] = yield Run("pass_slots", params)
    return bool(rows)


def _standing(due: DueSchedule) -> dict[str, object]:
    return {"schedule": due.name, "config_hash": due.config_hash, "expected": due.next_run_at}


# -- rows


def known_schedules(group: str, names: Collection[str] | None = None) -> Op[list[KnownSchedule]]:
    """Rows, by name.

    Args:
        group: The group of schedulers that asks.
        names: Which ones; `None` is all of them, those of other apps included.
    """
    wanted = None if names is None else arrays.texts(names)
    rows: list[Row] = yield Run("schedule_rows", {"group": group, "names": wanted})
    return [KnownSchedule(*row) for row in rows]


def add_schedules(rows: Sequence[tuple[ScheduleRow, datetime]], group: str) -> Op[None]:
    """Make a group's rows, each with its next run; rows that exist stay as they are."""
    yield Run(
        "add_schedules",
        {
            "group": group,
            "names": arrays.texts(row.name for row, _ in rows),
            "tasks": arrays.texts(row.task_name for row, _ in rows),
            "queues": arrays.texts(row.queue_name for row, _ in rows),
            "patterns": arrays.texts(row.pattern for row, _ in rows),
            "timezones": arrays.texts(row.timezone for row, _ in rows),
            "hashes": arrays.texts(row.config_hash for row, _ in rows),
            "next_runs": arrays.plain(next_run_at.isoformat() for _, next_run_at in rows),
        },
    )


def adopt_schedule(
    known: KnownSchedule, row: ScheduleRow, group: str, next_run_at: datetime | None, now: datetime | None
) -> Op[None]:
    """Make a row say what the configuration says, unless somebody else changed it meanwhile.

    Args:
        known: The row as it was read.
        row: What it is to say.
        group: The group of schedulers with this configuration.
        next_run_at: Where it starts over; `None` lets it stand where it does.
        now: The time that the statement takes for now, if not the database's.
    """
    params = _columns(row) | {
        "group": group,
        "restart": next_run_at is not None,
        "next": next_run_at,
        "old_hash": known.config_hash,
        "was_enabled": known.enabled,
        "now": now,
    }
    yield Run("adopt_schedule", params)


def disable_schedules(names: Collection[str], group: str, now: datetime | None) -> Op[None]:
    """Note that the configuration of a group has these disabled."""
    yield Run("disable_schedules", {"names": arrays.texts(names), "group": group, "now": now})


def database_time(now: datetime | None) -> Op[datetime]:
    """The only clock that slots are judged by (S-048)."""
    rows: list[Row] = yield Run("database_time", {"now": now})
    time: datetime = rows[0][0]
    return time


def list_schedules() -> Op[list[ScheduleInfo]]:
    """Every schedule, by name."""
    rows: list[Row] = yield Run("list_schedules", {})
    return [ScheduleInfo(*(_in_utc(value) for value in row)) for row in rows]


def row_of(schedule: TaskSchedule, queue_name: str | None, config_hash: str) -> ScheduleRow:
    """What a configured schedule's row says."""
    pattern = json.dumps(schedule.pattern.model_dump(mode="json"))
    return ScheduleRow(schedule.name, schedule.task_name, queue_name, pattern, schedule.timezone, config_hash)


def _columns(row: ScheduleRow) -> dict[str, object]:
    return {
        "schedule": row.name,
        "task": row.task_name,
        "queue": row.queue_name,
        "pattern": row.pattern,
        "timezone": row.timezone,
        "config_hash": row.config_hash,
    }


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


# -- pause and resume


def pause_schedule(
    name: str, by: str | None, configured: tuple[ScheduleRow, AnyPattern] | None, now: datetime | None
) -> Op[ScheduleChange]:
    """Stop a schedule from firing (S-058).

    Args:
        name: Its name.
        by: Who asks.
        configured: What an app at hand knows of it; then its row is made if there is none yet.
        now: The time that the statements take for now, if not the database's.
    """
    rows: list[Row] = yield Run("pause_schedule", {**_UNKNOWN, "schedule": name, "by": by, "now": now})
    if not rows[0][0] and configured is not None:
        row, pattern = configured
        time = yield from database_time(now)
        first = next_run(pattern, time, row.timezone)
        rows = yield Run("pause_schedule", _columns(row) | {"by": by, "next": first, "now": now})
    return ScheduleChange(*rows[0])


def resume_schedule(name: str, by: str | None, now: datetime | None) -> Op[ScheduleChange]:
    """Let a schedule fire again, from its next run after now (S-057).

    Raises:
        ValueError: Its stored pattern cannot be read by this version, or never occurs again.
    """
    while True:
        rows: list[Row] = yield Run("pattern_of_schedule", {"schedule": name, "now": now})
        if not rows or not rows[0][0]:
            return ScheduleChange(known=bool(rows), changed=False)
        _, pattern, timezone, config_hash, time = rows[0]
        following = next_run(_patterns().validate_python(pattern), time, timezone)
        params = {"schedule": name, "by": by, "config_hash": config_hash, "next": following, "now": now}
        rows = yield Run("resume_schedule", params)
        if rows[0][0]:
            return ScheduleChange(known=True, changed=True)
