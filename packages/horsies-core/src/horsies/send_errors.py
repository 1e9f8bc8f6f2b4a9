"""How a send reports failure, what it keeps for a replay, and the digest that proves a replay unchanged."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from json.encoder import encode_basestring_ascii as json_text

from horsies.broker_errors import BrokerErrorCode
from horsies.result import Result


class TaskSendErrorCode(StrEnum):
    """Why a task was not sent."""

    SEND_SUPPRESSED = "SEND_SUPPRESSED"
    ASYNC_CONTEXT = "ASYNC_CONTEXT"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    ENQUEUE_FAILED = "ENQUEUE_FAILED"
    PAYLOAD_MISMATCH = "PAYLOAD_MISMATCH"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"


@dataclass(frozen=True, slots=True, repr=False)
class TaskSendPayload:
    """A send as it was encoded: all that a replay needs. Its repr shows no arguments.

    Attributes:
        task_name: The task's name.
        queue_name: The queue it goes to.
        priority: 1 (first) to 100.
        args_json: Always `None`; positional arguments were bound to names.
        kwargs_json: The arguments as JSON text; `None` without arguments.
        sent_at: The client's clock at the call.
        good_until: Deadline for the start; `None` without.
        enqueue_delay_seconds: Delay before the task may be claimed; `None` if it was not delayed.
        task_options: Retry policy, deadline and timeout as JSON text.
        enqueue_sha: Digest of the fields above.
        idempotency_key: The caller's key, if any.
        retention_class_key: How long the ended task is kept; `None` for the default.
    """

    task_name: str
    queue_name: str
    priority: int
    args_json: str | None
    kwargs_json: str | None
    sent_at: datetime
    good_until: datetime | None
    enqueue_delay_seconds: int | None
    task_options: str | None
    enqueue_sha: str
    idempotency_key: str | None = None
    retention_class_key: str | None = None

    def __repr__(self) -> str:
        return (
            f"TaskSendPayload(task_name={self.task_name!r}, queue_name={self.queue_name!r},"
            f" enqueue_sha={self.enqueue_sha!r})"
        )


@dataclass(frozen=True, slots=True, repr=False)
class TaskSendError:
    """A send that failed. Its text shows code, `retryable` and id, never what was sent.

    Attributes:
        code: Why.
        message: What went wrong, for a person.
        retryable: The same send may work later.
        task_id: The id the task has or would have; `None` if none was given out.
        payload: What a replay needs; `None` if there is nothing to replay.
        exception: The cause, if an exception was it.
        broker_code: The broker's own code, where it says more.
    """

    code: TaskSendErrorCode
    message: str
    retryable: bool = False
    task_id: str | None = None
    payload: TaskSendPayload | None = None
    exception: BaseException | None = None
    broker_code: BrokerErrorCode | None = None

    def __repr__(self) -> str:
        return f"TaskSendError(code={self.code.value}, retryable={self.retryable}, task_id={self.task_id!r})"


type TaskSendResult[T] = Result[T, TaskSendError]
"""What a send returns."""


def format_utc(moment: datetime) -> str:
    """An instant as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`.

    Raises:
        ValueError: The datetime is naive.
        OverflowError: It lies outside the years 1 to 9999 once converted to UTC.
    """
    if moment.tzinfo is not UTC:
        if moment.utcoffset() is None:
            raise ValueError("a datetime without time zone does not name an instant; pass an aware one")
        moment = moment.astimezone(UTC)
    # A third faster than letting isoformat() write the offset, which is known here.
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "+00:00"


def enqueue_sha_prefix(task_name: str, queue_name: str, priority: int) -> str:
    """The part of the digest's text that is the same for every send of a task; see `enqueue_sha`."""
    return f"[{json_text(task_name)},{json_text(queue_name)},{priority},null,"


def enqueue_sha(
    prefix: str,
    kwargs_json: str | None,
    sent_at_text: str,
    good_until_text: str | None,
    delay: int | None,
    task_options: str | None,
) -> str:
    """Digest of one send, from its prepared parts.

    Args:
        prefix: From `enqueue_sha_prefix`.
        kwargs_json: The arguments as JSON text.
        sent_at_text: From `format_utc`.
        good_until_text: From `format_utc`, or `None`.
        delay: Seconds.
        task_options: JSON text.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    # Written out instead of json.dumps of a list: this runs once per send, and only strings need escaping.
    kwargs = "null" if kwargs_json is None else json_text(kwargs_json)
    good_until = "null" if good_until_text is None else f'"{good_until_text}"'
    seconds = "null" if delay is None else delay
    options = "null" if task_options is None else json_text(task_options)
    text = f'{prefix}{kwargs},"{sent_at_text}",{good_until},{seconds},{options}]'
    return sha256(text.encode("ascii")).hexdigest()


def compute_enqueue_sha(
    *,
    task_name: str,
    queue_name: str,
    priority: int,
    kwargs_json: str | None,
    sent_at: datetime,
    good_until: datetime | None,
    enqueue_delay_seconds: int | None,
    task_options: str | None,
) -> str:
    """Digest of everything a replay must repeat exactly: all but id, idempotency key and retention class.

    Raises:
        ValueError: A datetime is naive.
        OverflowError: A datetime cannot be written in UTC.
    """
    return enqueue_sha(
        enqueue_sha_prefix(task_name, queue_name, priority),
        kwargs_json,
        format_utc(sent_at),
        None if good_until is None else format_utc(good_until),
        enqueue_delay_seconds,
        task_options,
    )


def payload_is_intact(payload: TaskSendPayload) -> bool:
    """Whether a payload still has the content its digest was made of."""
    return payload.args_json is None and payload.enqueue_sha == compute_enqueue_sha(
        task_name=payload.task_name,
        queue_name=payload.queue_name,
        priority=payload.priority,
        kwargs_json=payload.kwargs_json,
        sent_at=payload.sent_at,
        good_until=payload.good_until,
        enqueue_delay_seconds=payload.enqueue_delay_seconds,
        task_options=payload.task_options,
    )
