"""The rows of schedules: made, kept over restarts, started over, taken over (08 section 5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from horsies import DailySchedule, HourlySchedule, IntervalSchedule
from horsies.ops.schedules import (
    adopt_schedule,
    database_time,
    fire_slot,
    known_schedules,
    pass_slots,
)
from horsies.schedule.due import config_hash
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import HOUR, HOURLY, NOON, Stage, every_hour

TWO_HOURS = IntervalSchedule(hours=2)


def next_runs(stage: Stage) -> dict[str, datetime]:
    return {row["name"]: row["next_run_at"] for row in stage.ask("select * from horsies.schedules")}


async def test_a_new_schedule_does_not_fire_at_once(make_stage: MakeStage) -> None:
    """S-050, S-002: a row for each enabled schedule, with its next run."""
    daily = DailySchedule.model_validate({"time": "09:00"})
    stage = make_stage(
        every_hour(),
        every_hour("daily", pattern=daily, timezone="America/New_York", task_name="other", kwargs={"n": 1}),
        every_hour("off", enabled=False, task_name="unknown", timezone="Nowhere"),
    )
    await stage.begin()
    row = stage.row()
    assert next_runs(stage) == {
        "report": NOON + HOUR,
        "daily": datetime(2030, 6, 1, 13, tzinfo=UTC),
    }
    assert (row["task_name"], row["queue_name"], row["timezone"], row["pattern"]) == (
        "report",
        "mail",
        "UTC",
        HOURLY.model_dump(mode="json"),
    )
    assert (row["enabled"], row["paused"], row["run_count"], row["missed_count"]) == (True, False, 0, 0)
    assert row["config_hash"] == config_hash(HOURLY, "UTC")
    await stage.tick(NOON + HOUR - timedelta(microseconds=1))
    assert stage.tasks() == []


async def test_a_restart_changes_nothing(make_stage: MakeStage) -> None:
    """S-051: count and phase survive; an interval keeps its phase."""
    first = make_stage(every_hour())
    await first.begin()
    await first.tick(NOON + HOUR)
    before = first.row()
    second = make_stage(every_hour())
    await second.begin(NOON + 1.7 * HOUR)
    assert second.row() == before
    await second.tick(NOON + 2 * HOUR)
    assert second.row()["run_count"] == 2
    assert second.slots() == [NOON + HOUR, NOON + 2 * HOUR]


@pytest.mark.parametrize("change", [{"pattern": TWO_HOURS}, {"timezone": "Europe/Paris"}])
async def test_another_pattern_starts_over(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    """S-052: a warning, and what was missed under the old configuration is dropped, also when catching up."""
    first = make_stage(every_hour(catch_up_missed=True))
    await first.begin()
    second = make_stage(every_hour(catch_up_missed=True, **change))
    now = NOON + 5.5 * HOUR
    await second.begin(now)
    await second.tick(now)
    assert second.tasks() == []
    following = now + (2 * HOUR if "pattern" in change else HOUR)
    assert next_runs(second) == {"report": following}
    assert second.row()["config_hash"] != config_hash(HOURLY, "UTC")
    assert "'report' has another pattern or time zone" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"kwargs": {"region": "us"}},
        {"queue_name": "bulk"},
        {"catch_up_missed": True, "max_catch_up_runs": 7},
        {"task_name": "other", "kwargs": {"n": 1}},
    ],
)
async def test_other_settings_keep_the_next_run(make_stage: MakeStage, change: dict[str, Any]) -> None:
    """S-052: the hash is over pattern and zone only."""
    first = make_stage(every_hour())
    await first.begin()
    second = make_stage(every_hour(**change))
    await second.begin(NOON + 0.9 * HOUR)
    row = second.row()
    assert row["next_run_at"] == NOON + HOUR
    assert (row["task_name"], row["queue_name"]) == (
        change.get("task_name", "report"),
        "bulk" if "queue_name" in change or "task_name" in change else "mail",
    )
    await second.tick(NOON + HOUR)
    assert [task["task_name"] for task in second.tasks()] == [change.get("task_name", "report")]


async def test_rows_of_others_are_left_alone(make_stage: MakeStage, caplog: pytest.LogCaptureFixture) -> None:
    """S-053: named in one warning, neither fired nor changed."""
    theirs = make_stage(every_hour("theirs"), every_hour("theirs too"))
    await theirs.begin()
    before = theirs.ask("select * from horsies.schedules order by name")
    ours = make_stage(every_hour("ours"))
    for _ in range(2):
        await ours.begin()
    await ours.tick(NOON + HOUR)
    assert len(ours.tasks()) == 1
    assert ours.ask("select * from horsies.schedules where name <> 'ours' order by name") == before
    (warning,) = [r.message for r in caplog.records if "left alone" in r.message]
    assert "'theirs', 'theirs too'" in warning
    await theirs.tick(NOON + HOUR)
    assert len(ours.tasks()) == 3


async def test_a_deleted_row_comes_back(make_stage: MakeStage) -> None:
    """S-054: within 60 s, with a fresh next run."""
    stage = make_stage(every_hour(), every_hour("kept"))
    await stage.begin()
    stage.ask("delete from horsies.schedules where name = 'report'")
    stage.broker.now = NOON + 0.2 * HOUR
    await stage.keeper.keep()
    assert next_runs(stage) == {"kept": NOON + HOUR}
    stage.look_clock += 60
    await stage.keeper.keep()
    assert next_runs(stage) == {"kept": NOON + HOUR, "report": NOON + 1.2 * HOUR}


async def test_a_failed_creation_is_tried_each_tick(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-054, S-055: the others have their rows, and fire."""
    stage = make_stage(every_hour("a"), every_hour("bad"), every_hour("z"))
    stage.ask("alter table horsies.schedules add constraint no_bad check (name <> 'bad')")
    await stage.begin()
    assert next_runs(stage) == {"a": NOON + HOUR, "z": NOON + HOUR}
    assert "the row of schedule 'bad' could not be made" in caplog.text
    await stage.keeper.keep()
    assert stage.metrics.errors == {("bad", "row"): 2}
    await stage.tick(NOON + HOUR)
    assert len(stage.tasks()) == 2
    stage.ask("alter table horsies.schedules drop constraint no_bad")
    await stage.keeper.keep()
    assert next_runs(stage)["bad"] == NOON + 2 * HOUR


async def test_a_failed_take_over_is_tried_each_tick(make_stage: MakeStage) -> None:
    """S-055"""
    await make_stage(every_hour("a"), every_hour("b")).begin()
    stage = make_stage(every_hour("a", pattern=TWO_HOURS), every_hour("b", pattern=TWO_HOURS))
    stage.ask(
        "alter table horsies.schedules add constraint same check (name <> 'a' or pattern ->> 'hours' = '1')"
    )
    await stage.begin()
    assert next_runs(stage) == {"a": NOON + HOUR, "b": NOON + 2 * HOUR}
    await stage.tick(NOON + HOUR)
    assert stage.tasks() == []
    stage.ask("alter table horsies.schedules drop constraint same")
    await stage.keeper.keep()
    assert next_runs(stage) == {"a": NOON + 3 * HOUR, "b": NOON + 2 * HOUR}


@pytest.mark.parametrize("catch_up", [False, True])
async def test_enabled_again(make_stage: MakeStage, catch_up: bool) -> None:
    """S-057, S-002: slots while it was disabled are not missed, not even by one that catches up."""
    await make_stage(every_hour(catch_up_missed=catch_up)).begin()
    off = make_stage(every_hour(enabled=False))
    await off.begin(NOON + 0.5 * HOUR)
    assert off.row()["enabled"] is False
    await off.tick(NOON + 3 * HOUR)
    on = make_stage(every_hour(catch_up_missed=catch_up))
    await on.begin(NOON + 5.5 * HOUR)
    await on.tick(NOON + 5.5 * HOUR)
    assert on.tasks() == []
    assert (on.row()["enabled"], on.row()["next_run_at"]) == (True, NOON + 6.5 * HOUR)


async def test_paused_outlives_restarts_and_another_pattern(make_stage: MakeStage) -> None:
    """S-058: a paused schedule fires nothing."""
    first = make_stage(every_hour())
    await first.begin()
    (await first.app.pause_schedule_async("report", by="me")).unwrap()
    await first.tick(NOON + HOUR)
    second = make_stage(every_hour(pattern=TWO_HOURS))
    await second.begin(NOON + 1.5 * HOUR)
    await second.tick(NOON + 9 * HOUR)
    row = second.row()
    assert second.tasks() == []
    assert (row["paused"], row["paused_by"], row["next_run_at"]) == (True, "me", NOON + 3.5 * HOUR)


async def test_a_pause_is_seen_by_a_tick_under_way(make_stage: MakeStage) -> None:
    """S-058: the transaction of the slot looks again."""
    stage = make_stage(every_hour())
    await stage.begin()
    (due,) = await stage.due(NOON + HOUR)
    (await stage.app.pause_schedule_async("report")).unwrap()
    stage.broker.now = NOON + HOUR
    await type(stage.ticker)(stage.broker, stage.sends, stage.metrics)._firing.fire(  # pyright: ignore[reportPrivateUsage]
        stage.sends[0], due
    )
    assert stage.tasks() == []


async def test_two_apps_with_one_name(make_stage: MakeStage, caplog: pytest.LogCaptureFixture) -> None:
    """S-059: a warning at each change of hands; only the one that took the row over last fires it."""
    ours = every_hour("nightly")
    theirs = every_hour("nightly", pattern=TWO_HOURS, task_name="other", kwargs={"n": 1})
    a, b = make_stage(ours), make_stage(theirs)
    await a.begin()
    await b.begin()
    assert "was that of task 'report' with another pattern" in caplog.text
    for _ in range(2):
        await a.tick(NOON + 2 * HOUR)
    assert a.tasks() == []
    assert caplog.text.count("was taken over by a scheduler") == 1
    await b.tick(NOON + 2 * HOUR)
    assert [task["task_name"] for task in b.tasks()] == ["other"]
    caplog.clear()
    await a.begin(NOON + 2 * HOUR)
    assert "was that of task 'other' with another pattern" in caplog.text
    await a.tick(NOON + 3 * HOUR)
    assert [task["task_name"] for task in a.tasks()] == ["other", "report"]


async def test_rivals_take_over_once(make_stage: MakeStage) -> None:
    """S-052, S-043: of two that adopt a row, one starts it over."""
    await make_stage(every_hour()).begin()
    second = make_stage(every_hour(pattern=TWO_HOURS))
    (known,) = await second.broker.run_async(known_schedules(second.keeper.group))
    for hour in (3, 4):
        row, group = second.sends[0].row, second.keeper.group
        op = adopt_schedule(known, row, group, NOON + hour * HOUR, NOON + HOUR)
        await second.broker.run_async(op)
    assert next_runs(second) == {"report": NOON + 3 * HOUR}


async def test_an_older_configuration_does_not_fire_any_more(make_stage: MakeStage) -> None:
    """S-059, S-043: it looked before another one took the row over, and both stand at the same slot."""
    older = make_stage(every_hour())
    await older.begin()
    (due,) = await older.due(NOON + HOUR)
    await make_stage(every_hour(pattern=HourlySchedule(minute=0))).begin()
    assert next_runs(older) == {"report": NOON + HOUR}
    op = fire_slot(due, older.sends[0].task_at(NOON + HOUR), NOON + HOUR, NOON + 2 * HOUR, 0, NOON + HOUR)
    assert await older.broker.run_async(op) == "stale"
    assert await older.broker.run_async(pass_slots(due, NOON + 2 * HOUR, 0, None, NOON + HOUR)) is False


async def test_the_clock_is_the_database_s(make_stage: MakeStage) -> None:
    """S-050, S-048: without a time given by the test, rows are made by the time that the database has."""
    stage = make_stage(every_hour())
    before = await stage.broker.run_async(database_time(None))
    await stage.begin(now=None)
    after = await stage.broker.run_async(database_time(None))
    assert before <= stage.row()["next_run_at"] - HOUR <= after
