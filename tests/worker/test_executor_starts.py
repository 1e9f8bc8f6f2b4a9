"""Executors on a machine that is short of something: a failed start is counted, repeated, and holds up no stop."""

import asyncio
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from horsies_worker import executor_process
from horsies_worker.executor_pool import ExecutorPool
from horsies_worker.executor_process import ExecutorProcess, ExecutorStartError
from horsies_worker.flight import Flight
from horsies_worker.wire import Init

INIT: Init = {
    "app": "nowhere:app",
    "cwd": ".",
    "sys_path": sys.path,
    "loglevel": "INFO",
    "log_format": "text",
    "concurrency": 1,
    "memory_limit": None,
    "silence_limit_s": 60.0,
}


class Deaf:
    """Events that nobody listens to."""

    def results_came(self, executor: ExecutorProcess, results: list[tuple[Any, ...]]) -> None: ...

    def withdrawn(self, executor: ExecutorProcess, flights: list[Flight]) -> None: ...

    def executor_died(
        self, executor: ExecutorProcess, begun: list[Flight], not_begun: list[Flight]
    ) -> None: ...

    def executor_ready(self) -> None: ...

    def executor_too_big(self, executor: ExecutorProcess, rss: int) -> None: ...


def refuse(*_: object, **__: object) -> Any:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize(
    ("where", "what"), [(subprocess, "Popen"), (socket, "socketpair"), (executor_process, "BeginMarks")]
)
async def test_what_the_system_refuses_is_a_failed_start(
    monkeypatch: pytest.MonkeyPatch, where: object, what: str
) -> None:
    """R-034: three attempts, then the worker is told; nothing is left open and the stop does not wait."""
    monkeypatch.setattr(where, what, refuse)
    monkeypatch.setattr("horsies_worker.executor_pool.PAUSE_S", 0.01)
    before = open_descriptors()
    broken = asyncio.get_running_loop().create_future()
    pool = ExecutorPool(1, INIT, Deaf(), broken.set_result, max_tasks=5)
    pool._want_spare()  # pyright: ignore[reportPrivateUsage]
    assert "temporarily unavailable" in await asyncio.wait_for(broken, 10)
    await asyncio.wait_for(pool.stop(), 2)
    assert open_descriptors() == before


async def test_a_start_without_any_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start of a worker says what is missing."""
    monkeypatch.setattr(subprocess, "Popen", refuse)
    pool = ExecutorPool(2, INIT, Deaf(), lambda reason: None)
    with pytest.RaisesGroup(ExecutorStartError, ExecutorStartError):
        await pool.start()
    await asyncio.wait_for(pool.stop(), 2)


@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_the_end_of_a_starting_process_is_noticed(
    monkeypatch: pytest.MonkeyPatch, has_pidfd: bool
) -> None:
    """With and without a descriptor of the process; the reason that it has sent before its end is kept."""
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    executor = ExecutorProcess(1, Deaf())
    with pytest.raises(ExecutorStartError, match="nowhere"):
        await executor.start(INIT)
    await asyncio.wait_for(executor.gone.wait(), 20)
    assert executor.end == "exit code 1"
