"""PostgresConfig (CF §5, D-001, C-071)."""

from typing import get_type_hints

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError

from horsies.config import PostgresConfig
from horsies.config.broker import PostgresOptions
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import MultipleValidationErrors

URL = "postgresql://app:hunter2@db.example.org/jobs"
SESSION = "postgresql://app:hunter3@db.example.org:5433/jobs"


@pytest.fixture(autouse=True)
def _no_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORSIES_DEV", raising=False)


def test_defaults() -> None:
    """CF §5."""
    config = PostgresConfig(database_url=URL)
    assert config.database_url.get_secret_value() == URL
    assert config.session_database_url is None
    assert config.pgbouncer_transaction_mode is False
    assert (config.pool_size, config.max_overflow, config.pool_timeout, config.pool_recycle) == (
        5,
        10,
        30,
        1800,
    )
    assert config.pool_pre_ping is True
    assert config.tcp_keepalives is True
    assert (config.tcp_keepalives_idle, config.tcp_keepalives_interval, config.tcp_keepalives_count) == (
        30,
        10,
        3,
    )
    assert config.tcp_user_timeout_ms == 30_000
    assert config.schema_name == "horsies"
    assert config.retain_rerun_input_default is False
    assert config.echo is False


def test_a_url_is_a_string_or_a_secret() -> None:
    """CF §5."""
    assert PostgresConfig(database_url=SecretStr(URL)) == PostgresConfig(database_url=URL)


def test_the_typed_arguments_are_the_fields() -> None:
    """CF §5: the signature that type checkers see lists every field and nothing else."""
    assert get_type_hints(PostgresOptions).keys() == PostgresConfig.model_fields.keys()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"database_url": 5},
        {"database_url": None},
        {"database_url": URL, "unknown": 1},
        {"database_url": URL, "pool_size": "5"},
        {"database_url": URL, "pool_size": True},
        {"database_url": URL, "pool_timeout": 1.5},
        {"database_url": URL, "echo": 1},
        {"database_url": URL, "tcp_keepalives": "yes"},
        {"database_url": URL, "schema_name": None},
    ],
)
def test_unknown_fields_and_wrong_types_are_refused(fields: dict[str, object]) -> None:
    """CF-01."""
    with pytest.raises(ValidationError):
        PostgresConfig.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pool_size": 0}, ErrorCode.CONFIG_INVALID_BROKER_POOL),
        ({"max_overflow": -1}, ErrorCode.CONFIG_INVALID_BROKER_POOL),
        ({"pool_timeout": 0}, ErrorCode.CONFIG_INVALID_BROKER_POOL),
        ({"pool_recycle": 0}, ErrorCode.CONFIG_INVALID_BROKER_POOL),
        ({"tcp_keepalives_idle": 0}, ErrorCode.CONFIG_INVALID_KEEPALIVE),
        ({"tcp_keepalives_interval": 0}, ErrorCode.CONFIG_INVALID_KEEPALIVE),
        ({"tcp_keepalives_count": 0}, ErrorCode.CONFIG_INVALID_KEEPALIVE),
        ({"tcp_user_timeout_ms": -1}, ErrorCode.CONFIG_INVALID_KEEPALIVE),
        ({"database_url": "mysql://app:hunter2@h/d"}, ErrorCode.BROKER_INVALID_URL),
        ({"database_url": ""}, ErrorCode.BROKER_INVALID_URL),
        ({"session_database_url": "host=h password=hunter2"}, ErrorCode.BROKER_INVALID_URL),
        ({"pgbouncer_transaction_mode": True}, ErrorCode.BROKER_INVALID_URL),
        ({"pgbouncer_transaction_mode": True, "session_database_url": URL}, ErrorCode.BROKER_INVALID_URL),
        (
            {
                "pgbouncer_transaction_mode": True,
                "session_database_url": URL.replace("postgresql:", "postgresql+psycopg:"),
            },
            ErrorCode.BROKER_INVALID_URL,
        ),
        ({"schema_name": ""}, ErrorCode.BROKER_INVALID_URL),
    ],
)
def test_each_broken_rule_has_its_code(fields: dict[str, object], code: ErrorCode) -> None:
    """CF-02, CF-22, CF-23, HRS-213, HRS-215: raised as it is, without quoting a secret."""
    with pytest.raises(ConfigurationError) as caught:
        PostgresConfig.model_validate({"database_url": URL, **fields})
    assert caught.value.code == code
    assert caught.value.help_text
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1, "pool_recycle": 1},
        {"tcp_keepalives_idle": 1, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 1},
        {"tcp_keepalives": False, "tcp_keepalives_idle": 0, "tcp_keepalives_count": -1},
        {"tcp_user_timeout_ms": 0},
        {"pgbouncer_transaction_mode": True, "session_database_url": SESSION},
        {"session_database_url": URL},
        {"database_url": "embedded:"},
    ],
)
def test_the_ends_of_the_ranges_are_accepted(fields: dict[str, object]) -> None:
    """CF-23, HRS-213, HRS-215: keepalive values count only while keepalives are on."""
    config = PostgresConfig.model_validate({"database_url": URL, **fields})
    dumped = config.model_dump(include=set(fields) - {"database_url", "session_database_url"})
    assert dumped.items() <= fields.items()


@pytest.mark.parametrize("name", ["horsies", "h", "_h", "a1_b2", "a" * 40, "pg", "pgmine"])
def test_schema_names(name: str) -> None:
    """D-001."""
    assert PostgresConfig(database_url=URL, schema_name=name).schema_name == name


@pytest.mark.parametrize(
    "name", ["", "1a", "Horsies", "a-b", "a b", "a" * 41, "pg_x", 'a"b', "a;b", "ä", "a\n"]
)
def test_refused_schema_names(name: str) -> None:
    """D-001."""
    with pytest.raises(ConfigurationError) as caught:
        PostgresConfig(database_url=URL, schema_name=name)
    assert caught.value.code == ErrorCode.BROKER_INVALID_URL


def test_all_failures_are_listed() -> None:
    """CF-02."""
    with pytest.raises(MultipleValidationErrors) as caught:
        PostgresConfig(database_url="", pool_size=0, tcp_keepalives_idle=0, schema_name="pg_x")
    assert [error.code for error in caught.value.report.errors] == [
        ErrorCode.BROKER_INVALID_URL,
        ErrorCode.CONFIG_INVALID_BROKER_POOL,
        ErrorCode.CONFIG_INVALID_KEEPALIVE,
        ErrorCode.BROKER_INVALID_URL,
    ]


def test_secrets_are_never_shown() -> None:
    """CF-24."""
    config = PostgresConfig(database_url=URL, session_database_url=SESSION)
    for text in (repr(config), str(config), repr(config.model_dump()), config.model_dump_json()):
        assert "hunter" not in text


def test_a_validation_error_does_not_quote_the_url() -> None:
    """CF-24, R-010."""
    for fields in (
        {"session_database_url": SESSION},
        {"database_url": [URL]},
        {"database_url": URL, "x": URL},
    ):
        with pytest.raises(ValidationError) as caught:
            PostgresConfig.model_validate(fields)
        assert "hunter" not in str(caught.value)


def test_the_session_url_falls_back_to_the_database_url() -> None:
    """CF-24."""
    assert PostgresConfig(database_url=URL).effective_session_database_url.get_secret_value() == URL
    both = PostgresConfig(database_url=URL, session_database_url=SESSION)
    assert both.effective_session_database_url.get_secret_value() == SESSION
    assert both.connection_url() == URL
    assert both.connection_url(session=True) == SESSION


def test_under_dev_the_configured_database_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-071: neither of the two URLs."""
    monkeypatch.setenv("HORSIES_DEV", "1")
    monkeypatch.setenv("HORSIES_DATABASE_URL", "postgresql://dev@127.0.0.1:1234/postgres")
    config = PostgresConfig(database_url=URL, session_database_url=SESSION)
    for session in (False, True):
        assert config.connection_url(session=session) == "postgresql://dev@127.0.0.1:1234/postgres"
        assert str(conninfo_to_dict(config.conninfo(session=session))["port"]) == "1234"
        assert config.shown_url(session=session) == "postgresql://dev@127.0.0.1:1234/postgres"


def test_the_text_psycopg_connects_with() -> None:
    """D-007: keepalives and timeouts on every connection."""
    config = PostgresConfig(database_url=URL.replace("postgresql:", "postgresql+psycopg:"), pool_timeout=4)
    assert conninfo_to_dict(config.conninfo(application_name="horsies worker")) == {
        "user": "app",
        "password": "hunter2",
        "host": "db.example.org",
        "dbname": "jobs",
        "application_name": "horsies worker",
        "connect_timeout": "4",
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }


def test_what_the_operating_system_decides_is_left_out() -> None:
    """CF §5: keepalives off, user timeout 0; a resolved URL is taken instead of the configured one."""
    config = PostgresConfig(database_url="embedded:", tcp_keepalives=False, tcp_user_timeout_ms=0)
    parameters = conninfo_to_dict(config.conninfo("postgresql://postgres@127.0.0.1:7777/postgres"))
    assert parameters["host"] == "127.0.0.1"
    assert parameters["keepalives"] == "0"
    assert parameters["connect_timeout"] == "10"
    assert not {"keepalives_idle", "keepalives_count", "tcp_user_timeout"} & parameters.keys()
