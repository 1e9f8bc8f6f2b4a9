"""Answers to pings: only a worker whose loop runs and whose database answers sends one (R-094, M-013)."""

import asyncio
import json
import logging
import os
import socket

import psycopg

from horsies.channels import pong
from horsies.sql import Statements
from horsies_worker.link import Link

logger = logging.getLogger("horsies.worker")

MAX_PENDING = 100
"""Answers under way at a time; who floods the channel gets no more."""
_MAX_CHANNEL_BYTES = 63


class PingAnswerer:
    """Hears what comes on the ping channel."""

    def __init__(self, worker_id: str, link: Link, statements: Statements) -> None:
        self._worker_id = worker_id
        self._link = link
        self._statements = statements
        self._pending: set[asyncio.Task[None]] = set()
        self._reply_prefix = pong(statements.schema, "")
        self._answer = {"worker_id": worker_id, "hostname": socket.gethostname(), "pid": os.getpid()}

    def handle(self, payload: str) -> None:
        """A message came; the answer is sent in a task of its own."""
        question = self.read(payload)
        if question is None or len(self._pending) >= MAX_PENDING:
            return
        task = asyncio.get_running_loop().create_task(self._reply(*question))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def read(self, payload: str) -> tuple[str, str] | None:
        """(reply channel, correlation id) of a question for this worker; None for any other message."""
        try:
            question = json.loads(payload)
        except ValueError:
            question = None
        match question:
            case {"correlation_id": str(correlation), "reply_channel": str(channel)} if self._is_ours(
                channel
            ):
                target = question.get("target_worker_id")
                return (channel, correlation) if target in (None, self._worker_id) else None
            case _:
                logger.warning("a ping that makes no sense was ignored: %.200r", payload)
                return None

    def _is_ours(self, channel: str) -> bool:
        # Not any channel: a ping must not make workers send wake-ups in somebody's name.
        return (
            channel.startswith(self._reply_prefix)
            and channel.isascii()
            and len(channel) <= _MAX_CHANNEL_BYTES
        )

    async def _reply(self, channel: str, correlation: str) -> None:
        payload = json.dumps({"correlation_id": correlation, **self._answer})
        try:
            await self._link.execute(self._statements["notify"], {"channel": channel, "payload": payload})
        except psycopg.Error as error:
            logger.warning("a ping could not be answered: %s", str(error).strip())
