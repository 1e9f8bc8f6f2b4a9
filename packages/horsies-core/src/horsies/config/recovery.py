"""RecoveryConfig: heartbeats, and what happens to the tasks of workers that fell silent."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from horsies.config.base import ConfigModel
from horsies.config.retired import drop_retired_fields
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import ValidationReport, raise_collected

_MOVED: Mapping[str, str] = {
    "worker_state_retention_hours": "set AppConfig.retention.worker_state_retention_hours instead",
    "terminal_record_retention_hours": "set AppConfig.retention.terminal_record_retention_hours instead",
    "heartbeat_retention_hours": (
        "remove it: a worker overwrites its one heartbeat, nothing is kept; for samples of worker state\n"
        "there is AppConfig.retention.worker_state_retention_hours"
    ),
    "queue_terminal_record_retention_hours": (
        "set AppConfig.retention.queue_retention instead, for example {'mail': timedelta(days=7)}"
    ),
}


class RecoveryConfig(ConfigModel):
    """Heartbeat intervals and thresholds, all in milliseconds.

    A worker that has not beaten for a threshold is silent; only rows of silent workers are touched.

    Attributes:
        auto_requeue_stale_claimed: give claimed, not started tasks of silent workers back to the queue.
        claimed_stale_threshold_ms: silence after which that happens.
        auto_fail_stale_running: retry or fail running tasks of silent workers as crashed.
        running_stale_threshold_ms: silence after which that happens.
        auto_terminate_orphaned_workflow_tasks: cancel tasks whose workflow no longer waits for them.
        check_interval_ms: time between two recovery passes.
        orphan_task_audit_interval_ms: time between two searches for orphaned workflow tasks.
        runner_heartbeat_interval_ms: a worker beats at the smaller of this and the next one.
        claimer_heartbeat_interval_ms: see above.
        worker_state_snapshot_interval_ms: time between two samples of worker state that are kept.
    """

    auto_requeue_stale_claimed: bool = Field(default=True, strict=True)
    claimed_stale_threshold_ms: int = Field(default=120_000, strict=True, ge=1_000, le=3_600_000)
    auto_fail_stale_running: bool = Field(default=True, strict=True)
    running_stale_threshold_ms: int = Field(default=300_000, strict=True, ge=1_000, le=7_200_000)
    auto_terminate_orphaned_workflow_tasks: bool = Field(default=True, strict=True)
    check_interval_ms: int = Field(default=30_000, strict=True, ge=1_000, le=600_000)
    orphan_task_audit_interval_ms: int = Field(default=60_000, strict=True, ge=1_000, le=86_400_000)
    runner_heartbeat_interval_ms: int = Field(default=30_000, strict=True, ge=1_000, le=120_000)
    claimer_heartbeat_interval_ms: int = Field(default=30_000, strict=True, ge=1_000, le=120_000)
    worker_state_snapshot_interval_ms: int = Field(default=30_000, strict=True, ge=1_000, le=300_000)

    @property
    def heartbeat_interval_ms(self) -> int:
        """Time between two heartbeats of a worker."""
        return min(self.runner_heartbeat_interval_ms, self.claimer_heartbeat_interval_ms)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: object, build: ModelWrapValidatorHandler[Self]) -> Self:
        report = ValidationReport("RecoveryConfig")
        values = drop_retired_fields("RecoveryConfig", data)
        if isinstance(values, dict):
            for name in sorted(_MOVED.keys() & values.keys()):
                del values[name]
                report.add(_error(f"RecoveryConfig has no field {name}", _MOVED[name]))
        config = build(values)
        config._check_thresholds(report)
        raise_collected(report)
        return config

    def _check_thresholds(self, report: ValidationReport) -> None:
        for threshold, interval in (
            ("claimed_stale_threshold_ms", "claimer_heartbeat_interval_ms"),
            ("running_stale_threshold_ms", "runner_heartbeat_interval_ms"),
        ):
            limit, beat = int(getattr(self, threshold)), int(getattr(self, interval))
            if limit < 2 * beat:
                report.add(
                    _error(
                        f"{threshold} ({limit}) is less than twice {interval} ({beat})",
                        "one late heartbeat would count as a dead worker; "
                        f"use a {threshold} of at least {2 * beat}, or a shorter interval",
                    )
                )


def _error(message: str, help_text: str) -> ConfigurationError:
    return ConfigurationError(message, code=ErrorCode.CONFIG_INVALID_RECOVERY, help_text=help_text)
