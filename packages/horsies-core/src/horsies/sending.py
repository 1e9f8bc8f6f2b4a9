"""Sending: check -> bind -> encode -> insert -> handle, the same road for every send, blocking or awaited.

The checks and their order are those of the contract; what cannot be sent comes back as `Err`, nothing is raised.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from horsies.codec.problems import ArgumentError, EncodeError
from horsies.config.app import AppConfig
from horsies.connections import UnusableConnectionError
from horsies.definition import TaskDefinition
from horsies.delivery import (
    carry_out,
    carry_out_async,
    resending,
    run_in_transaction,
    run_in_transaction_async,
)
from horsies.handle import TaskHandle
from horsies.ids import new_task_id
from horsies.ops.enqueue import EnqueueRow
from horsies.ops.send import Answer, Batch, insert, insert_again, insert_batch, insert_batch_again
from horsies.payload_limits import oversize
from horsies.result import Err, Ok, Result
from horsies.retry_send import replay_of
from horsies.send_errors import TaskSendError, TaskSendResult, enqueue_sha
from horsies.send_failures import (
    async_context,
    bad_arguments,
    insert_failed,
    invalid,
    refused,
    suppressed,
    too_large,
)
from horsies.send_plan import OptionError, SendPlan, check_connection
from horsies.suppression import sends_suppressed
from horsies.task_reads import TaskSource
from horsies.traced_send import traced, traced_async
from horsies.tracing import is_loaded
from horsies.transient import DATABASE_FAILURES

_FAILURES = (*DATABASE_FAILURES, UnusableConnectionError)

type Arguments = tuple[object, ...]
type NamedArguments = dict[str, Any]


class SendHost(TaskSource, Protocol):
    """What sending needs of its app."""

    @property
    def config(self) -> AppConfig:
        """The app's configuration."""
        ...


class Sender[T]:
    """Sends one task. Each method takes a plan: the task's own, or one made by `with_options`.

    `delay` is in whole seconds; `None` for a send that is not delayed.
    """

    __slots__ = ("_config", "_host", "_limits", "_ok_type", "_resend", "_signature", "_tracing", "task")

    def __init__(self, host: SendHost, task: TaskDefinition) -> None:
        self.task = task
        self._host = host
        self._config = host.config
        self._limits = host.config.payload
        self._resend = host.config.resend_on_transient_err
        self._tracing = host.config.tracing
        self._signature = task.signature
        self._ok_type: Any = task.signature.ok_type

    # -- one task

    def send(
        self, plan: SendPlan, args: Arguments, kwargs: NamedArguments, delay: int | None
    ) -> TaskSendResult[TaskHandle[T]]:
        """Send, blocking."""
        row = self._prepare(plan, args, kwargs, delay, is_async=False)
        if isinstance(row, TaskSendError):
            return Err(row)
        if _loop_is_running():
            return Err(async_context(plan, row, delay))
        try:
            if self._tracing and is_loaded():
                answer = traced(lambda: self._insert(plan, row), row)
            else:
                answer = self._insert(plan, row)
        except _FAILURES as error:
            return Err(insert_failed(plan, row, delay, error))
        return self._settle(plan, row, delay, answer)

    async def send_async(
        self, plan: SendPlan, args: Arguments, kwargs: NamedArguments, delay: int | None
    ) -> TaskSendResult[TaskHandle[T]]:
        """Send from an event loop."""
        row = self._prepare(plan, args, kwargs, delay, is_async=True)
        if isinstance(row, TaskSendError):
            return Err(row)
        try:
            if self._tracing and is_loaded():
                answer = await traced_async(lambda: self._insert_async(plan, row), row)
            else:
                answer = await self._insert_async(plan, row)
        except _FAILURES as error:
            return Err(insert_failed(plan, row, delay, error))
        return self._settle(plan, row, delay, answer)

    # -- many tasks

    def send_many(
        self, plan: SendPlan, items: object, delay: int | None
    ) -> TaskSendResult[list[TaskHandle[T]]]:
        """Send all or none, blocking."""
        batch = self._prepare_batch(plan, items, delay, is_async=False)
        if not isinstance(batch, Batch):
            return batch
        if _loop_is_running():
            return Err(_of_many(async_context(plan, batch.first, delay)))
        try:
            if self._tracing and is_loaded():
                count = len(batch.ids)
                answer = traced(lambda: self._insert_batch(plan, batch), batch.first, count)
            else:
                answer = self._insert_batch(plan, batch)
        except _FAILURES as error:
            return Err(_of_many(insert_failed(plan, batch.first, delay, error)))
        return self._settle_batch(plan, batch, delay, answer)

    async def send_many_async(
        self, plan: SendPlan, items: object, delay: int | None
    ) -> TaskSendResult[list[TaskHandle[T]]]:
        """Send all or none from an event loop."""
        batch = self._prepare_batch(plan, items, delay, is_async=True)
        if not isinstance(batch, Batch):
            return batch
        try:
            if self._tracing and is_loaded():
                count = len(batch.ids)
                answer = await traced_async(lambda: self._insert_batch_async(plan, batch), batch.first, count)
            else:
                answer = await self._insert_batch_async(plan, batch)
        except _FAILURES as error:
            return Err(_of_many(insert_failed(plan, batch.first, delay, error)))
        return self._settle_batch(plan, batch, delay, answer)

    # -- again

    def replay(self, base: SendPlan, failed: object, *, delayed: bool) -> TaskSendResult[TaskHandle[T]]:
        """Repeat a failed send, blocking."""
        again = self._prepare_replay(base, failed, delayed)
        if isinstance(again, TaskSendError):
            return Err(again)
        plan, row, delay = again
        if _loop_is_running():
            return Err(async_context(plan, row, delay))
        try:
            if self._tracing and is_loaded():
                answer = traced(lambda: self._insert_again(row), row)
            else:
                answer = self._insert_again(row)
        except _FAILURES as error:
            return Err(insert_failed(plan, row, delay, error))
        return self._settle(plan, row, delay, answer)

    async def replay_async(
        self, base: SendPlan, failed: object, *, delayed: bool
    ) -> TaskSendResult[TaskHandle[T]]:
        """Repeat a failed send from an event loop."""
        again = self._prepare_replay(base, failed, delayed)
        if isinstance(again, TaskSendError):
            return Err(again)
        plan, row, delay = again
        try:
            if self._tracing and is_loaded():
                answer = await traced_async(lambda: self._insert_again_async(row), row)
            else:
                answer = await self._insert_again_async(row)
        except _FAILURES as error:
            return Err(insert_failed(plan, row, delay, error))
        return self._settle(plan, row, delay, answer)

    # -- before the insert: no I/O

    def _prepare(
        self, plan: SendPlan, args: Arguments, kwargs: NamedArguments, delay: int | None, *, is_async: bool
    ) -> EnqueueRow | TaskSendError:
        name = plan.task_name
        if sends_suppressed():
            return suppressed(name)
        if plan.connection is not None:
            try:
                check_connection(plan, is_async=is_async)
            except OptionError as problem:
                return invalid(name, str(problem))
        try:
            text = self._signature.encode(self._signature.bind(args, kwargs))
        except (ArgumentError, EncodeError) as problem:
            return bad_arguments(problem)
        task_id = new_task_id()
        size = oversize(name, "kwargs", text, self._limits)
        if size is not None:
            return too_large(name, size, self._limits.reject_bytes, task_id)
        sent_at = datetime.now(UTC).isoformat(timespec="microseconds")
        sha = enqueue_sha(plan.sha_prefix, text, sent_at, plan.good_until, delay, plan.options)
        return new_row(plan, task_id, sha, text, sent_at, delay)

    def _prepare_batch(
        self, plan: SendPlan, items: object, delay: int | None, *, is_async: bool
    ) -> Batch | Result[list[TaskHandle[T]], TaskSendError]:
        name = plan.task_name
        if sends_suppressed():
            return Err(suppressed(name))
        try:
            check_connection(plan, is_async=is_async)
            mappings = _checked_items(plan, items)
        except OptionError as problem:
            return Err(invalid(name, str(problem)))
        texts: list[str | None] = []
        for index, item in enumerate(mappings):
            text = self._encode_item(name, index, item)
            if isinstance(text, TaskSendError):
                return Err(text)
            texts.append(text)
        if not texts:
            return Ok([])
        sent_at = datetime.now(UTC).isoformat(timespec="microseconds")
        ids = [new_task_id() for _ in texts]
        shas = [
            enqueue_sha(plan.sha_prefix, text, sent_at, plan.good_until, delay, plan.options)
            for text in texts
        ]
        return Batch(new_row(plan, ids[0], shas[0], texts[0], sent_at, delay), ids, shas, texts)

    def _encode_item(self, name: str, index: int, item: object) -> str | TaskSendError | None:
        if not isinstance(item, Mapping):
            return invalid(name, f"item {index} is a mapping of arguments, not a {type(item).__name__}")
        try:
            bound = self._signature.bind((), dict(cast("Mapping[str, object]", item)))
            text = self._signature.encode(bound)
        except (ArgumentError, EncodeError) as problem:
            return bad_arguments(problem, index)
        size = oversize(name, "kwargs", text, self._limits)
        if size is not None:
            error = too_large(name, size, self._limits.reject_bytes, None)
            return replace(error, message=f"item {index}: {error.message}")
        return text

    def _prepare_replay(
        self, base: SendPlan, failed: object, delayed: bool
    ) -> tuple[SendPlan, EnqueueRow, int | None] | TaskSendError:
        if sends_suppressed():
            return suppressed(base.task_name)
        again = replay_of(base, self._config, failed, delayed=delayed)
        if isinstance(again, TaskSendError):
            return again
        plan, row = again
        return plan, row, row.delay_s if delayed else None

    # -- the insert

    def _insert(self, plan: SendPlan, row: EnqueueRow) -> Answer:
        broker = self._host.get_broker()
        now = broker.now
        if plan.connection is not None:
            return run_in_transaction(broker, plan.connection, insert(row, now))
        if self._resend:
            return carry_out(broker.run, resending(insert(row, now), lambda: insert_again(row, now)))
        return broker.run(insert(row, now))

    async def _insert_async(self, plan: SendPlan, row: EnqueueRow) -> Answer:
        broker = self._host.get_broker()
        now = broker.now
        if plan.connection is not None:
            return await run_in_transaction_async(broker, plan.connection, insert(row, now))
        if self._resend:
            steps = resending(insert(row, now), lambda: insert_again(row, now))
            return await carry_out_async(broker.run_async, steps)
        return await broker.run_async(insert(row, now))

    def _insert_batch(self, plan: SendPlan, batch: Batch) -> Answer | None:
        if len(batch.ids) == 1:
            return self._insert(plan, batch.first)
        broker = self._host.get_broker()
        now = broker.now
        if plan.connection is not None:
            return run_in_transaction(broker, plan.connection, insert_batch(batch, now))
        if self._resend:
            steps = resending(insert_batch(batch, now), lambda: insert_batch_again(batch, now))
            return carry_out(broker.run, steps)
        return broker.run(insert_batch(batch, now))

    async def _insert_batch_async(self, plan: SendPlan, batch: Batch) -> Answer | None:
        if len(batch.ids) == 1:
            return await self._insert_async(plan, batch.first)
        broker = self._host.get_broker()
        now = broker.now
        if plan.connection is not None:
            return await run_in_transaction_async(broker, plan.connection, insert_batch(batch, now))
        if self._resend:
            steps = resending(insert_batch(batch, now), lambda: insert_batch_again(batch, now))
            return await carry_out_async(broker.run_async, steps)
        return await broker.run_async(insert_batch(batch, now))

    def _insert_again(self, row: EnqueueRow) -> Answer:
        broker = self._host.get_broker()
        now, run = broker.now, broker.run
        if self._resend:
            return carry_out(run, resending(insert_again(row, now), lambda: insert_again(row, now)))
        return run(insert_again(row, now))

    async def _insert_again_async(self, row: EnqueueRow) -> Answer:
        broker = self._host.get_broker()
        now, run = broker.now, broker.run_async
        if self._resend:
            steps = resending(insert_again(row, now), lambda: insert_again(row, now))
            return await carry_out_async(run, steps)
        return await run(insert_again(row, now))

    # -- after the insert: no I/O

    def _settle(
        self, plan: SendPlan, row: EnqueueRow, delay: int | None, answer: Answer
    ) -> TaskSendResult[TaskHandle[T]]:
        if answer[0] in ("inserted", "same"):
            return Ok(TaskHandle(answer[1], self._host, ok_type=self._ok_type))
        return Err(refused(plan, row, delay, answer))

    def _settle_batch(
        self, plan: SendPlan, batch: Batch, delay: int | None, answer: Answer | None
    ) -> TaskSendResult[list[TaskHandle[T]]]:
        if answer is not None and answer[0] not in ("inserted", "same"):
            return Err(_of_many(refused(plan, batch.first, delay, answer)))
        ids = batch.ids if answer is None else [answer[1]]
        return Ok([TaskHandle(task_id, self._host, ok_type=self._ok_type) for task_id in ids])


def new_row(
    plan: SendPlan, task_id: str, sha: str, text: str | None, sent_at: str, delay: int | None
) -> EnqueueRow:
    """The row of one send."""
    return EnqueueRow(
        id=task_id,
        task_name=plan.task_name,
        queue_name=plan.queue_name,
        priority=plan.priority,
        executor=plan.executor,
        enqueue_sha=sha,
        kwargs=text,
        options=plan.options,
        timeout_ms=plan.timeout_ms,
        sent_at=sent_at,
        delay_s=delay or 0,
        good_until=plan.good_until,
        max_retries=plan.max_retries,
        retention_class=plan.retention_class,
        retain_rerun_input=plan.retain_rerun_input,
        channel=plan.channel,
        idempotency_key=plan.idempotency_key,
        wait_ms=plan.wait_ms,
    )


def _checked_items(plan: SendPlan, items: object) -> list[object]:
    if not isinstance(items, list | tuple):
        raise OptionError(f"send_many takes a list of mappings of arguments, not a {type(items).__name__}")
    found = list(cast("list[object]", items))
    if plan.idempotency_key is not None and len(found) > 1:
        raise OptionError(f"one idempotency_key cannot stand for {len(found)} items; send them one by one")
    return found


def _of_many(error: TaskSendError) -> TaskSendError:
    """The error of a send_many: it has no single id, and nothing that a retry method could replay."""
    return replace(error, task_id=None, payload=None)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
