"""Two releases side by side: each has a leader, and both know some schedules (08 sections 4 and 5)."""

from datetime import timedelta
from typing import Any

import pytest

from horsies import IntervalSchedule
from horsies.ops.schedules import known_schedules
from horsies.schedule.due import config_hash
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import HOUR, HOURLY, NOON, Stage, every_hour

TWO_HOURS = IntervalSchedule(hours=2)
MINUTE = timedelta(minutes=1)


def release(make_stage: MakeStage, *names: str, **report: Any) -> Stage:
    """A release with the schedule `report` and others."""
    return make_stage(every_hour(**report), *map(every_hour, names))


async def test_a_schedule_goes_on_when_a_release_has_gone(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-052, S-053, S-059: whoever began last fires it; once that one is gone, the other does, with a warning."""
    new = release(make_stage, "new", pattern=TWO_HOURS)
    new.lead()
    await new.begin()
    old = release(make_stage)
    old.lead()
    await old.begin(NOON + MINUTE)
    caplog.clear()
    for minutes in range(2, 180):
        for stage in (new, old):
            await stage.look(NOON + minutes * MINUTE)
            await stage.tick(NOON + minutes * MINUTE)
    row = new.row()
    assert (row["config_hash"], row["run_count"]) == (config_hash(HOURLY, "UTC"), 2)
    assert "starts over" not in caplog.text
    assert caplog.text.count("was taken over by a scheduler") == 1
    old.retire()
    await new.look(NOON + 3 * HOUR)
    assert caplog.text.count("'report' has another pattern or time zone than before") == 1
    await new.look(NOON + 4 * HOUR)
    row = new.row()
    assert (row["config_hash"], row["next_run_at"]) == (config_hash(TWO_HOURS, "UTC"), NOON + 5 * HOUR)
    await new.tick(NOON + 5 * HOUR)
    assert new.row()["run_count"] == 3


async def test_a_schedule_is_enabled_again_when_a_release_has_gone(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-002, S-057: a release that has it disabled switches it off while it leads, and that is said once."""
    caplog.set_level("INFO", "horsies.scheduler")
    new = release(make_stage, "new")
    new.lead()
    await new.begin()
    old = release(make_stage, enabled=False)
    old.lead()
    await old.begin(NOON + MINUTE)
    for minutes in range(2, 5):
        for stage in (new, old):
            await stage.look(NOON + minutes * MINUTE)
    assert new.row()["enabled"] is False
    assert caplog.text.count("disabled by a scheduler of another release or app") == 1
    assert "not fired here as long as that one leads: 'report'" in caplog.text
    old.retire()
    await new.look(NOON + 2.5 * HOUR)
    assert (new.row()["enabled"], new.row()["next_run_at"]) == (True, NOON + 3.5 * HOUR)
    assert "schedule 'report' was disabled and fires again" in caplog.text
    await new.tick(NOON + 3.5 * HOUR)
    assert new.row()["run_count"] == 1


async def test_a_schedule_is_disabled_again_when_a_release_has_gone(make_stage: MakeStage) -> None:
    """S-002: nobody fires it then, and its row says so."""
    new = release(make_stage, "new", enabled=False)
    new.lead()
    await new.begin()
    old = release(make_stage)
    old.lead()
    await old.begin()
    await new.look(NOON + MINUTE)
    assert new.row()["enabled"] is True
    old.retire()
    await new.look(NOON + 2 * MINUTE)
    assert new.row()["enabled"] is False


async def test_a_pause_outlives_the_change_of_hands(make_stage: MakeStage) -> None:
    """S-058"""
    new = release(make_stage, "new", pattern=TWO_HOURS)
    await new.begin()
    old = release(make_stage)
    await old.begin()
    (await old.app.pause_schedule_async("report")).unwrap()
    await new.look(NOON + MINUTE)
    await new.tick(NOON + 9 * HOUR)
    row = new.row()
    assert (row["paused"], row["run_count"]) == (True, 0)
    assert row["config_hash"] == config_hash(TWO_HOURS, "UTC")


async def test_a_row_that_fails_starts_no_fight_over_the_others(make_stage: MakeStage) -> None:
    """S-054, S-055: what is tried again at each tick is the row that failed, not the take-over of others."""
    new = release(make_stage, "bad", "new", pattern=TWO_HOURS)
    old = release(make_stage, "bad")
    new.ask("alter table horsies.schedules add constraint no_bad check (name <> 'bad')")
    for stage in (new, old):
        stage.lead()
        await stage.begin()
    for minutes in range(181):
        for stage in (new, old):
            stage.broker.now = NOON + minutes * MINUTE
            await stage.keeper.keep()
            await stage.tick(NOON + minutes * MINUTE)
    assert new.row()["run_count"] == 3
    assert new.row("new")["run_count"] == 3
    assert new.metrics.errors["bad", "row"] == 182
    new.ask("alter table horsies.schedules drop constraint no_bad")
    await new.keeper.keep()
    assert new.row("bad")["next_run_at"] == NOON + 4 * HOUR


async def test_others_are_looked_at_while_one_fails(make_stage: MakeStage) -> None:
    """S-054: a deleted row is made again, whatever fails beside it."""
    stage = release(make_stage, "bad")
    stage.ask("alter table horsies.schedules add constraint no_bad check (name <> 'bad')")
    await stage.begin()
    stage.ask("delete from horsies.schedules")
    await stage.look(NOON + MINUTE)
    assert stage.row()["next_run_at"] == NOON + MINUTE + HOUR


@pytest.mark.parametrize("number", range(6))
async def test_a_leader_is_seen_by_its_lock(make_stage: MakeStage, number: int) -> None:
    """S-040: not by what was recorded for display, which a process that was killed leaves behind. The lock's key is any
    number of 64 bits, also a negative one."""
    other = release(make_stage, f"other {number}")
    await other.begin()
    mine = make_stage(every_hour())
    mine.ask("insert into horsies.leases (name, holder) values (%s, 'x')", f"scheduler:{other.keeper.group}")

    async def led_by_others(group: str) -> set[bool]:
        return {row.led_by_others for row in await mine.broker.run_async(known_schedules(group))}

    assert await led_by_others(mine.keeper.group) == {False}
    other.lead()
    assert await led_by_others(mine.keeper.group) == {True}
    assert await led_by_others(other.keeper.group) == {False}
    mine.lead()
    other.retire()
    assert await led_by_others(mine.keeper.group) == {False}
