"""The scheduler's pages (S-074)."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Literal

import pytest

from horsies import ConfigurationError, ErrorCode
from horsies_scheduler.endpoints import SchedulerEndpoints
from horsies_scheduler.metrics import SchedulerMetrics


class State:
    """What the pages are asked to tell."""

    def __init__(self) -> None:
        self.metrics = SchedulerMetrics()
        self.role: Literal["leader", "standby"] = "standby"
        self.problem: str | None = None
        self.pages = SchedulerEndpoints(
            "127.0.0.1", 0, metrics=self.metrics, role=lambda: self.role, problem=lambda: self.problem
        )

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, head and body of a page."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.pages.http.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, body = answer.split("\r\n\r\n", 1)
        return int(head.split(" ")[1]), head, body


@pytest.fixture
async def state() -> AsyncGenerator[State]:
    state = State()
    await state.pages.open()
    yield state
    state.pages.close()


@pytest.mark.parametrize("role", ["leader", "standby"])
async def test_ready_in_either_role(state: State, role: Literal["leader", "standby"]) -> None:
    """S-074"""
    state.role = role
    status, head, body = await state.get("/readyz")
    assert (status, json.loads(body)) == (200, {"role": role})
    assert "Content-Type: application/json" in head
    state.problem = "the database has not answered for 30 s"
    status, _, body = await state.get("/readyz")
    assert (status, json.loads(body)) == (503, {"role": role, "problem": state.problem})
    assert (await state.get("/healthz"))[::2] == (200, "ok\n")


async def test_metrics(state: State) -> None:
    """S-074: names and labels."""
    metrics = state.metrics
    metrics.leader, metrics.lag_s = True, 1.5
    metrics.fired["a b"] += 2
    metrics.missed["a b"] += 3
    metrics.failed("a b", "transient")
    status, head, body = await state.get("/metrics")
    assert status == 200
    assert "Content-Type: text/plain" in head
    for line in (
        "horsies_scheduler_leader 1.0",
        'horsies_schedule_fired_total{schedule="a b"} 2.0',
        'horsies_schedule_missed_total{schedule="a b"} 3.0',
        'horsies_schedule_errors_total{kind="transient",schedule="a b"} 1.0',
        "horsies_schedule_lag_seconds 1.5",
    ):
        assert line in body


async def test_a_taken_port_is_an_error(state: State) -> None:
    """S-032, S-073"""
    second = SchedulerEndpoints(
        "127.0.0.1",
        state.pages.http.port,
        metrics=state.metrics,
        role=lambda: "leader",
        problem=lambda: None,
    )
    with pytest.raises(ConfigurationError, match="cannot listen") as refused:
        await second.open()
    assert refused.value.code is ErrorCode.CLI_INVALID_ARGS
