"""Helpers for the tests of users: run a task here and now, drain queues, look at what was sent, set the
clock (01 §14).

They use the codec, the statements and the retry decision of the product; what runs tasks comes from
horsies-worker. Pytest fixtures: `pytest_plugins = ["horsies.testing.plugin"]`.
"""

from horsies.testing.clock import Clock, clock
from horsies.testing.databases import DatabaseTemplate, on_database
from horsies.testing.draining import drain, drain_async
from horsies.testing.inline import run_inline, run_inline_async
from horsies.testing.sent import EnqueuedTask, assert_enqueued, enqueued

__all__ = [
    "Clock",
    "DatabaseTemplate",
    "EnqueuedTask",
    "assert_enqueued",
    "clock",
    "drain",
    "drain_async",
    "enqueued",
    "on_database",
    "run_inline",
    "run_inline_async",
]
