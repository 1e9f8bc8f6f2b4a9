"""Sender for pgqueuer, on its asynchronous interface with asyncpg and uvloop."""

import asyncio
import os
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Queries
from pgqueuer.core.completion import CompletionWatcher

from benchmarks.peers.harness import serve

URL = os.environ["BENCH_DATABASE_URL"]


class PgQueuerSender:
    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.connection: asyncpg.Connection = self.run(asyncpg.connect(URL))
        self.queries = Queries(AsyncpgDriver(self.connection))
        self.watcher: CompletionWatcher | None = None

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def setup(self) -> None:
        self.run(self.queries.install())

    def send_each(self, first: int, count: int) -> None:
        async def send() -> None:
            enqueue = self.queries.enqueue
            for n in range(first, first + count):
                await enqueue("noop", b"%d" % n)

        self.run(send())

    def send_bulk(self, first: int, count: int) -> bool:
        self.run(self._enqueue_many(self.queries, first, count))
        return True

    @staticmethod
    async def _enqueue_many(queries: Queries, first: int, count: int) -> None:
        payloads: list[bytes | None] = [b"%d" % n for n in range(first, first + count)]
        await queries.enqueue(["noop"] * count, payloads, [0] * count)

    def hold(self, first: int, count: int) -> None:
        self.holder: asyncpg.Connection = self.run(asyncpg.connect(URL))
        self.transaction = self.holder.transaction()
        self.run(self.transaction.start())
        self.run(self._enqueue_many(Queries(AsyncpgDriver(self.holder)), first, count))

    def release(self) -> int:
        began = time.time_ns()
        self.run(self.transaction.commit())
        self.run(self.holder.close())
        return began

    def finished(self) -> int:
        return self.run(
            self.connection.fetchval("select count(*) from pgqueuer_log where status = 'successful'")
        )

    def send_timed(self, n: int) -> int:
        async def send() -> int:
            began = time.time_ns()
            await self.queries.enqueue("noop", b"%d" % n)
            return began

        return self.run(send())

    def round_trip(self, n: int) -> tuple[int, int]:
        """The end of the job, not a result: pgqueuer keeps none. No debounce, for the quickest answer."""

        async def send_and_wait() -> tuple[int, int]:
            if self.watcher is None:
                driver = AsyncpgDriver(await asyncpg.connect(URL))
                watcher = CompletionWatcher(driver, queries=Queries(driver), debounce=timedelta(0))
                self.watcher = await watcher.__aenter__()
            began = time.time_ns()
            (job,) = await self.queries.enqueue("noop", b"%d" % n)
            await self.watcher.wait_for(job)
            return began, time.time_ns()

        return self.run(send_and_wait())


if __name__ == "__main__":
    serve(PgQueuerSender())
