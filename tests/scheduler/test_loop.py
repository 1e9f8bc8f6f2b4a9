"""The loop of one scheduler, run in this process (08 section 7)."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from itertools import accumulate, cycle

from horsies import IntervalSchedule, TaskSchedule
from horsies.scheduled_send import settle
from horsies_scheduler.options import SchedulerOptions
from horsies_scheduler.scheduler import EXIT_STOPPED, Scheduler
from tests.scheduler.audit import Audit, every_second
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import NOON, every_hour, scheduling_app

EVERY_SECOND = IntervalSchedule(seconds=1)


async def run_until(
    url: str, schedules: Sequence[TaskSchedule], done: Callable[[], bool], clock: Callable[[], float]
) -> None:
    """Run a scheduler until the condition holds, then stop it as the system would."""
    app = scheduling_app(url, *schedules)
    config = app.config.schedule
    assert config is not None
    sends = [settle(app, schedule) for schedule in schedules]
    running = asyncio.create_task(Scheduler(app, config, sends, SchedulerOptions(), clock).run())
    async with asyncio.timeout(40):
        while not done():
            assert not running.done(), running
            await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == EXIT_STOPPED


async def test_steps_of_the_host_clock(database_url: str) -> None:
    """S-068, S-048, S-071: backwards and forwards by seconds and hours, and nothing fires twice or is left out: what
    is due is the database's to say, the host's clock only paces."""
    schedules = [
        every_hour(f"s{n}", pattern=EVERY_SECOND, catch_up_missed=True, kwargs={"depth": n}) for n in range(5)
    ]
    audit = Audit(database_url)
    readings = accumulate(cycle([0.3, -5.0, 0.1, 3600.0, 0.2, -7200.0, 0.5, 0.0, 40.0]))

    def enough() -> bool:
        audit.forget_tasks()
        found = audit.slots()
        return len(found) == 5 and min(map(len, found.values())) >= 4

    await run_until(database_url, schedules, enough, clock=lambda: next(readings))
    assert all(map(every_second, audit.slots().values()))
    for row, slots in zip(audit.schedules(), audit.slots().values(), strict=True):
        assert (row["run_count"], row["missed_count"]) == (len(slots), 0)
    audit.close()


async def test_a_slot_is_waited_for(make_stage: MakeStage) -> None:
    """S-067, S-071: the wait ends when a slot is due, never later than the interval and never too soon again."""
    stage = make_stage(every_hour("a"), every_hour("b"))
    await stage.begin()
    pause = stage.ticker.pause
    stage.broker.now = NOON.replace(hour=12, minute=59, second=59, microsecond=400_000)
    assert round(await pause(1.0), 6) == 0.601
    assert await pause(0.5) == 0.5
    assert await pause(0.0) == 0.0
    stage.broker.now = NOON.replace(hour=12, minute=59, second=59, microsecond=999_000)
    assert await pause(1.0) == 0.05
    stage.broker.now = NOON.replace(hour=13)
    assert await pause(1.0) == 1.0
