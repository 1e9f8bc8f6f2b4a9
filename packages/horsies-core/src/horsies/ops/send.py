"""Enqueue with an answer for the sender, whichever way a task gets in: first time, again, or under a key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from horsies.db import arrays
from horsies.db.effects import Op, Run
from horsies.ops.enqueue import (
    EnqueueRow,
    KeyedOutcome,
    enqueue_keyed,
    enqueue_many,
    enqueue_one,
    enqueue_replay,
)

type Answer = tuple[KeyedOutcome, str]
"""What became of a send, and the id of the task that stands for it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that differ in id, arguments and digest only.

    Attributes:
        first: The first of them; the others share the rest with it.
        ids: Their ids.
        shas: Their digests.
        kwargs: Their arguments.
    """

    first: EnqueueRow
    ids: Sequence[str]
    shas: Sequence[str]
    kwargs: Sequence[str | None]


def insert(row: EnqueueRow, now: datetime | None) -> Op[Answer]:
    """A task with a new id."""
    if row.idempotency_key is not None:
        return (yield from enqueue_keyed(row, request_sha(row), now, fresh=True))
    yield from enqueue_one(row, now)
    return "inserted", row.id


def insert_again(row: EnqueueRow, now: datetime | None) -> Op[Answer]:
    """A task whose id may have got in before."""
    if row.idempotency_key is not None:
        return (yield from enqueue_keyed(row, request_sha(row), now))
    outcome = yield from enqueue_replay(row, now)
    return outcome, row.id


def insert_batch(batch: Batch, now: datetime | None) -> Op[None]:
    """All tasks of a batch, with new ids, or none."""
    yield from enqueue_many(batch.first, list(batch.ids), list(batch.shas), list(batch.kwargs), now)


def insert_batch_again(batch: Batch, now: datetime | None) -> Op[None]:
    """All tasks of a batch that may have got in before; it cannot have got in by halves."""
    params = batch.first.params(now)
    params |= {
        "ids": arrays.plain(batch.ids),
        "shas": arrays.plain(batch.shas),
        "kwargs": arrays.texts(batch.kwargs),
    }
    yield Run("replay_tasks", params)


def ask_nothing() -> Op[None]:
    """A statement without effect: the first one begins a transaction, and any one shows that the server answers."""
    yield Run("select_one", {})


def request_sha(row: EnqueueRow) -> str:
    """Digest of what makes two sends under one idempotency key the same request (T-45)."""
    request = [
        row.task_name,
        row.queue_name,
        row.priority,
        row.kwargs,
        row.good_until,
        row.delay_s,
        row.options,
        row.retention_class,
        row.retain_rerun_input,
    ]
    return sha256(json.dumps(request, separators=(",", ":")).encode("ascii")).hexdigest()
