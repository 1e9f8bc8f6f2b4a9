"""How a WorkflowHandle's methods report failure: as a value."""

from dataclasses import dataclass
from enum import StrEnum

from horsies.result import Result


class HandleErrorCode(StrEnum):
    """What went wrong with a call of a handle."""

    WORKFLOW_NOT_FOUND = "WORKFLOW_NOT_FOUND"
    DB_OPERATION_FAILED = "DB_OPERATION_FAILED"
    """The database refused or did not answer, or what it has stored cannot be read."""
    LOOP_RUNNER_FAILED = "LOOP_RUNNER_FAILED"
    """Reserved; the library does not produce it."""
    INTERNAL_FAILED = "INTERNAL_FAILED"
    SIGNAL_REJECTED = "SIGNAL_REJECTED"
    """The workflow waits for no such signal, or the payload is not of its type."""


@dataclass(frozen=True, slots=True)
class HandleOperationError:
    """A failed call of a handle.

    Attributes:
        code: What went wrong.
        message: The same, for a person.
        retryable: The connection was lost or refused; the same call may work later.
        workflow_id: The handle's workflow.
        exception: The cause, if an exception was it.
    """

    code: HandleErrorCode
    message: str
    retryable: bool
    workflow_id: str
    exception: BaseException | None = None


type HandleResult[T] = Result[T, HandleOperationError]
"""What a call of a handle returns."""
