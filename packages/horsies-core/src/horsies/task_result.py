"""What a task returns: `TaskResult`, and the error that a failed one carries."""

import traceback
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, cast, final, overload

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

from horsies.errors.codes import BUILTIN_CODE_REGISTRY, BuiltInTaskCode
from horsies.state import WorkflowStatus

BUILTIN_CODE_KEY = "__builtin_task_code__"
"""The only key of the dict that stands for a built-in code in dumps and on the wire."""

_ABSENT: Any = object()


def _load_error_code(value: object) -> BuiltInTaskCode | str | None:
    if value is None or isinstance(value, BuiltInTaskCode):
        return value
    if isinstance(value, dict):
        return _load_builtin_code(cast("dict[object, object]", value))
    if isinstance(value, Enum):
        kind = _kind(value)
        raise ValueError(
            f"pass the plain string {value.value!r} as error_code, not the member {kind}.{value.name}"
        )
    if not isinstance(value, str):
        raise ValueError(f"error_code must be a str or a built-in code, not {_kind(value)}")
    builtin = BUILTIN_CODE_REGISTRY.get(value)
    if builtin is not None:
        raise ValueError(
            f"{value!r} is a code of the library: pass the member {type(builtin).__name__}.{builtin.name}"
        )
    return value


def _kind(value: object) -> str:
    return type(value).__name__


def _load_builtin_code(value: dict[object, object]) -> BuiltInTaskCode:
    name = value.get(BUILTIN_CODE_KEY)
    builtin = BUILTIN_CODE_REGISTRY.get(name) if isinstance(name, str) else None
    if builtin is None or len(value) != 1:
        raise ValueError(
            f'error_code as a dict must be {{"{BUILTIN_CODE_KEY}": "<value of a built-in code>"}}'
        )
    return builtin


def _dump_error_code(value: BuiltInTaskCode | str | None) -> dict[str, str] | str | None:
    return {BUILTIN_CODE_KEY: value.value} if isinstance(value, BuiltInTaskCode) else value


def _load_exception(value: object) -> BaseException | dict[str, Any] | None:
    if value is None or isinstance(value, BaseException):
        return value
    if isinstance(value, dict):
        flat = cast("dict[object, object]", value)
        if all(isinstance(key, str) for key in flat):
            return cast("dict[str, Any]", flat)
    raise ValueError("exception must be an exception or its flattened dict with text keys")


def _dump_exception(value: BaseException | dict[str, Any] | None) -> dict[str, Any] | None:
    return flatten_exception(value) if isinstance(value, BaseException) else value


class TaskError(BaseModel):
    """Why a task failed. Every field may be left out.

    Attributes:
        error_code: A built-in code member, or your own code as a plain string.
        message: What went wrong, for a person.
        data: Anything that travels (JSON data, datetimes, models).
        exception: The exception that was the cause; once stored and loaded, the dict of `flatten_exception`.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    error_code: Annotated[
        BuiltInTaskCode | str | None, PlainValidator(_load_error_code), PlainSerializer(_dump_error_code)
    ] = None
    message: str | None = None
    data: Any = None
    exception: Annotated[
        BaseException | dict[str, Any] | None,
        PlainValidator(_load_exception),
        PlainSerializer(_dump_exception, when_used="json"),
    ] = None


class SubWorkflowSummary(BaseModel):
    """How a child workflow ended, in numbers.

    Attributes:
        status: Its final status.
        output: Its output if that is a success, else `None`.
        total_tasks: How many nodes it has.
        completed_tasks: How many of them succeeded.
        failed_tasks: How many of them failed.
        skipped_tasks: How many of them were skipped.
        error_summary: Message of its error, if it has one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: WorkflowStatus
    output: Any = None
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    skipped_tasks: int
    error_summary: str | None = None


class SubWorkflowError(TaskError):
    """Why a node that runs a child workflow failed.

    Attributes:
        sub_workflow_id: Id of the child workflow.
        sub_workflow_summary: How it ended.
    """

    sub_workflow_id: str
    sub_workflow_summary: SubWorkflowSummary


@final
class TaskResult[T, E]:
    """The outcome of a task: a success value, or an error.

    Exactly one of `ok=` and `err=` is given; `ok=None` is a success without a value.

    Example:
        >>> TaskResult(ok=3).unwrap()
        3

    Raises:
        ValueError: Both keywords were given, or neither.
    """

    __slots__ = ("_err", "_is_err", "_ok")
    _ok: T | None
    _err: E | None
    _is_err: bool

    @overload
    def __init__(self, *, ok: T) -> None: ...
    @overload
    def __init__(self, *, err: E) -> None: ...
    def __init__(self, *, ok: Any = _ABSENT, err: Any = _ABSENT) -> None:
        if (ok is _ABSENT) == (err is _ABSENT):
            raise ValueError("TaskResult needs exactly one of ok= and err=")
        if err is _ABSENT:
            self._ok = ok
            self._err = None
            self._is_err = False
        else:
            self._ok = None
            self._err = err
            self._is_err = True

    def is_ok(self) -> bool:
        """Whether the task succeeded."""
        return not self._is_err

    def is_err(self) -> bool:
        """Whether the task failed."""
        return self._is_err

    @property
    def ok(self) -> T | None:
        """The success value; `None` on failure."""
        return self._ok

    @property
    def err(self) -> E | None:
        """The error; `None` on success."""
        return self._err

    @property
    def ok_value(self) -> T:
        """The success value.

        Raises:
            ValueError: The task failed.
        """
        return self.unwrap()

    @property
    def err_value(self) -> E:
        """The error.

        Raises:
            ValueError: The task succeeded.
        """
        return self.unwrap_err()

    def unwrap(self) -> T:
        """The success value.

        Raises:
            ValueError: The task failed.
        """
        if self._is_err:
            raise ValueError(f"the task failed, there is no value: {_describe(self._err)}")
        return cast("T", self._ok)

    def unwrap_err(self) -> E:
        """The error.

        Raises:
            ValueError: The task succeeded.
        """
        if not self._is_err:
            raise ValueError("the task succeeded, there is no error")
        return cast("E", self._err)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskResult):
            return NotImplemented
        that = cast("TaskResult[object, object]", other)
        return self._is_err == that._is_err and self._ok == that._ok and self._err == that._err

    def __hash__(self) -> int:
        return hash((TaskResult, self._is_err, self._ok, self._err))

    def __repr__(self) -> str:
        return f"TaskResult(err={self._err!r})" if self._is_err else f"TaskResult(ok={self._ok!r})"


def _describe(error: object) -> str:
    if isinstance(error, TaskError):
        return f"error_code={error.error_code!s}, message={error.message!r}"
    return repr(error)


def flatten_exception(exception: BaseException) -> dict[str, str]:
    """An exception as five texts: `type`, `module`, `message`, `repr`, `traceback`.

    Never fails, whatever the exception's own methods do; a text that cannot be had says so. The texts hold
    nothing that UTF-8 cannot carry.
    """
    kind = type(exception)
    return {
        "type": _text(lambda: kind.__name__),
        "module": _text(lambda: kind.__module__),
        "message": _text(lambda: str(exception)),
        "repr": _text(lambda: repr(exception)),
        "traceback": _text(lambda: "".join(traceback.format_exception(exception))),
    }


def _text(read: Callable[[], str]) -> str:
    try:
        return str.encode(read(), "utf-8", "backslashreplace").decode("utf-8")
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # also SystemExit: a broken __str__ must not end the worker
        return f"<unavailable: {type(failure).__name__}>"
