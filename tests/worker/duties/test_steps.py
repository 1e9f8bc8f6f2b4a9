"""Which steps of the reaper run when, and what their failures mean: decisions without a database."""

import logging

import psycopg
import pytest

from horsies.config import RecoveryConfig
from horsies.db.effects import Op
from horsies_worker.reaper import Reaper, recovery_steps
from horsies_worker.steps import Agenda, Step

OUTAGE = psycopg.OperationalError("server closed the connection unexpectedly")
MISTAKE = psycopg.errors.UndefinedTable('relation "horsies.tasks" does not exist')


async def nothing() -> None:
    pass


SWEEP = Step("sweep", 30, nothing)
JUDGE = Step("judge", 30, nothing, judges_silence=True)


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def test_a_step_is_due_at_once_and_then_every_so_often() -> None:
    agenda = Agenda([SWEEP, Step("rare", 300, nothing)], quiet_s=60)
    assert names(agenda.due(1000)) == ["sweep", "rare"]
    for step in agenda.steps:
        agenda.succeeded(step, 1000)
    assert names(agenda.due(1029)) == []
    assert names(agenda.due(1030)) == ["sweep"]
    assert names(agenda.due(1300)) == ["sweep", "rare"]


def test_after_the_start_nobody_is_taken_for_dead_for_two_heartbeats() -> None:
    """R-117: other steps run meanwhile."""
    agenda = Agenda([SWEEP, JUDGE], quiet_s=60)
    agenda.begin_quiet(1000)
    assert names(agenda.due(1000)) == ["sweep"]
    assert names(agenda.due(1059)) == ["sweep"]
    assert names(agenda.due(1060)) == ["sweep", "judge"]


def test_after_an_outage_the_same() -> None:
    """R-117: whichever step noticed it."""
    agenda = Agenda([SWEEP, JUDGE], quiet_s=60)
    agenda.failed(SWEEP, 2000, OUTAGE)
    assert names(agenda.due(2059)) == ["sweep"]
    assert names(agenda.due(2060)) == ["sweep", "judge"]


def test_three_failures_of_its_own_switch_a_step_off(caplog: pytest.LogCaptureFixture) -> None:
    """R-118: with a CRITICAL line that names it; other steps go on."""
    agenda = Agenda([SWEEP, JUDGE], quiet_s=0)
    for number in range(1, 4):
        assert SWEEP in agenda.due(number * 100)
        agenda.failed(SWEEP, number * 100, MISTAKE)
    assert names(agenda.due(10_000)) == ["judge"]
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.ERROR, logging.ERROR, logging.CRITICAL]
    assert "sweep" in caplog.messages[-1]
    assert "does not exist" in caplog.messages[-1]


def test_outages_do_not_count_and_a_success_forgives() -> None:
    """R-118: three running, and none of them transient."""
    agenda = Agenda([SWEEP], quiet_s=0)
    for error in (MISTAKE, MISTAKE, OUTAGE, OUTAGE, OUTAGE):
        agenda.failed(SWEEP, 0, error)
    assert not agenda.record(SWEEP).switched_off
    agenda.succeeded(SWEEP, 0)
    agenda.failed(SWEEP, 0, MISTAKE)
    assert not agenda.record(SWEEP).switched_off


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_one_step_that_fails_keeps_no_other_from_running() -> None:
    """R-035: errors inside a round do not end it."""
    ran: list[str] = []

    async def fail() -> None:
        raise MISTAKE

    async def work() -> None:
        ran.append("work")

    clock = Clock()
    reaper = Reaper(
        [Step("fail", 30, fail), Step("work", 30, work)],
        check_interval_s=30,
        heartbeat_interval_s=30,
        clock=clock,
    )
    await reaper.once()
    await reaper.once()
    clock.now += 30
    await reaper.once()
    assert ran == ["work", "work"]


async def test_an_outage_that_somebody_else_noticed_counts() -> None:
    """R-117: a heartbeat that was not answered says as much as a step that failed."""
    ran: list[str] = []

    async def judge() -> None:
        ran.append("judge")

    clock = Clock()
    steps = [Step("judge", 30, judge, judges_silence=True)]
    reaper = Reaper(steps, check_interval_s=30, heartbeat_interval_s=30, clock=clock)
    reaper.note_outage()
    await reaper.once()
    clock.now += 59
    await reaper.once()
    assert ran == []
    clock.now += 1
    await reaper.once()
    assert ran == ["judge"]


class NoRunner:
    async def run[R](self, op: Op[R]) -> R:
        raise AssertionError("nothing is run here")


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_the_switches_leave_their_rows_alone(claimed: bool, running: bool) -> None:
    """CF-29, R-110, R-112: and only those two take anybody for dead."""
    config = RecoveryConfig(
        auto_requeue_stale_claimed=claimed, auto_fail_stale_running=running, check_interval_ms=7_000
    )
    steps = recovery_steps(config, 60_000, NoRunner(), lambda name: None)
    assert {step.name for step in steps if step.judges_silence} == (
        ({"the return of claimed tasks"} if claimed else set())
        | ({"the recovery of running tasks"} if running else set())
    )
    assert {step.every_s for step in steps} == {7.0}
