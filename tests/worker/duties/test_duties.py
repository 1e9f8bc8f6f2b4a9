"""All duties of one worker together, as its start wires them."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from horsies import channels
from horsies.errors.diagnostic import ConfigurationError
from horsies_worker.claims import ServedQueue
from horsies_worker.duties import Duties, Surroundings
from horsies_worker.flight import Flight
from horsies_worker.link import Link
from horsies_worker.options import WorkerOptions
from tests.worker.duties.test_endpoints import HOST, get, taken_port
from tests.worker.recovery.stage import Stage, later
from tests.worker.waiting import until


@dataclass
class Executor:
    """An executor process that is only looked at."""

    ready: bool = True
    pid: int = 1


@dataclass
class Worker:
    """What the duties know of their worker."""

    stage: Stage
    link: Link
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    flights: list[Flight] = field(default_factory=list[Flight])
    executors: list[Any] = field(default_factory=lambda: [Executor()])

    def duties(self, **options: Any) -> Duties:
        around = Surroundings(
            worker_id=self.id,
            app=self.stage.app,
            options=WorkerOptions(concurrency=4, **options),
            queues=[ServedQueue("mail", 10, None), ServedQueue("bulk", 90, 3)],
            cycle_link=self.link,
            link=self.link,
            flights=lambda: self.flights,
            executors=lambda: self.executors,
            tell_executors=lambda: None,
            is_listening=lambda: True,
        )
        return Duties(around)

    def row(self) -> dict[str, Any]:
        (row,) = self.stage.rows.execute("select * from horsies.workers where id = %s", [self.id])
        return row


@pytest.fixture
def worker(stage: Stage, link: Link) -> Worker:
    return Worker(stage, link)


type Run = Callable[[Duties], None]


@pytest.fixture
async def run() -> AsyncGenerator[Run]:
    """Runs all loops until the end of the test."""
    tasks: list[asyncio.Task[None]] = []

    def start(duties: Duties) -> None:
        tasks.extend(asyncio.create_task(duty.run(), name=duty.name) for duty in duties.loops())

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_worker_and_its_queues_are_entered(worker: Worker) -> None:
    """R-001, R-095, R-093: with its state, before the first beat."""
    await worker.duties().register()
    row = worker.row()
    assert (row["state"], row["heartbeat_interval_ms"]) == ("running", 30_000)
    assert row["snapshot"]["queues"] == ["mail", "bulk"]
    assert row["snapshot"]["concurrency"] == 4
    queues = worker.stage.broker.get_queue_stats().unwrap()
    assert {queue.name: queue.max_concurrency for queue in queues} == {
        "bulk": 3,
        "default": None,
        "mail": None,
    }


async def test_the_loops_beat_measure_and_recover(worker: Worker, run: Run) -> None:
    """R-090, R-093, R-113, R-116: what monitoring shows comes from the beats."""
    worker.stage.send(good_until=later(seconds=-1))
    duties = worker.duties()
    await duties.register()
    assert [duty.name for duty in duties.loops()] == ["heartbeat", "reaper"]
    run(duties)
    await until(lambda: not worker.stage.rows.live())
    await until(lambda: upkeep(worker).get("partition_pruning"))
    assert upkeep(worker)["partition_coverage"] == {"ok": True, "classes": ["standard_30d"]}
    assert upkeep(worker)["partition_pruning"]["ok"] is True
    await until(lambda: worker.row()["snapshot"].get("memory_usage_mb"))
    await until(lambda: worker.stage.broker.get_worker_state_history(worker.id).unwrap())


def upkeep(worker: Worker) -> Mapping[str, Any]:
    """What monitoring shows of the worker's recovery and upkeep."""
    state = worker.stage.broker.get_worker_state(worker.id).unwrap()
    assert state is not None
    return state.recovery_config or {}


async def test_draining_shows(worker: Worker) -> None:
    """R-130: heartbeats go on and say so."""
    duties = worker.duties()
    await duties.register()
    duties.drain()
    await duties.heartbeat.beat()
    assert worker.row()["state"] == "draining"


async def test_pings_are_heard_other_messages_are_not(worker: Worker) -> None:
    """R-094."""
    duties = worker.duties()
    assert duties.channels == [channels.ping("horsies")]
    assert not duties.hear("horsies:q:mail", "")
    ear = worker.stage.heard("horsies:pong:c")
    question = {"correlation_id": "c", "reply_channel": "horsies:pong:c", "target_worker_id": worker.id}
    assert duties.hear(duties.channels[0], json.dumps(question))
    await until(lambda: worker.link.answered_at > 0)
    (answer,) = ear.payloads()
    assert json.loads(answer)["worker_id"] == worker.id


async def test_an_unanswered_beat_quiets_the_reaper(worker: Worker) -> None:
    """R-117."""
    duties = worker.duties()
    assert duties.reaper.agenda.quiet_until == float("-inf")
    duties.heartbeat.on_outage()
    assert duties.reaper.agenda.quiet_until > asyncio.get_running_loop().time()


async def test_pages_come_with_a_port_only(worker: Worker, run: Run) -> None:
    """R-140, R-141: nothing is counted that nobody reads."""
    assert worker.duties().metrics is None
    worker.flights = [
        Flight("a", 1, "work", "mail", kind, None, None, None, 0, 0) for kind in ("process", "thread")
    ]
    duties = worker.duties(http_port=0, http_host=HOST, processes=2)
    await duties.open()
    run(duties)
    assert [duty.name for duty in duties.loops()] == ["heartbeat", "reaper", "endpoints"]
    pages = duties._endpoints  # pyright: ignore[reportPrivateUsage]
    assert pages is not None
    assert await get(pages.http.port, "/healthz") == (200, b"ok\n")
    assert await get(pages.http.port, "/readyz") == (503, b"1 of 2 executors are up\n")
    status, text = await get(pages.http.port, "/metrics")
    assert status == 200
    assert b'horsies_worker_slots{state="busy"} 5.0' in text
    assert b'horsies_worker_slots{state="free"} 3.0' in text
    duties.drain()
    assert await get(pages.http.port, "/readyz") == (503, b"draining\n")
    duties.close()


async def test_a_port_that_is_taken_ends_the_start(worker: Worker) -> None:
    """R-140: the error that the start reports before it ends with 1."""
    with taken_port() as port, pytest.raises(ConfigurationError):
        await worker.duties(http_port=port, http_host=HOST).open()
