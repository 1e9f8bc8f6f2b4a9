"""AppConfig: its fields and the rules that span several of them (CF §2, CF-01 to CF-12, CF-18)."""

import logging
from datetime import timedelta

import pytest
from pydantic import ValidationError

from horsies.config import (
    AppConfig,
    CustomQueueConfig,
    PayloadPolicy,
    PostgresConfig,
    QueueMode,
    RecoveryConfig,
    RetentionConfig,
    WorkerResilienceConfig,
)
from horsies.errors.catalogue import ErrorCode
from horsies.errors.codes import OperationalErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError
from horsies.errors.report import MultipleValidationErrors
from horsies.schedule import ScheduleConfig

BROKER = PostgresConfig(database_url="postgresql://app:hunter2@db/jobs")
MAIL = CustomQueueConfig(name="mail", priority=10)
BULK = CustomQueueConfig(name="bulk", priority=90, max_concurrency=2)


def build(**fields: object) -> AppConfig:
    return AppConfig.model_validate({"broker": BROKER, **fields})


def errors_of(**fields: object) -> list[HorsiesError]:
    """What building the configuration raises, taken apart."""
    with pytest.raises(HorsiesError) as caught:
        build(**fields)
    error = caught.value
    return error.report.errors if isinstance(error, MultipleValidationErrors) else [error]


def codes_of(**fields: object) -> list[ErrorCode | None]:
    errors = errors_of(**fields)
    assert all(isinstance(error, ConfigurationError) and error.help_text for error in errors)
    return [error.code for error in errors]


def test_defaults() -> None:
    """CF §2."""
    config = AppConfig(broker=BROKER)
    assert config.queue_mode is QueueMode.DEFAULT
    assert config.custom_queues is None
    assert config.cluster_wide_cap is None
    assert config.prefetch_buffer == 0
    assert config.claim_lease_ms is None
    assert config.effective_claim_lease_ms == 60_000
    assert config.max_claim_renew_age_ms == 180_000
    assert config.keyword_only_tasks is False
    assert config.payload == PayloadPolicy()
    assert config.recovery == RecoveryConfig()
    assert config.retention == RetentionConfig()
    assert config.resilience == WorkerResilienceConfig()
    assert config.schedule is None
    assert config.exception_mapper == {}
    assert config.default_unhandled_error_code == "UNHANDLED_EXCEPTION"
    assert config.workflow_step_timeout_ms == 60_000
    assert config.map_max_items == 10_000
    assert config.resend_on_transient_err is False


@pytest.mark.parametrize(
    "fields",
    [
        {"broker": None},
        {"broker": "postgresql://app:hunter2@db/jobs"},
        {"unknown": 1},
        {"queue_mode": "several"},
        {"custom_queues": "mail"},
        {"prefetch_buffer": "1"},
        {"prefetch_buffer": None},
        {"cluster_wide_cap": True},
        {"cluster_wide_cap": 1.5},
        {"claim_lease_ms": "60000"},
        {"keyword_only_tasks": 1},
        {"exception_mapper": [ValueError]},
        {"default_unhandled_error_code": None},
        {"workflow_step_timeout_ms": 999},
        {"map_max_items": 0},
        {"resend_on_transient_err": "yes"},
        {"schedule": {"check_interval_seconds": 61}},
    ],
)
def test_unknown_fields_wrong_types_and_ranges_are_refused(fields: dict[str, object]) -> None:
    """CF-01; R-010: the message never quotes a URL."""
    with pytest.raises(ValidationError) as caught:
        build(**fields)
    assert "hunter2" not in str(caught.value)


def test_the_broker_is_required() -> None:
    """CF §2."""
    with pytest.raises(ValidationError, match="broker"):
        AppConfig.model_validate({})


def test_the_ends_of_the_ranges_are_accepted() -> None:
    """CF §2."""
    accepted: list[dict[str, object]] = [
        {"workflow_step_timeout_ms": 1_000, "map_max_items": 1, "cluster_wide_cap": 1},
        {"prefetch_buffer": 1, "claim_lease_ms": 60_000, "max_claim_renew_age_ms": 60_000},
    ]
    for fields in accepted:
        assert build(**fields).model_dump(include=set(fields)) == fields


def test_a_configuration_is_frozen() -> None:
    """CF-01."""
    config = AppConfig(broker=BROKER)
    with pytest.raises(ValidationError):
        config.prefetch_buffer = 5


def test_a_configuration_can_come_from_plain_data() -> None:
    """CF-01: such as a TOML file."""
    config = AppConfig.model_validate(
        {
            "broker": {"database_url": "postgresql://app:hunter2@db/jobs"},
            "queue_mode": "custom",
            "custom_queues": [{"name": "mail", "priority": 10}],
            "retention": {"queue_retention": {"mail": timedelta(days=7)}},
        }
    )
    assert config.queue_mode is QueueMode.CUSTOM
    assert config.custom_queues == [MAIL]
    assert config.broker == BROKER


def test_errors_of_parts_are_raised_as_they_are() -> None:
    """CF-02: not wrapped into a ValidationError."""
    assert codes_of(broker={"database_url": "mysql://x"}) == [ErrorCode.BROKER_INVALID_URL]
    assert codes_of(recovery={"running_stale_threshold_ms": 1_000}) == [ErrorCode.CONFIG_INVALID_RECOVERY]


@pytest.mark.parametrize(
    "fields",
    [
        {"custom_queues": [MAIL]},
        {"custom_queues": []},
        {"queue_mode": QueueMode.CUSTOM},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": []},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": [MAIL, BULK, MAIL]},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": [CustomQueueConfig(name="horsies.steps")]},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": [CustomQueueConfig(name="a\0b")]},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": [CustomQueueConfig(name="a" * 256)]},
        {"queue_mode": QueueMode.CUSTOM, "custom_queues": [CustomQueueConfig(name="ä" * 128)]},
    ],
)
def test_queue_mode_and_queues_fit(fields: dict[str, object]) -> None:
    """CF-03, CF-18."""
    assert codes_of(**fields) == [ErrorCode.CONFIG_INVALID_QUEUE_MODE]


def test_each_bad_queue_is_listed() -> None:
    """CF-02, CF-03."""
    queues = [CustomQueueConfig(name=name) for name in ("horsies.a", "horsies.b", "mail", "mail")]
    errors = errors_of(queue_mode=QueueMode.CUSTOM, custom_queues=queues)
    assert len(errors) == 3
    assert "'mail'" in errors[0].message
    assert "'horsies.a'" in errors[1].message
    assert "'horsies.b'" in errors[2].message


@pytest.mark.parametrize(
    "name", ["mail", "Mail-Fast", "a b", "ä" * 127, "a" * 255, "horsies", "q.horsies.", "default"]
)
def test_other_names_are_fine(name: str) -> None:
    """CF-03, D-005."""
    config = build(queue_mode=QueueMode.CUSTOM, custom_queues=[CustomQueueConfig(name=name)])
    assert config.queue_names == [name]


def test_the_queues_of_an_application() -> None:
    """CF-12, CF-13: DEFAULT has the one queue `default` of priority 100 without a limit."""
    assert build().queue_names == ["default"]
    (default,) = build().queues
    assert (default.name, default.priority, default.max_concurrency) == ("default", 100, None)
    custom = build(queue_mode=QueueMode.CUSTOM, custom_queues=[MAIL, BULK])
    assert custom.queues == (MAIL, BULK)
    assert custom.queue_names == ["mail", "bulk"]


@pytest.mark.parametrize("cap", [0, -1])
def test_the_cap_is_positive(cap: int) -> None:
    """CF-05."""
    assert codes_of(cluster_wide_cap=cap) == [ErrorCode.CONFIG_INVALID_CLUSTER_CAP]


def test_cap_and_prefetch_exclude_each_other() -> None:
    """CF-05."""
    assert codes_of(cluster_wide_cap=5, prefetch_buffer=1, claim_lease_ms=60_000) == [
        ErrorCode.CONFIG_INVALID_CLUSTER_CAP
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"prefetch_buffer": -1},
        {"prefetch_buffer": 1},
        {"claim_lease_ms": 0},
        {"claim_lease_ms": -5},
        {"claim_lease_ms": 59_999},
        {"recovery": RecoveryConfig(claimer_heartbeat_interval_ms=30_001)},
        {"max_claim_renew_age_ms": 0},
        {"max_claim_renew_age_ms": 59_999},
        {"claim_lease_ms": 180_001},
    ],
)
def test_claims_prefetch_and_lease_fit(fields: dict[str, object]) -> None:
    """CF-06, CF-07, CF-08: one error each; a lease that is itself invalid is not compared."""
    assert codes_of(**fields) == [ErrorCode.CONFIG_INVALID_PREFETCH]


def test_a_mapper_reports_each_bad_entry() -> None:
    """CF-09, T-50."""
    mapper: dict[object, object] = {ValueError: "BAD_VALUE", OSError: "OSError", int: "NUMBER"}
    assert codes_of(exception_mapper=mapper) == [ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER] * 2
    assert codes_of(default_unhandled_error_code="oops") == [ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER]
    assert (
        codes_of(default_unhandled_error_code="", exception_mapper={ValueError: ""})
        == [ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER] * 2
    )


def test_reserved_codes_pass_here() -> None:
    """CF-09, T-50: `check()` reports them."""
    config = build(
        exception_mapper={ValueError: OperationalErrorCode.WORKER_CRASHED},
        default_unhandled_error_code=OperationalErrorCode.TASK_EXCEPTION,
    )
    assert config.exception_mapper == {ValueError: "WORKER_CRASHED"}
    assert config.default_unhandled_error_code == "TASK_EXCEPTION"


def test_a_mapper_is_copied() -> None:
    """CF-01: changing the dict afterwards changes nothing."""
    mapper: dict[type[BaseException], str] = {ValueError: "BAD_VALUE"}
    config = AppConfig(broker=BROKER, exception_mapper=mapper)
    mapper[OSError] = "DISK"
    assert config.exception_mapper == {ValueError: "BAD_VALUE"}


def test_retention_names_queues_of_the_application() -> None:
    """CF-10."""
    retention = RetentionConfig(queue_retention={"mail": timedelta(days=7), "default": None})
    assert codes_of(retention=retention) == [ErrorCode.CONFIG_INVALID_RETENTION]
    assert (
        codes_of(queue_mode=QueueMode.CUSTOM, custom_queues=[BULK], retention=retention)
        == [ErrorCode.CONFIG_INVALID_RETENTION] * 2
    )
    only_default = RetentionConfig(queue_retention={"default": None})
    assert build(retention=only_default).retention == only_default


def test_all_failures_are_raised_together() -> None:
    """CF-02, E-16."""
    assert codes_of(
        custom_queues=[MAIL],
        cluster_wide_cap=0,
        prefetch_buffer=-1,
        claim_lease_ms=0,
        max_claim_renew_age_ms=0,
        default_unhandled_error_code="x",
        retention=RetentionConfig(queue_retention={"nowhere": None}),
    ) == [
        ErrorCode.CONFIG_INVALID_QUEUE_MODE,
        ErrorCode.CONFIG_INVALID_CLUSTER_CAP,
        ErrorCode.CONFIG_INVALID_PREFETCH,
        ErrorCode.CONFIG_INVALID_PREFETCH,
        ErrorCode.CONFIG_INVALID_PREFETCH,
        ErrorCode.CONFIG_INVALID_EXCEPTION_MAPPER,
        ErrorCode.CONFIG_INVALID_RETENTION,
    ]


def test_errors_point_at_the_line_that_builds_the_configuration() -> None:
    """E-13."""
    with pytest.raises(ConfigurationError) as caught:
        AppConfig(broker=BROKER, cluster_wide_cap=0)
    assert caught.value.location is not None
    assert caught.value.location.file == __file__


def full_config() -> AppConfig:
    return AppConfig(
        broker=PostgresConfig(
            database_url="postgresql://app:hunter2@db/jobs",
            session_database_url="postgresql://app@db:5433/jobs?password=hunter3",
        ),
        queue_mode=QueueMode.CUSTOM,
        custom_queues=[MAIL],
        retention=RetentionConfig(queue_retention={"mail": timedelta(days=7)}),
        schedule=ScheduleConfig(check_interval_seconds=5),
        exception_mapper={ValueError: "BAD_VALUE"},
    )


def test_the_whole_configuration_is_logged_without_passwords(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-11."""
    monkeypatch.delenv("HORSIES_CHILD_PROCESS", raising=False)
    caplog.set_level(logging.INFO)
    config = full_config()
    config.log_config()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    text = record.getMessage()
    for field in AppConfig.model_fields:
        assert f"\n  {field}:" in text
    for line in (
        "    database_url: postgresql://app:***@db/jobs",
        "    session_database_url: postgresql://app@db:5433/jobs?password=***",
        "  queue_mode: custom",
        "      name: mail",
        "      mail: 7 days, 0:00:00",
        "    ValueError: BAD_VALUE",
        "    check_interval_seconds: 5",
    ):
        assert f"\n{line}\n" in f"{text}\n"
    assert "hunter" not in text


def test_the_configuration_is_logged_where_asked(caplog: pytest.LogCaptureFixture) -> None:
    """CF-11."""
    caplog.set_level(logging.INFO)
    build().log_config(logging.getLogger("mine"))
    assert [record.name for record in caplog.records] == ["mine"]


def test_executors_do_not_log_the_configuration(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-11."""
    monkeypatch.setenv("HORSIES_CHILD_PROCESS", "1")
    caplog.set_level(logging.DEBUG)
    build().log_config()
    assert caplog.records == []


def test_passwords_are_nowhere_in_a_dump() -> None:
    """CF-24."""
    config = full_config()
    for text in (repr(config), str(config), repr(config.model_dump()), config.model_dump_json()):
        assert "hunter" not in text
    assert '"builtins.ValueError":"BAD_VALUE"' in config.model_dump_json()
