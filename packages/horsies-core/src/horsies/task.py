"""TaskFunction: what `@app.task` makes of a function. It is called like the function and sent like a task."""

import inspect
from abc import ABC, abstractmethod
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack, cast

from horsies.config.app import AppConfig
from horsies.definition import TaskDefinition
from horsies.handle import TaskHandle
from horsies.outcome import exception_result, return_result
from horsies.result import Err
from horsies.send_errors import TaskSendError, TaskSendResult
from horsies.send_options import Delay, TaskSendOptions, checked_delay
from horsies.send_plan import UNSET, SendChoices, Unset, plan_for
from horsies.sending import Sender, SendHost
from horsies.task_result import TaskError, TaskResult
from horsies.workflow.builder import NodeFactory, NodeOptions
from horsies.workflow.declared_task import DeclaredTask


class TaskFunction[**P, T](DeclaredTask[T], ABC):
    """A task. `P` are the function's parameters, `T` is its success value.

    Calling it runs the function here and now, without queue, codec, retry or row. The other methods put it into the
    queue and report failure as a value.

    Attributes:
        definition: Everything the declaration says, for workers and tools.
        task_name: The name that travels.
        task_queue_name: The queue it goes to unless a send names another.
        task_ok_type: The declared type of the success value.
    """

    def __init__(self, host: SendHost, definition: TaskDefinition) -> None:
        function = definition.function
        self.definition = definition
        self.task_name = definition.name
        self.task_queue_name = definition.queue_name
        self.task_ok_type = definition.signature.ok_type
        self._config: AppConfig = host.config
        self._plan = plan_for(definition, host.config)
        self._sender: Sender[T] = Sender(host, definition)
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        # Not __wrapped__: a task that another decorator wraps must be told from a function that one has wrapped.
        self.__signature__ = definition.signature.inspect_signature

    @abstractmethod
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function here: gives the `TaskResult`, or an awaitable of it if the function is `async def`."""

    @property
    def exception_mapper(self) -> Mapping[type[BaseException], str] | None:
        """Codes of uncaught exceptions by exact class, as given to `@app.task`; read-only."""
        return self.definition.exception_mapper

    @property
    def default_unhandled_error_code(self) -> str | None:
        """The code of uncaught exceptions that no mapper names, as given to `@app.task`."""
        return self.definition.default_unhandled_error_code

    # -- sending

    def send(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """Put the task into its queue; blocks for one round trip to the database.

        Args:
            *args: The function's arguments by position.
            **kwargs: The function's arguments by name.

        Returns:
            `Ok` with a handle, or `Err` with a `TaskSendError`. Nothing is written unless every check passes.

        Example:
            match resize.send(7, width=100):
                case Ok(handle):
                    result = handle.get(timeout_ms=5_000)
                case Err(error):
                    log.warning("not sent: %s", error.code)
        """
        return self._sender.send(self._plan, args, kwargs, None)

    async def send_async(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """As `send`, for event loops."""
        return await self._sender.send_async(self._plan, args, kwargs, None)

    def schedule(self, delay: Delay, /, *args: P.args, **kwargs: P.kwargs) -> TaskSendResult[TaskHandle[T]]:
        """As `send`, to be claimed no sooner than in `delay` seconds.

        Args:
            delay: Whole seconds, or a timedelta (rounded up).
            *args: The function's arguments by position.
            **kwargs: The function's arguments by name.
        """
        seconds = checked_delay(self.task_name, delay)
        if isinstance(seconds, TaskSendError):
            return Err(seconds)
        return self._sender.send(self._plan, args, kwargs, seconds)

    async def schedule_async(
        self, delay: Delay, /, *args: P.args, **kwargs: P.kwargs
    ) -> TaskSendResult[TaskHandle[T]]:
        """As `schedule`, for event loops."""
        seconds = checked_delay(self.task_name, delay)
        if isinstance(seconds, TaskSendError):
            return Err(seconds)
        return await self._sender.send_async(self._plan, args, kwargs, seconds)

    def send_many(self, items: Sequence[Mapping[str, Any]]) -> TaskSendResult[list[TaskHandle[T]]]:
        """Send the task once for each item, all or none, in one statement.

        Args:
            items: The arguments of each, by name.

        Returns:
            `Ok` with the handles in the order of the items, or `Err`; a bad item is named by its index.
        """
        return self._sender.send_many(self._plan, items, None)

    async def send_many_async(
        self, items: Sequence[Mapping[str, Any]]
    ) -> TaskSendResult[list[TaskHandle[T]]]:
        """As `send_many`, for event loops."""
        return await self._sender.send_many_async(self._plan, items, None)

    def with_options(
        self,
        *,
        good_until: datetime | None = None,
        idempotency_key: str | None = None,
        retention_class_key: str | Unset | None = UNSET,
        priority: int | None = None,
        queue_name: str | None = None,
        delay: Delay | None = None,
        connection: object = None,
    ) -> TaskSendOptions[P, T]:
        """The same task with options of the send. Never raises: a bad option fails the send.

        Args:
            good_until: The task must have started by then, else it expires; an aware datetime.
            idempotency_key: A second send of this task with the same key is the first one; up to 255 bytes.
            retention_class_key: How long the finished task is kept: `None` for ever, `"standard_30d"`, or a key
                derived from `RetentionConfig.queue_retention`. Left out: what the queue has.
            priority: 1 (first) to 100.
            queue_name: Another queue of the app; its priority applies unless `priority` is given.
            delay: As in `schedule`.
            connection: The caller's own connection: the task is enqueued in its open transaction and becomes
                visible with the caller's commit. psycopg, SQLAlchemy or Django.
        """
        choices = SendChoices(
            good_until=good_until,
            idempotency_key=idempotency_key,
            retention_class_key=retention_class_key,
            priority=priority,
            queue_name=queue_name,
            delay=delay,
            connection=connection,
        )
        return TaskSendOptions(self._sender, self._plan, choices, self._config)

    # -- workflows

    def node(self, **options: Unpack[NodeOptions]) -> NodeFactory[P, T]:
        """Nodes of a workflow that run this task: the factory takes the task's own arguments, by name.

        Args:
            **options: As in `TaskNode`: `waits_for`, `workflow_ctx_from`, `args_from`, `queue`, `priority`,
                `allow_failed_deps`, `join`, `min_success`, `good_until`, `node_id`, `skip_when`, `run_when`.

        Example:
            a = fetch.node(node_id="a")(url="u")
            b = parse.node()(raw=from_node(a))
        """
        return NodeFactory(self, options)

    # -- sending again

    def retry_send(self, error: TaskSendError) -> TaskSendResult[TaskHandle[T]]:
        """Repeat a failed send: same id, same payload, so it cannot become a second task.

        Args:
            error: What the send returned; its code is `ENQUEUE_FAILED` or `ASYNC_CONTEXT`.
        """
        return self._sender.replay(self._plan, error, delayed=False)

    async def retry_send_async(self, error: TaskSendError) -> TaskSendResult[TaskHandle[T]]:
        """As `retry_send`, for event loops."""
        return await self._sender.replay_async(self._plan, error, delayed=False)

    def retry_schedule(self, error: TaskSendError) -> TaskSendResult[TaskHandle[T]]:
        """Repeat a failed send that was delayed, by `schedule` or by `with_options(delay=...)`.

        Args:
            error: What the send returned; its code is `ENQUEUE_FAILED` or `ASYNC_CONTEXT`.
        """
        return self._sender.replay(self._plan, error, delayed=True)

    async def retry_schedule_async(self, error: TaskSendError) -> TaskSendResult[TaskHandle[T]]:
        """As `retry_schedule`, for event loops."""
        return await self._sender.replay_async(self._plan, error, delayed=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_name!r}>"


class SyncTaskFunction[**P, T](TaskFunction[P, T]):
    """A task made of a `def` function."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[T, TaskError]:
        """Run the function here. What it raises becomes an error by the mappers; `KeyboardInterrupt` propagates."""
        task = self.definition
        function = cast("Callable[P, TaskResult[T, TaskError]]", task.function)
        try:
            returned = function(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as exception:  # SystemExit too: a task cannot end its caller's program
            if _is_misuse(exception):
                raise
            return exception_result(task, exception)
        return return_result(task, returned)


class AsyncTaskFunction[**P, T](TaskFunction[P, T]):
    """A task made of an `async def` function."""

    def __init__(self, host: SendHost, definition: TaskDefinition) -> None:
        super().__init__(host, definition)
        inspect.markcoroutinefunction(self)  # what awaits callables by their kind knows this one too

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskResult[T, TaskError]:
        """Run the function here. What it raises becomes an error by the mappers; a cancellation propagates."""
        task = self.definition
        function = cast("Callable[P, Awaitable[TaskResult[T, TaskError]]]", task.function)
        try:
            returned = await function(*args, **kwargs)
        except (KeyboardInterrupt, CancelledError, GeneratorExit):
            raise
        except BaseException as exception:
            if _is_misuse(exception):
                raise
            return exception_result(task, exception)
        return return_result(task, returned)


def _is_misuse(exception: BaseException) -> bool:
    """Whether the call itself did not fit the parameters: the function's own frame is not in the traceback."""
    trace = exception.__traceback__
    return isinstance(exception, TypeError) and trace is not None and trace.tb_next is None
