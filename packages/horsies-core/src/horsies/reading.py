"""What a stored outcome says to whoever asks for it: pure decisions, shared by handles and the app's own reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from horsies.codec.problems import NoTypeAvailableError, StrictJsonError
from horsies.codec.results import decode_envelope
from horsies.codec.strict import parse_json
from horsies.errors.codes import (
    BuiltInTaskCode,
    ContractCode,
    OperationalErrorCode,
    OutcomeCode,
    RetrievalCode,
)
from horsies.ops.read import StoredResult, StoredTask
from horsies.state import AttemptOutcome, TaskStatus
from horsies.task_info import TaskAttemptInfo, TaskInfo
from horsies.task_result import TaskError, TaskResult
from horsies.transient import reason

_WORKER_FAILURES = frozenset(
    {
        OperationalErrorCode.WORKER_RESOLUTION_ERROR.value,
        OperationalErrorCode.WORKER_SERIALIZATION_ERROR.value,
    }
)


@dataclass(frozen=True, slots=True)
class Absence:
    """Why there is no stored result to decode.

    Attributes:
        error: What to tell the caller.
        final: Asking again cannot give anything else.
    """

    error: TaskError
    final: bool


def is_task_id(text: object) -> bool:
    """Whether a text can be the id of a task; any other text names none (M-005)."""
    if not isinstance(text, str):
        return False
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def find_text(stored: StoredResult | None, task_id: str) -> str | Absence:
    """The stored envelope, or why there is none (T-72, T-73, T-75, T-76)."""
    if stored is None:
        return Absence(_error(RetrievalCode.TASK_NOT_FOUND, f"there is no task {task_id}"), final=False)
    if stored.status is TaskStatus.CANCELLED:
        reason = stored.failed_reason or "it was cancelled"
        return Absence(
            _error(OutcomeCode.TASK_CANCELLED, f"task {task_id} has no result: {reason}"), final=True
        )
    if not stored.is_terminal:
        message = f"task {task_id} is {stored.status.value}; it did not end within the time given"
        return Absence(_error(RetrievalCode.WAIT_TIMEOUT, message), final=False)
    if stored.result is None:
        message = f"task {task_id} ended {stored.status.value} without a stored result"
        return Absence(_error(RetrievalCode.RESULT_NOT_AVAILABLE, message), final=True)
    return stored.result


def handle_outcome(
    stored: StoredResult | None, task_id: str, ok_type: object
) -> tuple[TaskResult[Any, TaskError], bool]:
    """What `TaskHandle.get` returns, and whether it will never change.

    Args:
        stored: What was read.
        task_id: The handle's task.
        ok_type: Declared type of the success value; `None` if the handle has none.
    """
    text = find_text(stored, task_id)
    if isinstance(text, Absence):
        return TaskResult(err=text.error), text.final
    try:
        return decode_envelope(text, ok_type), True
    except NoTypeAvailableError:
        message = f"task {task_id} succeeded, but this handle does not know the type of its value"
        return TaskResult(err=_error(ContractCode.NO_TYPE_AVAILABLE, message)), True
    except Exception as problem:  # validators of the declared type are user code
        message = f"the stored result of task {task_id} cannot be read: {problem}"
        error = TaskError(
            error_code=OperationalErrorCode.RESULT_DESERIALIZATION_ERROR, message=message, exception=problem
        )
        return TaskResult(err=error), True


def broker_failure(task_id: str, problem: BaseException) -> TaskResult[Any, TaskError]:
    """What `TaskHandle.get` returns when the database could not be asked (T-74)."""
    message = f"the result of task {task_id} could not be fetched: {reason(problem)}"
    return TaskResult(
        err=TaskError(error_code=OperationalErrorCode.BROKER_ERROR, message=message, exception=problem)
    )


def without_app(task_id: str) -> TaskResult[Any, TaskError]:
    """What `TaskHandle.get` returns without an app to ask (T-76)."""
    message = f"this handle of task {task_id} belongs to no app; make it with TaskHandle(task_id, app)"
    return TaskResult(err=_error(RetrievalCode.RESULT_NOT_AVAILABLE, message))


def envelope(text: str) -> dict[str, Any]:
    """The stored envelope as JSON data.

    Raises:
        StrictJsonError: It is not a JSON object.
    """
    data = parse_json(text)
    if not isinstance(data, dict):
        raise StrictJsonError(f"the stored result is a JSON {type(data).__name__}, not an object")
    return cast("dict[str, Any]", data)


def task_info(
    stored: StoredTask,
    ok_type: object,
    *,
    include_result: bool,
    include_failed_reason: bool,
    include_attempts: bool,
) -> TaskInfo:
    """A task's record as the user sees it.

    Args:
        stored: What was read.
        ok_type: Declared type of the task's success value; `None` if the task is not registered here.
        include_result: Fill `raw_result`, `decoded_result`, `result_decoded`.
        include_failed_reason: Fill `failed_reason`.
        include_attempts: Fill `attempts`.

    Raises:
        DecodeError: The stored result is malformed or not of its declared type. Validators of that type, which are
            user code, may raise anything else.
    """
    raw: dict[str, Any] | None = None
    decoded: TaskResult[Any, TaskError] | None = None
    if include_result and stored.result is not None:
        raw = envelope(stored.result)
        try:
            decoded = decode_envelope(stored.result, ok_type)
        except NoTypeAvailableError:
            decoded = None
    succeeded = stored.status is TaskStatus.COMPLETED
    return TaskInfo(
        task_id=stored.id,
        task_name=stored.task_name,
        status=stored.status,
        queue_name=stored.queue_name,
        priority=stored.priority,
        retry_count=stored.retry_count,
        max_retries=stored.max_retries,
        next_retry_at=stored.next_retry_at,
        sent_at=stored.sent_at,
        enqueued_at=stored.enqueued_at,
        claimed_at=stored.claimed_at,
        started_at=stored.started_at,
        completed_at=stored.terminal_at if succeeded else None,
        failed_at=None if succeeded else stored.terminal_at,
        worker_hostname=stored.worker_hostname,
        worker_pid=stored.worker_pid,
        worker_process_name=stored.worker_process_name,
        error_code=stored.error_code,
        raw_result=raw,
        decoded_result=decoded,
        result_decoded=decoded is not None,
        failed_reason=stored.failed_reason if include_failed_reason else None,
        attempts=attempts(stored) if include_attempts else None,
    )


def attempts(stored: StoredTask) -> list[TaskAttemptInfo]:
    """The runs of a task, newest first: those kept on its row, and the one its terminal row tells of (T-68)."""
    found = [_kept_attempt(stored.id, item) for item in stored.attempts or ()]
    if stored.terminal_at is not None and stored.started_at is not None:
        found.append(_last_attempt(stored))
    return sorted(found, key=lambda attempt: attempt.attempt, reverse=True)


def _kept_attempt(task_id: str, item: dict[str, Any]) -> TaskAttemptInfo:
    return TaskAttemptInfo(
        task_id=task_id,
        attempt=item["attempt"],
        outcome=AttemptOutcome(item["outcome"]),
        will_retry=item["will_retry"],
        started_at=_moment(item.get("started_at")),
        finished_at=_moment(item.get("finished_at")),
        error_code=item.get("error_code"),
        error_message=item.get("error_message"),
        failed_reason=item.get("failed_reason"),
        worker_id=item.get("worker_id"),
        worker_hostname=item.get("worker_hostname"),
        worker_pid=item.get("worker_pid"),
        worker_process_name=item.get("worker_process_name"),
    )


def _last_attempt(stored: StoredTask) -> TaskAttemptInfo:
    return TaskAttemptInfo(
        task_id=stored.id,
        attempt=stored.retry_count + 1,
        outcome=_outcome(stored),
        will_retry=False,
        started_at=stored.started_at,
        finished_at=stored.terminal_at,
        error_code=stored.error_code,
        error_message=_stored_message(stored.result),
        failed_reason=stored.failed_reason,
        worker_id=stored.worker_id,
        worker_hostname=stored.worker_hostname,
        worker_pid=stored.worker_pid,
        worker_process_name=stored.worker_process_name,
    )


def _outcome(stored: StoredTask) -> AttemptOutcome:
    if stored.status is TaskStatus.COMPLETED:
        return AttemptOutcome.COMPLETED
    return AttemptOutcome.WORKER_FAILURE if stored.error_code in _WORKER_FAILURES else AttemptOutcome.FAILED


def _stored_message(result: str | None) -> str | None:
    if result is None:
        return None
    try:
        error = envelope(result).get("err")
    except StrictJsonError:
        return None
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _error(code: BuiltInTaskCode, message: str) -> TaskError:
    return TaskError(error_code=code, message=message)
