"""How a start reports failure: as a value."""

from dataclasses import dataclass
from enum import StrEnum


class WorkflowStartErrorCode(StrEnum):
    """Why a workflow was not started."""

    BROKER_NOT_CONFIGURED = "BROKER_NOT_CONFIGURED"
    """The spec belongs to no app, and no broker was given."""
    VALIDATION_FAILED = "VALIDATION_FAILED"
    """The start cannot work as it is; nothing was written."""
    ENQUEUE_FAILED = "ENQUEUE_FAILED"
    """The database refused or did not answer."""
    INTERNAL_FAILED = "INTERNAL_FAILED"


@dataclass(frozen=True, slots=True)
class WorkflowStartError:
    """A failed start.

    Attributes:
        code: Why.
        message: The same, for a person.
        retryable: The connection was lost or refused; `retry_start` may work later.
        workflow_name: The workflow's name.
        workflow_id: The id it was, or would have been, started under.
        exception: The cause, if an exception was it.
    """

    code: WorkflowStartErrorCode
    message: str
    retryable: bool
    workflow_name: str
    workflow_id: str
    exception: BaseException | None = None
