"""The errors a send can end with, and the payload that a replay of it needs."""

from datetime import datetime

from psycopg.errors import LockNotAvailable

from horsies.broker_errors import BrokerErrorCode
from horsies.connections import UnusableConnectionError
from horsies.errors.diagnostic import HorsiesError
from horsies.ops.enqueue import EnqueueRow
from horsies.ops.send import Answer
from horsies.send_errors import TaskSendError, TaskSendErrorCode, TaskSendPayload
from horsies.send_plan import SendPlan
from horsies.transient import is_transient, reason


def suppressed(task_name: str) -> TaskSendError:
    """Sends are switched off in this process at the moment (CF-45)."""
    return TaskSendError(
        TaskSendErrorCode.SEND_SUPPRESSED,
        f"task {task_name!r} was not sent: sends are suppressed while modules are imported or checked;"
        " send from a function, not at module level",
    )


def invalid(task_name: str, problem: str, cause: BaseException | None = None) -> TaskSendError:
    """An option or an argument cannot be used."""
    return TaskSendError(
        TaskSendErrorCode.VALIDATION_FAILED, f"task {task_name!r} was not sent: {problem}", exception=cause
    )


def bad_arguments(problem: Exception, index: int | None = None) -> TaskSendError:
    """The arguments do not go with the task, or cannot be sent; `index` is that of the item of a send_many."""
    place = "" if index is None else f"item {index}: "
    return TaskSendError(
        TaskSendErrorCode.VALIDATION_FAILED, f"{place}{problem}", exception=problem.__cause__ or problem
    )


def too_large(task_name: str, size: int, limit: int | None, task_id: str | None) -> TaskSendError:
    """The arguments are over the app's limit."""
    return TaskSendError(
        TaskSendErrorCode.PAYLOAD_TOO_LARGE,
        f"task {task_name!r} was not sent: its arguments take {size} bytes, payload.reject_bytes is {limit};"
        " store large data elsewhere and send a reference",
        task_id=task_id,
    )


def async_context(plan: SendPlan, row: EnqueueRow, delay: int | None) -> TaskSendError:
    """A blocking send in a thread whose event loop is running."""
    if plan.connection is not None:  # a retry would send outside of the caller's transaction
        advice = "use the _async method with an async connection"
    else:
        retry = "retry_send_async" if delay is None else "retry_schedule_async"
        advice = f"use the _async method, or finish this send with {retry}(error)"
    return TaskSendError(
        TaskSendErrorCode.ASYNC_CONTEXT,
        f"task {plan.task_name!r} was not sent: this would block the running event loop; {advice}",
        task_id=row.id,
        payload=payload_of(plan, row, delay),
    )


def insert_failed(plan: SendPlan, row: EnqueueRow, delay: int | None, error: BaseException) -> TaskSendError:
    """The database refused the row, or could not be reached; or the connection given is of no use."""
    if isinstance(error, UnusableConnectionError):
        return invalid(plan.task_name, str(error), error)
    in_transaction = plan.connection is not None
    return TaskSendError(
        TaskSendErrorCode.ENQUEUE_FAILED,
        f"task {plan.task_name!r} was not enqueued: {_why(row, error)}",
        # Whether the caller's transaction can still be saved is for the caller to decide, so nothing is replayed.
        retryable=is_transient(error) and not in_transaction,
        task_id=row.id,
        payload=None if in_transaction else payload_of(plan, row, delay),
        exception=error,
        broker_code=BrokerErrorCode.SCHEMA_INIT_FAILED
        if isinstance(error, HorsiesError)
        else BrokerErrorCode.ENQUEUE_FAILED,
    )


def _why(row: EnqueueRow, error: BaseException) -> str:
    if isinstance(error, LockNotAvailable) and row.idempotency_key is not None:
        return (
            f"another transaction has sent under its idempotency key and was not committed in time ({reason(error)});"
            " send again when it has ended"
        )
    return reason(error)


def refused(plan: SendPlan, row: EnqueueRow, delay: int | None, answer: Answer) -> TaskSendError:
    """The database answered that the row cannot go in (T-40, T-46)."""
    outcome, holder = answer
    payload = None if plan.connection is not None else payload_of(plan, row, delay)
    if outcome == "conflict":
        return TaskSendError(
            TaskSendErrorCode.ENQUEUE_FAILED,
            f"task {plan.task_name!r} was not enqueued: its idempotency key belongs to task {holder}, which is"
            " another request; use another key, or send what that task was sent with",
            task_id=row.id,
            payload=payload,
            broker_code=BrokerErrorCode.IDEMPOTENCY_KEY_CONFLICT,
        )
    if outcome == "different":
        return TaskSendError(
            TaskSendErrorCode.PAYLOAD_MISMATCH,
            f"task {plan.task_name!r} was not enqueued: the id {row.id} is taken by a task with other content",
            task_id=row.id,
            payload=payload,
            broker_code=BrokerErrorCode.PAYLOAD_MISMATCH,
        )
    return TaskSendError(
        TaskSendErrorCode.ENQUEUE_FAILED,
        f"task {plan.task_name!r}: the id {row.id} exists, but its row cannot be read at the moment",
        retryable=plan.connection is None,
        task_id=row.id,
        payload=payload,
        broker_code=BrokerErrorCode.ENQUEUE_FAILED,
    )


def payload_of(plan: SendPlan, row: EnqueueRow, delay: int | None) -> TaskSendPayload:
    """What a replay of this row needs."""
    return TaskSendPayload(
        task_name=row.task_name,
        queue_name=row.queue_name,
        priority=row.priority,
        args_json=None,
        kwargs_json=row.kwargs,
        sent_at=datetime.fromisoformat(row.sent_at),
        good_until=None if row.good_until is None else datetime.fromisoformat(row.good_until),
        enqueue_delay_seconds=delay,
        task_options=row.options,
        enqueue_sha=row.enqueue_sha,
        idempotency_key=row.idempotency_key,
        retention_class_key=plan.retention_key,
    )
