"""Sender for celery that starts chains and chords."""

from celery import chain, chord
from celery.canvas import Signature

from benchmarks.peers.celery.driver import CelerySender
from benchmarks.peers.celery.flows_app import item, step, total
from benchmarks.peers.flows import serve_flows

RESULT_TIMEOUT = 30


class CeleryFlows(CelerySender):
    def chain(self, first: int, length: int) -> int:
        return self._chain(first, length).apply_async().get(timeout=RESULT_TIMEOUT)

    def start_chain(self, first: int, length: int) -> None:
        self._chain(first, length).apply_async()

    def fan(self, first: int, width: int, *, with_values: bool) -> int:
        last = total.s(first + width) if with_values else item.si(first + width)
        items = [item.s(n) for n in range(first, first + width)]
        return chord(items)(last).get(timeout=RESULT_TIMEOUT)

    @staticmethod
    def _chain(first: int, length: int) -> Signature:
        return chain(step.s(0, first), *(step.s(n) for n in range(first + 1, first + length)))


if __name__ == "__main__":
    serve_flows(CeleryFlows())
