"""What a due schedule fires: slots, how many were dropped, and where it stands afterwards. Pure decisions."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from horsies.schedule.occurrences import NoOccurrenceError, iter_runs
from horsies.schedule.patterns import AnyPattern, IntervalSchedule

# Task ids of slots are derived from it; another value would fire every slot in flight a second time (S-044).
SLOT_NAMESPACE = uuid.UUID("6f0c7f3e-94d5-4c52-8a1b-2d6b8f4f1c07")

# Bounds the time one tick spends on one schedule after a long outage (S-065).
EXAMINED_PER_TICK = 100_000


class StalledScheduleError(RuntimeError):
    """A calculated slot is not later than the one before it (S-066); nothing may be fired on it."""


@dataclass(frozen=True, slots=True)
class FirePlan:
    """What to do for one schedule in one tick.

    Attributes:
        slots: Slots to fire, oldest first.
        missed: Due slots that are dropped.
        next_run_at: The first slot after everything fired or dropped.
        backlog: `next_run_at` is due too; the next tick goes on there.
    """

    slots: tuple[dt.datetime, ...]
    missed: int
    next_run_at: dt.datetime
    backlog: bool

    @property
    def steps(self) -> tuple[tuple[dt.datetime, dt.datetime], ...]:
        """Each slot to fire with the `next_run_at` that is stored along with it."""
        return tuple(pairwise((*self.slots, self.next_run_at)))


def plan_fire(
    next_run_at: dt.datetime | None,
    now: dt.datetime,
    pattern: AnyPattern,
    tz: str,
    *,
    catch_up: bool,
    max_runs: int,
    examine: int = EXAMINED_PER_TICK,
) -> FirePlan:
    """Decide what a schedule fires.

    Without catching up that is the latest due slot alone (S-060), found by arithmetic for intervals and by
    looking at no more than `examine` slots otherwise; if those do not reach `now`, all of them are dropped
    and nothing fires yet (S-065). With catching up it is the oldest `max_runs` due slots (S-061).

    Args:
        next_run_at: Stored next slot; None means due now, in the current second (S-056).
        now: The database's clock.
        pattern: The schedule's pattern.
        tz: Its IANA time zone.
        catch_up: Whether every due slot is fired.
        max_runs: Most slots to fire when catching up.
        examine: Most slots to look at when dropping.

    Raises:
        ValueError: Unknown zone, or the pattern never occurs again.
        StalledScheduleError: The calculation does not move forward.
    """
    first = now.replace(microsecond=0) if next_run_at is None else next_run_at
    first = first.astimezone(dt.UTC)
    if first > now:
        return FirePlan((), 0, first, backlog=False)
    slots = _ascending(first, pattern, tz)
    if catch_up:
        return _plan_all(slots, now, max_runs)
    if isinstance(pattern, IntervalSchedule):
        missed = (now - first) // pattern.period
        latest = first + missed * pattern.period
        return FirePlan((latest,), missed, latest + pattern.period, backlog=False)
    return _plan_latest(slots, now, examine)


def config_hash(pattern: AnyPattern, timezone: str) -> str:
    """SHA-256 over canonical JSON of pattern and time zone, as hexadecimal text (S-052)."""
    # Without absent values, a field added in a later version does not change the hash of existing schedules.
    content = {"pattern": pattern.model_dump(mode="json", exclude_none=True), "timezone": timezone}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def slot_task_id(schedule_name: str, slot: dt.datetime) -> uuid.UUID:
    """The id of the task fired for a slot; the same slot always gives the same id (S-044).

    Raises:
        ValueError: `slot` has no time zone.
    """
    if slot.utcoffset() is None:
        raise ValueError(f"slot {slot.isoformat()} has no time zone")
    text = slot.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return uuid.uuid5(SLOT_NAMESPACE, f"{schedule_name}:{text}")


def _ascending(first: dt.datetime, pattern: AnyPattern, tz: str) -> Iterator[dt.datetime]:
    """`first` and the slots after it, endless."""
    latest = first
    yield latest
    for slot in iter_runs(pattern, first, tz):
        if slot <= latest:
            raise StalledScheduleError(f"slot {slot.isoformat()} follows {latest.isoformat()}")
        latest = slot
        yield slot
    raise NoOccurrenceError(f"{pattern!r} does not occur again after {latest.isoformat()} in zone {tz}")


def _plan_all(slots: Iterator[dt.datetime], now: dt.datetime, max_runs: int) -> FirePlan:
    fired: list[dt.datetime] = []
    slot = next(slots)
    while slot <= now and len(fired) < max_runs:
        fired.append(slot)
        slot = next(slots)
    return FirePlan(tuple(fired), 0, slot, backlog=slot <= now)


def _plan_latest(slots: Iterator[dt.datetime], now: dt.datetime, examine: int) -> FirePlan:
    latest, missed = next(slots), 0
    while (slot := next(slots)) <= now:
        missed += 1
        if missed == examine:
            return FirePlan((), missed, slot, backlog=True)
        latest = slot
    return FirePlan((latest,), missed, slot, backlog=False)
