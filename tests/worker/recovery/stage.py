"""A database with workers that beat or do not, holding tasks, for the tests of recovery; nothing is executed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from horsies import Horsies, RetryPolicy, TaskError, TaskResult
from horsies.db.effects import Op
from tests.core.apps import make_queue_app
from tests.core.cycle_driver import Claim, CycleDriver
from tests.core.task_rows import TaskRows

QUEUES: dict[str, tuple[int, int | None]] = {"mail": (10, None), "bulk": (90, None), "default": (100, None)}
INTERVAL_MS = 1_000
NOTHING: dict[str, object] = {}


def later(**span: float) -> datetime:
    """A time of the database, some span from now."""
    return datetime.now(UTC) + timedelta(**span)


def elsewhere[T](call: Callable[[], T]) -> T:
    """What the call returns in a thread of its own: sends refuse to block an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result(30)


class Stage:
    """One test's database, app and simulated workers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rows = TaskRows(url)
        self.connection = psycopg.Connection[Any].connect(url, autocommit=True)
        self.app: Horsies = make_queue_app(url)
        self.broker = self.app.get_broker()

        @self.app.task("work", queue_name="mail")
        def work() -> TaskResult[None, TaskError]:  # pragma: no cover - never executed
            return TaskResult(ok=None)

        policy = RetryPolicy.fixed([60, 60], auto_retry_for=["WORKER_CRASHED"], jitter=False)

        @self.app.task("again", queue_name="mail", retry_policy=policy)
        def again() -> TaskResult[None, TaskError]:  # pragma: no cover - never executed
            return TaskResult(ok=None)

        self.work, self.again = work, again

    def close(self) -> None:
        self.broker.close()
        self.connection.close()
        self.rows.close()

    def run[R](self, op: Op[R]) -> R:
        """An operation, as the broker runs it."""
        return self.broker.run(op)

    def worker(self, *, state: str = "running", registered: bool = True) -> CycleDriver:
        """A worker that has beaten just now."""
        driver = CycleDriver(self.connection, QUEUES)
        if registered:
            self.rows.execute(
                "insert into horsies.workers (id, hostname, pid, version, state, heartbeat_interval_ms)"
                " values (%s, 'host', 1, '0', %s, %s)",
                [driver.worker_id, state, INTERVAL_MS],
            )
        return driver

    def fall_silent(self, worker: CycleDriver, **ago: float) -> None:
        """Its last heartbeat was so long ago."""
        self.rows.execute(
            "update horsies.workers set heartbeat_at = now() - %s where id = %s",
            [timedelta(**ago), worker.worker_id],
        )

    def send(self, count: int = 1, **options: Any) -> list[str]:
        """Tasks without a retry policy."""
        sender = self.work.with_options(**options) if options else self.work
        return [handle.task_id for handle in elsewhere(lambda: sender.send_many([NOTHING] * count).unwrap())]

    def running(self, worker: CycleDriver, count: int = 1, *, again: bool = False) -> list[Claim]:
        """Tasks that this worker runs; with `again`, of a task that is retried after a crash."""
        sender = self.again if again else self.work
        elsewhere(lambda: sender.send_many([NOTHING] * count).unwrap())
        claims = worker.claim(count).claimed
        assert len(claims) == count
        return claims

    def history(self, task_id: str) -> dict[str, Any]:
        """The record of an ended task."""
        (row,) = self.rows.execute("select * from horsies.task_history where id = %s", [task_id])
        return row

    def heard(self, channel: str) -> "Ear":
        """Listens to a channel from now on."""
        return Ear(self.url, channel)


class Ear:
    """Messages of one channel."""

    def __init__(self, url: str, channel: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(f'listen "{channel}"'.encode())

    def payloads(self) -> list[str]:
        """What came so far; ends the listening."""
        with self._connection:
            self._connection.execute("select 1")
            return [message.payload for message in self._connection.notifies(timeout=0)]
