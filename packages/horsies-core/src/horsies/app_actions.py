"""The app's methods that act on tasks and queues; `Horsies` inherits them."""

from typing import Protocol

from horsies.actions import (
    QueueState,
    TaskActionResult,
    TaskCancelled,
    cancel_through,
    cancel_through_sync,
    change_queue_through,
    change_queue_through_sync,
)
from horsies.broker import Broker
from horsies.config.app import AppConfig
from horsies.config.queues import CustomQueueConfig


class ActingApp(Protocol):
    """What the methods need of the app."""

    @property
    def config(self) -> AppConfig:
        """Its configuration."""
        ...

    def get_broker(self) -> Broker:
        """Its way to the database."""
        ...


class AppActions:
    """Cancel tasks, pause and resume queues. Nothing here raises for what the database does."""

    __slots__ = ()

    def cancel_task(
        self: ActingApp, task_id: str, *, include_running: bool = False, wait_ms: int = 10_000
    ) -> TaskActionResult[TaskCancelled]:
        """Cancel a task: at once if it is not running; a running one is stopped first, if that is wanted.

        Args:
            task_id: The task's id.
            include_running: Also stop the task if it is running.
            wait_ms: Milliseconds to wait for a running task's stop at most; 0 does not wait.

        Returns:
            `Ok`, with `stopped=False` if the task was asked to stop but has not yet; `Err` with `TASK_NOT_FOUND`,
            `TASK_NOT_CANCELLABLE` and its status, `TASK_IS_WORKFLOW_TASK`, `DB_OPERATION_FAILED`,
            `SCHEMA_INCOMPATIBLE`.
        """
        return cancel_through_sync(self, task_id, include_running=include_running, wait_ms=wait_ms)

    async def cancel_task_async(
        self: ActingApp, task_id: str, *, include_running: bool = False, wait_ms: int = 10_000
    ) -> TaskActionResult[TaskCancelled]:
        """As `cancel_task`, for event loops."""
        return await cancel_through(self, task_id, include_running=include_running, wait_ms=wait_ms)

    def pause_queue(self: ActingApp, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """Stop claiming from a queue, in the whole cluster, until it is resumed.

        Running tasks finish, tasks that a worker holds in advance go back, sending is unaffected.

        Args:
            name: The queue's name.
            by: Who asks, for the record; any text.

        Returns:
            `Ok`; `Err` with `QUEUE_NOT_FOUND`, `DB_OPERATION_FAILED`, `SCHEMA_INCOMPATIBLE`.
        """
        return change_queue_through_sync(self, name, by, paused=True, configured=_configured(self, name))

    async def pause_queue_async(
        self: ActingApp, name: str, by: str | None = None
    ) -> TaskActionResult[QueueState]:
        """As `pause_queue`, for event loops."""
        return await change_queue_through(self, name, by, paused=True, configured=_configured(self, name))

    def resume_queue(self: ActingApp, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """Claim from a queue again; its workers are woken. Arguments and results as those of `pause_queue`."""
        return change_queue_through_sync(self, name, by, paused=False, configured=_configured(self, name))

    async def resume_queue_async(
        self: ActingApp, name: str, by: str | None = None
    ) -> TaskActionResult[QueueState]:
        """As `resume_queue`, for event loops."""
        return await change_queue_through(self, name, by, paused=False, configured=_configured(self, name))


def _configured(app: ActingApp, name: str) -> CustomQueueConfig | None:
    return next((queue for queue in app.config.queues if queue.name == name), None)
