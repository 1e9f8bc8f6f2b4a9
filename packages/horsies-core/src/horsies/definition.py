"""TaskDefinition: what `@app.task` knows about a task once every check has passed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from horsies.codec.signature import TaskSignature, read_signature
from horsies.config.app import AppConfig
from horsies.errors.diagnostic import SourceLocation
from horsies.retry import RetryPolicy
from horsies.task_options import check_task


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A task as it was declared, defaults filled in.

    Attributes:
        name: The name that travels.
        function: The user's function.
        signature: Its parameters and result type, ready to encode and decode.
        queue_name: Where its rows go.
        retry_policy: When it is retried; its codes include those of the decorator.
        exception_mapper: The task's own mapper.
        default_unhandled_error_code: The task's own default code.
        timeout_ms: How long a run may take.
        executor: `process`, `thread`, `async`, or `None` for the worker's choice.
        location: First line of the function.
        app_exception_mapper: The app's mapper, asked after the task's own.
        app_default_error_code: The code of exceptions that nothing else names.
    """

    name: str
    function: Callable[..., Any]
    signature: TaskSignature
    queue_name: str
    retry_policy: RetryPolicy | None
    exception_mapper: Mapping[type[BaseException], str] | None
    default_unhandled_error_code: str | None
    timeout_ms: int | None
    executor: str | None
    location: SourceLocation | None
    app_exception_mapper: Mapping[type[BaseException], str]
    app_default_error_code: str


def define_task(
    task_name: str, function: Callable[..., Any], options: Mapping[str, Any], config: AppConfig
) -> TaskDefinition:
    """Check a declaration and read its signature.

    Raises:
        TaskDefinitionError: HRS-100 to HRS-102, HRS-104, HRS-105, HRS-209.
        ConfigurationError: HRS-200, HRS-103.
    """
    checked = check_task(task_name, function, options, config)
    return TaskDefinition(
        name=task_name,
        function=function,
        signature=read_signature(function, task_name, keyword_only=config.keyword_only_tasks),
        queue_name=checked.queue_name,
        retry_policy=checked.retry_policy,
        exception_mapper=checked.exception_mapper,
        default_unhandled_error_code=checked.default_unhandled_error_code,
        timeout_ms=checked.timeout_ms,
        executor=checked.executor,
        location=SourceLocation.from_function(cast("object", function)),
        app_exception_mapper=config.exception_mapper,
        app_default_error_code=config.default_unhandled_error_code,
    )
