"""The options of `@app.task` and their checks, in the order in which the first wrong one is reported."""

import inspect
from collections.abc import Mapping
from types import FunctionType, MappingProxyType
from typing import Any, Literal, Never, TypedDict, cast

from horsies.config.app import AppConfig
from horsies.config.queues import DEFAULT_QUEUE, RESERVED_PREFIX, QueueMode
from horsies.errors.catalogue import ErrorCode
from horsies.errors.codes import BuiltInTaskCode
from horsies.errors.diagnostic import ConfigurationError, SourceLocation, TaskDefinitionError
from horsies.exception_mapper import validate_error_code, validate_exception_mapper
from horsies.retry import RetryPolicy, validate_retry_codes
from horsies.storable import unstorable

type ExecutorKind = Literal["process", "thread"]

MAX_NAME_LENGTH = 255
MIN_TIMEOUT_MS = 1000
MAX_TIMEOUT_MS = 2**31 - 1


class TaskOptions(TypedDict, total=False):
    """What `@app.task` accepts besides the name; see `Horsies.task`."""

    queue_name: str | None
    retry_policy: RetryPolicy | None
    exception_mapper: Mapping[type[BaseException], str] | None
    default_unhandled_error_code: str | None
    timeout_ms: int | None
    executor: ExecutorKind | Literal["async"] | None
    auto_retry_for: list[BuiltInTaskCode | str] | list[str] | None


class CheckedOptions:
    """The options of one task after all checks; the retry policy holds the codes of both spellings."""

    __slots__ = (
        "default_unhandled_error_code",
        "exception_mapper",
        "executor",
        "queue_name",
        "retry_policy",
        "timeout_ms",
    )

    def __init__(self, options: TaskOptions, function: FunctionType, policy: RetryPolicy | None) -> None:
        self.queue_name = options.get("queue_name") or DEFAULT_QUEUE
        self.retry_policy = policy
        mapper = options.get("exception_mapper")
        self.exception_mapper = None if mapper is None else MappingProxyType(dict(mapper))
        self.default_unhandled_error_code = options.get("default_unhandled_error_code")
        self.timeout_ms = options.get("timeout_ms")
        self.executor = "async" if inspect.iscoroutinefunction(function) else options.get("executor")


def check_task(
    task_name: object, function: object, options: Mapping[str, Any], config: AppConfig
) -> CheckedOptions:
    """Check a declaration up to its signature.

    Args:
        task_name: First argument of the decorator.
        function: What is decorated.
        options: The keyword arguments as given.
        config: The app's configuration: queues.

    Returns:
        The options, with their defaults filled in.

    Raises:
        TaskDefinitionError: HRS-102 or HRS-209.
        ConfigurationError: HRS-200 or HRS-103.
    """
    task = _Declaration(task_name, function, options)
    plain = task.check_function()
    policy = task.merge_policy()
    task.check_deadline()
    task.check_mapper()
    task.check_values(inspect.iscoroutinefunction(plain))
    task.check_retry_codes(policy)
    check_queue(task.text("queue_name"), config, location=task.location)
    return CheckedOptions(cast("TaskOptions", options), plain, policy)


def check_queue(queue_name: str | None, config: AppConfig, *, location: SourceLocation | None = None) -> None:
    """Check that tasks of this app may go to a queue.

    Args:
        queue_name: The queue; `None` where none was named.
        config: The app's configuration.
        location: Where the mistake is; found from the call stack if not given.

    Raises:
        ConfigurationError: HRS-200, or HRS-103 for a queue that is not configured.
    """
    if config.queue_mode is QueueMode.DEFAULT:
        if queue_name not in (None, DEFAULT_QUEUE):
            raise ConfigurationError(
                f"queue_name {queue_name!r} given, but the app has the one queue 'default'",
                code=ErrorCode.CONFIG_INVALID_QUEUE_MODE,
                location=location,
                help_text="leave queue_name out, or configure queue_mode=QueueMode.CUSTOM with custom_queues=[...]",
            )
        return
    names = config.queue_names
    if queue_name is None:
        raise ConfigurationError(
            "no queue_name given, but the app's queue_mode is CUSTOM",
            code=ErrorCode.CONFIG_INVALID_QUEUE_MODE,
            location=location,
            notes=[f"valid queues: {names}"],
            help_text="name one of the configured queues: queue_name=...",
        )
    if queue_name not in names:
        raise ConfigurationError(
            f"invalid queue_name {queue_name!r}",
            code=ErrorCode.TASK_INVALID_QUEUE,
            location=location,
            notes=[f"valid queues: {names}"],
            help_text="use one of the configured queue names",
        )


def queue_priority(queue_name: str, config: AppConfig) -> int:
    """The priority that rows of a queue take unless a send sets one."""
    return next(queue.priority for queue in config.queues if queue.name == queue_name)


class _Declaration:
    """One use of the decorator, while it is checked."""

    def __init__(self, task_name: object, function: object, options: Mapping[str, Any]) -> None:
        self.name = task_name
        self.function = function
        self.options = options
        self.location = SourceLocation.from_function(function)

    def refuse(self, problem: str, help_text: str) -> Never:
        raise TaskDefinitionError(
            f"task {self.name!r}: {problem}",
            code=ErrorCode.TASK_INVALID_OPTIONS,
            location=self.location,
            help_text=help_text,
        )

    def text(self, option: str) -> str | None:
        value: str | None = self.options.get(option)
        return value

    def check_function(self) -> FunctionType:
        problem = name_problem(self.name)
        if problem is not None:
            self.refuse(f"the task name {problem}", "pass a name of your own: @app.task('send_receipt')")
        function = self.function
        plain = isinstance(function, FunctionType) and not (
            inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        )
        if not plain:
            self.refuse(
                f"{_kind(function)} is not a plain def or async def function",
                "decorate the function itself; inside it you may call methods, partials and generators",
            )
        return cast("FunctionType", function)

    def merge_policy(self) -> RetryPolicy | None:
        policy = self.options.get("retry_policy")
        codes = self.options.get("auto_retry_for")
        if codes is not None:
            if policy is None:
                self.refuse(
                    "auto_retry_for without retry_policy",
                    "say when to retry: retry_policy=RetryPolicy.fixed([5, 30])",
                )
            problem = validate_retry_codes(codes)
            if problem is not None:
                self.refuse(problem, 'name error codes: auto_retry_for=["STORE_BUSY"]')
        # The policy's own type is checked with the other options; what is no policy stays as it is until then.
        return policy.with_auto_retry_for(codes) if isinstance(policy, RetryPolicy) else policy

    def check_deadline(self) -> None:
        if self.options.get("good_until") is not None:
            self.refuse(
                "good_until is not an option of the task: a deadline belongs to one send",
                "give it at the send: task.with_options(good_until=...).send(...),\n"
                "or to a workflow node: task.node(good_until=...)(...)",
            )

    def check_mapper(self) -> None:
        mapper = self.options.get("exception_mapper")
        default = self.options.get("default_unhandled_error_code")
        problems: list[str] = []
        if isinstance(mapper, Mapping):
            problems += validate_exception_mapper(cast("Mapping[object, object]", mapper))
        elif mapper is not None:
            problems.append(f"exception_mapper is a dict of exception classes to codes, not {_kind(mapper)}")
        if default is not None:
            problem = validate_error_code(default)
            problems += [f"default_unhandled_error_code: {problem}"] if problem is not None else []
        if problems:
            raise TaskDefinitionError(
                f"task {self.name!r}: {problems[0]}",
                code=ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER,
                location=self.location,
                notes=problems[1:],
                help_text='map exception classes to codes: exception_mapper={TimeoutError: "STORE_TIMEOUT"}',
            )

    def check_values(self, is_async: bool) -> None:
        options = self.options
        unknown = [
            name for name in options if name not in TaskOptions.__annotations__ and name != "good_until"
        ]
        if unknown:
            self.refuse(
                f"unknown option {unknown[0]!r}", f"the options are: {', '.join(TaskOptions.__annotations__)}"
            )
        queue, policy = options.get("queue_name"), options.get("retry_policy")
        if not (queue is None or isinstance(queue, str)):
            self.refuse(f"queue_name is a string, not {_kind(queue)}", "name the queue: queue_name='mail'")
        if not (policy is None or isinstance(policy, RetryPolicy)):
            self.refuse(
                f"retry_policy is a RetryPolicy, not {_kind(policy)}",
                "build one: RetryPolicy.fixed([5, 30], auto_retry_for=[...])",
            )
        self._check_timeout(options.get("timeout_ms"))
        self._check_executor(options.get("executor"), is_async)

    def check_retry_codes(self, policy: RetryPolicy | None) -> None:
        if policy is not None and not policy.auto_retry_for:
            self.refuse(
                "the retry policy names no error codes to retry",
                'name them: RetryPolicy.fixed([5, 30], auto_retry_for=["STORE_BUSY"])',
            )

    def _check_timeout(self, timeout_ms: object) -> None:
        if timeout_ms is None:
            return
        if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int):
            self.refuse(
                f"timeout_ms is a number of milliseconds, not {_kind(timeout_ms)}", "e.g. timeout_ms=120_000"
            )
        if not MIN_TIMEOUT_MS <= timeout_ms <= MAX_TIMEOUT_MS:
            self.refuse(
                f"timeout_ms is {timeout_ms}, outside of {MIN_TIMEOUT_MS} to {MAX_TIMEOUT_MS}",
                "the unit is milliseconds; e.g. timeout_ms=120_000 for two minutes",
            )

    def _check_executor(self, executor: object, is_async: bool) -> None:
        allowed = ("async",) if is_async else ("process", "thread")
        if executor is not None and executor not in allowed:
            self.refuse(
                f"executor {executor!r} does not fit {'an async def' if is_async else 'a def'} task",
                "leave it out: async def tasks run on an event loop"
                if is_async
                else "use executor='process' or executor='thread', or leave it out",
            )


def name_problem(task_name: object) -> str | None:
    """Tell what is wrong with a task name.

    Args:
        task_name: What the user gave.

    Returns:
        The complaint ("is empty"), or `None` when the name is fine.
    """
    if not isinstance(task_name, str):
        return f"is a string, not {_kind(task_name)}"
    if not task_name:
        return "is empty"
    if len(task_name) > MAX_NAME_LENGTH:
        return f"has {len(task_name)} characters; {MAX_NAME_LENGTH} is the most"
    if unstorable(task_name) is not None:
        return "holds a character that PostgreSQL cannot store"
    if task_name.startswith(RESERVED_PREFIX):
        return f"begins with {RESERVED_PREFIX!r}, which is reserved for the library"
    return None


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
