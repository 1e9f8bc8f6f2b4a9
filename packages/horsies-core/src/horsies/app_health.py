"""The app's calls about health and recovery: those of its broker, with the registered retry policies at hand."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from horsies.broker import Broker
from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.errors.diagnostic import HorsiesError
from horsies.ops.health import DatabasePing, QueueStats, WorkerPong
from horsies.result import Err
from horsies.retry import RetryPolicy
from horsies.task import TaskFunction
from horsies.worker_state import WorkerStateSnapshot

_PING = BrokerErrorCode.DB_PING_FAILED
_PING_WORKERS = BrokerErrorCode.WORKER_PING_FAILED
_QUERY = BrokerErrorCode.MONITORING_QUERY_FAILED
_CLEANUP = BrokerErrorCode.CLEANUP_FAILED


class AppHealth(ABC):
    """Mixed into `Horsies`. See `BrokerHealth` for what each call does."""

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, TaskFunction[..., Any]]:
        """The registered tasks by name."""

    @abstractmethod
    def get_broker(self) -> Broker:
        """The broker of this app in this process."""

    def registered_policy(self, task_name: str) -> RetryPolicy | None:
        """The retry policy of a task that is registered here; None if there is none."""
        task = self.tasks.get(task_name)
        return None if task is None else task.definition.retry_policy

    # -- health

    def ping_database(self) -> BrokerResult[DatabasePing]:
        """Ask the database for one round trip through the pool."""
        return self._of_broker(_PING, lambda broker: broker.ping_database())

    async def ping_database_async(self) -> BrokerResult[DatabasePing]:
        """As `ping_database`."""
        return await self._of_broker_async(_PING, lambda broker: broker.ping_database_async())

    def ping_workers(
        self,
        *,
        target_worker_id: str | None = None,
        timeout_seconds: float = 2.0,
        min_responses: int | None = None,
    ) -> BrokerResult[list[WorkerPong]]:
        """Ask the running workers to answer; those that are stuck or cut off from the database do not.

        Args:
            target_worker_id: Ask this worker only, and return as soon as it answered.
            timeout_seconds: How long to wait, above 0; `Ok([])` if nobody answered by then.
            min_responses: Return as soon as so many workers answered.
        """
        return self._of_broker(
            _PING_WORKERS,
            lambda broker: broker.ping_workers(
                target_worker_id=target_worker_id,
                timeout_seconds=timeout_seconds,
                min_responses=min_responses,
            ),
        )

    async def ping_workers_async(
        self,
        *,
        target_worker_id: str | None = None,
        timeout_seconds: float = 2.0,
        min_responses: int | None = None,
    ) -> BrokerResult[list[WorkerPong]]:
        """As `ping_workers`."""
        return await self._of_broker_async(
            _PING_WORKERS,
            lambda broker: broker.ping_workers_async(
                target_worker_id=target_worker_id,
                timeout_seconds=timeout_seconds,
                min_responses=min_responses,
            ),
        )

    def list_worker_states(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Read the latest state of every worker, idle and stopped ones included."""
        return self._of_broker(_QUERY, lambda broker: broker.list_worker_states())

    async def list_worker_states_async(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """As `list_worker_states`."""
        return await self._of_broker_async(_QUERY, lambda broker: broker.list_worker_states_async())

    def get_worker_states(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Another name for `list_worker_states`."""
        return self.list_worker_states()

    async def get_worker_states_async(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Another name for `list_worker_states_async`."""
        return await self.list_worker_states_async()

    def get_worker_state(self, worker_id: str) -> BrokerResult[WorkerStateSnapshot | None]:
        """Read the latest state of one worker; `Ok(None)` if it is not known."""
        return self._of_broker(_QUERY, lambda broker: broker.get_worker_state(worker_id))

    async def get_worker_state_async(self, worker_id: str) -> BrokerResult[WorkerStateSnapshot | None]:
        """As `get_worker_state`."""
        return await self._of_broker_async(_QUERY, lambda broker: broker.get_worker_state_async(worker_id))

    def get_worker_state_history(
        self, worker_id: str, limit: int | None = None
    ) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Read the samples of one worker, newest first.

        Args:
            worker_id: The worker.
            limit: How many at most, above 0; None for all that are kept.
        """
        return self._of_broker(_QUERY, lambda broker: broker.get_worker_state_history(worker_id, limit))

    async def get_worker_state_history_async(
        self, worker_id: str, limit: int | None = None
    ) -> BrokerResult[list[WorkerStateSnapshot]]:
        """As `get_worker_state_history`."""
        return await self._of_broker_async(
            _QUERY, lambda broker: broker.get_worker_state_history_async(worker_id, limit)
        )

    def get_queue_stats(self) -> BrokerResult[list[QueueStats]]:
        """Count what every queue holds."""
        return self._of_broker(_QUERY, lambda broker: broker.get_queue_stats())

    async def get_queue_stats_async(self) -> BrokerResult[list[QueueStats]]:
        """As `get_queue_stats`."""
        return await self._of_broker_async(_QUERY, lambda broker: broker.get_queue_stats_async())

    # -- recovery

    async def get_stale_tasks(self, stale_threshold_minutes: float = 2) -> BrokerResult[list[dict[str, Any]]]:
        """List RUNNING tasks of workers silent for longer; see `Broker.get_stale_tasks`."""
        return await self._of_broker_async(
            _QUERY, lambda broker: broker.get_stale_tasks(stale_threshold_minutes)
        )

    async def get_expired_tasks(self) -> BrokerResult[list[dict[str, Any]]]:
        """List PENDING tasks past their `good_until`; see `Broker.get_expired_tasks`."""
        return await self._of_broker_async(_QUERY, lambda broker: broker.get_expired_tasks())

    async def requeue_stale_claimed(self, stale_threshold_ms: int = 120_000) -> BrokerResult[int]:
        """Hand back what workers silent for longer hold claimed but not started. Returns how many."""
        return await self._of_broker_async(
            _CLEANUP, lambda broker: broker.requeue_stale_claimed(stale_threshold_ms)
        )

    async def mark_stale_tasks_as_failed(self, stale_threshold_ms: int = 300_000) -> BrokerResult[int]:
        """Retry or fail the running tasks of workers silent for longer or stopped. Returns how many."""
        return await self._of_broker_async(
            _CLEANUP,
            lambda broker: broker.mark_stale_tasks_as_failed(
                stale_threshold_ms, registered=self.registered_policy
            ),
        )

    def expire_pending_tasks(self) -> BrokerResult[int]:
        """End PENDING tasks past their `good_until`. Returns how many."""
        return self._of_broker(_CLEANUP, lambda broker: broker.expire_pending_tasks())

    async def expire_pending_tasks_async(self) -> BrokerResult[int]:
        """As `expire_pending_tasks`."""
        return await self._of_broker_async(_CLEANUP, lambda broker: broker.expire_pending_tasks_async())

    # -- guards

    def _of_broker[R](
        self, code: BrokerErrorCode, call: Callable[[Broker], BrokerResult[R]]
    ) -> BrokerResult[R]:
        try:
            broker = self.get_broker()
        except HorsiesError as error:
            return Err(BrokerOperationError(code, error.message, exception=error))
        return call(broker)

    async def _of_broker_async[R](
        self, code: BrokerErrorCode, call: Callable[[Broker], Awaitable[BrokerResult[R]]]
    ) -> BrokerResult[R]:
        try:
            broker = self.get_broker()
        except HorsiesError as error:
            return Err(BrokerOperationError(code, error.message, exception=error))
        return await call(broker)
