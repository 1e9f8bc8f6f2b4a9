"""TaskHandle: what a send gives back, and the way to the task's result."""

from typing import Unpack, cast

from horsies.actions import TaskActionResult, TaskCancelled, cancel_through, cancel_through_sync
from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.ops.read import StoredResult
from horsies.reading import broker_failure, handle_outcome, without_app
from horsies.result import Err
from horsies.task_info import TaskInfo
from horsies.task_reads import InfoParts, TaskSource, read_info, read_info_async, wait_op
from horsies.task_result import TaskError, TaskResult
from horsies.transient import DATABASE_FAILURES


class TaskHandle[T]:
    """One task that was sent. Needs its id only, so a handle can be made anywhere and any number of times.

    Attributes:
        task_id: The task's id.
        app: The app to ask; `None` for a handle that only carries the id.
        ok_type: Declared type of the success value; `None` if it is not known.
    """

    __slots__ = ("_outcome", "app", "ok_type", "task_id")

    def __init__(
        self,
        task_id: str,
        app: TaskSource | None = None,
        broker_mode: bool = False,
        ok_type: type[T] | None = None,
    ) -> None:
        """Make a handle.

        Args:
            task_id: The task's id.
            app: The app that sent the task, or one on the same database.
            broker_mode: Accepted for older programs; without effect.
            ok_type: The T of the task's `TaskResult[T, TaskError]`.
        """
        self.task_id = task_id
        self.app = app
        self.ok_type = ok_type
        self._outcome: TaskResult[T, TaskError] | None = None

    def get(self, timeout_ms: int | None = None) -> TaskResult[T, TaskError]:
        """Wait for the task to end; blocks the thread, even that of a running event loop.

        Args:
            timeout_ms: Milliseconds to wait at most; `None` waits without limit. A task that does not exist is
                not waited for.

        Returns:
            What the task returned, or an error: `WAIT_TIMEOUT`, `TASK_NOT_FOUND`, `TASK_CANCELLED`,
            `RESULT_NOT_AVAILABLE`, `RESULT_DESERIALIZATION_ERROR`, `NO_TYPE_AVAILABLE`, `BROKER_ERROR`. What
            cannot change any more is remembered.
        """
        if self._outcome is not None:
            return self._outcome
        if self.app is None:
            return self._remember(without_app(self.task_id))
        try:
            broker = self.app.get_broker()
            stored = broker.run(wait_op(broker, self.task_id, timeout_ms))
        except DATABASE_FAILURES as error:
            return broker_failure(self.task_id, error)
        return self._judge(stored)

    async def get_async(self, timeout_ms: int | None = None) -> TaskResult[T, TaskError]:
        """As `get`, for event loops. Cancelling the awaiting task ends the wait and propagates."""
        if self._outcome is not None:
            return self._outcome
        if self.app is None:
            return self._remember(without_app(self.task_id))
        try:
            broker = self.app.get_broker()
            stored = await broker.run_async(wait_op(broker, self.task_id, timeout_ms))
        except DATABASE_FAILURES as error:
            return broker_failure(self.task_id, error)
        return self._judge(stored)

    def info(self, **parts: Unpack[InfoParts]) -> BrokerResult[TaskInfo | None]:
        """Read the task's record.

        Args:
            **parts: `include_result=True` fills `raw_result`, and `decoded_result` if it is an error or the task is
                registered here; `include_failed_reason=True` fills `failed_reason`; `include_attempts=True` fills
                `attempts`.

        Returns:
            The record, `Ok(None)` if there is no such task, or the broker's error.
        """
        return (
            Err(_no_broker(self.task_id)) if self.app is None else read_info(self.app, self.task_id, **parts)
        )

    async def info_async(self, **parts: Unpack[InfoParts]) -> BrokerResult[TaskInfo | None]:
        """As `info`, for event loops."""
        if self.app is None:
            return Err(_no_broker(self.task_id))
        return await read_info_async(self.app, self.task_id, **parts)

    def cancel(
        self, *, include_running: bool = False, wait_ms: int = 10_000
    ) -> TaskActionResult[TaskCancelled]:
        """Cancel the task: at once if it is not running; a running one is stopped first, if that is wanted.

        Args:
            include_running: Also stop the task if it is running.
            wait_ms: Milliseconds to wait for a running task's stop at most; 0 does not wait.

        Returns:
            `Ok`, with `stopped=False` if the task was asked to stop but has not yet; `Err` as `Horsies.cancel_task`.
        """
        return cancel_through_sync(self.app, self.task_id, include_running=include_running, wait_ms=wait_ms)

    async def cancel_async(
        self, *, include_running: bool = False, wait_ms: int = 10_000
    ) -> TaskActionResult[TaskCancelled]:
        """As `cancel`, for event loops."""
        return await cancel_through(self.app, self.task_id, include_running=include_running, wait_ms=wait_ms)

    def __repr__(self) -> str:
        return f"TaskHandle({self.task_id!r})"

    def _judge(self, stored: StoredResult | None) -> TaskResult[T, TaskError]:
        outcome, final = handle_outcome(stored, self.task_id, self.ok_type)
        result = cast("TaskResult[T, TaskError]", outcome)
        return self._remember(result) if final else result

    def _remember(self, result: TaskResult[T, TaskError]) -> TaskResult[T, TaskError]:
        self._outcome = result
        return result


def _no_broker(task_id: str) -> BrokerOperationError:
    message = f"this handle of task {task_id} belongs to no app; make it with TaskHandle(task_id, app)"
    return BrokerOperationError(BrokerErrorCode.NO_BROKER, message)
