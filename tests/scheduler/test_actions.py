"""Pausing, resuming and listing schedules, without a scheduler (10 section 7)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from horsies import Err, Horsies, IntervalSchedule, Ok
from horsies.broker import Broker
from horsies.config import PostgresConfig
from horsies.monitoring import (
    ScheduleState,
    TaskActionErrorCode,
    pause_schedule,
    pause_schedule_sync,
    resume_schedule,
    resume_schedule_sync,
)
from tests.core.apps import UNREACHABLE
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import HOUR, HOURLY, NOON, every_hour, scheduling_app

PAUSED = Ok(ScheduleState("report", paused=True, changed=True))
RESUMED = Ok(ScheduleState("report", paused=False, changed=True))
STILL_PAUSED = Ok(ScheduleState("report", paused=True, changed=False))
STILL_RUNNING = Ok(ScheduleState("report", paused=False, changed=False))


@pytest.fixture
def broker(database_url: str) -> Iterator[Broker]:
    """A broker without an app."""
    found = Broker(PostgresConfig(database_url=database_url))
    yield found
    found.close()


@pytest.fixture
def app(database_url: str) -> Iterator[Horsies]:
    """An app with a schedule that no scheduler has run with."""
    found = scheduling_app(database_url, every_hour(), every_hour("off", enabled=False))
    yield found
    found.get_broker().close()


@pytest.mark.parametrize("catch_up", [False, True])
async def test_what_came_in_between_is_not_missed(make_stage: MakeStage, catch_up: bool) -> None:
    """M-073, S-057, S-058: resumed, it goes on from its next run, also when it catches up."""
    stage = make_stage(every_hour(catch_up_missed=catch_up))
    await stage.begin()
    assert await stage.app.pause_schedule_async("report", by="ada") == PAUSED
    assert await stage.app.pause_schedule_async("report", by="bob") == STILL_PAUSED
    await stage.tick(NOON + 3 * HOUR)
    assert stage.tasks() == []
    row = stage.row()
    assert (row["paused_by"], row["paused_at"]) == ("ada", NOON)
    stage.broker.now = NOON + 4.5 * HOUR
    assert await stage.app.resume_schedule_async("report", by="bob") == RESUMED
    assert await stage.app.resume_schedule_async("report") == STILL_RUNNING
    row = stage.row()
    assert (row["paused"], row["paused_by"], row["next_run_at"]) == (False, "bob", NOON + 5.5 * HOUR)
    await stage.tick(NOON + 5 * HOUR)
    assert stage.tasks() == []
    await stage.tick(NOON + 5.5 * HOUR)
    assert stage.slots() == [NOON + 5.5 * HOUR]
    assert row["missed_count"] == 0


def test_a_configured_schedule_can_be_paused_before_its_first_run(app: Horsies) -> None:
    """M-073, M-071, S-075: its row is made, paused; a disabled one has none (S-002)."""
    app.get_broker().now = NOON
    assert app.resume_schedule("report") == STILL_RUNNING
    assert app.list_schedules() == Ok([])
    assert app.pause_schedule("report") == PAUSED
    (info,) = app.list_schedules().unwrap()
    assert (info.name, info.paused, info.next_run_at) == ("report", True, NOON + HOUR)
    assert (info.task_name, info.queue_name) == ("report", "mail")
    assert info.read_pattern() == HOURLY
    refused = app.pause_schedule("off")
    assert isinstance(refused, Err)
    assert refused.err_value.code is TaskActionErrorCode.SCHEDULE_NOT_FOUND


async def test_a_row_made_by_a_pause_is_used(make_stage: MakeStage) -> None:
    """M-073, S-051, S-058"""
    stage = make_stage(every_hour())
    stage.broker.now = NOON
    assert await stage.app.pause_schedule_async("report") == PAUSED
    await stage.begin(NOON + 0.5 * HOUR)
    await stage.tick(NOON + 2 * HOUR)
    assert stage.tasks() == []
    assert stage.row()["next_run_at"] == NOON + HOUR


@pytest.mark.parametrize("name", ["nope", "", "with\x00zero", "lone\ud800"])
def test_an_unknown_schedule(app: Horsies, broker: Broker, name: str) -> None:
    """M-073: SCHEDULE_NOT_FOUND, whatever the name."""
    for answer in (
        app.pause_schedule(name),
        app.resume_schedule(name),
        broker.pause_schedule(name),
        pause_schedule_sync(broker, name),
        resume_schedule_sync(broker, name),
    ):
        assert isinstance(answer, Err)
        error = answer.err_value
        assert (error.code, error.retryable) == (TaskActionErrorCode.SCHEDULE_NOT_FOUND, False)


async def test_on_app_broker_and_as_functions(make_stage: MakeStage) -> None:
    """M-073, M-070: the same calls everywhere, each with its twin."""
    stage = make_stage(every_hour())
    await stage.begin()
    broker = stage.broker
    assert await pause_schedule(broker, "report") == PAUSED
    assert await resume_schedule(broker, "report") == RESUMED
    assert pause_schedule_sync(broker, "report") == PAUSED
    assert resume_schedule_sync(broker, "report") == RESUMED
    assert await broker.pause_schedule_async("report") == PAUSED
    assert await broker.resume_schedule_async("report") == RESUMED
    assert broker.pause_schedule("report") == PAUSED
    assert broker.resume_schedule("report") == RESUMED
    assert stage.app.pause_schedule("report") == PAUSED
    assert stage.app.resume_schedule("report") == RESUMED


async def test_a_list_tells_where_schedules_stand(make_stage: MakeStage) -> None:
    """S-075, 10 section 4, M-006: state rows by name, times in UTC."""
    stage = make_stage(every_hour("b"), every_hour("a", timezone="Asia/Tokyo"))
    await stage.begin()
    stage.ask(f"alter database {stage.connection.info.dbname} set timezone = 'Asia/Tokyo'")
    stage.broker.close()
    stage.broker.now = NOON + HOUR
    stage.place(NOON - HOUR, ["b"])
    await stage.ticker.tick()
    first, second = (await stage.app.list_schedules_async()).unwrap()
    assert stage.app.list_schedules() == Ok([first, second])
    assert (first.name, second.name, first.timezone) == ("a", "b", "Asia/Tokyo")
    assert (second.run_count, second.missed_count, second.last_slot_at) == (1, 2, NOON + HOUR)
    assert second.next_run_at == NOON + 2 * HOUR
    assert second.last_task_id == str(stage.row("b")["last_task_id"])
    times = [
        value for value in (getattr(second, name) for name in second.__slots__) if isinstance(value, datetime)
    ]
    assert len(times) == 4
    assert {time.tzinfo for time in times} == {UTC}


async def test_a_resume_meets_another_pattern(make_stage: MakeStage) -> None:
    """S-057: the next run is computed from the pattern that the row has then, never from an older one."""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.app.pause_schedule_async("report")
    newer = make_stage(every_hour(pattern=IntervalSchedule(hours=3)))
    await newer.begin()
    older = stage.sends[0].row.config_hash
    (row,) = stage.ask("select horsies.resume_schedule('report', null, %s, now()) as done", older)
    assert row["done"] is False
    assert await stage.app.resume_schedule_async("report") == RESUMED
    assert stage.row()["next_run_at"] == NOON + 3 * HOUR


async def test_a_pattern_of_another_version(make_stage: MakeStage) -> None:
    """M-073: an error as a value."""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.app.pause_schedule_async("report")
    stage.ask("""update horsies.schedules set pattern = '{"type": "lunar"}'""")
    answer = await stage.app.resume_schedule_async("report")
    assert isinstance(answer, Err)
    assert answer.err_value.code is TaskActionErrorCode.DB_OPERATION_FAILED
    assert answer.err_value.retryable is False


def test_without_a_database() -> None:
    """M-073, M-001: failures are values."""
    app = scheduling_app(UNREACHABLE, every_hour())
    for answer in (app.pause_schedule("report"), app.resume_schedule("report")):
        assert isinstance(answer, Err)
        assert answer.err_value.code is TaskActionErrorCode.DB_OPERATION_FAILED
        assert answer.err_value.retryable is True
    listed = app.list_schedules()
    assert isinstance(listed, Err)
    assert (listed.err_value.code, listed.err_value.retryable) == ("MONITORING_QUERY_FAILED", True)
    app.get_broker().close()


async def test_only_those_with_the_right_may(make_stage: MakeStage) -> None:
    """D-073, D-077: the functions run with the owner's rights and are nobody's without a grant."""
    stage = make_stage(every_hour())
    await stage.begin()
    rows = stage.ask(
        "select p.proname, p.prosecdef, coalesce(p.proacl::text, '') as acl, p.proconfig"
        " from pg_proc p where p.proname in ('pause_schedule', 'resume_schedule')"
    )
    assert len(rows) == 2
    for row in rows:
        assert row["prosecdef"] is True
        assert not any(entry.startswith("=") for entry in row["acl"].strip("{}").split(","))
        assert row["proconfig"] == ["search_path=pg_catalog, pg_temp"]
