"""The parts of a scheduler on a database of the test's own, moved by hand, with a clock that the test sets."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from horsies import (
    Horsies,
    IntervalSchedule,
    RetryPolicy,
    ScheduleConfig,
    TaskError,
    TaskResult,
    TaskSchedule,
)
from horsies.ops.schedules import DueSchedule, due_schedules
from horsies.scheduled_send import ScheduledSend, enabled_schedules, settle
from horsies.sql import Statements
from horsies_scheduler.metrics import SchedulerMetrics
from horsies_scheduler.state import LOOK_INTERVAL_S, ScheduleRows
from horsies_scheduler.ticker import Ticker
from tests.core.apps import make_queue_app

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = IntervalSchedule(hours=1)
_LEADING = Statements("horsies")


def hours(*numbers: float) -> list[datetime]:
    """Times after NOON."""
    return [NOON + HOUR * number for number in numbers]


def every_hour(name: str = "report", **settings: Any) -> TaskSchedule:
    """A schedule of the task `report` that fires each hour after its row was made."""
    fields: dict[str, Any] = {"name": name, "task_name": "report", "pattern": HOURLY} | settings
    return TaskSchedule(**fields)


def scheduling_app(url: str, *schedules: TaskSchedule, interval_s: int = 1, **settings: Any) -> Horsies:
    """An app with the queues mail and bulk, a few tasks, and schedules."""
    config = ScheduleConfig(schedules=list(schedules), check_interval_seconds=interval_s)
    app = make_queue_app(url, schedule=config, **settings)
    policy = RetryPolicy.fixed([60], auto_retry_for=["BUSY"])

    @app.task("report", queue_name="mail", retry_policy=policy, timeout_ms=5_000)
    def report(  # pyright: ignore[reportUnusedFunction]
        region: str = "eu", depth: int = 1
    ) -> TaskResult[int, TaskError]:
        return TaskResult(ok=len(region) + depth)

    @app.task("other", queue_name="bulk")
    def other(n: int) -> TaskResult[int, TaskError]:  # pyright: ignore[reportUnusedFunction]
        return TaskResult(ok=n)

    return app


class Stage:
    """One scheduler that fires as a leader does, whatever others do; its database's clock shows what `at` says."""

    def __init__(self, url: str, *schedules: TaskSchedule, **settings: Any) -> None:
        self.url = url
        self.app = scheduling_app(url, *schedules, **settings)
        self.broker = self.app.get_broker()
        self.metrics = SchedulerMetrics()
        self.stopped = False
        self.sends: list[ScheduledSend] = [settle(self.app, s) for s in enabled_schedules(self.app.config)]
        self.look_clock = 0.0
        disabled = [schedule.name for schedule in schedules if not schedule.enabled]
        self.keeper = ScheduleRows(
            self.broker, self.sends, disabled, self.metrics, clock=lambda: self.look_clock
        )
        self.ticker = Ticker(self.broker, self.sends, self.metrics, lambda: not self.stopped)
        self.connection = psycopg.Connection[dict[str, Any]].connect(
            url, autocommit=True, row_factory=dict_row
        )

    def close(self) -> None:
        self.broker.close()
        self.connection.close()

    # -- moving

    def lead(self) -> None:
        """Hold the lock of its group, for others to see."""
        (row,) = self.connection.execute(_LEADING["try_to_lead"], {"group": self.keeper.group}).fetchall()
        assert list(row.values()) == [True]

    def retire(self) -> None:
        """Give the lock back."""
        self.connection.execute(_LEADING["stop_leading"], {"group": self.keeper.group})

    async def look(self, now: datetime) -> None:
        """What a leader does between two ticks once it is time for a look at the rows."""
        self.broker.now = now
        self.look_clock += LOOK_INTERVAL_S
        await self.keeper.keep()

    async def begin(self, now: datetime | None = NOON) -> None:
        """Take the leadership."""
        self.broker.now = now
        self.keeper.begin()
        await self.keeper.keep()

    async def tick(self, now: datetime) -> None:
        self.broker.now = now
        await self.ticker.tick()

    async def due(self, now: datetime) -> list[DueSchedule]:
        """What a tick would read."""
        return await self.broker.run_async(due_schedules(now))

    # -- looking

    def ask(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(query.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def row(self, name: str = "report") -> dict[str, Any]:
        (row,) = self.ask("select * from horsies.schedules where name = %s", name)
        return row

    def tasks(self) -> list[dict[str, Any]]:
        """The live tasks, by slot."""
        return self.ask("select * from horsies.tasks order by sent_at, id")

    def slots(self) -> list[datetime]:
        """The slots that live tasks are for."""
        return [row["sent_at"] for row in self.tasks()]

    def place(self, next_run_at: datetime | None, names: Iterable[str] = ("report",)) -> None:
        """Put schedules where an outage would leave them."""
        self.ask(
            "update horsies.schedules set next_run_at = %s where name = any (%s)", next_run_at, list(names)
        )
