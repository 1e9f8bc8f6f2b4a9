"""Carrying out the insert of a send: once, again after an outage that passes, or inside the caller's transaction."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus

from horsies.broker import Broker
from horsies.connections import unfit_encoding, unwrap, unwrap_async
from horsies.db.drive import settle, settle_async
from horsies.db.effects import Op
from horsies.ops.send import ask_nothing
from horsies.transient import DATABASE_FAILURES, is_transient


@dataclass(frozen=True, slots=True)
class Pause:
    """A step that only waits."""

    seconds: float


RESEND_PAUSES = (Pause(0.2), Pause(0.4), Pause(0.8))
"""Before the repetitions that `resend_on_transient_err` asks for."""

_turns: WeakKeyDictionary[object, threading.Lock] = WeakKeyDictionary()
_async_turns: WeakKeyDictionary[object, asyncio.Lock] = WeakKeyDictionary()
_making_turns = threading.Lock()
# Savepoints of one connection are a stack: sends that use it at the same time wait for each other.

type Steps[R] = Generator[Op[R] | Pause, Any, R]


def resending[R](first: Op[R], again: Callable[[], Op[R]]) -> Steps[R]:
    """The operations and pauses of an insert that is repeated while the database is out of reach.

    Args:
        first: The insert.
        again: Makes the insert for ids that may have got in already.
    """
    op = first
    for pause in RESEND_PAUSES:
        try:
            answer: R = yield op
        except DATABASE_FAILURES as error:
            if not is_transient(error):
                raise
        else:
            return answer
        yield pause
        op = again()
    last: R = yield op
    return last


def carry_out[R](run: Callable[[Op[R]], R], steps: Steps[R]) -> R:
    """Perform the steps, blocking."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                step = next(steps)
                continue
            try:
                answer = run(step)
            except DATABASE_FAILURES as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: R = stop.value
        return result


async def carry_out_async[R](run: Callable[[Op[R]], Awaitable[R]], steps: Steps[R]) -> R:
    """Perform the steps in the running event loop."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                step = next(steps)
                continue
            try:
                answer = await run(step)
            except DATABASE_FAILURES as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: R = stop.value
        return result


def run_in_transaction[R](broker: Broker, connection: object, op: Op[R]) -> R:
    """Run an operation in the open transaction of the caller's connection, undone alone if it fails.

    Raises:
        UnusableConnectionError: The object leads to no psycopg connection, or to one that cannot carry every text.
        Exception: What the database or the caller's library raises.
    """
    raw = unwrap(connection)
    with _turn(_turns, raw, threading.Lock):
        try:
            return _run_inside(broker, raw, op)
        except UnicodeError as error:
            raise unfit_encoding(raw) from error


def _run_inside[R](broker: Broker, raw: psycopg.Connection[Any], op: Op[R]) -> R:
    settle(raw)
    if raw.info.transaction_status == TransactionStatus.IDLE:
        if raw.autocommit:
            return broker.run_on(raw, op)
        # psycopg's transaction() would commit what it began itself; a statement before it makes it a savepoint.
        broker.run_on(raw, ask_nothing())
    with raw.transaction():
        return broker.run_on(raw, op)


async def run_in_transaction_async[R](broker: Broker, connection: object, op: Op[R]) -> R:
    """As `run_in_transaction`, on an async connection."""
    raw = await unwrap_async(connection)
    async with _turn(_async_turns, raw, asyncio.Lock):
        try:
            return await _run_inside_async(broker, raw, op)
        except UnicodeError as error:
            raise unfit_encoding(raw) from error


async def _run_inside_async[R](broker: Broker, raw: psycopg.AsyncConnection[Any], op: Op[R]) -> R:
    await settle_async(raw)
    if raw.info.transaction_status == TransactionStatus.IDLE:
        if raw.autocommit:
            return await broker.run_on_async(raw, op)
        await broker.run_on_async(raw, ask_nothing())
    async with raw.transaction():
        return await broker.run_on_async(raw, op)


def _turn[L](turns: WeakKeyDictionary[object, L], connection: object, make: Callable[[], L]) -> L:
    with _making_turns:
        return turns.setdefault(connection, make())
