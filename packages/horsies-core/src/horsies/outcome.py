"""What a run of a task becomes: one place for the worker's executors, direct calls and the testing helpers.

`finish_*` give what is stored, `*_result` give the `TaskResult` of a direct call. Nothing here does I/O.
"""

from typing import Any, TypeGuard, cast

from horsies.codec.problems import ReturnTypeMismatch, mismatch_details, type_name
from horsies.codec.results import settle_failure, success_envelope
from horsies.definition import TaskDefinition
from horsies.errors.codes import ContractCode, OperationalErrorCode
from horsies.exception_mapper import resolve_error_code
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.context import WorkflowContextMissingIdError


class RunOutcome:
    """The end of one run, ready to be stored.

    Attributes:
        ok: Whether it succeeded.
        envelope: The result as JSON text.
        error_code: Code of its error; `None` on success, or if the error has none.
        error_message: Message of its error.
        trace_context: For the row, if it is retried and its first run was traced.
    """

    __slots__ = ("envelope", "error_code", "error_message", "ok", "trace_context")

    def __init__(
        self, envelope: str, error_code: str | None = None, error_message: str | None = None
    ) -> None:
        self.ok = True
        self.envelope = envelope
        self.error_code = error_code
        self.error_message = error_message
        self.trace_context: str | None = None


def finish_return(task: TaskDefinition, returned: object) -> RunOutcome:
    """The end of a run that returned (T-47, T-48)."""
    if not _is_success(returned):
        return finish_error(_returned_error(task, returned))
    try:
        return RunOutcome(success_envelope(task.signature.encode_ok(returned.ok)))
    except ReturnTypeMismatch as mismatch:
        return finish_error(_mismatch(task, mismatch))
    except Exception as problem:  # user code too: serializers of the returned model
        return finish_error(_unencodable(task, problem))


def finish_exception(task: TaskDefinition, exception: BaseException) -> RunOutcome:
    """The end of a run that raised (T-49). Do not call it for a `KeyboardInterrupt`."""
    return finish_error(exception_error(task, exception))


def finish_error(error: TaskError) -> RunOutcome:
    """The end of a run that failed with this error."""
    stored, envelope = settle_failure(error)
    outcome = RunOutcome(envelope, code_text(stored), stored.message)
    outcome.ok = False
    return outcome


def code_text(error: TaskError) -> str | None:
    """An error's code as it stands in the database."""
    return None if error.error_code is None else str(error.error_code)


def return_result(task: TaskDefinition, returned: object) -> TaskResult[Any, TaskError]:
    """What a direct call gives for what the function returned: validated, not encoded."""
    if not _is_success(returned):
        return TaskResult(err=_returned_error(task, returned))
    try:
        return TaskResult(ok=task.signature.validate_ok(returned.ok))
    except ReturnTypeMismatch as mismatch:
        return TaskResult(err=_mismatch(task, mismatch))
    except Exception as problem:
        return TaskResult(err=_unencodable(task, problem))


def exception_result(task: TaskDefinition, exception: BaseException) -> TaskResult[Any, TaskError]:
    """What a direct call gives for what the function raised."""
    return TaskResult(err=exception_error(task, exception))


def exception_error(task: TaskDefinition, exception: BaseException) -> TaskError:
    """The error of a run that raised: its code by the mappers, then by the default codes (T-51)."""
    code = (
        ContractCode.WORKFLOW_CTX_MISSING_ID
        if isinstance(exception, WorkflowContextMissingIdError)
        else resolve_error_code(
            exception,
            task.exception_mapper,
            task.app_exception_mapper,
            task.default_unhandled_error_code,
            task.app_default_error_code,
        )
    )
    kind = type(exception).__name__
    text = _text_of(exception)
    return TaskError(
        error_code=code,
        message=f"Unhandled exception in task {task.function.__name__}: {kind}{f': {text}' if text else ''}",
        data={"exception_type": kind},
        exception=exception,
    )


def argument_error(task_name: str, problem: Exception) -> TaskError:
    """The error of a run whose arguments could not be decoded (K-38)."""
    return TaskError(
        error_code=OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
        message=f"the arguments of task {task_name!r} cannot be decoded: {problem}",
        exception=problem,
    )


def unknown_task_error(task_name: str) -> TaskError:
    """The error of a run whose task the worker does not know."""
    return TaskError(
        error_code=OperationalErrorCode.WORKER_RESOLUTION_ERROR,
        message=f"this worker knows no task named {task_name!r}; list its module in discover_tasks, "
        "and start the worker anew if the task is new",
    )


def _is_success(returned: object) -> TypeGuard[TaskResult[Any, Any]]:
    return isinstance(returned, TaskResult) and returned.is_ok()


def _returned_error(task: TaskDefinition, returned: object) -> TaskError:
    name = task.function.__name__
    if not isinstance(returned, TaskResult):
        return TaskError(
            error_code=OperationalErrorCode.TASK_EXCEPTION,
            message=f"task {name} returned {_shown(returned)} instead of a TaskResult; return TaskResult(ok=...)",
        )
    error = cast("TaskResult[object, object]", returned).err
    if isinstance(error, TaskError):
        return error
    return TaskError(
        error_code=ContractCode.RETURN_TYPE_MISMATCH,
        message=f"task {name} returned an err of type {type(error).__name__}; it has to be a TaskError",
        data=mismatch_details("err", "TaskError", error),
    )


def _mismatch(task: TaskDefinition, mismatch: ReturnTypeMismatch) -> TaskError:
    return TaskError(
        error_code=ContractCode.RETURN_TYPE_MISMATCH,
        message=f"task {task.function.__name__}: {mismatch}",
        data=mismatch.details,
    )


def _unencodable(task: TaskDefinition, problem: Exception) -> TaskError:
    expected = type_name(task.signature.ok_type)
    return TaskError(
        error_code=OperationalErrorCode.WORKER_SERIALIZATION_ERROR,
        message=f"the value task {task.function.__name__} returned cannot be stored as {expected}: {problem}",
        exception=problem,
    )


def _shown(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _text_of(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception as failure:  # a broken __str__ must not hide the exception it belongs to
        return f"<no text: its __str__ raises {type(failure).__name__}>"
