"""AppConfig: everything an application is configured with, and the rules that span several settings."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Self, cast

from pydantic import Field, PlainValidator, field_serializer, model_validator

from horsies.config.base import ConfigModel
from horsies.config.broker import PostgresConfig
from horsies.config.display import config_lines
from horsies.config.payload import PayloadPolicy
from horsies.config.queues import DEFAULT_QUEUE, CustomQueueConfig, QueueMode, queue_name_problem
from horsies.config.recovery import RecoveryConfig
from horsies.config.resilience import WorkerResilienceConfig
from horsies.config.retention import RetentionConfig
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.exception_mapper import (
    ExceptionMapper,
    validate_error_code,
    validate_exception_mapper,
)
from horsies.schedule import ScheduleConfig

DEFAULT_CLAIM_LEASE_MS = 60_000
DEFAULT_QUEUE_PRIORITY = 100

_logger = logging.getLogger("horsies.config")


def _as_mapper(value: object) -> ExceptionMapper:
    if not isinstance(value, Mapping):
        raise ValueError("exception_mapper is a dict of exception classes and error codes")
    # Its entries are checked with the other rules, so that each bad one is reported as HRS-209.
    return cast("ExceptionMapper", dict(value))  # pyright: ignore[reportUnknownArgumentType]


class AppConfig(ConfigModel):
    """Configuration of a `Horsies` application; it cannot be changed once built.

        AppConfig(broker=PostgresConfig(database_url="postgresql://app:secret@db.example.org/jobs"))

    Attributes:
        broker: the database.
        queue_mode: one queue called `default`, or the queues listed in `custom_queues`.
        custom_queues: the queues of `QueueMode.CUSTOM`.
        cluster_wide_cap: tasks that may run at once in all workers together; None for no limit.
        prefetch_buffer: tasks a worker may hold claimed beyond its free places; needs `claim_lease_ms`.
        claim_lease_ms: milliseconds after which a silent worker loses what it holds claimed; None means
            60000.
        max_claim_renew_age_ms: milliseconds after which a worker gives back what it claimed but could not
            start.
        keyword_only_tasks: refuse task parameters that can be given by position.
        payload: limits on the size of arguments and results.
        recovery: heartbeats, and what happens to the tasks of silent workers.
        retention: how long finished tasks and workflows are kept.
        resilience: how a worker gets through a database outage.
        schedule: what the scheduler sends, and when.
        exception_mapper: error codes for uncaught exceptions, by exact class.
        default_unhandled_error_code: error code of the uncaught exceptions no mapper names.
        workflow_step_timeout_ms: milliseconds user code in a workflow step (a condition, `build_with`) may
            take.
        map_max_items: items a `MapNode` may have.
        resend_on_transient_err: repeat a send up to three times when the database connection failed.
        tracing: make spans for sends and runs in a program that uses OpenTelemetry (extra `otel`).
    """

    broker: PostgresConfig
    queue_mode: QueueMode = QueueMode.DEFAULT
    custom_queues: list[CustomQueueConfig] | None = None
    cluster_wide_cap: int | None = Field(default=None, strict=True)
    prefetch_buffer: int = Field(default=0, strict=True)
    claim_lease_ms: int | None = Field(default=None, strict=True)
    max_claim_renew_age_ms: int = Field(default=180_000, strict=True)
    keyword_only_tasks: bool = Field(default=False, strict=True)
    payload: PayloadPolicy = PayloadPolicy()
    recovery: RecoveryConfig = RecoveryConfig()
    retention: RetentionConfig = RetentionConfig()
    resilience: WorkerResilienceConfig = WorkerResilienceConfig()
    schedule: ScheduleConfig | None = None
    exception_mapper: Annotated[ExceptionMapper, PlainValidator(_as_mapper)] = Field(default={})
    default_unhandled_error_code: str = "UNHANDLED_EXCEPTION"
    workflow_step_timeout_ms: int = Field(default=60_000, strict=True, ge=1_000)
    map_max_items: int = Field(default=10_000, strict=True, ge=1)
    resend_on_transient_err: bool = Field(default=False, strict=True)
    tracing: bool = Field(default=True, strict=True)

    @property
    def queues(self) -> tuple[CustomQueueConfig, ...]:
        """The queues of the application; in `QueueMode.DEFAULT` the one queue `default`, without a limit."""
        if self.custom_queues is None:
            return (CustomQueueConfig(name=DEFAULT_QUEUE, priority=DEFAULT_QUEUE_PRIORITY),)
        return tuple(self.custom_queues)

    @property
    def queue_names(self) -> list[str]:
        """Names of the queues, in the order they are configured."""
        return [DEFAULT_QUEUE] if self.custom_queues is None else [queue.name for queue in self.custom_queues]

    @property
    def effective_claim_lease_ms(self) -> int:
        """Milliseconds after which a silent worker loses what it holds claimed."""
        return DEFAULT_CLAIM_LEASE_MS if self.claim_lease_ms is None else self.claim_lease_ms

    def log_config(self, logger: logging.Logger | None = None) -> None:
        """Log the whole configuration at INFO, with `***` for passwords; executor processes stay silent.

        Args:
            logger: where to; `horsies.config` if left out.
        """
        if os.environ.get("HORSIES_CHILD_PROCESS") == "1":
            return
        lines = "\n".join(config_lines(self, mask="***"))
        (logger or _logger).info("AppConfig:\n%s", lines)

    @field_serializer("exception_mapper", when_used="json")
    def _mapper_as_json(self, mapper: ExceptionMapper) -> dict[str, str]:
        return {f"{key.__module__}.{key.__qualname__}": code for key, code in mapper.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        report = ValidationReport("AppConfig")
        for error in chain.from_iterable(check(self) for check in _CHECKS):
            report.add(error)
        raise_collected(report)
        return self


def _queue_errors(config: AppConfig) -> Iterator[ConfigurationError]:
    queues = config.custom_queues
    if config.queue_mode is QueueMode.DEFAULT and queues is not None:
        yield _error(
            ErrorCode.CONFIG_INVALID_QUEUE_MODE,
            "custom_queues is set, but queue_mode is DEFAULT",
            "set queue_mode=QueueMode.CUSTOM to use your own queues, or leave custom_queues out",
        )
    if config.queue_mode is QueueMode.CUSTOM and not queues:
        yield _error(
            ErrorCode.CONFIG_INVALID_QUEUE_MODE,
            "queue_mode is CUSTOM, but custom_queues names no queue",
            "for example custom_queues=[CustomQueueConfig(name='mail', priority=10)]",
        )
    names = [queue.name for queue in queues or ()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        yield _error(
            ErrorCode.CONFIG_INVALID_QUEUE_MODE,
            f"custom_queues names a queue more than once: {repeated}",
            "give each queue one entry",
        )
    for name in dict.fromkeys(names):
        problem = queue_name_problem(name)
        if problem is not None:
            yield _error(
                ErrorCode.CONFIG_INVALID_QUEUE_MODE,
                f"queue name {name[:60]!r} {problem}",
                "choose another name for this queue",
            )


def _cap_errors(config: AppConfig) -> Iterator[ConfigurationError]:
    cap = config.cluster_wide_cap
    if cap is None:
        return
    if cap <= 0:
        yield _error(
            ErrorCode.CONFIG_INVALID_CLUSTER_CAP,
            f"cluster_wide_cap is {cap}; it must be at least 1",
            "leave it out for no limit; to stop work, pause the queues",
        )
    if config.prefetch_buffer > 0:
        yield _error(
            ErrorCode.CONFIG_INVALID_CLUSTER_CAP,
            "cluster_wide_cap and prefetch_buffer cannot be used together",
            "prefetched tasks would take places of the cap without running; set prefetch_buffer=0",
        )


def _claim_errors(config: AppConfig) -> Iterator[ConfigurationError]:
    lease, code = config.effective_claim_lease_ms, ErrorCode.CONFIG_INVALID_PREFETCH
    if config.prefetch_buffer < 0:
        yield _error(code, f"prefetch_buffer is {config.prefetch_buffer}; it cannot be negative", "0 is off")
    if config.prefetch_buffer > 0 and config.claim_lease_ms is None:
        yield _error(
            code,
            "prefetch_buffer needs claim_lease_ms",
            "it says when a silent worker loses its prefetched tasks, for example claim_lease_ms=60_000",
        )
    if lease <= 0:
        yield _error(code, f"claim_lease_ms is {lease}; it must be at least 1", "leave it out for 60000")
    beat = config.recovery.claimer_heartbeat_interval_ms
    if 0 < lease < 2 * beat:
        yield _error(
            code,
            f"the claim lease ({lease} ms) is under twice recovery.claimer_heartbeat_interval_ms ({beat})",
            f"one late heartbeat would cost a worker its claims; use claim_lease_ms={2 * beat} or more, "
            "or a shorter interval",
        )
    age = config.max_claim_renew_age_ms
    if age <= 0:
        yield _error(code, f"max_claim_renew_age_ms is {age}; it must be at least 1", "its default is 180000")
    elif lease > 0 and age < lease:
        yield _error(
            code,
            f"max_claim_renew_age_ms ({age}) is below the claim lease ({lease} ms)",
            f"use max_claim_renew_age_ms={lease} or more",
        )


def _mapper_errors(config: AppConfig) -> Iterator[ConfigurationError]:
    code = ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER
    entries = cast("Mapping[object, object]", config.exception_mapper)
    for problem in validate_exception_mapper(entries):
        yield _error(
            code, f"exception_mapper: {problem}", "an entry looks like {ConnectionError: 'CONNECTION_LOST'}"
        )
    complaint = validate_error_code(config.default_unhandled_error_code)
    if complaint is not None:
        yield _error(
            code, f"default_unhandled_error_code: {complaint}", "its default is 'UNHANDLED_EXCEPTION'"
        )


def _retention_errors(config: AppConfig) -> Iterator[ConfigurationError]:
    names = config.queue_names
    for queue in config.retention.queue_retention:
        if queue not in names:
            yield _error(
                ErrorCode.CONFIG_INVALID_RETENTION,
                f"retention.queue_retention names the queue {queue!r}, which this application does not have",
                f"its queues are {names}",
            )


_CHECKS: tuple[Callable[[AppConfig], Iterator[ConfigurationError]], ...] = (
    _queue_errors,
    _cap_errors,
    _claim_errors,
    _mapper_errors,
    _retention_errors,
)


def _error(code: ErrorCode, message: str, help_text: str) -> ConfigurationError:
    return ConfigurationError(message, code=code, help_text=help_text)
