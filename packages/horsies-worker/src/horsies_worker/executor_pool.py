"""The worker's executor processes: started together, replaced when they die."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from horsies_worker.executor_process import ExecutorEvents, ExecutorProcess, ExecutorStartError

logger = logging.getLogger("horsies.worker")

MAX_FAILED_STARTS = 3
PAUSE_S = 0.5
STOP_GRACE_S = 5.0


class ExecutorPool:
    """P places, each with a process or waiting for one."""

    def __init__(
        self, processes: int, init: dict[str, Any], events: ExecutorEvents, on_broken: Callable[[str], None]
    ) -> None:
        self._init = init
        self._events = events
        self._on_broken = on_broken
        self._places: list[ExecutorProcess | None] = [None] * processes
        self._replacing: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.restarts = 0

    @property
    def executors(self) -> list[ExecutorProcess]:
        """Those that exist, by place."""
        return [executor for executor in self._places if executor is not None]

    def identities(self) -> Mapping[int, tuple[int, str]]:
        """Place -> (pid, process name)."""
        return {executor.place: (executor.pid, executor.name) for executor in self.executors}

    async def start(self) -> None:
        """Start all and wait until every one is ready.

        Raises:
            ExecutorStartError: one of them cannot work.
        """
        async with asyncio.TaskGroup() as group:
            for place in range(1, len(self._places) + 1):
                group.create_task(self._start_one(place))

    def replace(self, dead: ExecutorProcess) -> None:
        """Put a new process in the place of one that died."""
        self._places[dead.place - 1] = None
        if not self._stopping:
            task = asyncio.get_running_loop().create_task(self._replace(dead.place))
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def stop(self) -> None:
        """End all processes; those that do not go by themselves are killed."""
        self._stopping = True
        for task in self._replacing:
            task.cancel()
        executors = self.executors
        for executor in executors:
            executor.stop()
        if executors:
            _, late = await asyncio.wait(
                [asyncio.create_task(e.gone.wait()) for e in executors], timeout=STOP_GRACE_S
            )
            if late:
                self.kill()
                await asyncio.wait(late)

    def kill(self) -> None:
        """SIGKILL to all."""
        self._stopping = True
        for executor in self.executors:
            executor.kill()

    async def _start_one(self, place: int) -> None:
        executor = ExecutorProcess(place, self._events)
        self._places[place - 1] = executor
        await executor.start(self._init)

    async def _replace(self, place: int) -> None:
        failures = 0
        while True:
            try:
                await self._start_one(place)
            except ExecutorStartError as error:
                failures += 1
                logger.error("executor-%d could not be replaced (attempt %d): %s", place, failures, error)
                self._places[place - 1] = None
                if failures >= MAX_FAILED_STARTS:
                    self._on_broken(f"executor-{place} could not be replaced: {error}")
                    return
                await asyncio.sleep(PAUSE_S * failures)
            else:
                self.restarts += 1
                self._events.executor_ready()
                return
