"""Sender for horsies whose task is `async def`."""

from benchmarks.horsies_async_app import noop_async
from benchmarks.horsies_driver import HorsiesSender
from benchmarks.peers.harness import serve

if __name__ == "__main__":
    serve(HorsiesSender(noop_async))
