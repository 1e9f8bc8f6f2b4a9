"""What a worker does about a cycle that was not answered."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import psycopg
import pytest

from horsies.config import WorkerResilienceConfig
from horsies.sql import Statements
from horsies_worker.batch import Batch
from horsies_worker.claims import Claims, ClaimSettings
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.flight import Flight, Outcome
from horsies_worker.link import Link

STATEMENTS = Statements("horsies")


class ScriptedLink:
    """Fails as often as it is told to, and notes what was asked of it."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.asked: list[str] = []

    async def reconnect(self) -> None:
        self._ask("reconnect")

    async def execute(self, statement: bytes, params: Mapping[str, object]) -> list[tuple[Any, ...]]:
        self._ask("return" if statement == STATEMENTS["return_undispatched"] else "partitions")
        return []

    async def execute_ready(self, statement: object, values: Sequence[object]) -> list[tuple[Any, ...]]:
        self._ask("cycle")
        return [("claimed",)]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failures.get(what, 0) > 0:
            self.failures[what] -= 1
            raise psycopg.OperationalError("the connection is lost")


class NoExecutors:
    """A pool without any."""

    executors: Sequence[object] = ()

    def identities(self) -> Mapping[int, tuple[int, str]]:
        return {}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        assert seconds >= 0.1

    monkeypatch.setattr("horsies_worker.claims.asyncio.sleep", at_once)


def made(link: ScriptedLink, *, max_attempts: int = 0) -> Claims:
    settings = ClaimSettings("3f8b8f5e-0000-4000-8000-000000000000", "here", [], None, {})
    resilience = WorkerResilienceConfig(db_retry_max_attempts=max_attempts)
    wire = cast("Link", link)
    it = Claims(settings, wire, STATEMENTS, resilience, lambda flight: None, waiting_link=wire)
    it.attach(cast("ExecutorPool", NoExecutors()), list)
    return it


async def test_what_an_unanswered_cycle_claimed_is_returned_before_the_next_one() -> None:
    """R-092."""
    link = ScriptedLink(cycle=1)
    assert await made(link).cycle(Batch()) == [("claimed",)]
    assert link.asked == ["cycle", "reconnect", "return", "cycle"]


async def test_a_return_that_fails_is_still_owed() -> None:
    """R-092: no cycle before it has succeeded, however often the database goes away meanwhile."""
    link = ScriptedLink(cycle=1, reconnect=2, **{"return": 1})
    assert await made(link).cycle(Batch()) == [("claimed",)]
    assert link.asked == [
        "cycle",
        "reconnect",
        "reconnect",
        "reconnect",
        "return",
        "reconnect",
        "return",
        "cycle",
    ]


async def test_a_return_that_was_asked_for_is_made_through_outages() -> None:
    """R-091, R-092."""
    link = ScriptedLink(reconnect=1, **{"return": 1})
    it = made(link)
    await it.return_undispatched()
    assert link.asked == ["reconnect", "reconnect", "return", "reconnect", "return"]
    await it.cycle(Batch())
    assert link.asked[5:] == ["cycle"]


async def test_attempts_to_return_count_as_attempts() -> None:
    """R-120: exhausted, the worker ends; and no result is taken for one that cannot be stored."""
    link = ScriptedLink(cycle=1, reconnect=99)
    flight = Flight("a", 1, "task", "mail", "process", None, None, None, 0, 0)
    with pytest.raises(psycopg.OperationalError):
        await made(link, max_attempts=3).cycle(Batch(completed=[Outcome(flight, "{}")]))
    assert link.asked == ["cycle", "reconnect", "reconnect", "reconnect"]
