"""The worker's sign of life and what its answer tells (R-090, R-091, R-093, R-078)."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from horsies.config import AppConfig, PostgresConfig
from horsies.sql import Statements
from horsies_worker.claims import ServedQueue
from horsies_worker.contact import Contact
from horsies_worker.flight import Flight
from horsies_worker.heartbeat import Fence, Heartbeat
from horsies_worker.link import Link
from horsies_worker.measurements import Measurements
from horsies_worker.options import WorkerOptions
from horsies_worker.state_report import StateReport
from tests.core.apps import UNREACHABLE
from tests.core.cycle_driver import Claim, CycleDriver
from tests.worker.recovery.stage import Stage
from tests.worker.waiting import until, until_blocked_by


def flight(claim: Claim) -> Flight:
    return Flight(claim.id, claim.generation, "work", "mail", "process", None, None, None, 0, 0)


def heartbeat(
    stage: Stage,
    link: Link,
    worker: CycleDriver,
    flights: Callable[[], Sequence[Flight]] = tuple,
    **settings: Any,
) -> Heartbeat:
    return Heartbeat(
        worker.worker_id,
        link,
        stage.broker.statements,
        settings.pop("interval_s", 30.0),
        lambda: {"tasks_running": len(flights())},
        flights=flights,
        **settings,
    )


def row_of(stage: Stage, worker: CycleDriver) -> dict[str, Any]:
    (row,) = stage.rows.execute("select * from horsies.workers where id = %s", [worker.worker_id])
    return row


async def test_a_beat_refreshes_the_row_with_state_and_snapshot(stage: Stage, link: Link) -> None:
    """R-090, R-093: R-130 while draining."""
    worker = stage.worker()
    stage.fall_silent(worker, hours=1)
    before = row_of(stage, worker)["heartbeat_at"]
    beating = heartbeat(stage, link, worker)
    beating.state = "draining"
    assert await beating.beat()
    row = row_of(stage, worker)
    assert row["heartbeat_at"] > before
    assert (row["state"], row["snapshot"]) == ("draining", {"tasks_running": 0})


async def test_the_answer_names_lost_claims_and_wanted_cancels(stage: Stage, link: Link) -> None:
    """R-078, R-090: recovered, claimed anew by another or by itself, cancelled; its own are not named."""
    worker, other = stage.worker(), stage.worker()
    kept, gone, anew, wanted = stage.running(worker, 4)
    foreign = stage.running(other)[0]
    stage.rows.execute("delete from horsies.tasks where id = %s", [gone.id])
    stage.rows.execute(
        "update horsies.tasks set claim_generation = claim_generation + 1 where id = %s", [anew.id]
    )
    stage.rows.execute(
        "update horsies.tasks set cancel_requested_at = now() where id = any (%s)", [[wanted.id, foreign.id]]
    )
    lost: list[Fence] = []
    cancel: list[Fence] = []
    beating = heartbeat(stage, link, worker, lambda: [flight(claim) for claim in (kept, gone, anew, wanted)])
    beating.on_lost = lost.extend
    beating.on_cancel = cancel.extend
    assert await beating.beat()
    assert sorted(lost) == sorted([(gone.id, gone.generation), (anew.id, anew.generation)])
    assert cancel == [(wanted.id, wanted.generation)]


async def test_a_beat_that_waited_for_a_reaper_sees_what_the_reaper_did(stage: Stage, link: Link) -> None:
    """R-078: at first contact, not one interval later."""
    worker = stage.worker()
    (claim,) = stage.running(worker)
    lost: list[Fence] = []
    beating = heartbeat(stage, link, worker, lambda: [flight(claim)])
    beating.on_lost = lost.extend
    async with await psycopg.AsyncConnection.connect(stage.url) as reaper:
        await reaper.execute(
            "select horsies.hold_silent(%s, 1, true, now() + interval '1 h')", [worker.worker_id]
        )
        await reaper.execute("delete from horsies.tasks")
        beat = asyncio.create_task(beating.beat())
        await until_blocked_by(stage, reaper.info.backend_pid)
        await reaper.commit()
        assert await beat
    assert lost == [(claim.id, claim.generation)]


async def test_a_worker_whose_row_was_taken_away_enters_again(stage: Stage, link: Link) -> None:
    """R-115, R-090: after a long silence it goes on as the worker it was."""
    worker = stage.worker(registered=False)
    registration = {
        "id": worker.worker_id,
        "hostname": "host",
        "pid": 7,
        "version": "0",
        "heartbeat_interval_ms": 30_000,
        "snapshot": "{}",
    }
    assert await heartbeat(stage, link, worker, registration=registration).beat()
    assert row_of(stage, worker)["pid"] == 7


async def test_what_was_not_answered_does_not_count(stage: Stage) -> None:
    """R-091, R-117: the time of the last answered beat stays, the outage is passed on."""
    nobody = Link(UNREACHABLE, prepare=True)
    outages: list[str] = []
    contact = Contact(0.01)
    beating = heartbeat(stage, nobody, stage.worker(), contact=contact)
    beating.on_outage = lambda: outages.append("outage")
    await until(lambda: contact.is_silent)
    assert not await beating.beat()
    assert outages == ["outage"]
    assert contact.is_silent


async def test_an_answered_beat_ends_the_silence(stage: Stage, link: Link) -> None:
    """R-091."""
    contact = Contact(0.0)
    heard: list[str] = []
    beating = heartbeat(stage, link, stage.worker(), contact=contact)
    beating.on_answered = lambda: heard.append("answered")
    assert await beating.beat()
    assert heard == ["answered"]
    assert contact.is_lost, "what was claimed before is still to be given back"
    contact = Contact(60.0)
    assert await heartbeat(stage, link, stage.worker(), contact=contact).beat()
    assert not contact.is_lost


async def test_a_beat_can_be_asked_for(stage: Stage, link: Link) -> None:
    """R-091: who has lost contact does not wait for the interval to end."""
    contact = Contact(60.0)
    heard = asyncio.Event()
    beating = heartbeat(stage, link, stage.worker(), contact=contact, interval_s=3600.0)
    beating.on_answered = heard.set
    run = asyncio.create_task(beating.run())
    contact.ask()
    await until(heard.is_set)
    heard.clear()
    contact.ask()
    await until(heard.is_set)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_every_so_often_a_beat_is_kept_as_a_sample(stage: Stage, link: Link) -> None:
    """R-093: with what the worker's row says besides."""
    worker = stage.worker()
    beating = heartbeat(stage, link, worker, sample_interval_s=3600.0)
    await beating.beat()
    await beating.beat()
    (sample,) = stage.rows.execute("select * from horsies.worker_samples")
    assert str(sample["worker_id"]) == worker.worker_id
    assert sample["snapshot"]["hostname"] == "host"
    assert sample["snapshot"]["state"] == "running"
    beating = heartbeat(stage, link, worker, sample_interval_s=0.000_001)
    await beating.beat()
    await beating.beat()
    assert len(stage.rows.execute("select 1 from horsies.worker_samples")) == 3


async def test_a_sample_that_cannot_be_kept_is_logged_only(
    stage: Stage, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    """R-093: the beat counts."""
    stage.rows.execute("drop table horsies.worker_samples")
    assert await heartbeat(stage, link, stage.worker(), sample_interval_s=1.0).beat()
    assert any("sample" in message for message in caplog.messages)


async def test_executors_hear_the_coordinator_while_the_database_is_silent(stage: Stage) -> None:
    """R-091: cut off from the database alone, running tasks go on."""
    heard = asyncio.Event()
    with psycopg.connect(stage.url) as holder:
        worker = stage.worker()
        holder.execute("select from horsies.workers for update")
        link = Link(stage.broker.conninfo(), prepare=True)
        beating = heartbeat(stage, link, worker, interval_s=0.02, tell_executors=heard.set)
        run = asyncio.create_task(beating.run())
        await until_blocked_by(stage, holder.info.backend_pid)
        heard.clear()
        await until(heard.is_set)
        holder.rollback()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await link.close()


# -- the state that is carried


def report(**settings: Any) -> StateReport:
    config = AppConfig(
        broker=PostgresConfig(database_url=UNREACHABLE), prefetch_buffer=2, claim_lease_ms=90_000
    )
    queues = [ServedQueue("mail", 10, None), ServedQueue("bulk", 90, 3)]
    arguments: dict[str, Any] = {
        "running": lambda: 4,
        "claimed": lambda: 1,
        "executor_pids": tuple,
        "upkeep": lambda: {"partition_coverage": {"ok": True}},
    }
    return StateReport(config, WorkerOptions(processes=2, concurrency=3), queues, **(arguments | settings))


async def test_the_snapshot_holds_what_monitoring_shows() -> None:
    """10-monitoring §2: what a heartbeat carries beside the row's own columns."""
    state: dict[str, Any] = dict(report().snapshot())
    assert state["queues"] == ["mail", "bulk"]
    assert state["queue_priorities"] == {"mail": 10, "bulk": 90}
    assert state["queue_max_concurrency"] == {"mail": None, "bulk": 3}
    assert (state["processes"], state["concurrency"], state["executor"]) == (2, 3, "process")
    assert (state["prefetch_buffer"], state["cluster_wide_cap"]) == (2, None)
    assert (state["tasks_running"], state["tasks_claimed"]) == (4, 1)
    assert state["recovery_config"]["running_stale_threshold_ms"] == 300_000
    assert state["recovery_config"]["partition_coverage"] == {"ok": True}
    assert json.loads(json.dumps(state)) == state


async def test_memory_and_cpu_are_measured() -> None:
    """R-093: of the coordinator, and of all executors together."""
    with_child = await report(executor_pids=lambda: [1]).take()
    assert {"memory_usage_mb", "memory_percent", "cpu_percent", "children_memory_mb"} == set(with_child)
    alone = Measurements().take([])
    assert isinstance(alone["memory_usage_mb"], float)
    assert alone["memory_usage_mb"] > 1
    assert alone["children_memory_mb"] == 0.0


async def test_what_cannot_be_measured_is_none(
    monkeypatch: pytest.MonkeyPatch, stage: Stage, link: Link
) -> None:
    """M-015: and the beat is written all the same."""

    def refused(pid: int) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr("horsies_worker.measurements.psutil.Process", refused)
    measured = report(executor_pids=lambda: [1])
    worker = stage.worker()
    assert await heartbeat(stage, link, worker, measures=measured).beat()
    snapshot = row_of(stage, worker)["snapshot"]
    assert [snapshot[name] for name in ("memory_usage_mb", "cpu_percent", "children_memory_mb")] == [None] * 3


def test_statements_of_another_schema_are_its_own() -> None:
    """D-001."""
    assert b'"elsewhere".heartbeat' in Statements("elsewhere")["heartbeat"]
