"""Rerun: a task that has ended is sent again as a new one. The record of the first one never changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, assert_never, cast
from uuid import UUID

from horsies.actions import Database
from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.config.broker import PostgresConfig
from horsies.config.retention import RetentionConfig
from horsies.db.migrate import SchemaError
from horsies.ids import new_task_id
from horsies.ops import control
from horsies.ops.control import Rerun, RerunRow
from horsies.reading import is_task_id
from horsies.result import Err, Ok
from horsies.send_errors import format_utc
from horsies.send_plan import UNSET, OptionError, Unset, idempotency_key
from horsies.transient import DATABASE_FAILURES, is_transient

DEFAULT_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RerunTask:
    """What to run again.

    Attributes:
        source_task_id: The task that has ended.
        deadline: When the new task must have begun, an aware datetime; `None`: it has no deadline.
        caller_key: With a key the same request makes one task, however often it is repeated; up to 255 bytes. Keys are
            shared with the idempotency keys of sends of the same task.
    """

    source_task_id: str
    deadline: datetime | None
    caller_key: str | None = None


@dataclass(frozen=True, slots=True)
class RerunEnqueuePolicy:
    """How the new task is kept. What is left out is as for an ordinary send to its queue.

    Attributes:
        retention_class_key: As in `with_options`: `None` keeps its record for ever.
        retain_rerun_input: Keep its arguments, so that it can be rerun as well.
        reservation_window: How long the caller's key stays reserved after the new task has ended.
    """

    retention_class_key: str | Unset | None = UNSET
    retain_rerun_input: bool | None = None
    reservation_window: timedelta = DEFAULT_WINDOW


class NotEligibleReason(StrEnum):
    """Why a task is not for rerunning."""

    COMPLETED_SOURCE = "COMPLETED_SOURCE"
    """It succeeded: send it anew."""
    WORKFLOW_TASK = "WORKFLOW_TASK"
    """It belongs to a workflow: retry the workflow."""


class RerunInputDisposition(StrEnum):
    """Why a task's arguments were not kept."""

    DECLINED_BY_POLICY = "DECLINED_BY_POLICY"
    """It was sent without asking for it."""
    TOO_LARGE = "TOO_LARGE"
    """They are over 64 KiB."""


@dataclass(frozen=True, slots=True)
class RerunEnqueued:
    """The task was sent again.

    Attributes:
        new_task_id: The new task.
        source_task_id: The task it repeats.
        rerun_root_task_id: The first task of the lineage.
    """

    new_task_id: str
    source_task_id: str
    rerun_root_task_id: str


@dataclass(frozen=True, slots=True)
class RerunSourceLive:
    """The task has not ended yet."""

    task_id: str


@dataclass(frozen=True, slots=True)
class RerunSourceAbsent:
    """There is no record of the task.

    Attributes:
        task_id: The id asked for.
        predates_retained_floor: Its id is so old that its record may have been dropped; `False`: there never was such a
            task; `None`: the id does not tell its age.
    """

    task_id: str
    predates_retained_floor: bool | None


@dataclass(frozen=True, slots=True)
class RerunNotEligible:
    """Such a task is not rerun."""

    task_id: str
    reason: NotEligibleReason


@dataclass(frozen=True, slots=True)
class RerunInputUnavailable:
    """The task's arguments were not kept.

    Attributes:
        task_id: The task.
        disposition: Why.
        reference_locator: Where else they are; `None`: nowhere.
    """

    task_id: str
    disposition: RerunInputDisposition
    reference_locator: str | None = None


@dataclass(frozen=True, slots=True)
class RerunInputCorrupt:
    """The task's arguments are not what they were when it ended."""

    task_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class RerunKeyConflict:
    """The caller's key is in use for another request.

    Attributes:
        task_id: The task that was to be rerun.
        reserved_by_task_id: The task that holds the key.
    """

    task_id: str
    reserved_by_task_id: str


@dataclass(frozen=True, slots=True)
class RerunKeyReplay:
    """The same request was made before under the caller's key; nothing new was sent."""

    existing_task_id: str


type RerunOutcome = (
    RerunEnqueued
    | RerunSourceLive
    | RerunSourceAbsent
    | RerunNotEligible
    | RerunInputUnavailable
    | RerunInputCorrupt
    | RerunKeyConflict
    | RerunKeyReplay
)
"""Everything that can become of a rerun."""


class RerunBroker(Database, Protocol):
    """What a rerun needs of the broker."""

    @property
    def config(self) -> PostgresConfig:
        """Its configuration."""
        ...

    @property
    def retention(self) -> RetentionConfig | None:
        """The retention rules of its app, if it has one."""
        ...


async def rerun_task(
    broker: RerunBroker, request: RerunTask, policy: RerunEnqueuePolicy | None = None
) -> BrokerResult[RerunOutcome]:
    """Send a task that has ended again: same task, queue, arguments and options, new id.

    Args:
        broker: The way to the database.
        request: The task, the new deadline, the caller's key.
        policy: How the new task is kept; `None`: as an ordinary send to its queue.

    Returns:
        What became of it; `Err` with `INVALID_TASK_OPTIONS` for a request that makes no sense, `ENQUEUE_FAILED` when
        the database failed, `SCHEMA_INIT_FAILED` when its schema cannot be used.
    """
    try:
        row = _plan(broker, request, policy or RerunEnqueuePolicy())
        if row is None:
            return Ok(RerunSourceAbsent(request.source_task_id, None))
        done = await broker.run_async(control.rerun(row, broker.now))
    except OptionError as problem:
        return Err(BrokerOperationError(BrokerErrorCode.INVALID_TASK_OPTIONS, str(problem)))
    except DATABASE_FAILURES as error:
        return Err(_failure(request, error))
    return _judge(row, done)


def rerun_task_sync(
    broker: RerunBroker, request: RerunTask, policy: RerunEnqueuePolicy | None = None
) -> BrokerResult[RerunOutcome]:
    """As `rerun_task`, blocking."""
    try:
        row = _plan(broker, request, policy or RerunEnqueuePolicy())
        if row is None:
            return Ok(RerunSourceAbsent(request.source_task_id, None))
        done = broker.run(control.rerun(row, broker.now))
    except OptionError as problem:
        return Err(BrokerOperationError(BrokerErrorCode.INVALID_TASK_OPTIONS, str(problem)))
    except DATABASE_FAILURES as error:
        return Err(_failure(request, error))
    return _judge(row, done)


def _plan(broker: RerunBroker, request: RerunTask, policy: RerunEnqueuePolicy) -> RerunRow | None:
    """The row to insert; `None` if the text names no task.

    Raises:
        OptionError: The request makes no sense.
    """
    deadline = _deadline(request.deadline)
    key = idempotency_key(request.caller_key, "caller_key")
    window = policy.reservation_window
    if not isinstance(cast("object", window), timedelta) or window <= timedelta(0):
        raise OptionError(f"reservation_window is a positive timedelta, not {window!r}")
    classes, retention_class = _classes(broker.retention, policy.retention_class_key)
    if not is_task_id(request.source_task_id):
        return None
    return RerunRow(
        source_id=request.source_task_id,
        id=new_task_id(),
        deadline=deadline,
        key=key,
        keep=window,
        classes=classes,
        retention_class=retention_class,
        retain=broker.config.retain_rerun_input_default
        if policy.retain_rerun_input is None
        else policy.retain_rerun_input,
        sent_at=format_utc(datetime.now(UTC)),
    )


def _deadline(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise OptionError(f"deadline is a datetime or None, not a {type(value).__name__}")
    try:
        return format_utc(value)
    except (ValueError, OverflowError) as error:
        raise OptionError(f"deadline: {error}") from error


def _classes(
    retention: RetentionConfig | None, key: str | Unset | None
) -> tuple[Mapping[str, str], str | None]:
    """Retention class by queue, and that of all others; `None` takes the source's, where no app knows the rules."""
    if isinstance(key, Unset):
        if retention is None:
            return {}, None
        return {
            queue: retention.class_for_queue(queue) for queue in retention.queue_retention
        }, retention.default_class
    found = (retention or RetentionConfig()).class_for_key(key)
    if found is None:
        raise OptionError(
            f"retention_class_key {key!r} is unknown; use None (for ever), 'standard_30d', or a key derived from"
            " retention.queue_retention"
        )
    return {}, found


def _judge(row: RerunRow, done: Rerun) -> BrokerResult[RerunOutcome]:
    source = row.source_id
    match done.outcome:
        case "enqueued":
            return Ok(RerunEnqueued(row.id, source, done.root or source))
        case "live":
            return Ok(RerunSourceLive(source))
        case "absent":
            return Ok(RerunSourceAbsent(source, _may_be_dropped(source, done.kept_since)))
        case "workflow":
            return Ok(RerunNotEligible(source, NotEligibleReason.WORKFLOW_TASK))
        case "completed":
            return Ok(RerunNotEligible(source, NotEligibleReason.COMPLETED_SOURCE))
        case "declined":
            return Ok(RerunInputUnavailable(source, RerunInputDisposition.DECLINED_BY_POLICY))
        case "too_large":
            return Ok(RerunInputUnavailable(source, RerunInputDisposition.TOO_LARGE))
        case "corrupt":
            return Ok(
                RerunInputCorrupt(source, "the stored arguments do not match the digest stored with them")
            )
        case "conflict":
            return Ok(RerunKeyConflict(source, done.holder or ""))
        case "same":
            return Ok(RerunKeyReplay(done.holder or ""))
        case "different":
            message = f"the new id {row.id} is already in use; try again"
            return Err(BrokerOperationError(BrokerErrorCode.ENQUEUE_FAILED, message, retryable=True))
        case _:
            assert_never(done.outcome)


def _may_be_dropped(task_id: str, kept_since: datetime | None) -> bool | None:
    identity = UUID(task_id)
    if identity.version != 7:
        return None
    made_at_s = (identity.int >> 80) / 1000
    return kept_since is not None and made_at_s < kept_since.timestamp()


def _failure(request: RerunTask, error: BaseException) -> BrokerOperationError:
    code = (
        BrokerErrorCode.SCHEMA_INIT_FAILED
        if isinstance(error, SchemaError)
        else BrokerErrorCode.ENQUEUE_FAILED
    )
    message = f"task {request.source_task_id} could not be sent again: {str(error).strip()}"
    return BrokerOperationError(code, message, retryable=is_transient(error), exception=error)
