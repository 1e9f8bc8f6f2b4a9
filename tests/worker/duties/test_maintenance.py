"""Old records go, days of history come and go (R-115, R-116, D-030 to D-036)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from horsies.config import RetentionConfig
from horsies_worker.link import Link
from horsies_worker.maintenance import Cleaning, Partitions, classes_in_use
from tests.worker.recovery.stage import Stage

NOON = datetime(2031, 5, 10, 12, tzinfo=UTC)
"""Far from the days that the fixture's schema was made with."""


def days(stage: Stage, name: str = "standard_30d") -> list[date]:
    """The days of a class that there are."""
    rows = stage.rows.execute(
        "select day from horsies.history_days() where retention_class = %s and day is not null order by day",
        [name],
    )
    return [row["day"] for row in rows]


def partitions(stage: Stage, link: Link, **settings: Any) -> Partitions:
    return Partitions(link, stage.broker.statements, RetentionConfig(**settings))


def make_day(stage: Stage, name: str, day: date) -> None:
    stage.rows.execute("select horsies.ensure_history_partition(%s, %s)", [name, day])


# -- partitions


def test_the_classes_in_use_are_those_that_sends_get() -> None:
    """D-030, CF-31: not every class that could be asked for."""
    retention = RetentionConfig(
        terminal_record_retention_hours=48, queue_retention={"mail": timedelta(days=7), "bulk": None}
    )
    assert classes_in_use(retention) == {"keep_2d", "q_mail_7d", "forever"}
    assert classes_in_use(RetentionConfig()) == {"standard_30d"}


async def test_today_and_three_days_ahead_are_made_for_each_class(stage: Stage, link: Link) -> None:
    """D-031, R-116: of this app's, and of those that others brought."""
    make_day(stage, "q_other_7d", NOON.date())
    await partitions(stage, link, queue_retention={"mail": timedelta(days=7)}).run(NOON)
    wanted = [NOON.date() + timedelta(days=number) for number in range(4)]
    for name in ("q_mail_7d", "q_other_7d", "standard_30d"):
        assert [day for day in days(stage, name) if day >= NOON.date()] == wanted


async def test_a_second_pass_changes_nothing(stage: Stage, link: Link) -> None:
    """D-034."""
    upkeep = partitions(stage, link)
    await upkeep.run(NOON)
    before = days(stage)
    await upkeep.run(NOON)
    assert days(stage) == before


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("standard_30d", timedelta(days=30)),
        ("q_mail_36h", timedelta(hours=36)),
        ("q_a_45s", timedelta(seconds=45)),
    ],
)
async def test_a_day_lives_as_long_as_its_last_record_must(
    stage: Stage, link: Link, name: str, kept: timedelta
) -> None:
    """D-032, CF-30: at least its retention, at most one day longer, then dropped whole."""
    day = date(2030, 1, 1)
    make_day(stage, name, day)
    end = datetime(2030, 1, 2, tzinfo=UTC) + kept
    upkeep = partitions(stage, link)
    await upkeep.run(end - timedelta(seconds=1))
    assert day in days(stage, name)
    await upkeep.run(end)
    assert day not in days(stage, name)
    assert f"{name} 2030-01-01" in upkeep.health()["partition_pruning"]["dropped"]  # type: ignore[index]


async def test_forever_is_forever(stage: Stage, link: Link) -> None:
    """D-030, D-035."""
    make_day(stage, "forever", date(1999, 1, 1))
    await partitions(stage, link).run(NOON)
    assert date(1999, 1, 1) in days(stage, "forever")


async def test_a_day_that_is_read_is_tried_three_times_and_left_for_the_next_pass(
    stage: Stage, link: Link
) -> None:
    """D-033: lock timeout, three tries, the reason reported; a younger day waits too, another class not."""
    for day in (date(2030, 1, 1), date(2030, 1, 2)):
        make_day(stage, "standard_30d", day)
    make_day(stage, "q_mail_7d", date(2030, 1, 1))
    upkeep = partitions(stage, link)
    with psycopg.connect(stage.url) as reader:
        reader.execute("select count(*) from horsies.task_history_standard_30d_20300101")
        await upkeep.run(NOON)
        assert days(stage)[:2] == [date(2030, 1, 1), date(2030, 1, 2)]
        assert date(2030, 1, 1) not in days(stage, "q_mail_7d")
        pruning: Any = upkeep.health()["partition_pruning"]
        assert pruning["ok"] is False
        assert "lock timeout" in pruning["refused"]["standard_30d 2030-01-01"]
    await upkeep.run(NOON)
    assert days(stage)[0] >= NOON.date() - timedelta(days=31)
    assert upkeep.health()["partition_pruning"]["ok"] is True  # type: ignore[index]


async def test_a_refused_drop_is_over_after_200_ms_and_leaves_nothing_in_the_way(stage: Stage) -> None:
    """D-033: a finish of the same class waits no longer than that one try."""
    make_day(stage, "standard_30d", date(2020, 1, 1))
    worker = stage.worker()
    (claim,) = stage.running(worker)
    drop = stage.broker.statements["drop_history_partition"]
    with psycopg.connect(stage.url) as reader, psycopg.connect(stage.url, autocommit=True) as dropper:
        reader.execute("select count(*) from horsies.task_history_standard_30d_20200101")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            dropper.execute(drop, {"class": "standard_30d", "day": date(2020, 1, 1), "now": None})
        worker.complete(claim)
    (function,) = stage.rows.execute("select proconfig from pg_proc where proname = 'drop_history_partition'")
    assert "lock_timeout=200ms" in function["proconfig"]
    assert stage.history(claim.id)["status"] == "COMPLETED"


async def test_two_at_once_drop_each_day_once(stage: Stage, link: Link) -> None:
    """D-034, D-006."""
    make_day(stage, "standard_30d", date(2020, 1, 1))
    drop = stage.broker.statements["drop_history_partition"]
    params = {"class": "standard_30d", "day": date(2020, 1, 1), "now": None}
    with psycopg.connect(stage.url) as other:
        other.execute("select horsies.begin_step('partitions')")
        assert await link.execute(drop, params) == [(None,)]
    assert await link.execute(drop, params) == [(True,)]
    assert await link.execute(drop, params) == [(False,)]


async def test_a_day_that_must_still_be_kept_is_not_dropped_on_request(stage: Stage, link: Link) -> None:
    """D-032, D-071: the owner's function checks for itself."""
    today = datetime.now(UTC).date()
    drop = stage.broker.statements["drop_history_partition"]
    assert await link.execute(drop, {"class": "standard_30d", "day": today, "now": None}) == [(False,)]
    assert today in days(stage)


async def test_days_dropped_by_hand_break_nothing(stage: Stage, link: Link) -> None:
    """D-036: neither reads, nor finishing, nor upkeep."""
    today = datetime.now(UTC).date()
    worker = stage.worker()
    (claim,) = stage.running(worker)
    for day in days(stage):
        stage.rows.execute(f"drop table horsies.task_history_standard_30d_{day:%Y%m%d}")
    assert stage.app.get_task_info(claim.id).unwrap() is not None
    await partitions(stage, link).run()
    assert today in days(stage)
    worker.complete(claim)
    assert stage.history(claim.id)["status"] == "COMPLETED"


async def test_a_class_dropped_by_hand_comes_back(stage: Stage, link: Link) -> None:
    """D-036."""
    stage.rows.execute("drop table horsies.task_history_standard_30d")
    await partitions(stage, link).run()
    assert len(days(stage)) == 4


async def test_what_the_database_refuses_is_reported(stage: Stage, link: Link) -> None:
    """D-033, R-118: coverage that cannot be had is the step's failure."""
    stage.rows.execute("drop function horsies.ensure_history_partition cascade")
    upkeep = partitions(stage, link)
    with pytest.raises(psycopg.errors.UndefinedFunction):
        await upkeep.run()
    coverage: Any = upkeep.health()["partition_coverage"]
    assert coverage["ok"] is False
    assert "ensure_history_partition" in coverage["reason"]


# -- cleaning


def cleaning(stage: Stage, link: Link, **settings: Any) -> Cleaning:
    return Cleaning(link, stage.broker.statements, RetentionConfig(**settings))


def count(stage: Stage, table: str) -> int:
    found: int = stage.rows.execute(f"select count(*) as n from horsies.{table}")[0]["n"]
    return found


async def test_old_samples_go_the_others_stay(stage: Stage, link: Link) -> None:
    """R-115, D-035; more than a batch."""
    stage.rows.execute(
        "insert into horsies.worker_samples select md5(random()::text)::uuid, now() - n * interval '1 hour', '{}'"
        " from generate_series(0, 1300) n"
    )
    await cleaning(stage, link, worker_state_retention_hours=24).run()
    assert count(stage, "worker_samples") == 24


async def test_samples_without_a_limit_are_kept_for_ever(stage: Stage, link: Link) -> None:
    """D-035: None."""
    stage.rows.execute(
        "insert into horsies.worker_samples values (md5(random()::text)::uuid, '1999-01-01', '{}')"
    )
    await cleaning(stage, link, worker_state_retention_hours=None).run()
    assert count(stage, "worker_samples") == 1


async def test_keys_that_ran_out_go(stage: Stage, link: Link) -> None:
    """R-115, T-44: those of live tasks and those still reserved stay."""
    stage.send(idempotency_key="live")
    stage.rows.execute(
        "insert into horsies.idempotency_keys (task_name, key, task_id, request_sha, expires_at) values"
        " ('work', 'over', md5(random()::text)::uuid, '', now() - interval '1 s'),"
        " ('work', 'reserved', md5(random()::text)::uuid, '', now() + interval '1 h')"
    )
    await cleaning(stage, link).run()
    left = stage.rows.execute("select key from horsies.idempotency_keys order by key")
    assert [row["key"] for row in left] == ["live", "reserved"]


async def test_dead_workers_go_once_no_task_names_them(stage: Stage, link: Link) -> None:
    """R-115."""
    alive, dead, named = stage.worker(), stage.worker(), stage.worker()
    stage.running(named)
    for worker in (dead, named):
        stage.fall_silent(worker, hours=25)
    await cleaning(stage, link).run()
    left = {str(row["id"]) for row in stage.rows.execute("select id from horsies.workers")}
    assert left == {alive.worker_id, named.worker_id}


async def test_each_batch_is_a_commit_of_its_own(stage: Stage, link: Link) -> None:
    """R-115: 500 rows per commit."""
    stage.rows.execute(
        "insert into horsies.idempotency_keys (task_name, key, task_id, request_sha, expires_at)"
        " select 'work', n::text, md5(random()::text)::uuid, '', now() from generate_series(1, 1200) n"
    )
    stage.rows.execute("create table public.commits (id bigint)")
    stage.rows.execute(
        "create function public.note() returns trigger language plpgsql as"
        " $$ begin insert into public.commits values (txid_current()); return null; end $$"
    )
    stage.rows.execute(
        "create trigger note after delete on horsies.idempotency_keys for each statement"
        " execute function public.note()"
    )
    await cleaning(stage, link).run()
    assert stage.rows.execute("select count(distinct id) as n from public.commits") == [{"n": 3}]
    assert count(stage, "idempotency_keys") == 0


async def test_the_time_for_a_pass_is_limited(stage: Stage, link: Link) -> None:
    """R-115: 60 s; what is left is for the next pass."""
    stage.rows.execute(
        "insert into horsies.idempotency_keys (task_name, key, task_id, request_sha, expires_at)"
        " select 'work', n::text, md5(random()::text)::uuid, '', now() from generate_series(1, 1200) n"
    )
    times = iter([0.0, 1.0, 61.0, 62.0, 63.0, 64.0])
    await Cleaning(link, stage.broker.statements, RetentionConfig(), clock=lambda: next(times)).run()
    assert count(stage, "idempotency_keys") == 700


async def test_while_another_worker_cleans_nothing_is_done_twice(stage: Stage, link: Link) -> None:
    """D-034."""
    stage.rows.execute(
        "insert into horsies.worker_samples values (md5(random()::text)::uuid, '1999-01-01', '{}')"
    )
    with psycopg.connect(stage.url) as other:
        other.execute("select horsies.begin_step('samples')")
        await cleaning(stage, link).run()
        assert count(stage, "worker_samples") == 1
    await cleaning(stage, link).run()
    assert count(stage, "worker_samples") == 0
