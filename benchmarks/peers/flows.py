"""The sender process of a system with workflows: builds, starts and waits for chains and fans.

Runs in the environment of the system it sends to, so it uses the standard library only.
"""

import random
import time
from typing import Protocol

from benchmarks.marks import from_environment
from benchmarks.peers.harness import Sender, Sending, answer


class FlowSender(Sender, Protocol):
    """What a system with workflows has to offer; `first` is the slot of the first node's mark, the others follow."""

    def chain(self, first: int, length: int) -> int:
        """Build and start one chain, wait for its last node's value, and return that."""
        ...

    def fan(self, first: int, width: int, *, with_values: bool) -> int:
        """Build and start nodes beside each other and one after them, wait for its value, and return that.

        With `with_values` the last node is given what the others returned and returns the sum.
        """
        ...

    def start_chain(self, first: int, length: int) -> None:
        """Build and start one chain, and go on."""
        ...


class _Flowing(Sending):
    def __init__(self, sender: FlowSender) -> None:
        super().__init__(sender, from_environment())
        self.flows = sender

    def chain_times(self, first: int, count: int, length: int, gap_ms: tuple[float, float]) -> list[int]:
        """Delays (ns) from before a chain is built to its value in hand, one chain at a time."""
        delays: list[int] = []
        for n in range(count):
            began = time.time_ns()
            value = self.flows.chain(first + n * length, length)
            delays.append(time.time_ns() - began)
            if value != length:
                raise ValueError(f"a chain of {length} returned {value}")
            time.sleep(random.uniform(*gap_ms) / 1000)
        return delays

    def fan_times(self, first: int, count: int, width: int, with_values: bool) -> list[int]:
        """The same for fans."""
        delays: list[int] = []
        for n in range(count):
            slot = first + n * (width + 1)
            began = time.time_ns()
            value = self.flows.fan(slot, width, with_values=with_values)
            delays.append(time.time_ns() - began)
            expected = sum(range(slot, slot + width)) if with_values else slot + width
            if value != expected:
                raise ValueError(f"a fan of {width} returned {value}, not {expected}")
        return delays

    def start_chains(self, first: int, count: int, length: int) -> int:
        """Start chains one after the other without waiting; the time (ns) before the first one is built."""
        began = time.time_ns()
        for n in range(count):
            self.flows.start_chain(first + n * length, length)
        return began


def serve_flows(sender: FlowSender) -> None:
    """Answer all commands until stdin ends."""
    answer(_Flowing(sender))
