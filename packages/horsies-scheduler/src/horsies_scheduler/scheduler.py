"""One scheduler: its start, its loop, its end (08 section 7). The composition root of the process."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from horsies.app import Horsies
from horsies.errors.diagnostic import HorsiesError
from horsies.ops.send import ask_nothing
from horsies.schedule import ScheduleConfig
from horsies.scheduled_send import ScheduledSend
from horsies.transient import is_transient, reason
from horsies_scheduler.endpoints import Role, SchedulerEndpoints
from horsies_scheduler.leader import LOOK_INTERVAL_S, Leadership
from horsies_scheduler.metrics import SchedulerMetrics
from horsies_scheduler.options import SchedulerOptions
from horsies_scheduler.state import ScheduleRows
from horsies_scheduler.ticker import Ticker

logger = logging.getLogger("horsies.scheduler")

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_FORCED = 3
STOP_LIMIT_S = 4.0
ANSWER_FRESH_S = 30.0


class Scheduler:
    """Enqueues the tasks of an app's schedules while it leads, and stands by while another one does."""

    def __init__(
        self,
        app: Horsies,
        config: ScheduleConfig,
        sends: Sequence[ScheduledSend],
        options: SchedulerOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing yet.

        Args:
            app: The app.
            config: Its schedules.
            sends: The enabled ones, settled.
            options: How to run.
            clock: Seconds, for the pace of the loop only: what is due is the database's to say.
        """
        broker = app.get_broker()
        self._broker = broker
        self._options = options
        self._resilience = app.config.resilience
        self._interval_s = float(config.check_interval_seconds)
        self._clock = clock
        self._metrics = SchedulerMetrics()
        disabled = [schedule.name for schedule in config.schedules if not schedule.enabled]
        self._rows = ScheduleRows(broker, sends, disabled, self._metrics, clock)
        self._leadership = Leadership(
            lambda: broker.conninfo(session=True, application_name="horsies scheduler leader"),
            broker.statements,
            self._rows.group,
        )
        self._ticker = Ticker(broker, sends, self._metrics, self._may_fire)
        self._endpoints = self._make_endpoints()
        self._ticked_at = float("-inf")
        self._ticking = False
        self._signals = 0

    @property
    def role(self) -> Role:
        """Whether it fires."""
        return "leader" if self._leadership.held else "standby"

    async def run(self) -> int:
        """Run until told to stop; the exit code."""
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self._serve(), name="serve")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait((serving, stop), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await self._end(serving)
            return _ending(serving)
        finally:
            stop.cancel()
            self._broker.close()

    async def _end(self, serving: "asyncio.Task[None]") -> None:
        """The slot in progress is finished, anything else is broken off (S-072)."""
        logger.info("stopping")
        if not self._ticking:
            serving.cancel()
        await asyncio.wait((serving,), timeout=STOP_LIMIT_S)
        if not serving.done():
            logger.warning("the database does not answer; what was sent to it last is left to it")
            _leave(EXIT_STOPPED)

    async def _serve(self) -> None:
        try:
            if self._endpoints is not None:
                await self._endpoints.open()
            await self._use_schema()
            while not self._stop.is_set():
                await self._take_leadership()
                await self._lead()
        finally:
            await self._leadership.release()
            if self._endpoints is not None:
                self._endpoints.close()

    # -- start

    async def _use_schema(self) -> None:
        """Probe the schema, create or upgrade it where allowed; outages are waited out (S-070)."""
        attempt = 0
        while True:
            try:
                await _in_thread(self._open_database)
                return
            except psycopg.Error as error:
                attempt += 1
                await self._wait_out(attempt, error)

    def _open_database(self) -> None:
        self._broker.ensure_schema(may_migrate=self._options.migrate)
        self._broker.run(ask_nothing())

    async def _wait_out(self, attempt: int, error: psycopg.Error) -> None:
        limit = self._resilience.db_retry_max_attempts
        if not is_transient(error) or (limit and attempt >= limit):
            raise error
        pause = self._resilience.db_retry_delay(attempt)
        logger.warning(
            "the database does not answer (attempt %d), next try in %.1f s: %s", attempt, pause, reason(error)
        )
        await asyncio.sleep(pause)

    # -- leading

    async def _take_leadership(self) -> None:
        """Returns once this process leads."""
        attempt, announced = 0, False
        while True:
            try:
                if await self._leadership.try_to_lead():
                    return
                attempt = 0
            except psycopg.Error as error:
                attempt += 1
                await self._wait_out(attempt, error)
                continue
            if not announced:
                announced = True
                logger.info("standby: another scheduler leads")
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _lead(self) -> None:
        """Fire what is due until told to stop or the leadership is lost."""
        logger.info("leading")
        self._metrics.leader = True
        self._rows.begin()
        keeping = asyncio.create_task(self._leadership.keep(), name="keep leadership")
        stop = asyncio.create_task(self._stop.wait(), name="stop leading")
        try:
            while self._may_fire():
                pause = await self._tick()
                await asyncio.wait((keeping, stop), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._metrics.leader = False
            for task in (keeping, stop):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if not self._stop.is_set():
            await self._leadership.close()

    async def _tick(self) -> float:
        """One tick; the seconds to wait after it."""
        started = self._clock()
        self._ticking = True
        try:
            await self._rows.keep()
            await self._ticker.tick()
            self._ticked_at = time.monotonic()
            return await self._ticker.pause(self._left_of_interval(started))
        except psycopg.Error as error:
            logger.warning("the database does not answer, the next tick tries again: %s", reason(error))
            return self._left_of_interval(started)
        finally:
            self._ticking = False

    def _left_of_interval(self, started: float) -> float:
        # A clock that was set must lead neither to a long pause nor to none at all for long.
        return min(self._interval_s, max(0.0, self._interval_s - (self._clock() - started)))

    def _may_fire(self) -> bool:
        return self._leadership.held and not self._stop.is_set()

    # -- what others ask

    def _make_endpoints(self) -> SchedulerEndpoints | None:
        options = self._options
        if options.http_port is None:
            return None
        return SchedulerEndpoints(
            options.http_host,
            options.http_port,
            metrics=self._metrics,
            role=lambda: self.role,
            problem=self._problem,
        )

    def _problem(self) -> str | None:
        answered_at = max(self._leadership.answered_at, self._ticked_at)
        if self._stop.is_set():
            return "stopping"
        if time.monotonic() - answered_at > ANSWER_FRESH_S:
            return f"the database has not answered for {ANSWER_FRESH_S:.0f} s"
        return None

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1:
            _leave(EXIT_FORCED)
        self._stop.set()


def _ending(serving: "asyncio.Task[None]") -> int:
    if serving.cancelled() or serving.exception() is None:
        return EXIT_STOPPED
    error = serving.exception()
    if isinstance(error, HorsiesError | psycopg.Error):
        logger.error("the scheduler ends: %s", str(error).strip())
    else:
        logger.error("the scheduler ends", exc_info=error)
    return EXIT_FAILED


def _leave(code: int) -> None:
    """End the process without waiting for anything."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


async def _in_thread(call: Callable[[], None]) -> None:
    """Run a blocking call in a thread that does not keep the process from ending, as those of asyncio do."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        try:
            call()
        except Exception as error:
            answer: Exception | None = error
        else:
            answer = None
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, answer)

    threading.Thread(target=run, name="database start", daemon=True).start()
    await done
