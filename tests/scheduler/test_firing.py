"""What fires, when, and as which task (08 sections 4 and 6)."""

import asyncio
import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from horsies import CronSchedule, HourlySchedule, IntervalSchedule, TaskSchedule
from horsies.db.drive import drive_on
from horsies.ops.schedules import fire_slot, pass_slots
from horsies.schedule.due import SLOT_NAMESPACE, StalledScheduleError, plan_fire
from horsies.send_errors import compute_enqueue_sha
from tests.core.task_rows import TaskRows
from tests.helpers import eventually
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import HOUR, NOON, Stage, every_hour, hours

EVERY_MINUTE = CronSchedule.parse("* * * * *")
MINUTE = timedelta(minutes=1)
MISMATCH = (
    "insert into horsies.tasks (id, task_name, queue_name, priority, enqueue_sha, sent_at, enqueued_at)"
)


def standing(stage: Stage, name: str = "report") -> tuple[datetime, int, int]:
    row = stage.row(name)
    return row["next_run_at"], row["run_count"], row["missed_count"]


def slot_id(name: str, slot: datetime) -> uuid.UUID:
    return uuid.uuid5(SLOT_NAMESPACE, f"{name}:{slot.isoformat(timespec='microseconds')}")


# -- which slots


async def test_without_catching_up_the_latest_slot_fires(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-060, S-064, the worked example of section 6: one task, the earlier ones counted and logged."""
    stage = make_stage(every_hour())
    await stage.begin()
    stage.place(NOON)
    await stage.tick(NOON + 3.5 * HOUR)
    assert stage.slots() == hours(3)
    assert standing(stage) == (NOON + 4 * HOUR, 1, 3)
    assert "'report': 3 missed slots are dropped" in caplog.text
    await stage.tick(NOON + 3.5 * HOUR)
    assert stage.slots() == hours(3)
    assert (stage.metrics.fired["report"], stage.metrics.missed["report"]) == (1, 3)


async def test_catching_up_fires_every_slot(make_stage: MakeStage, caplog: pytest.LogCaptureFixture) -> None:
    """S-061, S-064, S-047, the worked example of section 6: oldest first, each with its own id and time."""
    stage = make_stage(every_hour(catch_up_missed=True))
    await stage.begin()
    stage.place(NOON)
    await stage.tick(NOON + 3.5 * HOUR)
    assert stage.slots() == hours(0, 1, 2, 3)
    assert [task["id"] for task in stage.tasks()] == [slot_id("report", slot) for slot in hours(0, 1, 2, 3)]
    assert standing(stage) == (NOON + 4 * HOUR, 4, 0)
    assert "catches up on 4 slots" in caplog.text
    assert "backlog" not in caplog.text


async def test_catching_up_takes_so_many_slots_a_tick(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-061: the rest on following ticks, with a warning that a backlog remains."""
    stage = make_stage(every_hour(catch_up_missed=True, max_catch_up_runs=3))
    await stage.begin()
    stage.place(NOON)
    await stage.tick(NOON + 4 * HOUR)
    assert stage.slots() == hours(0, 1, 2)
    assert "a backlog remains" in caplog.text
    await stage.tick(NOON + 4 * HOUR)
    assert stage.slots() == hours(0, 1, 2, 3, 4)
    assert standing(stage) == (NOON + 5 * HOUR, 5, 0)


async def test_what_is_due_is_read_oldest_first(make_stage: MakeStage) -> None:
    """08 section 6: a tick reads due rows only; S-056: null comes first."""
    stage = make_stage(*(every_hour(name) for name in ("a", "b", "c", "d")))
    await stage.begin()
    stage.place(NOON - HOUR, ["b"])
    stage.place(NOON, ["a"])
    stage.place(None, ["c"])
    assert [due.name for due in await stage.due(NOON)] == ["c", "b", "a"]


async def test_null_is_due_now(make_stage: MakeStage) -> None:
    """S-056: the slot is the current second."""
    stage = make_stage(every_hour())
    await stage.begin()
    stage.place(None)
    await stage.tick(NOON + timedelta(milliseconds=700))
    assert stage.slots() == [NOON]
    assert standing(stage) == (NOON + HOUR, 1, 0)


async def test_a_long_backlog_is_passed_in_pieces(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-065: at most 100 000 slots a tick, progress saved, nothing stale fired meanwhile."""
    stage = make_stage(every_hour(pattern=EVERY_MINUTE))
    await stage.begin()
    now = NOON + 100_500 * MINUTE
    stage.place(NOON)
    await stage.tick(now)
    assert stage.slots() == []
    assert standing(stage) == (NOON + 100_000 * MINUTE, 0, 100_000)
    assert "nothing fires until it has caught up" in caplog.text
    await stage.tick(now)
    assert stage.slots() == [now]
    assert standing(stage) == (now + MINUTE, 1, 100_500)


async def test_intervals_jump(make_stage: MakeStage) -> None:
    """S-065: ten years of seconds in one tick, in phase."""
    stage = make_stage(every_hour(pattern=IntervalSchedule(seconds=1)))
    await stage.begin()
    stage.place(NOON)
    now = NOON + timedelta(days=3650, milliseconds=10)
    await stage.tick(now)
    assert stage.slots() == [NOON + timedelta(days=3650)]
    assert standing(stage) == (NOON + timedelta(days=3650, seconds=1), 1, 3650 * 86_400)


async def test_the_previous_run_need_not_have_ended(make_stage: MakeStage) -> None:
    """S-069"""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.tick(NOON + HOUR)
    await stage.tick(NOON + 2 * HOUR)
    assert stage.slots() == hours(1, 2)


# -- as which task


async def test_a_fired_task_is_as_one_that_was_sent(make_stage: MakeStage) -> None:
    """S-047, CF-31: apart from its times and id, the row of an ordinary send to that queue."""
    stage = make_stage(every_hour(queue_name="bulk", args=("us",), kwargs={"depth": 2}))
    await stage.begin()
    now = NOON + HOUR + timedelta(seconds=20)
    await stage.tick(now)
    (fired,) = stage.tasks()
    report: Any = stage.app.tasks["report"]
    sent = (await report.with_options(queue_name="bulk").send_async(region="us", depth=2)).unwrap()
    (ordinary,) = stage.ask("select * from horsies.tasks where id = %s", sent.task_id)
    own = {"id", "enqueue_sha", "sent_at", "enqueued_at", "created_at"}
    assert {k: v for k, v in fired.items() if k not in own} == {
        k: v for k, v in ordinary.items() if k not in own
    }
    assert (fired["sent_at"], fired["enqueued_at"], fired["good_until"]) == (NOON + HOUR, now, None)
    assert fired["priority"] == 90
    assert fired["enqueue_sha"] == compute_enqueue_sha(
        task_name="report",
        queue_name="bulk",
        priority=90,
        kwargs_json=fired["kwargs"],
        sent_at=NOON + HOUR,
        good_until=None,
        enqueue_delay_seconds=None,
        task_options=fired["options"],
    )


async def test_a_slot_has_one_id_for_ever(make_stage: MakeStage) -> None:
    """S-044: the namespace and the text are part of the wire format."""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.tick(NOON + HOUR)
    (task,) = stage.tasks()
    expected = uuid.uuid5(
        uuid.UUID("6f0c7f3e-94d5-4c52-8a1b-2d6b8f4f1c07"), "report:2030-06-01T13:00:00.000000+00:00"
    )
    row = stage.row()
    assert task["id"] == expected == row["last_task_id"]
    assert (row["last_slot_at"], row["last_run_at"]) == (NOON + HOUR, NOON + HOUR)


@pytest.mark.parametrize(
    "given",
    [
        {"args": ("eu",)},
        {"args": ["eu"]},
        {"kwargs": {"region": "eu"}},
    ],
)
async def test_positions_do_not_travel(make_stage: MakeStage, given: dict[str, Any]) -> None:
    """S-003: the same arguments, however given, are one payload and one fingerprint."""
    stage = make_stage(every_hour(**given))
    await stage.begin()
    await stage.tick(NOON + HOUR)
    (task,) = stage.tasks()
    assert task["kwargs"] == '{"region":"eu"}'
    reference = make_stage(every_hour(kwargs={"region": "eu"})).sends[0].task_at(NOON + HOUR)
    assert (str(task["id"]), task["enqueue_sha"]) == (reference.id, reference.enqueue_sha)


async def test_a_fired_task_wakes_its_queue(make_stage: MakeStage) -> None:
    """S-047, D-040"""
    stage = make_stage(every_hour())
    await stage.begin()
    stage.connection.execute('listen "horsies:q:mail"')
    await stage.tick(NOON + HOUR)
    woken = next(stage.connection.notifies(timeout=10))
    assert (woken.channel, woken.payload) == ("horsies:q:mail", "")


# -- once


async def test_the_row_is_the_guard(make_stage: MakeStage) -> None:
    """S-045, S-046: the task has ended and its record is gone, and the slot fires no second time."""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.tick(NOON + HOUR)
    stage.ask("delete from horsies.tasks")
    await stage.tick(NOON + HOUR)
    assert stage.tasks() == []


@pytest.mark.parametrize("null", [False, True])
async def test_who_looked_too_early_does_nothing(make_stage: MakeStage, null: bool) -> None:
    """S-043, S-045: the row is read again under its lock. Two looked, one fired, and its task is long gone."""
    stage = make_stage(every_hour())
    await stage.begin()
    if null:
        stage.place(None)
    (due,) = await stage.due(NOON + HOUR)
    task = stage.sends[0].task_at(NOON + HOUR)

    async def fire() -> str:
        op = fire_slot(due, task, NOON + HOUR, NOON + 2 * HOUR, 0, NOON + HOUR)
        return await stage.broker.run_async(op)

    assert await fire() == "inserted"
    stage.ask("delete from horsies.tasks")
    assert await fire() == "stale"
    assert await stage.broker.run_async(pass_slots(due, NOON + 9 * HOUR, 5, "x", NOON)) is False
    assert stage.tasks() == []
    assert standing(stage) == (NOON + 2 * HOUR, 1, 0)
    assert stage.row()["last_error"] is None


@pytest.mark.parametrize("ended", [False, True])
async def test_the_same_slot_again_is_no_second_task(make_stage: MakeStage, ended: bool) -> None:
    """S-044, S-045, D-013, S-064: a row set back by hand; live or in history, the task is found."""
    stage = make_stage(every_hour())
    await stage.begin()
    await stage.tick(NOON + HOUR)
    if ended:
        rows = TaskRows(stage.url)
        rows.succeed(str(stage.tasks()[0]["id"]), "1")
        rows.close()
    before = len(stage.tasks())
    stage.place(NOON + HOUR)
    await stage.tick(NOON + HOUR)
    assert len(stage.tasks()) == before
    assert standing(stage) == (NOON + 2 * HOUR, 1, 0)
    assert stage.row()["last_error"] is None


async def test_nothing_happens_before_the_commit(make_stage: MakeStage, database_url: str) -> None:
    """S-043, S-046: while one scheduler is in the transaction of a slot, another passes by without waiting; when it
    dies there, nothing has happened, and the slot is still due."""
    stage = make_stage(every_hour(), every_hour("other"))
    await stage.begin()
    due = (await stage.due(NOON + HOUR))[1]
    assert due.name == "report"
    with psycopg.connect(database_url) as dying:
        task = stage.sends[0].task_at(NOON + HOUR)
        op = fire_slot(due, task, NOON + HOUR, NOON + 2 * HOUR, 0, NOON + HOUR)
        assert drive_on(dying, stage.broker.statements, op) == "inserted"
        await stage.tick(NOON + HOUR)
        assert [task["id"] for task in stage.tasks()] == [slot_id("other", NOON + HOUR)]
        pid = dying.info.backend_pid
        dying.close()
    eventually(lambda: not stage.ask("select 1 from pg_stat_activity where pid = %s", pid))
    await stage.tick(NOON + HOUR)
    assert {task["id"] for task in stage.tasks()} == {
        slot_id("other", NOON + HOUR),
        slot_id("report", NOON + HOUR),
    }


async def test_two_schedulers_fire_freely(make_stage: MakeStage) -> None:
    """S-043: without any lock between them, each slot is one task, and none is left out."""
    schedules = [every_hour(f"s{n}", catch_up_missed=True) for n in range(12)]
    stages = [make_stage(*schedules), make_stage(*schedules)]
    for stage in stages:
        await stage.begin()
    names = [schedule.name for schedule in schedules]
    stages[0].place(NOON, names)
    now = NOON + 14 * HOUR
    while await stages[0].due(now):
        await asyncio.gather(*(stage.tick(now) for stage in stages))
    expected = sorted(slot_id(name, slot) for name in names for slot in hours(*range(15)))
    assert sorted(task["id"] for task in stages[0].tasks()) == expected
    assert sum(sum(stage.metrics.fired.values()) for stage in stages) == 12 * 15
    assert {standing(stages[0], name) for name in names} == {(NOON + 15 * HOUR, 15, 0)}


async def test_a_database_clock_that_steps_fires_nothing_twice(make_stage: MakeStage) -> None:
    """S-048, S-068: forwards, back by hours, and forwards again."""
    stage = make_stage(every_hour(), every_hour("all", catch_up_missed=True))
    await stage.begin()
    for hour in (1.2, 3.1, 0.5, 2.9, -5, 3.2, 4.1, 1.0, 5.1):
        await stage.tick(NOON + hour * HOUR)
    fired = stage.ask("select last_slot_at, run_count, missed_count from horsies.schedules order by name")
    assert [task["id"] for task in stage.tasks()] == [
        task["id"] for task in sorted(stage.tasks(), key=lambda task: (task["sent_at"], task["id"]))
    ]
    assert len({task["id"] for task in stage.tasks()}) == 5 + 4
    assert [tuple(row.values()) for row in fired] == [(NOON + 5 * HOUR, 5, 0), (NOON + 5 * HOUR, 4, 1)]


async def test_the_slot_must_have_come_for_the_database(make_stage: MakeStage) -> None:
    """S-048: a scheduler that believes a slot is due is not believed."""
    stage = make_stage(every_hour())
    await stage.begin()
    due = (await stage.due(NOON + HOUR))[0]
    task = stage.sends[0].task_at(NOON + HOUR)
    op = fire_slot(due, task, NOON + HOUR, NOON + 2 * HOUR, 0, NOON + HOUR - timedelta(microseconds=1))
    assert await stage.broker.run_async(op) == "stale"
    assert stage.tasks() == []
    assert standing(stage) == (NOON + HOUR, 0, 0)


async def test_a_stopping_scheduler_starts_no_further_slot(make_stage: MakeStage) -> None:
    """S-072, S-042"""
    stage = make_stage(every_hour(catch_up_missed=True))
    await stage.begin()
    asked = iter([True, True, False])
    ticker = type(stage.ticker)(stage.broker, stage.sends, stage.metrics, lambda: next(asked))
    stage.broker.now = NOON + 6 * HOUR
    await ticker.tick()
    assert stage.slots() == hours(1)


# -- failures


def occupy(stage: Stage, name: str, slot: datetime) -> None:
    """Another task under the id of a slot."""
    stage.ask(f"{MISMATCH} values (%s, 'x', 'mail', 1, 'other', now(), now())", slot_id(name, slot))


async def test_catching_up_stops_at_a_slot_that_never_works(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    """S-062, S-044, S-064: earlier ones are committed, it is noted and consumed, the next tick goes on behind it."""
    stage = make_stage(every_hour(catch_up_missed=True))
    await stage.begin()
    occupy(stage, "report", NOON + 3 * HOUR)
    await stage.tick(NOON + 5 * HOUR)
    assert standing(stage) == (NOON + 4 * HOUR, 2, 0)
    row = stage.row()
    assert "2030-06-01T15:00:00+00:00" in row["last_error"]
    assert "PAYLOAD_MISMATCH" in row["last_error"]
    assert row["last_error_at"] == NOON + 5 * HOUR
    assert row["last_error"] in caplog.text
    await stage.tick(NOON + 5 * HOUR)
    assert standing(stage) == (NOON + 6 * HOUR, 4, 0)
    assert stage.metrics.errors == {("report", "permanent"): 1}


async def test_without_catching_up_a_slot_that_never_works_is_skipped(make_stage: MakeStage) -> None:
    """S-063"""
    stage = make_stage(every_hour())
    await stage.begin()
    occupy(stage, "report", NOON + 3 * HOUR)
    await stage.tick(NOON + 3.5 * HOUR)
    assert standing(stage) == (NOON + 4 * HOUR, 0, 2)
    assert stage.row()["last_run_at"] is None
    await stage.tick(NOON + 4 * HOUR)
    assert standing(stage) == (NOON + 5 * HOUR, 1, 2)


def refuse(stage: Stage, slot: datetime, error: str) -> None:
    """The database refuses the task of a slot, with an error of this code."""
    stage.ask(
        "create or replace function refuse() returns trigger language plpgsql as $$ begin"
        f" if new.sent_at = '{slot.isoformat()}' then raise exception 'refused' using errcode = '{error}'; end if;"
        " return new; end $$"
    )
    stage.ask("create trigger refuse before insert on horsies.tasks for each row execute function refuse()")


@pytest.mark.parametrize("catch_up", [True, False])
async def test_a_failure_that_passes_is_tried_again(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture, catch_up: bool
) -> None:
    """S-062, S-063: the slot is still due at the next tick, what came before it is kept."""
    stage = make_stage(every_hour(catch_up_missed=catch_up))
    await stage.begin()
    refuse(stage, NOON + 3 * HOUR, "40P01")
    await stage.tick(NOON + 3.5 * HOUR)
    assert standing(stage) == ((NOON + 3 * HOUR, 2, 0) if catch_up else (NOON + HOUR, 0, 0))
    assert "is tried again" in caplog.text
    assert stage.row()["last_error"] is None
    stage.ask("drop trigger refuse on horsies.tasks")
    await stage.tick(NOON + 3.5 * HOUR)
    assert standing(stage) == (NOON + 4 * HOUR, 3 if catch_up else 1, 0 if catch_up else 2)
    assert stage.metrics.errors == {("report", "transient"): 1}


async def test_content_that_the_database_refuses_is_given_up(make_stage: MakeStage) -> None:
    """S-062: whatever a constraint says about the row will not change by itself."""
    stage = make_stage(every_hour())
    await stage.begin()
    refuse(stage, NOON + HOUR, "23514")
    await stage.tick(NOON + HOUR)
    assert standing(stage) == (NOON + 2 * HOUR, 0, 0)
    assert stage.row()["last_error"].endswith("was given up: refused")


async def test_one_failing_schedule_stops_no_other(make_stage: MakeStage) -> None:
    """S-055: in the enqueue."""
    stage = make_stage(*(every_hour(name) for name in ("a", "b", "c")))
    await stage.begin()
    occupy(stage, "a", NOON + HOUR)
    stage.ask("update horsies.schedules set next_run_at = %s where name = 'b'", NOON + 0.5 * HOUR)
    refuse(stage, NOON + 0.5 * HOUR, "40001")
    await stage.tick(NOON + HOUR)
    assert [standing(stage, name)[1] for name in ("a", "b", "c")] == [0, 0, 1]


async def test_a_calculation_that_stands_still_leaves_the_row(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S-066, S-055: logged as an error; other schedules fire."""
    stage = make_stage(every_hour("a", pattern=HourlySchedule(minute=0)), every_hour("b"))
    await stage.begin()

    def plan(next_run_at: Any, now: Any, pattern: Any, tz: str, **settings: Any) -> Any:
        if isinstance(pattern, HourlySchedule):
            raise StalledScheduleError("slot follows itself")
        return plan_fire(next_run_at, now, pattern, tz, **settings)

    monkeypatch.setattr("horsies_scheduler.firing.plan_fire", plan)
    await stage.tick(NOON + HOUR)
    assert standing(stage, "a") == (NOON + HOUR, 0, 0)
    assert standing(stage, "b") == (NOON + 2 * HOUR, 1, 0)
    assert [r.levelno for r in caplog.records if "slot follows itself" in r.message] == [logging.ERROR]
    assert stage.metrics.errors == {("a", "calculation"): 1}


async def test_an_unexpected_failure_stops_no_other(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-055"""
    stage = make_stage(every_hour("a"), every_hour("b"))
    await stage.begin()
    broken = stage.sends[0]
    monkeypatch.setattr(type(broken), "task_at", broken_for("a", type(broken).task_at))
    await stage.tick(NOON + HOUR)
    assert [standing(stage, name)[1] for name in ("a", "b")] == [0, 1]


def broken_for(name: str, real: Any) -> Any:
    def task_at(self: Any, slot: datetime) -> Any:
        if self.schedule.name == name:
            raise RuntimeError("a defect")
        return real(self, slot)

    return task_at


async def test_the_lag_is_that_of_the_oldest_slot(make_stage: MakeStage) -> None:
    """S-074"""
    stage = make_stage(
        every_hour("a"), every_hour("b"), TaskSchedule(name="c", task_name="report", pattern=EVERY_MINUTE)
    )
    await stage.begin()
    stage.place(NOON, ["b"])
    await stage.tick(NOON + 2 * MINUTE)
    assert stage.metrics.lag_s == 120.0
    await stage.tick(NOON + 2 * MINUTE)
    assert stage.metrics.lag_s == 0.0
