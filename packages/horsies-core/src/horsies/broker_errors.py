"""How a call that talks to the database reports failure: as a value."""

from dataclasses import dataclass
from enum import StrEnum

from horsies.result import Result


class BrokerErrorCode(StrEnum):
    """What the broker was doing when it failed."""

    SCHEMA_INIT_FAILED = "SCHEMA_INIT_FAILED"
    ENQUEUE_FAILED = "ENQUEUE_FAILED"
    PAYLOAD_MISMATCH = "PAYLOAD_MISMATCH"
    IDEMPOTENCY_KEY_CONFLICT = "IDEMPOTENCY_KEY_CONFLICT"
    INVALID_TASK_OPTIONS = "INVALID_TASK_OPTIONS"
    TASK_INFO_QUERY_FAILED = "TASK_INFO_QUERY_FAILED"
    NO_TYPE_AVAILABLE = "NO_TYPE_AVAILABLE"
    INVALID_JSON_PAYLOAD = "INVALID_JSON_PAYLOAD"
    MONITORING_QUERY_FAILED = "MONITORING_QUERY_FAILED"
    DB_PING_FAILED = "DB_PING_FAILED"
    WORKER_PING_FAILED = "WORKER_PING_FAILED"
    CLEANUP_FAILED = "CLEANUP_FAILED"
    CLOSE_FAILED = "CLOSE_FAILED"
    LISTENER_START_FAILED = "LISTENER_START_FAILED"
    LISTENER_SUBSCRIBE_FAILED = "LISTENER_SUBSCRIBE_FAILED"
    NO_BROKER = "NO_BROKER"


@dataclass(frozen=True, slots=True)
class BrokerOperationError:
    """A failed broker call.

    Attributes:
        code: What the broker was doing.
        message: What went wrong.
        retryable: The connection was lost or refused, or the pool had none to give; the same call may work
            later.
        exception: The cause, if an exception was it.
    """

    code: BrokerErrorCode
    message: str
    retryable: bool = False
    exception: BaseException | None = None


type BrokerResult[T] = Result[T, BrokerOperationError]
"""What a broker call returns."""
