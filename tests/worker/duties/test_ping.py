"""Pings through a real database: who answers, when it ends, what is dropped (R-094, M-010 to M-013)."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest

from horsies import channels
from horsies.broker_errors import BrokerErrorCode
from horsies_worker.link import Link
from horsies_worker.listening import WorkerListener
from horsies_worker.ping import MAX_PENDING, PingAnswerer
from tests.worker.recovery.stage import Stage
from tests.worker.waiting import until

PING = channels.ping("horsies")


class Answering:
    """A worker as far as pings go."""

    def __init__(self, stage: Stage, worker_id: str) -> None:
        self.worker_id = worker_id
        self.link = Link(stage.broker.conninfo(), prepare=True)
        self.answerer = PingAnswerer(worker_id, self.link, stage.broker.statements)
        self._listener = WorkerListener(
            stage.broker.conninfo(session=True),
            [PING],
            lambda _, payload: self.answerer.handle(payload),
            schema="horsies",
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._listener.connect()
        self._task = asyncio.create_task(self._listener.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._listener.close()
        await self.link.close()


@pytest.fixture
async def two(stage: Stage) -> AsyncGenerator[list[Answering]]:
    """Two workers that answer."""
    workers = [Answering(stage, f"worker-{number}") for number in range(2)]
    for worker in workers:
        await worker.start()
    yield workers
    for worker in workers:
        await worker.stop()


async def listening_channels(stage: Stage) -> int:
    """How many reply channels the broker is subscribed to."""
    listener: Any = stage.broker._listener  # pyright: ignore[reportPrivateUsage]
    return sum(bool(state.subscriptions) for state in listener._channels.values())


@pytest.mark.usefixtures("two")
async def test_the_whole_window_is_waited_for_without_a_goal(stage: Stage) -> None:
    """M-010: everybody who is there, with the time it took."""
    pongs = (await stage.broker.ping_workers_async(timeout_seconds=1.0)).unwrap()
    assert sorted(pong.worker_id for pong in pongs) == ["worker-0", "worker-1"]
    assert all(0 < pong.round_trip_ms <= 1_000 for pong in pongs)
    assert all(pong.hostname and pong.pid for pong in pongs)


@pytest.mark.usefixtures("two")
async def test_it_ends_with_the_answer_of_the_target(stage: Stage) -> None:
    """M-010, R-094: only the target answers; an hour is not waited for."""
    async with asyncio.timeout(20):
        result = await stage.broker.ping_workers_async(target_worker_id="worker-1", timeout_seconds=3600)
    assert [pong.worker_id for pong in result.unwrap()] == ["worker-1"]


@pytest.mark.usefixtures("two")
async def test_it_ends_with_so_many_answers(stage: Stage) -> None:
    """M-010: distinct workers count."""
    async with asyncio.timeout(20):
        result = await stage.broker.ping_workers_async(min_responses=2, timeout_seconds=3600)
    assert len({pong.worker_id for pong in result.unwrap()}) == 2


@pytest.mark.usefixtures("two")
async def test_the_blocking_form_does_the_same(stage: Stage) -> None:
    """M-010, 10-monitoring: name and name_async; on the app too."""
    result = await asyncio.to_thread(stage.app.ping_workers, min_responses=2, timeout_seconds=20)
    assert len(result.unwrap()) == 2
    result = await stage.app.ping_workers_async(target_worker_id="worker-0", timeout_seconds=20)
    assert len(result.unwrap()) == 1


def test_without_workers_there_is_no_answer(stage: Stage) -> None:
    """M-010: Ok([])."""
    assert stage.broker.ping_workers(timeout_seconds=0.05).unwrap() == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_window_that_makes_no_sense(stage: Stage, seconds: float) -> None:
    """M-011."""
    error = stage.broker.ping_workers(timeout_seconds=seconds).unwrap_err()
    assert (error.code, error.retryable) == (BrokerErrorCode.WORKER_PING_FAILED, False)


def test_a_goal_that_makes_no_sense(stage: Stage) -> None:
    """M-011."""
    error = stage.app.ping_workers(min_responses=0).unwrap_err()
    assert (error.code, error.retryable) == (BrokerErrorCode.WORKER_PING_FAILED, False)


async def test_a_cancelled_ping_leaves_no_subscription_behind(stage: Stage) -> None:
    """M-012: nor does one that ended."""
    asking = asyncio.create_task(stage.broker.ping_workers_async(timeout_seconds=3600))
    ear = stage.heard(PING)
    await until(
        lambda: stage.rows.execute(
            "select 1 from pg_stat_activity where datname = current_database() and query ilike 'listen%%pong%%'"
        )
    )
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await listening_channels(stage) == 0
    assert (await stage.broker.ping_workers_async(timeout_seconds=0.05)).unwrap() == []
    assert await listening_channels(stage) == 0
    replies = [json.loads(text)["reply_channel"] for text in ear.payloads()]
    assert len(set(replies)) == len(replies) >= 1


async def test_damaged_foreign_and_double_answers_are_dropped(stage: Stage) -> None:
    """M-011: and those of others than the target."""
    async with await psycopg.AsyncConnection.connect(stage.url, autocommit=True) as crowd:
        await crowd.execute(f'listen "{PING}"'.encode())
        asking = asyncio.create_task(stage.broker.ping_workers_async(min_responses=2, timeout_seconds=20))
        (message,) = [message async for message in crowd.notifies(timeout=20, stop_after=1)]
        question = json.loads(message.payload)
        good = {"correlation_id": question["correlation_id"], "hostname": "host", "pid": 1}
        answers = [
            "no json",
            "[]",
            json.dumps(good),
            json.dumps(good | {"worker_id": 5}),
            json.dumps(good | {"worker_id": "foreign", "correlation_id": "another"}),
            json.dumps(good | {"worker_id": "one"}),
            json.dumps(good | {"worker_id": "one", "pid": 2}),
            json.dumps(good | {"worker_id": "two"}),
        ]
        for answer in answers:
            await crowd.execute("select pg_notify(%s, %s)", [question["reply_channel"], answer])
        pongs = (await asking).unwrap()
    assert [(pong.worker_id, pong.pid) for pong in pongs] == [("one", 1), ("two", 1)]


async def test_a_worker_cut_off_from_the_database_does_not_answer(
    stage: Stage, two: list[Answering], caplog: pytest.LogCaptureFixture
) -> None:
    """M-013: its listener alone is not enough."""
    blocked = two[0]
    await blocked.link.execute(b"select 1", {})
    await blocked.link._turn.acquire()  # pyright: ignore[reportPrivateUsage]
    try:
        result = await stage.broker.ping_workers_async(timeout_seconds=1.0)
    finally:
        blocked.link._turn.release()  # pyright: ignore[reportPrivateUsage]
    assert [pong.worker_id for pong in result.unwrap()] == ["worker-1"]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "no json",
        "[]",
        "null",
        '{"correlation_id": "c"}',
        '{"correlation_id": 5, "reply_channel": "horsies:pong:c"}',
        '{"correlation_id": "c", "reply_channel": "horsies:q:mail"}',
        '{"correlation_id": "c", "reply_channel": "other:pong:c"}',
        '{"correlation_id": "c", "reply_channel": "horsies:pong:%s"}' % ("x" * 60),
        '{"correlation_id": "c", "reply_channel": "horsies:pong:\\ud800"}',
    ],
)
async def test_a_malformed_ping_is_ignored_with_a_warning(
    stage: Stage, link: Link, caplog: pytest.LogCaptureFixture, payload: str
) -> None:
    """R-094: nor does a ping make a worker send wake-ups to anybody else's channel."""
    answerer = PingAnswerer("worker", link, stage.broker.statements)
    assert answerer.read(payload) is None
    assert "makes no sense" in caplog.text
    answerer.handle(payload)
    assert link.answered_at == 0.0


async def test_a_ping_for_another_worker_is_not_answered(
    stage: Stage, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    """R-094: and is nothing to warn about."""
    answerer = PingAnswerer("worker", link, stage.broker.statements)
    question = {"correlation_id": "c", "reply_channel": "horsies:pong:c", "target_worker_id": "another"}
    assert answerer.read(json.dumps(question)) is None
    assert answerer.read(json.dumps(question | {"target_worker_id": None})) == ("horsies:pong:c", "c")
    assert caplog.text == ""


async def test_a_flood_of_pings_is_not_answered_without_end(stage: Stage, link: Link) -> None:
    """D-044: bounded."""
    ear = stage.heard("horsies:pong:c")
    answerer = PingAnswerer("worker", link, stage.broker.statements)
    question = json.dumps({"correlation_id": "c", "reply_channel": "horsies:pong:c"})
    for _ in range(MAX_PENDING + 50):
        answerer.handle(question)
    pending = answerer._pending  # pyright: ignore[reportPrivateUsage]
    await until(lambda: not pending)
    assert len(ear.payloads()) == MAX_PENDING
