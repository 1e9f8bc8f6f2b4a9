"""SendPlan: all of a send that is the same from call to call, computed once for a task and once per `with_options`."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict

from horsies.channels import queue_channel
from horsies.config.app import AppConfig
from horsies.connections import connection_problem
from horsies.definition import TaskDefinition
from horsies.errors.diagnostic import ConfigurationError
from horsies.retry import RetryPolicy
from horsies.send_errors import enqueue_sha_prefix, format_utc
from horsies.storable import unstorable
from horsies.task_options import check_queue, queue_priority

MAX_KEY_BYTES = 255

LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
"""What is due later could not be read any more in some time zones."""

_WAIT_SHARE_MS = 900
"""Of each second of `pool_timeout`, for rivals: the server's refusal comes before the client gives up (T-37, T-44)."""


class OptionError(ValueError):
    """A send option cannot be used; the text says which and why."""


class Unset:
    """The type of `UNSET`: an option that was not given, where `None` has a meaning of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class SendChoices(TypedDict):
    """The options of `with_options`, as the caller gave them."""

    good_until: object
    idempotency_key: object
    retention_class_key: object
    priority: object
    queue_name: object
    delay: object
    connection: object


@dataclass(frozen=True, slots=True)
class SendPlan:
    """The constant part of a row, and of the digest over it.

    Attributes:
        sha_prefix: What the digest's text begins with.
        options: The task options as JSON text.
        executor: As stored: `default` leaves the choice to the worker.
        retention_key: The class if the caller chose it, for the payload of a failed send.
        good_until: Deadline as UTC text.
        delay_s: Seconds, from `with_options(delay=...)`.
        connection: The caller's connection, if the send belongs to a transaction of theirs.
        wait_ms: How long an uncommitted rival under the same idempotency key may be waited for.
    """

    task_name: str
    queue_name: str
    priority: int
    executor: str
    options: str
    timeout_ms: int | None
    max_retries: int
    retention_class: str
    retain_rerun_input: bool
    channel: str
    sha_prefix: str
    retention_key: str | None = None
    good_until: str | None = None
    idempotency_key: str | None = None
    delay_s: int | None = None
    connection: object = None
    wait_ms: int | None = None


def plan_for(task: TaskDefinition, config: AppConfig) -> SendPlan:
    """The plan of a send without options."""
    priority = queue_priority(task.queue_name, config)
    return SendPlan(
        task_name=task.name,
        queue_name=task.queue_name,
        priority=priority,
        executor=task.executor or "default",
        options=options_text(task.retry_policy, None, task.timeout_ms),
        timeout_ms=task.timeout_ms,
        max_retries=task.retry_policy.max_retries if task.retry_policy is not None else 0,
        retention_class=config.retention.class_for_queue(task.queue_name),
        retain_rerun_input=config.broker.retain_rerun_input_default,
        channel=queue_channel(config.broker.schema_name, task.queue_name),
        sha_prefix=enqueue_sha_prefix(task.name, task.queue_name, priority),
        wait_ms=config.broker.pool_timeout * _WAIT_SHARE_MS,
    )


def plan_with(base: SendPlan, choices: SendChoices, task: TaskDefinition, config: AppConfig) -> SendPlan:
    """The plan of sends with these options.

    Raises:
        OptionError: An option is not acceptable (T-27 to T-32); the first one is named.
    """
    good_until = _deadline(choices["good_until"])
    key = idempotency_key(choices["idempotency_key"])
    retention_key = _retention_key(choices["retention_class_key"], config)
    priority = _priority(choices["priority"])
    plan = base
    if choices["queue_name"] is not None:
        plan = _to_queue(plan, _queue(choices["queue_name"], config), config)
    if priority is not None:
        plan = replace(plan, priority=priority)
    return replace(
        plan,
        sha_prefix=enqueue_sha_prefix(plan.task_name, plan.queue_name, plan.priority),
        good_until=good_until,
        options=plan.options
        if good_until is None
        else options_text(task.retry_policy, good_until, task.timeout_ms),
        idempotency_key=key,
        retention_key=retention_key,
        retention_class=plan.retention_class if retention_key is None else retention_key,
        delay_s=None if choices["delay"] is None else delay_seconds(choices["delay"]),
        connection=choices["connection"],
    )


def _to_queue(plan: SendPlan, queue: str, config: AppConfig) -> SendPlan:
    return replace(
        plan,
        queue_name=queue,
        priority=queue_priority(queue, config),
        retention_class=config.retention.class_for_queue(queue),
        channel=queue_channel(config.broker.schema_name, queue),
    )


def check_connection(plan: SendPlan, *, is_async: bool) -> None:
    """Check that the plan's connection fits the method called.

    Raises:
        OptionError: It does not.
    """
    if plan.connection is None:
        return
    problem = connection_problem(plan.connection, is_async=is_async)
    if problem is not None:
        raise OptionError(problem)


def options_text(policy: RetryPolicy | None, good_until: str | None, timeout_ms: int | None) -> str:
    """The task options as they travel."""
    options = {
        "retry_policy": None if policy is None else policy.to_options(),
        "good_until": good_until,
        "timeout_ms": timeout_ms,
    }
    return json.dumps(options, separators=(",", ":"), ensure_ascii=False)


def delay_seconds(delay: object) -> int:
    """Whole seconds of a delay; a timedelta is rounded up.

    Raises:
        OptionError: It is neither an int nor a timedelta, negative, or too long for a date.
    """
    if isinstance(delay, timedelta):
        whole, rest = divmod(delay, timedelta(seconds=1))
        seconds = whole + (rest > timedelta(0))
    elif isinstance(delay, int) and not isinstance(delay, bool):
        seconds = int(delay)
    else:
        raise OptionError(f"delay is a number of whole seconds or a timedelta, not {_kind(delay)}")
    if seconds < 0:
        raise OptionError(f"delay is negative ({delay})")
    if seconds > (LATEST - datetime.now(UTC)).total_seconds():
        raise OptionError(f"delay goes beyond the year {LATEST.year} ({delay})")
    return seconds


def idempotency_key(value: object, option: str = "idempotency_key") -> str | None:
    """Check an idempotency key; `option` is its name for the caller.

    Raises:
        OptionError: It cannot be one.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise OptionError(f"{option} is a string, not {_kind(value)}")
    if not value:
        raise OptionError(f"{option} is empty")
    if (problem := unstorable(value)) is not None:
        raise OptionError(f"{option} holds {problem}")
    size = len(value.encode())
    if size > MAX_KEY_BYTES:
        raise OptionError(f"{option} has {size} bytes; {MAX_KEY_BYTES} is the most")
    return str.__str__(value)  # str() of an enum's member is its name


def _deadline(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise OptionError(f"good_until is a datetime, not {_kind(value)}")
    try:
        return format_utc(value)
    except (ValueError, OverflowError) as error:
        raise OptionError(f"good_until: {error}") from error


def _retention_key(value: object, config: AppConfig) -> str | None:
    if value is UNSET:
        return None
    if value is not None and not isinstance(value, str):
        raise OptionError(f"retention_class_key is a string or None, not {_kind(value)}")
    found = config.retention.class_for_key(value)
    if found is None:
        raise OptionError(
            f"retention_class_key {value!r} is unknown; use None (for ever), 'standard_30d', or a key derived from"
            " retention.queue_retention"
        )
    return found


def _priority(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"priority is a number from 1 to 100, not {_kind(value)}")
    if not 1 <= value <= 100:
        raise OptionError(f"priority is {value}, outside of 1 to 100")
    return int(value)


def _queue(value: object, config: AppConfig) -> str:
    if not isinstance(value, str):
        raise OptionError(f"queue_name is a string, not {_kind(value)}")
    try:
        check_queue(value, config)
    except ConfigurationError as error:
        raise OptionError("; ".join([error.message, *error.notes])) from error
    return value


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
