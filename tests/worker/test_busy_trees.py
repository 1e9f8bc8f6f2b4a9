"""Ends of workflow tasks whose tree is busy: back into the cycle, after 100 ms one waiting statement at a time."""

import asyncio

import psycopg
import pytest

from horsies_worker import busy_trees
from horsies_worker.batch import Batch
from horsies_worker.busy_trees import BusyTrees
from horsies_worker.flight import Flight, Outcome


def flight(name: str) -> Flight:
    return Flight(name, 1, "task", "default", "process", None, None, None, 0, 0, workflow_id="flow")


def ended(*names: str) -> Batch:
    return Batch(completed=[Outcome(flight(name), "{}") for name in names])


class Bench:
    """A BusyTrees whose statement ends when the test says so."""

    def __init__(self) -> None:
        self.busy = BusyTrees(self._write, lambda batch: self.back.append(ids(batch)))
        self.back: list[list[str]] = []
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def _write(self, batch: Batch) -> None:
        self.asked.append(ids(batch))
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]

    async def answer(self, error: Exception | None = None) -> None:
        """The statement that is under way has ended."""
        before = len(self.back)
        if error is None:
            self.answers[-1].set_result(None)
        else:
            self.answers[-1].set_exception(error)
        while len(self.back) == before:
            await asyncio.sleep(0)
        await asyncio.sleep(0)


def ids(batch: Batch) -> list[str]:
    return [each.id for each in batch.flights()]


async def test_what_is_busy_for_a_moment_goes_into_the_next_cycle() -> None:
    """W-41: and whatever the cycle took is forgotten."""
    bench = Bench()
    bench.busy.cycle_ended(ended("a", "b"), {"a"})
    assert (bench.back, bench.asked) == ([["a"]], [])
    bench.busy.cycle_ended(ended("a"), set())
    assert (bench.back, bench.busy.flights()) == ([["a"]], [])


async def test_one_statement_waits_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """W-41, W-100, R-090: the heartbeat's connection is not kept by a queue of waiting statements; nothing is lost."""
    monkeypatch.setattr(busy_trees, "PATIENCE_S", 0.0)
    bench = Bench()
    for name in ("a", "b", "c"):
        bench.busy.cycle_ended(ended(name), {name})
        await asyncio.sleep(0)
    assert bench.asked == [["a"]]
    assert [each.id for each in bench.busy.flights()] == ["a", "b", "c"]
    await bench.answer()
    assert bench.asked == [["a"], ["b", "c"]]
    assert bench.back == [[]]
    await bench.answer(psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"))
    assert bench.back == [[], ["b", "c"]]
    assert bench.busy.flights() == []
