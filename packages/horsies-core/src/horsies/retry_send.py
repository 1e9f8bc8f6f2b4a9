"""Replaying a send that failed: whether it may be, and the row it had (E-19, E-20)."""

import json
from dataclasses import replace
from typing import Any, cast

from horsies.broker_errors import BrokerErrorCode
from horsies.channels import queue_channel
from horsies.config.app import AppConfig
from horsies.errors.diagnostic import ConfigurationError
from horsies.ops.enqueue import EnqueueRow
from horsies.retry import RetryPolicy
from horsies.send_errors import (
    TaskSendError,
    TaskSendErrorCode,
    TaskSendPayload,
    format_utc,
    payload_is_intact,
)
from horsies.send_failures import invalid
from horsies.send_plan import SendPlan
from horsies.task_options import check_queue

_REPLAYABLE = (TaskSendErrorCode.ENQUEUE_FAILED, TaskSendErrorCode.ASYNC_CONTEXT)


def replay_of(
    base: SendPlan, config: AppConfig, failed: object, *, delayed: bool
) -> tuple[SendPlan, EnqueueRow] | TaskSendError:
    """The plan and the row of the failed send, exactly as they were.

    Args:
        base: The task's own plan.
        config: The app's configuration.
        failed: What the user gave: the error of the failed send.
        delayed: Whether a delayed send is to be replayed.

    Returns:
        Plan and row, or the error to return: a request that cannot be replayed, or a payload that was changed.
    """
    name = base.task_name
    if not isinstance(failed, TaskSendError):
        return invalid(
            name, f"a retry takes the TaskSendError of the failed send, not a {type(failed).__name__}"
        )
    if failed.code not in _REPLAYABLE:
        return invalid(name, f"a send that failed with {failed.code.value} cannot be replayed; send anew")
    payload, task_id = failed.payload, failed.task_id
    if payload is None or task_id is None:
        return invalid(name, "the error holds no payload, so there is nothing to replay; send anew")
    problem = _other_send(base, payload, delayed)
    if problem is not None:
        return invalid(name, problem)
    if not _is_intact(payload):
        return TaskSendError(
            TaskSendErrorCode.PAYLOAD_MISMATCH,
            f"task {name!r} was not sent: the payload differs from what its enqueue_sha was made of",
            task_id=task_id,
            payload=payload,
            broker_code=BrokerErrorCode.PAYLOAD_MISMATCH,
        )
    return _rebuild(base, config, payload, task_id)


def _other_send(base: SendPlan, payload: TaskSendPayload, delayed: bool) -> str | None:
    if payload.task_name != base.task_name:
        return f"the payload belongs to task {payload.task_name!r}; use that task's retry method"
    if delayed != (payload.enqueue_delay_seconds is not None):
        method = "retry_send" if delayed else "retry_schedule"
        return f"the payload is of {'an undelayed' if delayed else 'a delayed'} send; use {method} for it"
    return None


def _is_intact(payload: TaskSendPayload) -> bool:
    try:
        return payload_is_intact(payload)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return False  # a field that cannot even be digested is not what the digest was made of


def _rebuild(
    base: SendPlan, config: AppConfig, payload: TaskSendPayload, task_id: str
) -> tuple[SendPlan, EnqueueRow] | TaskSendError:
    name = base.task_name
    try:
        check_queue(payload.queue_name, config)
    except ConfigurationError as error:
        return invalid(name, error.message, error)
    key = payload.retention_class_key
    if key is not None and key not in config.retention.classes():
        return invalid(name, f"the payload's retention_class_key {key!r} is unknown")
    try:
        timeout_ms, max_retries = _read_options(payload.task_options)
    except (ValueError, TypeError) as error:
        problem = invalid(name, f"the payload's task_options cannot be read: {error}", error)
        return replace(problem, broker_code=BrokerErrorCode.INVALID_TASK_OPTIONS)
    plan = replace(
        base,
        queue_name=payload.queue_name,
        priority=payload.priority,
        retention_key=key,
        retention_class=config.retention.class_for_queue(payload.queue_name) if key is None else key,
        idempotency_key=payload.idempotency_key,
    )
    row = EnqueueRow(
        id=task_id,
        task_name=payload.task_name,
        queue_name=payload.queue_name,
        priority=payload.priority,
        executor=plan.executor,
        enqueue_sha=payload.enqueue_sha,
        kwargs=payload.kwargs_json,
        options=payload.task_options,
        timeout_ms=timeout_ms,
        sent_at=format_utc(payload.sent_at),
        delay_s=payload.enqueue_delay_seconds or 0,
        good_until=None if payload.good_until is None else format_utc(payload.good_until),
        max_retries=max_retries,
        retention_class=plan.retention_class,
        retain_rerun_input=plan.retain_rerun_input,
        channel=queue_channel(config.broker.schema_name, payload.queue_name),
        idempotency_key=payload.idempotency_key,
        wait_ms=plan.wait_ms,
    )
    return plan, row


def _read_options(text: str | None) -> tuple[int | None, int]:
    """Timeout and number of retries, which stand in columns of their own."""
    options = cast("dict[str, Any]", json.loads(text)) if text is not None else {}
    policy = options.get("retry_policy")
    timeout_ms: int | None = options.get("timeout_ms")
    return timeout_ms, 0 if policy is None else RetryPolicy.from_options(policy).max_retries
