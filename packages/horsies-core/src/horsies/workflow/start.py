"""Start a workflow: check, write everything in one transaction, hand back a handle. Failures are values."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from horsies.broker import Broker
from horsies.config.retention import RetentionConfig
from horsies.db.effects import Op
from horsies.delivery import Steps, carry_out, carry_out_async, resending
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError, WorkflowValidationError
from horsies.ops import workflow_start
from horsies.ops.workflow_start import StartAnswer, plan_data
from horsies.result import Err, Ok, Result
from horsies.suppression import sends_suppressed
from horsies.traced_send import traced_start, traced_start_async
from horsies.tracing import is_loaded
from horsies.transient import DATABASE_FAILURES, is_transient, reason
from horsies.workflow.handle import WorkflowHandle
from horsies.workflow.plan import plan_of
from horsies.workflow.spec_base import SpecBase
from horsies.workflow.start_errors import WorkflowStartError, WorkflowStartErrorCode

_logger = logging.getLogger("horsies.workflow")
_STEP_TIMEOUT_MS = 60_000

type WorkflowStartResult[T] = Result[WorkflowHandle[T], WorkflowStartError]
"""What a start returns."""


def start_workflow[T](
    spec: SpecBase[T],
    broker: Broker,
    workflow_id: str | None = None,
    sent_at: datetime | None = None,
    *,
    resend_on_transient_err: bool = False,
) -> WorkflowStartResult[T]:
    """Start a workflow through a broker; `spec.start()` is the usual way.

    Args:
        spec: The workflow.
        broker: Where.
        workflow_id: Its id, a UUID as text; made up if left out.
        sent_at: When it counts as sent; left out: now.
        resend_on_transient_err: Repeat the start up to three times when the database connection failed.

    Returns:
        `Ok` with a handle; `Err` with `VALIDATION_FAILED`, `ENQUEUE_FAILED` or `INTERNAL_FAILED`.
    """
    start = _Start(spec, broker, workflow_id, sent_at)
    try:
        steps = start.steps(again=resend_on_transient_err or spec.resend_on_transient_err)
        if start.is_traced:
            return start.settle(traced_start(lambda: carry_out(broker.run, steps), start.data))
        return start.settle(carry_out(broker.run, steps))
    except Exception as error:
        return Err(start.failed(error))


async def start_workflow_async[T](
    spec: SpecBase[T],
    broker: Broker,
    workflow_id: str | None = None,
    sent_at: datetime | None = None,
    *,
    resend_on_transient_err: bool = False,
) -> WorkflowStartResult[T]:
    """As `start_workflow`, for event loops."""
    start = _Start(spec, broker, workflow_id, sent_at)
    try:
        steps = start.steps(again=resend_on_transient_err or spec.resend_on_transient_err)
        if start.is_traced:
            return start.settle(
                await traced_start_async(lambda: carry_out_async(broker.run_async, steps), start.data)
            )
        return start.settle(await carry_out_async(broker.run_async, steps))
    except Exception as error:
        return Err(start.failed(error))


def start_spec[T](spec: SpecBase[T], workflow_id: str | None) -> WorkflowStartResult[T]:
    """Start a spec through its own broker."""
    broker = _broker_of(spec, workflow_id)
    return start_workflow(spec, broker, workflow_id) if isinstance(broker, Broker) else Err(broker)


async def start_spec_async[T](spec: SpecBase[T], workflow_id: str | None) -> WorkflowStartResult[T]:
    """As `start_spec`, for event loops."""
    broker = _broker_of(spec, workflow_id)
    return (
        await start_workflow_async(spec, broker, workflow_id) if isinstance(broker, Broker) else Err(broker)
    )


def retry_spec[T](spec: SpecBase[T], error: WorkflowStartError) -> WorkflowStartResult[T]:
    """Start again under the id of a start that could not be written (W-29)."""
    refused = _not_retried(spec, error)
    return Err(refused) if refused is not None else start_spec(spec, error.workflow_id)


async def retry_spec_async[T](spec: SpecBase[T], error: WorkflowStartError) -> WorkflowStartResult[T]:
    """As `retry_spec`, for event loops."""
    refused = _not_retried(spec, error)
    return Err(refused) if refused is not None else await start_spec_async(spec, error.workflow_id)


class _Refused(Exception):  # noqa: N818  (never leaves this module)
    """The start cannot work; `cause` is the error behind it, if there is one."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(slots=True)
class _Start[T]:
    """One start, without its I/O."""

    spec: SpecBase[T]
    broker: Broker
    workflow_id: str | None
    sent_at: datetime | None
    data: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_traced(self) -> bool:
        return is_loaded() and (self.spec.config is None or self.spec.config.tracing)

    def steps(self, *, again: bool) -> Steps[StartAnswer]:
        self.workflow_id, given = _usable_id(self.workflow_id), self.workflow_id
        if self.workflow_id is None:
            self.workflow_id = str(given)
            raise _Refused(f"workflow_id {given!r} is no UUID", _invalid_id(given))
        if sends_suppressed():
            raise _Refused("starts are suppressed: task modules are being imported, or a workflow step runs")
        self.data, workflow_id = self._data(), self.workflow_id

        def op() -> Op[StartAnswer]:
            return workflow_start.start(workflow_id, self.data, self.sent_at, self.broker.now)

        return resending(op(), op) if again else _once(op())

    def settle(self, answer: StartAnswer) -> WorkflowStartResult[T]:
        workflow_id = str(self.workflow_id)
        if answer.outcome == "different":
            raise _Refused(
                f"id {workflow_id} belongs to workflow {answer.name!r}; {self.spec.name!r} was not started"
            )
        if answer.outcome == "same":
            _logger.warning(
                "workflow %s (%s) exists already and was not started again", workflow_id, answer.name
            )
        return Ok(WorkflowHandle(workflow_id, self.broker))

    def failed(self, error: Exception) -> WorkflowStartError:
        cause: BaseException | None = error
        retryable = False
        if isinstance(error, _Refused):
            code, message, cause = WorkflowStartErrorCode.VALIDATION_FAILED, str(error), error.cause
        elif isinstance(error, DATABASE_FAILURES):
            code, message = WorkflowStartErrorCode.ENQUEUE_FAILED, reason(error)
            retryable = is_transient(error)
        else:
            code, message = WorkflowStartErrorCode.INTERNAL_FAILED, f"{type(error).__name__}: {error}"
        return _error(self.spec, str(self.workflow_id), code, message, retryable=retryable, cause=cause)

    def _data(self) -> dict[str, Any]:
        try:
            plan = plan_of(self.spec)
        except HorsiesError as error:
            raise _Refused(reason(error), error) from error
        config = self.spec.config
        retention = RetentionConfig() if config is None else config.retention
        return plan_data(
            plan,
            retention_class=retention.default_class,
            step_timeout_ms=_STEP_TIMEOUT_MS if config is None else config.workflow_step_timeout_ms,
        )


def _once[R](op: Op[R]) -> Steps[R]:
    answer: R = yield op
    return answer


def _usable_id(workflow_id: object) -> str | None:
    """An id as the database writes it, a new one for None; None for what is no UUID text."""
    if workflow_id is None:
        return str(uuid4())
    try:
        return str(UUID(workflow_id)) if isinstance(workflow_id, str) else None
    except ValueError:
        return None


def _invalid_id(given: object) -> WorkflowValidationError:
    return WorkflowValidationError(
        f"workflow_id {given!r} is no UUID",
        code=ErrorCode.WORKFLOW_INVALID_ID,
        help_text="give a UUID as text, for example str(uuid.uuid4()), or leave it out",
    )


def _broker_of(spec: SpecBase[Any], workflow_id: str | None) -> Broker | WorkflowStartError:
    code = WorkflowStartErrorCode.BROKER_NOT_CONFIGURED
    workflow_id = _usable_id(workflow_id) or str(workflow_id)
    try:
        broker = spec.broker
    except HorsiesError as error:
        return _error(
            spec,
            workflow_id,
            WorkflowStartErrorCode.ENQUEUE_FAILED,
            reason(error),
            retryable=False,
            cause=error,
        )
    if broker is not None:
        return broker
    message = (
        "the spec belongs to no app; make it with app.workflow(...), or use start_workflow(spec, broker)"
    )
    return _error(spec, workflow_id, code, message, retryable=False, cause=None)


def _not_retried(spec: SpecBase[Any], error: WorkflowStartError) -> WorkflowStartError | None:
    if error.code is not WorkflowStartErrorCode.ENQUEUE_FAILED:
        problem = f"only ENQUEUE_FAILED can be retried, not {error.code}"
    elif error.workflow_name != spec.name:
        problem = f"the error is of workflow {error.workflow_name!r}, not of {spec.name!r}"
    else:
        return None
    code = WorkflowStartErrorCode.VALIDATION_FAILED
    return _error(spec, error.workflow_id, code, problem, retryable=False, cause=None)


def _error(
    spec: SpecBase[Any],
    workflow_id: str,
    code: WorkflowStartErrorCode,
    message: str,
    *,
    retryable: bool,
    cause: BaseException | None,
) -> WorkflowStartError:
    return WorkflowStartError(
        code=code,
        message=f"workflow {spec.name!r} was not started: {message}",
        retryable=retryable,
        workflow_name=spec.name,
        workflow_id=workflow_id,
        exception=cause,
    )
