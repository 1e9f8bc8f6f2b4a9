"""The broker's calls about health and recovery; failures come back as values (10-monitoring §1 to §3)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any

from horsies.broker_errors import BrokerErrorCode, BrokerOperationError, BrokerResult
from horsies.db.effects import Op
from horsies.ops import health, recover
from horsies.ops.health import DatabasePing, QueueStats, RefusedArgumentError, WorkerPong
from horsies.ops.recover import Recovered, RegisteredPolicy, no_policy
from horsies.result import Err, Ok
from horsies.transient import DATABASE_FAILURES, is_transient, reason
from horsies.worker_state import WorkerStateSnapshot

_PING = BrokerErrorCode.DB_PING_FAILED
_PING_WORKERS = BrokerErrorCode.WORKER_PING_FAILED
_QUERY = BrokerErrorCode.MONITORING_QUERY_FAILED
_CLEANUP = BrokerErrorCode.CLEANUP_FAILED


class BrokerHealth(ABC):
    """Mixed into `Broker`. Every call is an operation of `horsies.ops`, guarded."""

    schema: str
    now: datetime | None

    @abstractmethod
    def run[R](self, op: Op[R]) -> R:
        """The operation's result."""

    @abstractmethod
    async def run_async[R](self, op: Op[R]) -> R:
        """As `run`, in the running event loop."""

    # -- health

    def ping_database(self) -> BrokerResult[DatabasePing]:
        """Ask the database for one round trip through the pool."""
        return self._ask(_PING, health.ping_database)

    async def ping_database_async(self) -> BrokerResult[DatabasePing]:
        """As `ping_database`."""
        return await self._ask_async(_PING, health.ping_database)

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
        arguments = (self.schema, target_worker_id, timeout_seconds, min_responses)
        return self._ask(_PING_WORKERS, lambda: health.ping_workers(*arguments))

    async def ping_workers_async(
        self,
        *,
        target_worker_id: str | None = None,
        timeout_seconds: float = 2.0,
        min_responses: int | None = None,
    ) -> BrokerResult[list[WorkerPong]]:
        """As `ping_workers`."""
        arguments = (self.schema, target_worker_id, timeout_seconds, min_responses)
        return await self._ask_async(_PING_WORKERS, lambda: health.ping_workers(*arguments))

    def list_worker_states(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Read the latest state of every worker, idle and stopped ones included."""
        return self._ask(_QUERY, lambda: health.list_worker_states(self.now))

    async def list_worker_states_async(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """As `list_worker_states`."""
        return await self._ask_async(_QUERY, lambda: health.list_worker_states(self.now))

    def get_worker_states(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Another name for `list_worker_states`."""
        return self.list_worker_states()

    async def get_worker_states_async(self) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Another name for `list_worker_states_async`."""
        return await self.list_worker_states_async()

    def get_worker_state(self, worker_id: str) -> BrokerResult[WorkerStateSnapshot | None]:
        """Read the latest state of one worker; `Ok(None)` if it is not known."""
        return self._ask(_QUERY, lambda: health.get_worker_state(worker_id, self.now))

    async def get_worker_state_async(self, worker_id: str) -> BrokerResult[WorkerStateSnapshot | None]:
        """As `get_worker_state`."""
        return await self._ask_async(_QUERY, lambda: health.get_worker_state(worker_id, self.now))

    def get_worker_state_history(
        self, worker_id: str, limit: int | None = None
    ) -> BrokerResult[list[WorkerStateSnapshot]]:
        """Read the samples of one worker, newest first.

        Args:
            worker_id: The worker.
            limit: How many at most, above 0; None for all that are kept.
        """
        return self._ask(_QUERY, lambda: health.get_worker_state_history(worker_id, limit))

    async def get_worker_state_history_async(
        self, worker_id: str, limit: int | None = None
    ) -> BrokerResult[list[WorkerStateSnapshot]]:
        """As `get_worker_state_history`."""
        return await self._ask_async(_QUERY, lambda: health.get_worker_state_history(worker_id, limit))

    def get_queue_stats(self) -> BrokerResult[list[QueueStats]]:
        """Count what every queue holds."""
        return self._ask(_QUERY, lambda: health.get_queue_stats(self.now))

    async def get_queue_stats_async(self) -> BrokerResult[list[QueueStats]]:
        """As `get_queue_stats`."""
        return await self._ask_async(_QUERY, lambda: health.get_queue_stats(self.now))

    # -- recovery

    async def get_stale_tasks(self, stale_threshold_minutes: float = 2) -> BrokerResult[list[dict[str, Any]]]:
        """List RUNNING tasks of workers silent for longer, at most 1000, those without a heartbeat first.

        Args:
            stale_threshold_minutes: Silence that counts; a worker always has two of its own heartbeat intervals.

        Returns:
            Dicts with `id`, `task_name`, `worker_hostname`, `worker_pid`, `worker_process_name`, `last_heartbeat`,
            `started_at`.
        """
        threshold_ms = recover.minutes_as_ms(stale_threshold_minutes)
        return await self._ask_async(_QUERY, lambda: recover.list_stale_running(threshold_ms, self.now))

    async def get_expired_tasks(self) -> BrokerResult[list[dict[str, Any]]]:
        """List PENDING tasks past their `good_until`, at most 1000, the oldest deadline first.

        Returns:
            Dicts with `id`, `task_name`, `queue_name`, `priority`, `sent_at`, `enqueued_at`, `good_until`,
            `expired_for` (a `timedelta`).
        """
        return await self._ask_async(_QUERY, lambda: recover.list_past_deadline(self.now))

    async def requeue_stale_claimed(self, stale_threshold_ms: int = 120_000) -> BrokerResult[int]:
        """Hand back what workers silent for longer hold claimed but not started; one batch.

        Args:
            stale_threshold_ms: Silence that counts; a worker always has two of its own heartbeat intervals.

        Returns:
            How many.
        """
        return _count(
            await self._ask_async(
                _CLEANUP, lambda: recover.requeue_claimed(stale_threshold_ms, self.now, batches=1)
            )
        )

    async def mark_stale_tasks_as_failed(
        self, stale_threshold_ms: int = 300_000, *, registered: RegisteredPolicy = no_policy
    ) -> BrokerResult[int]:
        """Retry or fail the running tasks of workers that are silent for longer or stopped; one batch.

        Args:
            stale_threshold_ms: Silence that counts; a worker always has two of its own heartbeat intervals.
            registered: Task name to retry policy, for tasks that were sent by SQL.

        Returns:
            How many were retried or failed.
        """
        return _count(
            await self._ask_async(
                _CLEANUP,
                lambda: recover.fail_stale_running(
                    stale_threshold_ms, self.now, registered=registered, batches=1
                ),
            )
        )

    def expire_pending_tasks(self) -> BrokerResult[int]:
        """End PENDING tasks past their `good_until`; one batch. Returns how many."""
        return _count(self._ask(_CLEANUP, lambda: recover.expire_pending(self.now, batches=1)))

    async def expire_pending_tasks_async(self) -> BrokerResult[int]:
        """As `expire_pending_tasks`."""
        return _count(await self._ask_async(_CLEANUP, lambda: recover.expire_pending(self.now, batches=1)))

    # -- guards

    def _ask[R](self, code: BrokerErrorCode, op: Callable[[], Op[R]]) -> BrokerResult[R]:
        try:
            return Ok(self.run(op()))
        except (*DATABASE_FAILURES, RefusedArgumentError) as error:
            return Err(_failure(code, error))

    async def _ask_async[R](self, code: BrokerErrorCode, op: Callable[[], Op[R]]) -> BrokerResult[R]:
        try:
            return Ok(await self.run_async(op()))
        except (*DATABASE_FAILURES, RefusedArgumentError) as error:
            return Err(_failure(code, error))


def _count(result: BrokerResult[Recovered]) -> BrokerResult[int]:
    return result.map(lambda done: done.handled)


def _failure(code: BrokerErrorCode, error: Exception) -> BrokerOperationError:
    return BrokerOperationError(code, reason(error), retryable=is_transient(error), exception=error)
