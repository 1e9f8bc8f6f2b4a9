"""RecoveryConfig, RetentionConfig, WorkerResilienceConfig, PayloadPolicy, CustomQueueConfig, retired fields."""

import logging
from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from horsies.config import (
    CustomQueueConfig,
    PayloadPolicy,
    PostgresConfig,
    QueueMode,
    RecoveryConfig,
    RetentionConfig,
    WorkerResilienceConfig,
    retired,
)
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import MultipleValidationErrors

RANGES: list[tuple[type[BaseModel], str, int, int, int | None]] = [
    (RecoveryConfig, "claimed_stale_threshold_ms", 120_000, 1_000, 3_600_000),
    (RecoveryConfig, "running_stale_threshold_ms", 300_000, 1_000, 7_200_000),
    (RecoveryConfig, "check_interval_ms", 30_000, 1_000, 600_000),
    (RecoveryConfig, "orphan_task_audit_interval_ms", 60_000, 1_000, 86_400_000),
    (RecoveryConfig, "runner_heartbeat_interval_ms", 30_000, 1_000, 120_000),
    (RecoveryConfig, "claimer_heartbeat_interval_ms", 30_000, 1_000, 120_000),
    (RecoveryConfig, "worker_state_snapshot_interval_ms", 30_000, 1_000, 300_000),
    (RetentionConfig, "terminal_record_retention_hours", 720, 1, 43_800),
    (RetentionConfig, "worker_state_retention_hours", 168, 1, 8_760),
    (WorkerResilienceConfig, "db_retry_initial_ms", 500, 100, 60_000),
    (WorkerResilienceConfig, "db_retry_max_ms", 30_000, 500, 300_000),
    (WorkerResilienceConfig, "db_retry_max_attempts", 0, 0, 10_000),
    (WorkerResilienceConfig, "notify_poll_interval_ms", 5_000, 1_000, 300_000),
    (PayloadPolicy, "warn_bytes", 1_048_576, 1, None),
]

# Values that keep the rules across fields quiet while one field takes the end of its range.
COMPANIONS: dict[str, dict[str, int]] = {
    "claimed_stale_threshold_ms": {"claimer_heartbeat_interval_ms": 1_000},
    "running_stale_threshold_ms": {"runner_heartbeat_interval_ms": 1_000},
    "runner_heartbeat_interval_ms": {"running_stale_threshold_ms": 7_200_000},
    "claimer_heartbeat_interval_ms": {"claimed_stale_threshold_ms": 3_600_000},
    "db_retry_initial_ms": {"db_retry_max_ms": 300_000},
    "db_retry_max_ms": {"db_retry_initial_ms": 100},
}


@pytest.mark.parametrize(("model", "field", "default", "low", "high"), RANGES, ids=[row[1] for row in RANGES])
def test_numbers_have_their_default_and_range(
    model: type[BaseModel], field: str, default: int, low: int, high: int | None
) -> None:
    """CF §4, §6, §7, §8; CF-01: other types are refused too."""
    assert getattr(model(), field) == default
    companions = COMPANIONS.get(field, {})
    allowed = [low, default, *([] if high is None else [high])]
    if field.endswith("stale_threshold_ms"):
        allowed[0] = 2 * low  # twice the shortest heartbeat interval
    for value in allowed:
        assert getattr(model.model_validate({**companions, field: value}), field) == value
    for refused in (low - 1, *([] if high is None else [high + 1]), str(default), float(default), True):
        with pytest.raises(ValidationError):
            model.model_validate({**companions, field: refused})


@pytest.mark.parametrize(
    "field",
    ["auto_requeue_stale_claimed", "auto_fail_stale_running", "auto_terminate_orphaned_workflow_tasks"],
)
def test_recovery_flags(field: str) -> None:
    """CF §6."""
    assert getattr(RecoveryConfig(), field) is True
    assert getattr(RecoveryConfig.model_validate({field: False}), field) is False
    with pytest.raises(ValidationError):
        RecoveryConfig.model_validate({field: 1})


@pytest.mark.parametrize(
    "model",
    [
        RecoveryConfig,
        RetentionConfig,
        WorkerResilienceConfig,
        PayloadPolicy,
        CustomQueueConfig,
        PostgresConfig,
    ],
)
def test_unknown_fields_are_refused(model: type[BaseModel]) -> None:
    """CF-01."""
    with pytest.raises(ValidationError, match="heartbeet"):
        model.model_validate({"heartbeet": 1, "name": "q", "database_url": "embedded:"})


def test_payload_limits_can_be_switched_off() -> None:
    """CF §4."""
    policy = PayloadPolicy(warn_bytes=None, reject_bytes=None)
    assert (policy.warn_bytes, policy.reject_bytes) == (None, None)
    assert PayloadPolicy().reject_bytes is None
    assert PayloadPolicy(reject_bytes=1).reject_bytes == 1
    with pytest.raises(ValidationError):
        PayloadPolicy(reject_bytes=0)


def test_queue_modes() -> None:
    """CF §3."""
    assert [(mode.name, mode.value) for mode in QueueMode] == [("DEFAULT", "default"), ("CUSTOM", "custom")]


def test_queues() -> None:
    """CF §3."""
    queue = CustomQueueConfig(name="mail")
    assert (queue.priority, queue.max_concurrency) == (1, None)
    assert CustomQueueConfig(name="mail", priority=100).priority == 100
    assert CustomQueueConfig(name="mail", max_concurrency=0).max_concurrency == 0
    refused: list[dict[str, object]] = [
        {"name": ""},
        {"name": 5},
        {"priority": 0},
        {"priority": 101},
        {"priority": True},
        {"max_concurrency": -1},
    ]
    for fields in refused:
        with pytest.raises(ValidationError):
            CustomQueueConfig.model_validate({"name": "mail", **fields})


def test_thresholds_are_at_least_two_heartbeats() -> None:
    """CF-26: both are reported."""
    with pytest.raises(ConfigurationError, match="running_stale_threshold_ms") as caught:
        RecoveryConfig(running_stale_threshold_ms=59_999)
    assert caught.value.code == ErrorCode.CONFIG_INVALID_RECOVERY
    with pytest.raises(ConfigurationError, match="claimed_stale_threshold_ms"):
        RecoveryConfig(claimed_stale_threshold_ms=59_999)
    with pytest.raises(MultipleValidationErrors) as both:
        RecoveryConfig(running_stale_threshold_ms=59_999, claimed_stale_threshold_ms=59_999)
    assert [error.code for error in both.value.report.errors] == [ErrorCode.CONFIG_INVALID_RECOVERY] * 2
    config = RecoveryConfig(running_stale_threshold_ms=60_000, claimed_stale_threshold_ms=60_000)
    assert (config.running_stale_threshold_ms, config.claimed_stale_threshold_ms) == (60_000, 60_000)


@pytest.mark.parametrize(
    ("field", "replacement"),
    [
        ("worker_state_retention_hours", "AppConfig.retention.worker_state_retention_hours"),
        ("terminal_record_retention_hours", "AppConfig.retention.terminal_record_retention_hours"),
        ("heartbeat_retention_hours", "AppConfig.retention.worker_state_retention_hours"),
        ("queue_terminal_record_retention_hours", "AppConfig.retention.queue_retention"),
    ],
)
def test_fields_that_moved_say_where_to(field: str, replacement: str) -> None:
    """CF-27, CF-28: whatever their value is."""
    values: list[object] = [1, None, {}]
    for value in values:
        with pytest.raises(ConfigurationError) as caught:
            RecoveryConfig.model_validate({field: value})
        assert caught.value.code == ErrorCode.CONFIG_INVALID_RECOVERY
        assert field in caught.value.message
        assert replacement in (caught.value.help_text or "")


def test_moved_fields_are_listed_with_the_other_failures() -> None:
    """CF-02."""
    with pytest.raises(MultipleValidationErrors) as caught:
        RecoveryConfig.model_validate(
            {
                "heartbeat_retention_hours": 1,
                "worker_state_retention_hours": 1,
                "running_stale_threshold_ms": 59_999,
            }
        )
    assert len(caught.value.report.errors) == 3


def test_a_worker_beats_at_the_smaller_interval() -> None:
    """CF §6, R-090."""
    config = RecoveryConfig(runner_heartbeat_interval_ms=5_000, claimer_heartbeat_interval_ms=7_000)
    assert config.heartbeat_interval_ms == 5_000


def test_the_longest_pause_is_not_below_the_first() -> None:
    """CF-34."""
    with pytest.raises(ConfigurationError) as caught:
        WorkerResilienceConfig(db_retry_initial_ms=2_000, db_retry_max_ms=1_999)
    assert caught.value.code == ErrorCode.CONFIG_INVALID_RESILIENCE
    assert WorkerResilienceConfig(db_retry_initial_ms=2_000, db_retry_max_ms=2_000).db_retry_max_ms == 2_000


def test_pauses_of_a_worker_double_up_to_the_longest() -> None:
    """CF-35, R-120: a quarter up or down, at least 0.1 s."""
    config = WorkerResilienceConfig(db_retry_initial_ms=1_000, db_retry_max_ms=5_000)
    middle = [config.db_retry_delay(attempt, lambda: 0.5) for attempt in (1, 2, 3, 4, 5, 1_000_000)]
    assert middle == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert config.db_retry_delay(2, lambda: 0.0) == 1.5
    assert config.db_retry_delay(2, lambda: 1.0) == 2.5
    shortest = WorkerResilienceConfig(db_retry_initial_ms=100)
    assert shortest.db_retry_delay(1, lambda: 0.0) == 0.1


def test_retention_keeps_for_ever_on_request() -> None:
    """CF §7."""
    config = RetentionConfig(terminal_record_retention_hours=None, worker_state_retention_hours=None)
    assert config.default_class == "forever"
    assert RetentionConfig().queue_retention == {}
    assert RetentionConfig().paused_workflow_auto_cancel_after is None


def test_paused_workflows_are_cancelled_after_a_positive_time() -> None:
    """CF §7."""
    second = timedelta(seconds=1)
    config = RetentionConfig(paused_workflow_auto_cancel_after=second)
    assert config.paused_workflow_auto_cancel_after == second
    for refused in (timedelta(0), timedelta(days=-1), 5):
        with pytest.raises(ValidationError):
            RetentionConfig.model_validate({"paused_workflow_auto_cancel_after": refused})


@pytest.mark.parametrize(
    ("queue", "duration", "key"),
    [
        ("mail", timedelta(days=7), "q_mail_7d"),
        ("mail", timedelta(hours=36), "q_mail_36h"),
        ("mail", timedelta(minutes=90), "q_mail_90m"),
        ("mail", timedelta(seconds=45), "q_mail_45s"),
        ("a", timedelta(days=365), "q_a_365d"),
        ("abcdefghijklm", timedelta(days=7), "q_abcdefghijklm_7d"),
        ("mail", None, "forever"),
        ("a" * 63, None, "forever"),
    ],
)
def test_queues_with_a_duration_get_a_derived_class(queue: str, duration: timedelta | None, key: str) -> None:
    """CF-31, CF-32."""
    config = RetentionConfig(queue_retention={queue: duration})
    assert config.class_for_queue(queue) == key
    assert config.classes()[key] == duration


@pytest.mark.parametrize(
    ("queue", "duration"),
    [
        ("Mail", timedelta(days=7)),
        ("1mail", None),
        ("a-b", timedelta(days=7)),
        ("", timedelta(days=7)),
        ("a" * 64, None),
        ("mail\n", timedelta(days=7)),
        ("mail", timedelta(0)),
        ("mail", timedelta(days=-1)),
        ("mail", timedelta(milliseconds=1500)),
        ("abcdefghijklmn", timedelta(days=7)),
        ("mail", timedelta(seconds=10_000_000_001)),
    ],
)
def test_what_cannot_become_a_key_is_refused(queue: str, duration: timedelta | None) -> None:
    """CF-32."""
    with pytest.raises(ConfigurationError) as caught:
        RetentionConfig(queue_retention={queue: duration})
    assert caught.value.code == ErrorCode.CONFIG_INVALID_RETENTION
    assert repr(queue) in caught.value.message


def test_every_bad_queue_is_listed() -> None:
    """CF-02, CF-32."""
    with pytest.raises(MultipleValidationErrors) as caught:
        RetentionConfig(queue_retention={"Mail": timedelta(0), "ok": timedelta(days=1), "b": timedelta(0)})
    assert len(caught.value.report.errors) == 3


@pytest.mark.parametrize("duration", [7, "P7D", 7.0])
def test_durations_are_timedeltas(duration: object) -> None:
    """CF-01."""
    with pytest.raises(ValidationError):
        RetentionConfig.model_validate({"queue_retention": {"mail": duration}})


def test_other_queues_take_the_default_class() -> None:
    """CF-31, D-030: one class for each default in use."""
    mapping: dict[str, timedelta | None] = {"mail": timedelta(days=7)}
    assert RetentionConfig(queue_retention=mapping).class_for_queue("default") == "standard_30d"
    week = RetentionConfig(terminal_record_retention_hours=168, queue_retention=mapping)
    assert week.class_for_queue("default") == "keep_7d"
    assert week.classes() == {
        "standard_30d": timedelta(days=30),
        "forever": None,
        "keep_7d": timedelta(days=7),
        "q_mail_7d": timedelta(days=7),
    }
    assert RetentionConfig(terminal_record_retention_hours=36).default_class == "keep_36h"


def test_keys_a_send_may_name() -> None:
    """CF-33."""
    config = RetentionConfig(
        terminal_record_retention_hours=168, queue_retention={"mail": timedelta(days=7), "audit": None}
    )
    assert config.class_for_key(None) == "forever"
    assert config.class_for_key("standard_30d") == "standard_30d"
    assert config.class_for_key("q_mail_7d") == "q_mail_7d"
    for unknown in ("", "forever", "keep_7d", "q_mail_8d", "q_audit", "mail"):
        assert config.class_for_key(unknown) is None


@pytest.fixture
def _nothing_named_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retired, "_named", set[str]())


@pytest.mark.usefixtures("_nothing_named_yet")
def test_retired_fields_are_ignored_with_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-52."""
    monkeypatch.delenv("HORSIES_CHILD_PROCESS", raising=False)
    old = {"finalizing_stale_threshold_ms": "any value", "crashed_worker_recovery_grace_ms": -1}
    for _ in range(2):
        assert RecoveryConfig.model_validate(old) == RecoveryConfig()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for name in old:
        assert f"RecoveryConfig.{name}" in record.getMessage()


@pytest.mark.usefixtures("_nothing_named_yet")
@pytest.mark.parametrize(
    "field",
    [
        "worker_pool_size",
        "worker_max_overflow",
        "worker_child_pool_min_size",
        "worker_child_pool_max_size",
        "worker_child_pool_check",
    ],
)
def test_retired_broker_fields(caplog: pytest.LogCaptureFixture, field: str) -> None:
    """CF-52: other unknown fields are still refused."""
    config = PostgresConfig.model_validate({"database_url": "embedded:", field: object()})
    assert config == PostgresConfig(database_url="embedded:")
    assert f"PostgresConfig.{field}" in caplog.text
    with pytest.raises(ValidationError):
        PostgresConfig.model_validate({"database_url": "embedded:", field: 1, "worker_pool": 1})


@pytest.mark.usefixtures("_nothing_named_yet")
def test_executors_keep_quiet_about_retired_fields(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF §13: the coordinator has said it."""
    monkeypatch.setenv("HORSIES_CHILD_PROCESS", "1")
    caplog.set_level(logging.DEBUG)
    RecoveryConfig.model_validate({"finalizing_stale_threshold_ms": 1})
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
