"""The task codes that horsies itself produces, in four families. Their values are reserved."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias


class OperationalErrorCode(StrEnum):
    """Something broke: user code, a worker, the database, or the way a value travels."""

    UNHANDLED_EXCEPTION = "UNHANDLED_EXCEPTION"
    """The task raised, and no mapping names another code."""
    TASK_EXCEPTION = "TASK_EXCEPTION"
    """The task returned something other than a `TaskResult`."""
    WORKER_CRASHED = "WORKER_CRASHED"
    """The executing process died, or its worker went silent."""
    BROKER_ERROR = "BROKER_ERROR"
    """The database failed while a result was fetched or recorded."""
    WORKER_RESOLUTION_ERROR = "WORKER_RESOLUTION_ERROR"
    """The worker knows no task of this name."""
    WORKER_SERIALIZATION_ERROR = "WORKER_SERIALIZATION_ERROR"
    """The worker could not decode the arguments or encode the result."""
    RESULT_DESERIALIZATION_ERROR = "RESULT_DESERIALIZATION_ERROR"
    """The stored result cannot be read."""
    WORKFLOW_ENQUEUE_FAILED = "WORKFLOW_ENQUEUE_FAILED"
    """A workflow node could not be enqueued."""
    SUBWORKFLOW_LOAD_FAILED = "SUBWORKFLOW_LOAD_FAILED"
    """The definition of a child workflow could not be loaded."""
    CONDITION_FAILED = "CONDITION_FAILED"
    """A condition of a workflow node raised."""


class ContractCode(StrEnum):
    """A declared contract was broken."""

    RETURN_TYPE_MISMATCH = "RETURN_TYPE_MISMATCH"
    """The returned value does not fit the declared type."""
    PYDANTIC_HYDRATION_ERROR = "PYDANTIC_HYDRATION_ERROR"
    """Reserved; the library does not produce it."""
    WORKFLOW_CTX_MISSING_ID = "WORKFLOW_CTX_MISSING_ID"
    """A workflow context arrived without the id of its workflow."""
    NO_TYPE_AVAILABLE = "NO_TYPE_AVAILABLE"
    """A success cannot be decoded, since its type is not known here."""


class RetrievalCode(StrEnum):
    """The value cannot be had now. An attempt never ends with one of these."""

    WAIT_TIMEOUT = "WAIT_TIMEOUT"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    WORKFLOW_NOT_FOUND = "WORKFLOW_NOT_FOUND"
    RESULT_NOT_AVAILABLE = "RESULT_NOT_AVAILABLE"
    RESULT_NOT_READY = "RESULT_NOT_READY"


class OutcomeCode(StrEnum):
    """A regular outcome other than success."""

    TASK_CANCELLED = "TASK_CANCELLED"
    TASK_EXPIRED = "TASK_EXPIRED"
    TASK_TIMEOUT = "TASK_TIMEOUT"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    WORKFLOW_EXPIRED = "WORKFLOW_EXPIRED"
    WORKFLOW_FAILED = "WORKFLOW_FAILED"
    WORKFLOW_CANCELLED = "WORKFLOW_CANCELLED"
    UPSTREAM_SKIPPED = "UPSTREAM_SKIPPED"
    SUBWORKFLOW_FAILED = "SUBWORKFLOW_FAILED"
    WORKFLOW_SUCCESS_CASE_NOT_MET = "WORKFLOW_SUCCESS_CASE_NOT_MET"
    MAP_FAILED = "MAP_FAILED"
    SIGNAL_TIMEOUT = "SIGNAL_TIMEOUT"


# A plain union, not a `type` statement: isinstance(code, BuiltInTaskCode) must work.
BuiltInTaskCode: TypeAlias = OperationalErrorCode | ContractCode | RetrievalCode | OutcomeCode  # noqa: UP040
LibraryErrorCode: TypeAlias = BuiltInTaskCode  # noqa: UP040

BUILTIN_CODE_REGISTRY: Mapping[str, BuiltInTaskCode] = MappingProxyType(
    {
        code.value: code
        for family in (OperationalErrorCode, ContractCode, RetrievalCode, OutcomeCode)
        for code in family
    }
)
"""Every reserved value with its member."""
