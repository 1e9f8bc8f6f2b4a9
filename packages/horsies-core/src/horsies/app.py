"""Horsies: the application. It knows the configuration and the tasks, and owns the one broker of its process."""

import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol, Unpack, cast, overload

from horsies.app_actions import AppActions
from horsies.app_checks import ProcessRole, run_checks
from horsies.app_health import AppHealth
from horsies.app_schedules import AppSchedules
from horsies.broker import Broker
from horsies.broker_errors import BrokerResult
from horsies.config.app import AppConfig
from horsies.db.connect import begin_anew_after_fork
from horsies.definition import define_task
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import (
    ConfigurationError,
    HorsiesError,
    SourceLocation,
    TaskDefinitionError,
    nearest_user_location,
)
from horsies.locate import expand_module_globs, import_task_modules
from horsies.registry import Registry
from horsies.task import AsyncTaskFunction, SyncTaskFunction, TaskFunction
from horsies.task_info import TaskInfo
from horsies.task_options import TaskOptions, name_problem
from horsies.task_reads import (
    InfoParts,
    read_info,
    read_info_async,
    read_raw,
    read_raw_async,
    read_typed,
    read_typed_async,
)
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.app_part import WorkflowMethods

_logger = logging.getLogger("horsies.app")


class TaskDecorator(Protocol):
    """What `app.task(name, ...)` returns: turns a function into a task."""

    @overload
    def __call__[**P, T](
        self, function: Callable[P, Coroutine[Any, Any, TaskResult[T, TaskError]]], /
    ) -> AsyncTaskFunction[P, T]: ...
    @overload
    def __call__[**P, T](
        self, function: Callable[P, TaskResult[T, TaskError]], /
    ) -> SyncTaskFunction[P, T]: ...


class Horsies(AppActions, AppHealth, AppSchedules, WorkflowMethods):
    """An application: configuration, tasks, and the way to the database.

        app = Horsies(AppConfig(broker=PostgresConfig(database_url="postgresql://app:secret@db/jobs")))

    Building it opens no connection.

    Attributes:
        config: The configuration.
        role: What this process does with the app; workers and schedulers set it before they check the app.
        modules_listed_at: Where `discover_tasks` was called last, for messages about the list.
    """

    def __init__(self, config: AppConfig, *, run_schema_migrations: bool = True) -> None:
        """Make an app.

        Args:
            config: The configuration.
            run_schema_migrations: Create or upgrade the database schema at the first use, as far as that is safe
                while older programs run.
        """
        if not isinstance(cast("object", config), AppConfig):
            raise ConfigurationError(
                f"Horsies takes an AppConfig, not a {type(config).__name__}",
                help_text="app = Horsies(AppConfig(broker=PostgresConfig(database_url=...)))",
            )
        super().__init__()
        self.config = config
        self.role: ProcessRole = "producer"
        self._may_migrate = run_schema_migrations
        self._tasks: Registry[TaskFunction[..., Any]] = Registry()
        self._modules: list[str] | None = None
        self.modules_listed_at: SourceLocation | None = None
        self._child_hooks: list[Callable[[], object]] = []
        self._broker: Broker | None = None
        self._lock = threading.Lock()
        begin_anew_after_fork(self)

    # -- declaring

    @overload
    def task[**P, T](
        self,
        task_name: str,
        fn: Callable[P, Coroutine[Any, Any, TaskResult[T, TaskError]]],
        **options: Unpack[TaskOptions],
    ) -> AsyncTaskFunction[P, T]: ...
    @overload
    def task[**P, T](
        self, task_name: str, fn: Callable[P, TaskResult[T, TaskError]], **options: Unpack[TaskOptions]
    ) -> SyncTaskFunction[P, T]: ...
    @overload
    def task(self, task_name: str, **options: Unpack[TaskOptions]) -> TaskDecorator: ...
    def task(self, task_name: str, fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make a task of a function that returns a `TaskResult[T, TaskError]`.

            @app.task("resize", retry_policy=RetryPolicy.fixed([5, 30], auto_retry_for=["STORE_BUSY"]))
            def resize(image_id: int, *, width: int = 800) -> TaskResult[str, TaskError]:
                return TaskResult(ok=f"{image_id}@{width}")

        Args:
            task_name: The name that travels; up to 255 characters, unique in the app.
            fn: The function, for use without `@`.
            **options: `queue_name`: where it goes, in `QueueMode.CUSTOM`. `retry_policy`: when it is retried.
                `auto_retry_for`: error codes to retry, beside those of the policy. `exception_mapper`: exception
                class to error code. `default_unhandled_error_code`: for exceptions that nothing else names.
                `timeout_ms`: how long a run may take, 1000 or more. `executor`: `"process"` or `"thread"`.

        Returns:
            A `TaskFunction`, or a decorator that makes one.

        Raises:
            TaskDefinitionError: HRS-100 to HRS-102, HRS-104, HRS-105, HRS-209.
            ConfigurationError: HRS-200, HRS-103.
            DuplicateTaskNameError: HRS-301.
        """
        if fn is not None:
            return self._define(task_name, fn, options)
        if not isinstance(cast("object", task_name), str):
            raise TaskDefinitionError(
                f"the task name {name_problem(task_name)}",
                code=ErrorCode.TASK_INVALID_OPTIONS,
                location=SourceLocation.from_function(task_name),
                help_text="name the task: @app.task('send_receipt')",
            )

        def decorate(function: Callable[..., Any]) -> TaskFunction[..., Any]:
            return self._define(task_name, function, options)

        return decorate

    def _define(
        self, task_name: str, function: Callable[..., Any], options: Mapping[str, Any]
    ) -> TaskFunction[..., Any]:
        definition = define_task(task_name, function, options, self.config)
        task: TaskFunction[..., Any] = (
            AsyncTaskFunction(self, definition)
            if definition.signature.is_async
            else SyncTaskFunction(self, definition)
        )
        return self._tasks.register(task_name, task, definition.location)

    @property
    def tasks(self) -> Mapping[str, TaskFunction[..., Any]]:
        """The registered tasks by name; an unknown name raises `NotRegistered` (a `KeyError`)."""
        return self._tasks

    def list_tasks(self) -> list[str]:
        """The registered names, in the order of their registration."""
        return list(self._tasks)

    def ok_type_of(self, task_name: str) -> Any:
        """The declared type of a task's success value; `None` if no such task is registered here."""
        task = self._tasks.find(task_name)
        return None if task is None else task.task_ok_type

    def get_valid_queue_names(self) -> list[str]:
        """The queues that tasks of this app may go to."""
        return self.config.queue_names

    # -- task modules

    def discover_tasks(self, modules: Sequence[str]) -> None:
        """List the modules that define tasks, for workers to import. Imports nothing.

        Args:
            modules: Dotted names or paths of `.py` files. A second call replaces the list.
        """
        if self._modules is not None:
            _logger.warning(
                "discover_tasks was called again; the list of %d modules is replaced", len(self._modules)
            )
        self._modules = list(modules)
        self.modules_listed_at = nearest_user_location()

    def get_discovered_task_modules(self) -> list[str]:
        """A copy of the list that `discover_tasks` was given."""
        return list(self._modules or ())

    def import_task_modules(self, modules: Iterable[str] | None = None) -> list[ModuleType]:
        """Import task modules, in order; packages are not searched.

        Args:
            modules: Dotted names or paths of `.py` files; left out: those of `discover_tasks`.

        Returns:
            The modules.

        Raises:
            ConfigurationError: HRS-206, there is no such module or file.
            Exception: What a module raises while it is imported.
        """
        return import_task_modules(self.get_discovered_task_modules() if modules is None else modules)

    @staticmethod
    def expand_module_globs(patterns: Sequence[str], exclude: Sequence[str] | None = None) -> list[str]:
        """Turn file patterns into the files they match, for `discover_tasks`.

        Args:
            patterns: Paths with `*`, `?`, `[ ]` and `**`; dotted names, which are kept.
            exclude: Patterns of paths and file names to leave out; by default the usual names of test files.

        Returns:
            Absolute real paths of existing `.py` files and dotted names, each once, in order.
        """
        return expand_module_globs(patterns, exclude)

    def on_child_process_start[F: Callable[[], object]](self, fn: F) -> F:
        """Register a function to run in each executor process before it takes tasks; usable as a decorator.

        Args:
            fn: A sync callable without arguments; the same one twice counts once.

        Returns:
            The function.

        Raises:
            ConfigurationError: HRS-214, it is not callable or is async.
        """
        given: object = fn
        if not callable(given) or _is_async(given):
            raise ConfigurationError(
                f"on_child_process_start takes a sync function without arguments, not {given!r}",
                code=ErrorCode.CONFIG_INVALID_CHILD_HOOK,
                location=SourceLocation.from_function(given),
                help_text="the hook runs before the process has an event loop; use a plain def",
            )
        if not any(hook is fn for hook in self._child_hooks):
            self._child_hooks.append(fn)
        return fn

    def get_child_process_start_hooks(self) -> list[Callable[[], object]]:
        """A copy of the hooks, in order."""
        return list(self._child_hooks)

    # -- the database

    def get_broker(self) -> Broker:
        """The broker of this app in this process; made at the first call, connected at its first use.

        Raises:
            HorsiesError: HRS-211, it could not be made.
        """
        return self._broker or self._make_broker()

    def schedule_database(self) -> Broker:
        """The broker, for the calls about schedules."""
        return self.get_broker()

    def _make_broker(self) -> Broker:
        with self._lock:
            if self._broker is None:
                try:
                    broker = Broker(self.config.broker, run_schema_migrations=self._may_migrate)
                    self._broker = self._adopt(broker)
                except Exception as error:
                    raise HorsiesError(
                        f"the broker could not be made: {error}",
                        code=ErrorCode.BROKER_INIT_FAILED,
                        help_text="check AppConfig.broker",
                    ) from error
            return self._broker

    def swap_broker(self, broker: Broker | None) -> Broker | None:
        """Put another broker in the place of this process's own, for tests (`horsies.testing.on_database`).

        Args:
            broker: The new one; `None`: one by the configuration, made when it is needed.

        Returns:
            The one there was, still open.
        """
        with self._lock:
            before, self._broker = self._broker, None if broker is None else self._adopt(broker)
        return before

    def _adopt(self, broker: Broker) -> Broker:
        broker.retention = self.config.retention
        broker.ok_type_of = self.ok_type_of
        return broker

    def after_fork(self) -> None:
        """In a forked child: a broker of its own, made when it is needed; the parent's is left alone."""
        self._lock = threading.Lock()
        self._broker = None

    def get_result(
        self, task_id: str, timeout_ms: int | None = None
    ) -> BrokerResult[TaskResult[Any, TaskError]]:
        """Wait for a task's result, decoded by the type its registration declares.

        Args:
            task_id: The task's id.
            timeout_ms: Milliseconds to wait at most; `None` waits without limit.

        Returns:
            `Ok` with the task's result, or with an error `TASK_NOT_FOUND`, `TASK_CANCELLED`, `WAIT_TIMEOUT`,
            `RESULT_NOT_AVAILABLE`; `Err` with `NO_TYPE_AVAILABLE`, `INVALID_JSON_PAYLOAD`, `TASK_INFO_QUERY_FAILED`.
        """
        return read_typed(self, task_id, timeout_ms)

    async def get_result_async(
        self, task_id: str, timeout_ms: int | None = None
    ) -> BrokerResult[TaskResult[Any, TaskError]]:
        """As `get_result`, for event loops."""
        return await read_typed_async(self, task_id, timeout_ms)

    def get_raw_result(
        self, task_id: str, timeout_ms: int | None = None
    ) -> BrokerResult[dict[str, Any] | None]:
        """Wait for a task's end and read the stored envelope without decoding it; `None` if there is none.

        Args:
            task_id: The task's id.
            timeout_ms: Milliseconds to wait at most; `None` waits without limit.
        """
        return read_raw(self, task_id, timeout_ms)

    async def get_raw_result_async(
        self, task_id: str, timeout_ms: int | None = None
    ) -> BrokerResult[dict[str, Any] | None]:
        """As `get_raw_result`, for event loops."""
        return await read_raw_async(self, task_id, timeout_ms)

    def get_task_info(self, task_id: str, **parts: Unpack[InfoParts]) -> BrokerResult[TaskInfo | None]:
        """Read a task's record; `Ok(None)` if there is none.

        Args:
            task_id: The task's id.
            **parts: `include_result`, `include_failed_reason`, `include_attempts`: what to read besides.
        """
        return read_info(self, task_id, **parts)

    async def get_task_info_async(
        self, task_id: str, **parts: Unpack[InfoParts]
    ) -> BrokerResult[TaskInfo | None]:
        """As `get_task_info`, for event loops."""
        return await read_info_async(self, task_id, **parts)

    # -- checking

    def check(self, *, live: bool = False) -> list[HorsiesError]:
        """Look for mistakes: configuration, task modules, workflows, error codes, schedules; nothing is sent meanwhile.

        Args:
            live: Also connect to the database.

        Returns:
            The errors of the first phase that found any; empty if all is well.
        """
        return run_checks(self, live=live)


def _is_async(hook: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
