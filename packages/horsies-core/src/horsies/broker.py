"""The broker: one process's way to the database. It opens nothing until it is used and belongs to one process."""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from horsies import actions
from horsies.actions import QueueState, TaskActionResult
from horsies.broker_health import BrokerHealth
from horsies.channels import queue_channel
from horsies.config.broker import PostgresConfig
from horsies.config.retention import RetentionConfig
from horsies.db import migrate
from horsies.db.async_pool import AsyncPools
from horsies.db.connect import connect
from horsies.db.drive import AsyncDriver, Driver, drive_on, drive_on_async
from horsies.db.effects import Op
from horsies.db.listener import Listener
from horsies.db.pool import ConnectionPool, PoolSettings
from horsies.embedded import resolve_database_url
from horsies.schedule_actions import ScheduleCalls
from horsies.sql import Statements


class Broker(BrokerHealth, ScheduleCalls):
    """Runs operations on the configured database, after making sure once that its schema can be used."""

    def __init__(self, config: PostgresConfig, *, run_schema_migrations: bool = True) -> None:
        self.config = config
        self.schema = config.schema_name
        self.statements = Statements(config.schema_name)
        self.retention: RetentionConfig | None = None
        """How long the app it belongs to keeps what ended; None without an app."""
        self.ok_type_of: Callable[[str], Any] = _no_type
        """Declared type of a task's success value by the task's name; None for one that its app does not have."""
        self.now: datetime | None = None
        """The time that this process's statements take for now; None, outside tests, is the database's clock."""
        self._may_migrate = run_schema_migrations
        self._lock = threading.Lock()
        self._driver: Driver | None = None
        self._pool: ConnectionPool | None = None
        self._async_pools: AsyncPools | None = None
        self._listener: Listener | None = None

    # -- operations

    def run[R](self, op: Op[R]) -> R:
        """The operation's result.

        Raises:
            psycopg.Error: the database refused or did not answer; PoolTimeout among them.
            SchemaError: the stored schema cannot be used.
        """
        driver = self._driver
        return (driver or self._open()).run(op)

    async def run_async[R](self, op: Op[R]) -> R:
        """As `run`, in the running event loop."""
        if self._driver is None:
            # Once in a process's life; the probe and the migrations exist in blocking form only.
            await asyncio.to_thread(self._open)
        pools, listener = self._async_pools, self._listener
        if pools is None or listener is None:
            raise psycopg.InterfaceError("the broker was closed while an operation was about to start")
        return await AsyncDriver(self.statements, pools.current(), listener).run(op)

    def run_on[R](self, connection: psycopg.Connection[Any], op: Op[R]) -> R:
        """The operation inside the transaction of the caller's connection."""
        if self._driver is None:
            self._open()  # whose connection it is makes no difference to the schema
        return drive_on(connection, self.statements, op)

    async def run_on_async[R](self, connection: psycopg.AsyncConnection[Any], op: Op[R]) -> R:
        """As `run_on` for an async connection."""
        if self._driver is None:
            await asyncio.to_thread(self._open)
        return await drive_on_async(connection, self.statements, op)

    # -- actions

    def pause_queue(self, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """As `horsies.monitoring.pause_queue`, blocking."""
        return actions.pause_queue_sync(self, name, by)

    async def pause_queue_async(self, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """As `horsies.monitoring.pause_queue`."""
        return await actions.pause_queue(self, name, by)

    def resume_queue(self, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """As `horsies.monitoring.resume_queue`, blocking."""
        return actions.resume_queue_sync(self, name, by)

    async def resume_queue_async(self, name: str, by: str | None = None) -> TaskActionResult[QueueState]:
        """As `horsies.monitoring.resume_queue`."""
        return await actions.resume_queue(self, name, by)

    def schedule_database(self) -> "Broker":
        """The broker itself, for the calls about schedules."""
        return self

    # -- names

    def queue_channel(self, queue: str) -> str:
        """The channel that wakes the workers of a queue."""
        return queue_channel(self.schema, queue)

    # -- connections

    def conninfo(self, *, session: bool = False, application_name: str = "horsies") -> str:
        """Connection string, password included; `session` for the one that does not go through a pooler."""
        url = resolve_database_url(self.config.connection_url(session=session))
        return self.config.conninfo(url, session=session, application_name=application_name)

    @property
    def prepares(self) -> bool:
        """Whether statements may be prepared on the ordinary connections (D-002)."""
        return not self.config.pgbouncer_transaction_mode

    def ensure_schema(self, *, may_migrate: bool = True) -> migrate.SchemaStatus:
        """Probe the schema; create or upgrade it where that is allowed (D-060 to D-062).

        Args:
            may_migrate: False forbids what the broker's own setting allows.

        Raises:
            psycopg.Error: the database refused or did not answer.
            SchemaError: it cannot be used as it is.
        """
        connection = self._connect_session()
        try:
            if self._may_migrate and may_migrate:
                return migrate.apply_migrations(connection, self.schema)
            status = migrate.probe(connection, self.statements)
        finally:
            connection.close()
        if status.state is not migrate.SchemaState.MATCH:
            raise migrate.unusable(status, self.schema)
        return status

    def close(self) -> None:
        """Close all connections and end the listener; the broker opens them again when it is used again."""
        with self._lock:
            listener, pool, pools = self._listener, self._pool, self._async_pools
            self._driver = self._listener = self._pool = self._async_pools = None
        if listener is not None:
            listener.close()
        if pool is not None:
            pool.close()
        if pools is not None:
            pools.close()

    async def close_async(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    def _open(self) -> Driver:
        with self._lock:
            if self._driver is None:
                self.ensure_schema()
                settings = self._pool_settings()
                self._pool = ConnectionPool(settings)
                self._async_pools = AsyncPools(settings)
                self._listener = Listener(self._connect_session)
                self._driver = Driver(self.statements, self._pool, self._listener)
            return self._driver

    def _pool_settings(self) -> PoolSettings:
        config = self.config
        return PoolSettings(
            conninfo=self.conninfo(),
            max_size=config.pool_size + config.max_overflow,
            keep=config.pool_size,
            timeout=float(config.pool_timeout),
            recycle=float(config.pool_recycle),
            pre_ping=config.pool_pre_ping,
            prepare=self.prepares,
            pooled=config.pgbouncer_transaction_mode,
        )

    def _connect_session(self) -> psycopg.Connection[Any]:
        return connect(self.conninfo(session=True), timeout=float(self.config.pool_timeout), prepare=False)


def _no_type(task_name: str) -> None:
    """Without an app no task is known."""
