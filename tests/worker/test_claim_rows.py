"""What a claim makes of a row, under caps and with a buffer of rows that are only held (CF-17)."""

import asyncio
import threading
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.core.cycle_driver import CycleDriver
from tests.helpers import eventually
from tests.worker.recovery.stage import INTERVAL_MS, QUEUES, Stage, later

CAPPED = {"mail": (10, 2), "bulk": (90, None), "default": (100, None)}


@pytest.fixture
def stage(database_url: str) -> Generator[Stage]:
    stage = Stage(database_url)
    yield stage
    stage.close()


def row(stage: Stage, task_id: str) -> dict[str, Any]:
    (found,) = stage.rows.live(task_id)
    return found


def test_a_claim_for_a_free_place_starts_the_row_at_once(stage: Stage) -> None:
    """R-052, R-071, T-58: RUNNING, claimed_at = started_at, worker and executor named, the generation counts on."""
    worker = stage.worker()
    task_id = stage.send()[0]
    before = row(stage, task_id)["claim_generation"]
    (claim,) = worker.claim().claimed
    found = row(stage, task_id)
    assert found["status"] == "RUNNING"
    assert found["claimed_at"] == found["started_at"] is not None
    assert str(found["worker_id"]) == worker.worker_id
    assert (found["worker_hostname"], found["worker_pid"]) == ("host", 11)
    assert found["worker_process_name"] == "executor-1"
    assert found["claim_generation"] == claim.generation == before + 1
    worker.hand_back(claim)
    assert worker.claim().claimed[0].generation == before + 2


def test_many_rows_are_started_by_one_statement(stage: Stage) -> None:
    """R-071: one transaction, one instant."""
    stage.send(20)
    assert len(stage.worker().claim(20).claimed) == 20
    found = stage.rows.execute(
        "select count(distinct xmin::text) as writes, count(distinct started_at) as starts from horsies.tasks"
    )
    assert found == [{"writes": 1, "starts": 1}]


def test_what_is_held_is_claimed_and_not_started(stage: Stage) -> None:
    """R-052, R-054, T-56: rows beyond the free places, in the order of the claim."""
    worker = stage.worker()
    ids = stage.send(5)
    answer = worker.cycle(places=[1, 0, 0, 0])
    assert answer.ids == ids[:1]
    assert [claim.id for claim in answer.prefetched] == ids[1:4]
    for claim in answer.prefetched:
        found = row(stage, claim.id)
        assert (found["status"], found["started_at"], found["worker_pid"]) == ("CLAIMED", None, None)
        assert (str(found["worker_id"]), found["claim_generation"]) == (worker.worker_id, 1)
    assert row(stage, ids[4])["status"] == "PENDING"


def test_held_rows_start_in_their_worker_s_cycle(stage: Stage) -> None:
    """R-071, R-072, T-58: CLAIMED -> RUNNING under the fence; asking again after a lost answer changes nothing."""
    worker, other = stage.worker(), stage.worker()
    stage.send(2)
    first, second = worker.cycle(places=[0, 0]).prefetched
    assert other.cycle(starts=[first]).started == []
    assert worker.cycle(starts=[first, second]).started == [first.id, second.id]
    found = row(stage, first.id)
    assert (found["status"], found["worker_pid"], found["claim_generation"]) == ("RUNNING", 11, 1)
    assert found["started_at"] > found["claimed_at"]
    assert worker.cycle(starts=[first]).started == [first.id]
    worker.complete(first)
    assert stage.history(first.id)["status"] == "COMPLETED"


def test_a_held_row_past_its_deadline_is_not_started(stage: Stage) -> None:
    """R-072, T-64, T-84: it ends EXPIRED, its claim kept, no attempt."""
    worker = stage.worker()
    task_id = stage.send(good_until=later(minutes=1))[0]
    (held,) = worker.cycle(places=[0]).prefetched
    answer = worker.cycle(starts=[held], now=later(minutes=2))
    assert (answer.started, answer.late) == ([], [task_id])
    worker.fail(held, "TASK_EXPIRED", status="EXPIRED")
    ended = stage.history(task_id)
    assert (ended["status"], ended["started_at"]) == ("EXPIRED", None)
    assert ended["claimed_at"] is not None


def test_a_held_row_of_a_paused_queue_goes_back(stage: Stage) -> None:
    """R-061, R-072: handed back instead of started; the others start."""
    worker = stage.worker()
    mail, bulk = stage.send()[0], stage.send(queue_name="bulk")[0]
    held = worker.cycle(places=[0, 0]).prefetched
    # As if the pause had come between the claim and the start, and not seen these rows.
    stage.rows.execute(
        "insert into horsies.queues (name, paused) values ('mail', true) on conflict (name) do update set paused = true"
    )
    answer = worker.cycle(starts=held)
    assert answer.started == [bulk]
    found = row(stage, mail)
    assert (found["status"], found["worker_id"], found["claim_generation"]) == ("PENDING", None, 1)


def test_a_held_row_that_was_lost_is_neither_started_nor_written(stage: Stage) -> None:
    """R-072: CLAIM_LOST."""
    worker, other = stage.worker(), stage.worker()
    task_id = stage.send()[0]
    (held,) = worker.cycle(places=[0]).prefetched
    worker.hand_back(held)
    (claim,) = other.claim().claimed
    before = row(stage, task_id)
    assert worker.cycle(starts=[held]).started == []
    assert row(stage, task_id) == before
    assert before["claim_generation"] == claim.generation == held.generation + 1


def test_a_silent_worker_loses_what_it_holds(stage: Stage) -> None:
    """R-110, CF-17: after the lease, to PENDING, retry count unchanged; a worker that beats keeps its own."""
    silent, beating = stage.worker(), stage.worker()
    lost, kept = stage.send(2)
    silent.cycle(places=[0])
    beating.cycle(places=[0])
    stage.fall_silent(silent, seconds=3 * INTERVAL_MS / 1000)
    handled = stage.broker.requeue_stale_claimed(stale_threshold_ms=2 * INTERVAL_MS)

    assert asyncio.run(handled).unwrap() == 1
    found = row(stage, lost)
    assert (found["status"], found["retry_count"]) == ("PENDING", 0)
    assert row(stage, kept)["status"] == "CLAIMED"


def test_rows_under_a_cap_are_for_free_places_only(stage: Stage) -> None:
    """CF-15, R-041, R-054: never read ahead, never held, whatever stands between them in the order."""
    stage.send(5)
    bulk = stage.send(3, queue_name="bulk")
    capped = CycleDriver(stage.connection, CAPPED | {"mail": (10, 4)})
    answer = capped.cycle(places=[1, 1, -1, -1, 0])
    assert [claim.queue_name for claim in answer.claimed] == ["mail", "mail", "bulk", "bulk"]
    assert [claim.id for claim in answer.prefetched] == bulk[2:]
    assert capped.cycle(places=[-1, 0]).ids == []


def test_queues_of_one_rank_share_the_free_places_when_one_has_a_cap(stage: Stage) -> None:
    """CF-15, R-050: merged by age as long as places are free; beyond them the queue without a cap goes on."""
    order: list[str] = []
    for queue in ("bulk", "mail", "bulk", "mail", "bulk", "bulk"):
        order += stage.send(queue_name=queue)
    stage.rows.execute("update horsies.tasks set priority = 50")
    driver = CycleDriver(stage.connection, {"mail": (10, 5), "bulk": (10, None)})
    answer = driver.cycle(places=[1, 1, -1, -1])
    assert answer.ids == [order[0], order[1], order[2], order[4]]


def test_a_count_is_read_after_the_lock_is_held(stage: Stage, database_url: str) -> None:
    """R-059: who waited for the lock sees what its holder has claimed; both together never exceed the cap."""
    stage.send(10)
    with (
        psycopg.connect(database_url) as first,
        psycopg.connect(database_url, autocommit=True) as second,
    ):
        one, two = CycleDriver(first, CAPPED), CycleDriver(second, CAPPED)
        assert len(one.claim(1).claimed) == 1  # not committed
        answers: list[list[str]] = []
        thread = threading.Thread(target=lambda: answers.append(two.claim(5).ids))
        thread.start()
        waits = "select 1 from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        eventually(lambda: stage.rows.execute(waits, [first.info.backend_pid]), 30)
        first.commit()
        thread.join(30)
        assert [len(ids) for ids in answers] == [1]


def test_locks_of_capped_queues_are_taken_in_one_order_and_only_for_them(
    stage: Stage, database_url: str
) -> None:
    """R-059: ascending by key, for the length of the transaction; none where nothing is capped."""
    held = (
        "select ((classid::bigint << 32) | objid::bigint) as key, granted from pg_locks"
        " where locktype = 'advisory' and pid = %s order by 1"
    )
    names = ["mail", "bulk", "default"]
    with psycopg.connect(database_url) as session:
        CycleDriver(session, QUEUES).claim(1)
        assert stage.rows.execute(held, [session.info.backend_pid]) == []
        session.rollback()
        keys = {
            name: stage.rows.execute("select hashtextextended('horsies:cap:' || %s, 0) as key", [name])[0][
                "key"
            ]
            for name in names
        }
        first, *others = sorted(names, key=lambda name: keys[name])
        with psycopg.connect(database_url) as blocker:
            blocker.execute("select pg_advisory_xact_lock(%s)", [keys[first]])
            driver = CycleDriver(session, dict.fromkeys(names, (10, 1)))
            thread = threading.Thread(target=lambda: driver.claim(1))
            thread.start()
            waits = "select 1 from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
            eventually(lambda: stage.rows.execute(waits, [blocker.info.backend_pid]), 30)
            assert [lock["granted"] for lock in stage.rows.execute(held, [session.info.backend_pid])] == [
                False
            ]
            blocker.rollback()
            thread.join(30)
        assert len(stage.rows.execute(held, [session.info.backend_pid])) == 1 + len(others)
        session.rollback()
        assert stage.rows.execute(held, [session.info.backend_pid]) == []


def test_a_cluster_cap_takes_one_lock(stage: Stage, database_url: str) -> None:
    """R-056, R-059, CF-16: and every claimed row of any queue counts, held ones too."""
    stage.send(5)
    stage.worker().cycle(places=[1, 0])
    with psycopg.connect(database_url) as session:
        driver = CycleDriver(session, QUEUES, cluster_cap=3)
        assert len(driver.claim(5).claimed) == 1
        held = "select count(*) as n from pg_locks where locktype = 'advisory' and pid = %s"
        assert stage.rows.execute(held, [session.info.backend_pid]) == [{"n": 1}]
        session.rollback()


def test_only_what_is_due_and_lives_is_taken(stage: Stage) -> None:
    """R-050, T-84: what is past its deadline comes as expired, so that it does not stand in front for ever."""
    worker = stage.worker()
    late = stage.send(good_until=later(seconds=-1))[0]
    alive = stage.send()[0]
    answer = worker.claim(2)
    assert (answer.ids, [claim.id for claim in answer.expired]) == ([alive], [late])
    assert row(stage, late)["status"] == "CLAIMED"
    assert row(stage, late)["started_at"] is None
    assert timedelta(0) <= later() - row(stage, late)["claimed_at"] < timedelta(minutes=5)
