"""The worker's executor processes: started together, replaced when they die, recycled when they have done enough.

Recycling keeps one warm spare: started and imported beforehand, it takes the place of an executor at once, which then
ends what it has and goes. A new interpreter in the way of work would cost a task half a second.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal

from horsies_worker import wire
from horsies_worker.executor_process import ExecutorEvents, ExecutorProcess, ExecutorStartError

logger = logging.getLogger("horsies.worker")

MAX_FAILED_STARTS = 3
PAUSE_S = 0.5
STOP_GRACE_S = 5.0
LEAVE_GRACE_S = 30.0
"""What a process that has been replaced gets for its end: the app's own handlers run then."""

MEMORY_NEAR = 0.8
"""A process that holds so much of its limit before its first task gets a warning (R-039)."""

type Role = Literal["starting", "active", "spare", "leaving"]


class ExecutorPool:
    """P executors that take tasks, those on their way in or out, and perhaps a spare."""

    def __init__(
        self,
        processes: int,
        init: wire.Init,
        events: ExecutorEvents,
        on_broken: Callable[[str], None],
        *,
        max_tasks: int = 0,
        keeps_spare: bool = False,
    ) -> None:
        self._processes = processes
        self._init = init
        self._events = events
        self._on_broken = on_broken
        self._max_tasks = max_tasks
        self._keeps_spare = keeps_spare or max_tasks > 0
        self._roles: dict[ExecutorProcess, Role] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.on_restart: Callable[[str], None] = lambda reason: None
        """Told of each replacement: `crash`, `timeout`, `cancel`, `count` or `memory`."""

    @property
    def executors(self) -> list[ExecutorProcess]:
        """Those that have or may get tasks."""
        return [executor for executor, role in self._roles.items() if role in ("active", "leaving")]

    def identities(self) -> Mapping[int, tuple[int, str]]:
        """Place -> (pid, process name)."""
        return {executor.place: (executor.pid, executor.name) for executor in self.executors}

    async def start(self) -> None:
        """Start all and wait until every one is ready.

        Raises:
            ExceptionGroup: of `ExecutorStartError`: one of them cannot work.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._processes):
                group.create_task(self._start_one("active"))
        self._want_spare()

    def replace(self, dead: ExecutorProcess) -> None:
        """Put another process in the place of one that died."""
        role = self._roles.pop(dead, None)
        if role == "active":
            if not self._stopping:
                self.on_restart(dead.killed_for or "crash")
            self._fill()
        elif role == "spare":
            self._want_spare()

    def retire(self, executor: ExecutorProcess, reason: Literal["count", "memory"]) -> None:
        """Let it end what it has; the spare takes over (R-038, R-039). A planned end is no crash (R-040)."""
        if self._roles.get(executor) == "active":
            executor.ready = False
            self._roles[executor] = "leaving"
            self.on_restart(reason)
            self._fill()
            self.let_go(executor)

    def let_go(self, executor: ExecutorProcess) -> None:
        """End a retired executor once it is empty."""
        if self._roles.get(executor) == "leaving" and not executor.flights:
            executor.stop()
            self._do(self._forget_when_gone(executor))

    @property
    def is_limited(self) -> bool:
        """Whether executors are replaced after so many tasks."""
        return self._max_tasks > 0

    def tasks_left(self, executor: ExecutorProcess) -> int:
        """How many more tasks it may take."""
        return self._max_tasks - executor.taken if self._max_tasks else 1 << 30

    async def stop(self) -> None:
        """End all processes; those that do not go by themselves are killed."""
        self._stopping = True
        for task in self._work:
            task.cancel()
        for executor in self._roles:
            executor.stop()
        if self._roles:
            waits = [asyncio.create_task(executor.gone.wait()) for executor in self._roles]
            _, late = await asyncio.wait(waits, timeout=STOP_GRACE_S)
            if late:
                self.kill()
                _, late = await asyncio.wait(late, timeout=STOP_GRACE_S)
                for wait in late:
                    wait.cancel()  # the kernel keeps that process, as in a read from a drive that is gone

    def kill(self) -> None:
        """SIGKILL to all."""
        self._stopping = True
        for executor in self._roles:
            executor.kill()

    def beat(self) -> None:
        """Tell all that the coordinator lives (R-091)."""
        for executor in self._roles:
            executor.beat()

    def _fill(self) -> None:
        if self._stopping:
            return
        spare = next((executor for executor, role in self._roles.items() if role == "spare"), None)
        if spare is None:
            self._do(self._start_until_it_works("active"))
            return
        self._roles[spare] = "active"
        self._events.executor_ready()
        self._want_spare()

    def _want_spare(self) -> None:
        if self._keeps_spare and not self._stopping:
            self._do(self._start_until_it_works("spare"))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _start_one(self, role: Role) -> None:
        # The lowest free number, so that numbers stay small however often executors are replaced.
        taken = {executor.place for executor in self._roles}
        place = next(number for number in range(1, len(taken) + 2) if number not in taken)
        executor = ExecutorProcess(place, self._events)
        self._roles[executor] = "starting"
        try:
            _check_memory(executor, await executor.start(self._init), self._init["memory_limit"])
        except BaseException:
            executor.kill()
            self._do(self._forget_when_gone(executor))
            raise
        self._roles[executor] = role

    async def _start_until_it_works(self, role: Role) -> None:
        """A replacement; three failures in a row end the worker (R-034)."""
        failures = 0
        while True:
            try:
                await self._start_one(role)
            except ExecutorStartError as error:
                failures += 1
                logger.error("an executor could not be replaced (attempt %d): %s", failures, error)
                if failures >= MAX_FAILED_STARTS:
                    self._on_broken(f"an executor could not be replaced: {error}")
                    return
                await asyncio.sleep(PAUSE_S * failures)
            else:
                break
        if role == "active":
            self._events.executor_ready()

    async def _forget_when_gone(self, executor: ExecutorProcess) -> None:
        try:
            async with asyncio.timeout(LEAVE_GRACE_S):
                await executor.gone.wait()
        except TimeoutError:
            logger.warning(
                "%s does not end %.0f s after its last task and is killed", executor.name, LEAVE_GRACE_S
            )
            executor.kill()
            await executor.gone.wait()
        self._roles.pop(executor, None)


def _check_memory(executor: ExecutorProcess, rss: int | None, limit: int | None) -> None:
    """Compare what a process holds before its first task with its limit (R-039).

    Raises:
        ExecutorStartError: it would be replaced after every task.
    """
    if limit is None:
        return
    if rss is None:
        logger.warning("the memory of %s cannot be read: it is not replaced by memory", executor.name)
    elif rss >= limit:
        executor.kill()
        raise ExecutorStartError(
            f"{executor.name} holds {rss / 1e6:.0f} MB before its first task,"
            f" and may hold {limit / 1e6:.0f} MB (max_memory_per_child_mb): raise the limit or import less",
            None,
        )
    elif rss >= MEMORY_NEAR * limit:
        logger.warning(
            "%s holds %.0f MB before its first task, near its limit of %.0f MB (max_memory_per_child_mb)",
            *(executor.name, rss / 1e6, limit / 1e6),
        )
