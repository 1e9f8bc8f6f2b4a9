"""Upkeep: old records go in small batches, days of history are made ahead and dropped whole (R-115, R-116, 11 §4)."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import date, datetime

import psycopg

from horsies.config import RetentionConfig
from horsies.sql import Statements
from horsies.transient import is_transient, reason
from horsies_worker.link import Link
from horsies_worker.steps import Step

logger = logging.getLogger("horsies.worker")

CLEAN_EVERY_S = 300.0
CLEAN_BATCH = 500
CLEAN_BUDGET_S = 60.0
DEAD_WORKER_KEPT_HOURS = 24
PARTITIONS_EVERY_S = 900.0
DROP_TRIES = 3


class Cleaning:
    """R-115: samples, idempotency keys, workers and workflows that are past their time."""

    def __init__(
        self,
        link: Link,
        statements: Statements,
        retention: RetentionConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._statements = statements
        self._clock = clock
        self._jobs: dict[str, Mapping[str, object]] = {
            "clean_keys": {},
            "clean_workers": {"keep_hours": DEAD_WORKER_KEPT_HOURS},
        }
        if retention.terminal_record_retention_hours is not None:
            self._jobs["clean_workflows"] = {"keep_hours": retention.terminal_record_retention_hours}
        if retention.worker_state_retention_hours is not None:
            self._jobs["clean_samples"] = {"keep_hours": retention.worker_state_retention_hours}

    def step(self) -> Step:
        """For the reaper."""
        return Step("the cleaning of old records", CLEAN_EVERY_S, self.run)

    async def run(self, now: datetime | None = None) -> None:
        """One pass: batch after batch, a commit each, until nothing is left or the time is up.

        Raises:
            psycopg.Error: the database refuses.
        """
        until = self._clock() + CLEAN_BUDGET_S
        for name, params in self._jobs.items():
            deleted = CLEAN_BATCH
            while deleted >= CLEAN_BATCH and self._clock() < until:
                rows = await self._link.execute(
                    self._statements[name], {**params, "limit": CLEAN_BATCH, "now": now}
                )
                deleted = len(rows)


class Partitions:
    """R-116: days of history, made ahead for each class in use, dropped when their class has kept them long enough.

    Attributes:
        classes: Retention classes that this app's configuration uses.
    """

    def __init__(self, link: Link, statements: Statements, retention: RetentionConfig) -> None:
        self._link = link
        self._statements = statements
        self.classes = classes_in_use(retention)
        self._coverage: dict[str, object] = {}
        self._pruning: dict[str, object] = {}

    def step(self) -> Step:
        """For the reaper."""
        return Step("the upkeep of partitions", PARTITIONS_EVERY_S, self.run)

    def health(self) -> dict[str, object]:
        """How the last pass went, for the worker's snapshot."""
        return {"partition_coverage": self._coverage, "partition_pruning": self._pruning}

    async def run(self, now: datetime | None = None) -> None:
        """One pass.

        Raises:
            psycopg.Error: the database refuses something other than a lock for the moment.
        """
        try:
            self._coverage = {"ok": True, "classes": await self._ensure(now)}
        except psycopg.Error as error:
            self._coverage = {"ok": False, "reason": reason(error)}
            raise
        dropped, refused = await self._drop_past(now)
        self._pruning = {"ok": not refused, "dropped": dropped, "refused": refused}

    async def _ensure(self, now: datetime | None) -> list[str]:
        rows = await self._link.execute(self._statements["known_classes"], {})
        names = sorted(self.classes.union(str(name) for (name,) in rows))
        for name in names:
            await self._link.execute(self._statements["ensure_history"], {"class": name, "now": now})
        return names

    async def _drop_past(self, now: datetime | None) -> tuple[list[str], dict[str, str]]:
        dropped: list[str] = []
        refused: dict[str, str] = {}
        blocked: set[str] = set()
        for name, day in await self._link.execute(self._statements["past_days"], {"now": now}):
            label = f"{name} {day:%Y-%m-%d}"
            if name in blocked:
                # Whoever holds its class up would do so for the next day too.
                refused[label] = "an older day of this class could not be dropped"
                continue
            gone, why = await self._drop(name, day, now)
            if gone:
                dropped.append(label)
            elif why:
                blocked.add(name)
                refused[label] = why
        if dropped:
            logger.info("days of history dropped: %s", ", ".join(dropped))
        for label, why in refused.items():
            logger.warning("history of %s is not dropped yet, the next pass tries again: %s", label, why)
        return dropped, refused

    async def _drop(self, name: str, day: date, now: datetime | None) -> tuple[bool, str]:
        """Whether this call dropped it, and if the database refused, why."""
        params = {"class": name, "day": day, "now": now}
        why = ""
        for _ in range(DROP_TRIES):
            try:
                rows = await self._link.execute(self._statements["drop_history_partition"], params)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                why = reason(error)
            except psycopg.Error as error:
                if is_transient(error):
                    raise
                return False, reason(error)
            else:
                return bool(rows[0][0]), ""
        return False, why


def classes_in_use(retention: RetentionConfig) -> set[str]:
    """The retention classes that sends of this app get without choosing one."""
    return {
        retention.default_class,
        *(retention.class_for_queue(queue) for queue in retention.queue_retention),
    }
