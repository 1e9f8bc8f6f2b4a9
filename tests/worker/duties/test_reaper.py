"""The reaper's steps on a real database, through the worker's own connection."""

from horsies.config import RecoveryConfig
from horsies_worker.link import Link
from horsies_worker.op_runner import LinkRunner
from horsies_worker.reaper import Reaper, recovery_steps
from horsies_worker.steps import Step
from tests.worker.recovery.stage import Stage, later

RECOVERY = RecoveryConfig(
    claimed_stale_threshold_ms=120_000,
    running_stale_threshold_ms=300_000,
    check_interval_ms=1_000,
    runner_heartbeat_interval_ms=1_000,
    claimer_heartbeat_interval_ms=1_000,
)


def reaper_on(stage: Stage, link: Link, *, lease_ms: int = 60_000) -> Reaper:
    """A reaper whose quiet time is over."""
    runner = LinkRunner(link, stage.broker.statements)
    steps = recovery_steps(RECOVERY, lease_ms, runner, stage.app.registered_policy)
    return Reaper(steps, check_interval_s=1, heartbeat_interval_s=1)


async def test_one_pass_does_all_steps(stage: Stage, link: Link) -> None:
    """R-110, R-112, R-113."""
    worker = stage.worker()
    (run,) = stage.running(worker)
    (retried,) = stage.running(worker, again=True)
    (held,) = stage.send()
    worker.prefetch(held)
    stage.fall_silent(worker, minutes=6)
    (overdue,) = stage.send(good_until=later(seconds=-1))
    await reaper_on(stage, link).once()
    assert stage.history(run.id)["error_code"] == "WORKER_CRASHED"
    assert stage.history(overdue)["status"] == "EXPIRED"
    left = {str(row["id"]): (row["status"], row["retry_count"]) for row in stage.rows.live()}
    assert left == {retried.id: ("PENDING", 1), held: ("PENDING", 0)}


async def test_claims_return_after_the_lease_or_the_threshold_whichever_is_shorter(
    stage: Stage, link: Link
) -> None:
    """R-110, CF-17."""
    first, second = stage.worker(), stage.worker()
    for worker in (first, second):
        worker.prefetch(*stage.send())
    stage.fall_silent(first, seconds=61)
    stage.fall_silent(second, seconds=121)
    await reaper_on(stage, link, lease_ms=1_000_000).once()
    assert sorted(row["status"] for row in stage.rows.live()) == ["CLAIMED", "PENDING"]
    await reaper_on(stage, link, lease_ms=60_000).once()
    assert [row["status"] for row in stage.rows.live()] == ["PENDING", "PENDING"]


async def test_in_its_quiet_time_it_takes_nobody_for_dead(stage: Stage, link: Link) -> None:
    """R-117: but deadlines pass."""
    worker = stage.worker()
    stage.running(worker)
    stage.fall_silent(worker, hours=1)
    stage.send(good_until=later(seconds=-1))
    reaper = reaper_on(stage, link)
    reaper.note_outage()
    await reaper.once()
    assert [row["status"] for row in stage.rows.live()] == ["RUNNING"]


async def test_a_step_that_the_database_refuses_is_switched_off(stage: Stage, link: Link) -> None:
    """R-118: the others go on."""
    stage.rows.execute("drop function horsies.expire_pending")
    stage.send(good_until=later(seconds=-1))
    reaper = reaper_on(stage, link)
    for _ in range(3):
        for record in reaper.agenda.records.values():
            record.ran_at = float("-inf")
        await reaper.once()
    switched_off = {name for name, record in reaper.agenda.records.items() if record.switched_off}
    assert switched_off == {"the expiry of waiting tasks"}
    assert len(reaper.agenda.records) == 3


async def test_a_worker_that_was_cut_off_judges_nobody() -> None:
    """R-117, R-091: until its own heartbeats have been answered again and others had time to beat."""
    ran: list[str] = []

    async def judge() -> None:
        ran.append("judged")

    async def keep_house() -> None:
        ran.append("kept")

    now, cut_off = 100.0, True
    steps = [Step("judge", 1.0, judge, judges_silence=True), Step("keep house", 1.0, keep_house)]
    reaper = Reaper(
        steps, check_interval_s=1.0, heartbeat_interval_s=1.0, clock=lambda: now, is_cut_off=lambda: cut_off
    )
    await reaper.once()
    assert ran == ["kept"]
    cut_off, now = False, 101.5
    await reaper.once()
    assert ran == ["kept", "kept"]
    now = 103.0
    await reaper.once()
    assert sorted(ran) == ["judged", "kept", "kept", "kept"]
