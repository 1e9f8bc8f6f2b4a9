"""Reading tasks through an app: typed results, raw envelopes, records. Failures of the database come back as values."""

from typing import Any, Protocol, TypedDict, Unpack

from horsies.broker import Broker
from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.codec.problems import NoTypeAvailableError, StrictJsonError
from horsies.codec.results import decode_envelope
from horsies.db.effects import Op
from horsies.ops.read import StoredResult, StoredTask, read_task, wait_result
from horsies.reading import Absence, envelope, find_text, is_task_id, task_info
from horsies.result import Err, Ok
from horsies.task_info import TaskInfo
from horsies.task_result import TaskError, TaskResult
from horsies.transient import DATABASE_FAILURES, is_transient, reason


class TaskSource(Protocol):
    """What a read needs of its app."""

    def get_broker(self) -> Broker:
        """The way to the database."""
        ...

    def ok_type_of(self, task_name: str) -> Any:
        """Declared type of a task's success value; `None` if the task is not registered here."""
        ...


class InfoParts(TypedDict, total=False):
    """Which parts of a record are wanted besides the columns."""

    include_result: bool
    include_failed_reason: bool
    include_attempts: bool


def wait_op(broker: Broker, task_id: str, timeout_ms: int | None) -> Op[StoredResult | None]:
    """Wait for a task's end, at most `timeout_ms` milliseconds; a text that is no id names no task."""
    if not is_task_id(task_id):
        return None
    seconds = None if timeout_ms is None else max(0.0, timeout_ms / 1000)
    # Notifications carry the id in lower case.
    return (yield from wait_result(broker.schema, task_id.lower(), seconds))


def read_typed(
    app: TaskSource, task_id: str, timeout_ms: int | None
) -> BrokerResult[TaskResult[Any, TaskError]]:
    """A task's result, decoded by the type its registration declares (CF-43)."""
    try:
        broker = app.get_broker()
        stored = broker.run(wait_op(broker, task_id, timeout_ms))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _typed(app, stored, task_id)


async def read_typed_async(
    app: TaskSource, task_id: str, timeout_ms: int | None
) -> BrokerResult[TaskResult[Any, TaskError]]:
    """As `read_typed`, for event loops."""
    try:
        broker = app.get_broker()
        stored = await broker.run_async(wait_op(broker, task_id, timeout_ms))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _typed(app, stored, task_id)


def read_raw(app: TaskSource, task_id: str, timeout_ms: int | None) -> BrokerResult[dict[str, Any] | None]:
    """A task's stored envelope as JSON data; `None` if there is none."""
    try:
        broker = app.get_broker()
        stored = broker.run(wait_op(broker, task_id, timeout_ms))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _raw(stored, task_id)


async def read_raw_async(
    app: TaskSource, task_id: str, timeout_ms: int | None
) -> BrokerResult[dict[str, Any] | None]:
    """As `read_raw`, for event loops."""
    try:
        broker = app.get_broker()
        stored = await broker.run_async(wait_op(broker, task_id, timeout_ms))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _raw(stored, task_id)


def read_info(app: TaskSource, task_id: str, **parts: Unpack[InfoParts]) -> BrokerResult[TaskInfo | None]:
    """A task's record; `Ok(None)` if there is no such task."""
    if not is_task_id(task_id):
        return Ok(None)
    try:
        stored = app.get_broker().run(read_task(task_id))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _info(app, stored, parts)


async def read_info_async(
    app: TaskSource, task_id: str, **parts: Unpack[InfoParts]
) -> BrokerResult[TaskInfo | None]:
    """As `read_info`, for event loops."""
    if not is_task_id(task_id):
        return Ok(None)
    try:
        stored = await app.get_broker().run_async(read_task(task_id))
    except DATABASE_FAILURES as error:
        return Err(_failure(task_id, error))
    return _info(app, stored, parts)


def _typed(
    app: TaskSource, stored: StoredResult | None, task_id: str
) -> BrokerResult[TaskResult[Any, TaskError]]:
    text = find_text(stored, task_id)
    if isinstance(text, Absence):
        return Ok(TaskResult(err=text.error))
    name = stored.task_name if stored is not None else ""
    try:
        return Ok(decode_envelope(text, app.ok_type_of(name)))
    except NoTypeAvailableError:
        message = f"task {task_id} succeeded, but its task {name!r} is not registered in this process"
        return Err(BrokerOperationError(BrokerErrorCode.NO_TYPE_AVAILABLE, message))
    except Exception as problem:  # validators of the declared type are user code
        return Err(_unreadable(task_id, problem))


def _raw(stored: StoredResult | None, task_id: str) -> BrokerResult[dict[str, Any] | None]:
    if stored is None or stored.result is None:
        return Ok(None)
    try:
        return Ok(envelope(stored.result))
    except StrictJsonError as problem:
        return Err(_unreadable(task_id, problem))


def _info(app: TaskSource, stored: StoredTask | None, parts: InfoParts) -> BrokerResult[TaskInfo | None]:
    if stored is None:
        return Ok(None)
    try:
        info = task_info(
            stored,
            app.ok_type_of(stored.task_name),
            include_result=parts.get("include_result", False),
            include_failed_reason=parts.get("include_failed_reason", False),
            include_attempts=parts.get("include_attempts", False),
        )
    except Exception as problem:  # validators of the declared type are user code
        return Err(_unreadable(stored.id, problem))
    return Ok(info)


def _unreadable(task_id: str, problem: Exception) -> BrokerOperationError:
    message = f"the stored result of task {task_id} cannot be read: {problem}"
    return BrokerOperationError(BrokerErrorCode.INVALID_JSON_PAYLOAD, message, exception=problem)


def _failure(task_id: str, error: BaseException) -> BrokerOperationError:
    message = f"task {task_id} could not be read: {reason(error)}"
    return BrokerOperationError(
        BrokerErrorCode.TASK_INFO_QUERY_FAILED, message, retryable=is_transient(error), exception=error
    )
