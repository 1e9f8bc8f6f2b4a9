"""Actions on tasks and queues: cancel, pause, resume. What fails is returned, never raised.

Each exists for event loops (`name`) and for threads (`name_sync`); apps, brokers and handles pass on to these.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from horsies.config.queues import CustomQueueConfig
from horsies.db.effects import Op
from horsies.db.migrate import SchemaError
from horsies.ops import control
from horsies.ops.control import Cancelled, QueueChange
from horsies.reading import is_task_id
from horsies.result import Err, Ok, Result
from horsies.state import TaskStatus
from horsies.transient import DATABASE_FAILURES, is_transient


class TaskActionErrorCode(StrEnum):
    """Why an action was not carried out."""

    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    TASK_NOT_CANCELLABLE = "TASK_NOT_CANCELLABLE"
    TASK_IS_WORKFLOW_TASK = "TASK_IS_WORKFLOW_TASK"
    QUEUE_NOT_FOUND = "QUEUE_NOT_FOUND"
    SCHEDULE_NOT_FOUND = "SCHEDULE_NOT_FOUND"
    DB_OPERATION_FAILED = "DB_OPERATION_FAILED"
    SCHEMA_INCOMPATIBLE = "SCHEMA_INCOMPATIBLE"


@dataclass(frozen=True, slots=True)
class TaskActionError:
    """An action that was not carried out.

    Attributes:
        code: Why.
        message: What went wrong, for a person.
        retryable: The same call may work later.
        task_id: The task concerned; `None` for actions on queues and schedules.
        current_status: The task's status, where it is the reason.
    """

    code: TaskActionErrorCode
    message: str
    retryable: bool = False
    task_id: str | None = None
    current_status: TaskStatus | None = None


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """A cancel that was carried out, or was asked for.

    Attributes:
        task_id: The task.
        was_status: Its status when the call met it.
        stopped: It is CANCELLED and executes no more; `False`: its worker was asked to stop it and has not done so
            yet.
    """

    task_id: str
    was_status: TaskStatus
    stopped: bool


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue after a pause or resume.

    Attributes:
        name: The queue.
        paused: Whether it is paused now.
        changed: Whether the call changed that.
    """

    name: str
    paused: bool
    changed: bool


type TaskActionResult[T] = Result[T, TaskActionError]
"""What an action returns."""


class Database(Protocol):
    """What an action needs of the broker."""

    @property
    def schema(self) -> str:
        """The schema's name."""
        ...

    @property
    def now(self) -> datetime | None:
        """The time that statements take for now, if not the database's."""
        ...

    def run[R](self, op: Op[R]) -> R:
        """Run an operation, blocking."""
        ...

    async def run_async[R](self, op: Op[R]) -> R:
        """Run an operation in the event loop."""
        ...


class DatabaseSource(Protocol):
    """What an action needs of the app."""

    def get_broker(self) -> Database:
        """The way to the database."""
        ...


async def cancel_task(
    broker: Database,
    task_id: str,
    *,
    include_running: bool = False,
    wait_ms: int = 10_000,
    by: str | None = None,
) -> TaskActionResult[TaskCancelled]:
    """Cancel a task.

    A task that is not running is CANCELLED at once. A running one is left alone unless `include_running` is given; then
    its worker is asked to stop it, and this call waits for that.

    Args:
        broker: The way to the database.
        task_id: The task's id.
        include_running: Also stop the task if it is running.
        wait_ms: Milliseconds to wait for a running task's stop at most; 0 does not wait.
        by: Who asks, for the record; any text.

    Returns:
        `Ok`, with `stopped=False` if the task was asked to stop but has not yet; `Err` with `TASK_NOT_FOUND`,
        `TASK_NOT_CANCELLABLE` and its status, `TASK_IS_WORKFLOW_TASK`, `DB_OPERATION_FAILED`, `SCHEMA_INCOMPATIBLE`.
    """
    if not is_task_id(task_id):
        return Err(_no_task(task_id))
    try:
        done = await broker.run_async(_cancel_op(broker, task_id, include_running, wait_ms, by))
    except DATABASE_FAILURES as error:
        return Err(action_failure(f"task {task_id} could not be cancelled", error, task_id))
    return _judge_cancel(task_id, done)


def cancel_task_sync(
    broker: Database,
    task_id: str,
    *,
    include_running: bool = False,
    wait_ms: int = 10_000,
    by: str | None = None,
) -> TaskActionResult[TaskCancelled]:
    """As `cancel_task`, blocking."""
    if not is_task_id(task_id):
        return Err(_no_task(task_id))
    try:
        done = broker.run(_cancel_op(broker, task_id, include_running, wait_ms, by))
    except DATABASE_FAILURES as error:
        return Err(action_failure(f"task {task_id} could not be cancelled", error, task_id))
    return _judge_cancel(task_id, done)


async def cancel_through(
    app: DatabaseSource | None, task_id: str, *, include_running: bool, wait_ms: int
) -> TaskActionResult[TaskCancelled]:
    """As `cancel_task`, through an app or a handle's app, if it has one (T-86)."""
    broker = _broker_of(app, task_id)
    if isinstance(broker, TaskActionError):
        return Err(broker)
    return await cancel_task(broker, task_id, include_running=include_running, wait_ms=wait_ms)


def cancel_through_sync(
    app: DatabaseSource | None, task_id: str, *, include_running: bool, wait_ms: int
) -> TaskActionResult[TaskCancelled]:
    """As `cancel_through`, blocking."""
    broker = _broker_of(app, task_id)
    if isinstance(broker, TaskActionError):
        return Err(broker)
    return cancel_task_sync(broker, task_id, include_running=include_running, wait_ms=wait_ms)


async def pause_queue(broker: Database, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
    """Stop claiming from a queue, in the whole cluster, until it is resumed.

    Running tasks finish, tasks that a worker holds in advance go back, sending is unaffected.

    Args:
        broker: The way to the database.
        name: The queue's name.
        by: Who asks, for the record; any text.

    Returns:
        `Ok`; `Err` with `QUEUE_NOT_FOUND`, `DB_OPERATION_FAILED`, `SCHEMA_INCOMPATIBLE`.
    """
    return await _change_queue(broker, name, by, paused=True)


def pause_queue_sync(broker: Database, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
    """As `pause_queue`, blocking."""
    return _change_queue_sync(broker, name, by, paused=True)


async def resume_queue(broker: Database, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
    """Claim from a queue again; its workers are woken. Arguments and results as those of `pause_queue`."""
    return await _change_queue(broker, name, by, paused=False)


def resume_queue_sync(broker: Database, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
    """As `resume_queue`, blocking."""
    return _change_queue_sync(broker, name, by, paused=False)


async def change_queue_through(
    app: DatabaseSource, name: str, by: str | None, *, paused: bool, configured: CustomQueueConfig | None
) -> TaskActionResult[QueueState]:
    """Pause or resume through an app; a queue of its configuration is known even if no worker has reported it yet."""
    try:
        broker = app.get_broker()
    except DATABASE_FAILURES as error:
        return Err(_queue_failure(name, error, paused=paused))
    return await _change_queue(broker, name, by, paused=paused, configured=configured)


def change_queue_through_sync(
    app: DatabaseSource, name: str, by: str | None, *, paused: bool, configured: CustomQueueConfig | None
) -> TaskActionResult[QueueState]:
    """As `change_queue_through`, blocking."""
    try:
        broker = app.get_broker()
    except DATABASE_FAILURES as error:
        return Err(_queue_failure(name, error, paused=paused))
    return _change_queue_sync(broker, name, by, paused=paused, configured=configured)


async def _change_queue(
    broker: Database, name: str, by: str | None, *, paused: bool, configured: CustomQueueConfig | None = None
) -> TaskActionResult[QueueState]:
    if not _can_be_queue(name):
        return Err(_no_queue(name))
    try:
        done = await broker.run_async(_queue_op(broker, name, by, paused=paused, configured=configured))
    except DATABASE_FAILURES as error:
        return Err(_queue_failure(name, error, paused=paused))
    return _judge_queue(name, done, paused=paused, configured=configured)


def _change_queue_sync(
    broker: Database, name: str, by: str | None, *, paused: bool, configured: CustomQueueConfig | None = None
) -> TaskActionResult[QueueState]:
    if not _can_be_queue(name):
        return Err(_no_queue(name))
    try:
        done = broker.run(_queue_op(broker, name, by, paused=paused, configured=configured))
    except DATABASE_FAILURES as error:
        return Err(_queue_failure(name, error, paused=paused))
    return _judge_queue(name, done, paused=paused, configured=configured)


def _cancel_op(
    broker: Database, task_id: str, include_running: bool, wait_ms: int, by: str | None
) -> Op[Cancelled]:
    return control.cancel(
        broker.schema,
        task_id,
        include_running=include_running,
        by=storable(by),
        wait_s=wait_ms / 1000,
        now=broker.now,
    )


def _queue_op(
    broker: Database, name: str, by: str | None, *, paused: bool, configured: CustomQueueConfig | None
) -> Op[QueueChange]:
    if not paused:
        return control.resume_queue(name, storable(by), broker.now)
    facts = None if configured is None else (configured.priority, configured.max_concurrency)
    return control.pause_queue(name, storable(by), facts, broker.now)


def _judge_cancel(task_id: str, done: Cancelled) -> TaskActionResult[TaskCancelled]:
    status = done.was
    if done.outcome == "absent" or status is None:
        return Err(_no_task(task_id))
    if done.outcome == "workflow":
        message = f"task {task_id} belongs to a workflow; cancel the workflow instead"
        code = TaskActionErrorCode.TASK_IS_WORKFLOW_TASK
        return Err(TaskActionError(code, message, task_id=task_id, current_status=status))
    if done.outcome == "running":
        message = f"task {task_id} is RUNNING; pass include_running=True to stop it"
        return Err(_not_cancellable(task_id, status, message))
    if done.outcome == "ended":
        return Err(_not_cancellable(task_id, status, f"task {task_id} has already ended {status.value}"))
    if done.outcome == "requested" and done.final is not TaskStatus.CANCELLED:
        if done.final is None:
            return Ok(TaskCancelled(task_id, status, stopped=False))
        message = f"task {task_id} ended {done.final.value} before it could be stopped"
        return Err(_not_cancellable(task_id, done.final, message))
    return Ok(TaskCancelled(task_id, status, stopped=True))


def _judge_queue(
    name: str, done: QueueChange, *, paused: bool, configured: CustomQueueConfig | None
) -> TaskActionResult[QueueState]:
    if not done.known and configured is None:
        return Err(_no_queue(name))
    return Ok(QueueState(name, paused, done.changed))


def _broker_of(app: DatabaseSource | None, task_id: str) -> Database | TaskActionError:
    if app is None:
        message = f"this handle of task {task_id} belongs to no app; make it with TaskHandle(task_id, app)"
        return TaskActionError(TaskActionErrorCode.DB_OPERATION_FAILED, message, task_id=task_id)
    try:
        return app.get_broker()
    except DATABASE_FAILURES as error:
        return action_failure(f"task {task_id} could not be cancelled", error, task_id)


def _no_task(task_id: object) -> TaskActionError:
    text = task_id if isinstance(task_id, str) else repr(task_id)
    return TaskActionError(TaskActionErrorCode.TASK_NOT_FOUND, f"there is no task {text}", task_id=text)


def _not_cancellable(task_id: str, status: TaskStatus, message: str) -> TaskActionError:
    return TaskActionError(
        TaskActionErrorCode.TASK_NOT_CANCELLABLE, message, task_id=task_id, current_status=status
    )


def _no_queue(name: object) -> TaskActionError:
    message = (
        f"there is no queue {name!r}: no worker has served it, and no app at hand has it in its configuration"
    )
    return TaskActionError(TaskActionErrorCode.QUEUE_NOT_FOUND, message)


def action_failure(what: str, error: BaseException, task_id: str | None = None) -> TaskActionError:
    """The database refused an action, or could not be reached."""
    incompatible = isinstance(error, SchemaError)
    return TaskActionError(
        TaskActionErrorCode.SCHEMA_INCOMPATIBLE if incompatible else TaskActionErrorCode.DB_OPERATION_FAILED,
        f"{what}: {str(error).strip()}",
        retryable=is_transient(error),
        task_id=task_id,
    )


def _queue_failure(name: str, error: BaseException, *, paused: bool) -> TaskActionError:
    return action_failure(f"queue {name!r} could not be {'paused' if paused else 'resumed'}", error)


def _can_be_queue(name: object) -> bool:
    """Whether a column can hold the name at all."""
    return isinstance(name, str) and storable(name) == name


def storable(text: str | None) -> str | None:
    """Text as a column can hold it; no text at all if it is empty (M-006)."""
    if not text:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
