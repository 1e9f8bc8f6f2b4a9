"""PostgresConfig: where the database is and how it is reached."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Required, Self, TypedDict, Unpack, cast

from pydantic import Field, ModelWrapValidatorHandler, SecretStr, model_validator

from horsies.config.base import ConfigModel
from horsies.config.retired import drop_retired_fields
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.errors.report import ValidationReport, raise_collected
from horsies.urls import (
    database_url_error,
    dev_database_url,
    libpq_url,
    mask_password,
    same_database_url,
    with_parameters,
)

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_POOL_MINIMUM = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1, "pool_recycle": 1}
_KEEPALIVE_FIELDS = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
_LONGEST_CONNECT_SECONDS = 10
_SESSION_HELP = "let session_database_url lead to PostgreSQL itself or to a pool in session mode"


class PostgresOptions(TypedDict, total=False):
    """The arguments of `PostgresConfig`, spelled out so that type checkers let a URL be a plain `str`."""

    database_url: Required[SecretStr | str]
    session_database_url: SecretStr | str | None
    pgbouncer_transaction_mode: bool
    pool_size: int
    max_overflow: int
    pool_timeout: int
    pool_recycle: int
    pool_pre_ping: bool
    tcp_keepalives: bool
    tcp_keepalives_idle: int
    tcp_keepalives_interval: int
    tcp_keepalives_count: int
    tcp_user_timeout_ms: int
    schema_name: str
    retain_rerun_input_default: bool
    echo: bool


class PostgresConfig(ConfigModel):
    """The database an application uses.

        PostgresConfig(database_url="postgresql://app:secret@db.example.org/jobs")

    Attributes:
        database_url: `postgresql://`, `postgres://` or `postgresql+psycopg://`; or `embedded:` for a private
            server.
        session_database_url: a URL that leads past a transaction pooler, for LISTEN, session locks and
            migrations.
        pgbouncer_transaction_mode: `database_url` goes through a pooler in transaction mode.
        pool_size: connections kept open by a process, once it needs them.
        max_overflow: connections opened beyond that for a while.
        pool_timeout: seconds to wait for a free connection.
        pool_recycle: seconds after which a connection is replaced.
        pool_pre_ping: check a connection that was idle for over 5 s before it is used.
        tcp_keepalives: let the operating system notice a dead connection by these probes.
        tcp_keepalives_idle: seconds of silence before the first probe.
        tcp_keepalives_interval: seconds between probes.
        tcp_keepalives_count: unanswered probes that end the connection.
        tcp_user_timeout_ms: milliseconds sent data may stay unacknowledged; 0 leaves it to the operating
            system.
        schema_name: PostgreSQL schema that holds everything; two schemas are two independent installations.
        retain_rerun_input_default: keep the arguments of finished tasks, so that they can be run again.
        echo: log every SQL statement.
    """

    database_url: SecretStr
    session_database_url: SecretStr | None = None
    pgbouncer_transaction_mode: bool = Field(default=False, strict=True)
    pool_size: int = Field(default=5, strict=True)
    max_overflow: int = Field(default=10, strict=True)
    pool_timeout: int = Field(default=30, strict=True)
    pool_recycle: int = Field(default=1800, strict=True)
    pool_pre_ping: bool = Field(default=True, strict=True)
    tcp_keepalives: bool = Field(default=True, strict=True)
    tcp_keepalives_idle: int = Field(default=30, strict=True)
    tcp_keepalives_interval: int = Field(default=10, strict=True)
    tcp_keepalives_count: int = Field(default=3, strict=True)
    tcp_user_timeout_ms: int = Field(default=30_000, strict=True)
    schema_name: str = "horsies"
    retain_rerun_input_default: bool = Field(default=False, strict=True)
    echo: bool = Field(default=False, strict=True)

    def __init__(self, **options: Unpack[PostgresOptions]) -> None:
        super().__init__(**cast("dict[str, Any]", options))

    @property
    def effective_session_database_url(self) -> SecretStr:
        """The session URL, or the database URL where there is none."""
        return self.database_url if self.session_database_url is None else self.session_database_url

    def connection_url(self, *, session: bool = False) -> str:
        """Give the URL to connect to, password included; under `horsies dev`, that of its own server.

        Args:
            session: for LISTEN, session locks and migrations, which a transaction pooler does not carry.

        Returns:
            The URL as configured; `embedded:` forms still have to be resolved.

        Raises:
            ConfigurationError: HRS-203, `HORSIES_DATABASE_URL` is not a database URL.
        """
        configured = self.effective_session_database_url if session else self.database_url
        return dev_database_url() or configured.get_secret_value()

    def shown_url(self, *, session: bool = False, mask: str = "****") -> str:
        """Give what `connection_url` gives, fit to be shown: every password is replaced by the mask."""
        return mask_password(self.connection_url(session=session), mask)

    def conninfo(
        self, url: str | None = None, *, session: bool = False, application_name: str = "horsies"
    ) -> str:
        """Give the text psycopg connects with: a libpq URL with timeouts and keepalives.

        Parameters the URL already has win over those of this configuration.

        Args:
            url: the URL to use, where `connection_url` had to be resolved first.
            session: as in `connection_url`, whose answer is used without `url`.
            application_name: shown in `pg_stat_activity`.

        Returns:
            A `postgresql://` URL; it holds the password.
        """
        parameters = {
            "application_name": application_name,
            "connect_timeout": str(min(_LONGEST_CONNECT_SECONDS, self.pool_timeout)),
            "keepalives": "1" if self.tcp_keepalives else "0",
        }
        if self.tcp_keepalives:
            parameters["keepalives_idle"] = str(self.tcp_keepalives_idle)
            parameters["keepalives_interval"] = str(self.tcp_keepalives_interval)
            parameters["keepalives_count"] = str(self.tcp_keepalives_count)
        if self.tcp_user_timeout_ms:
            parameters["tcp_user_timeout"] = str(self.tcp_user_timeout_ms)
        return with_parameters(libpq_url(url or self.connection_url(session=session)), parameters)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: object, build: ModelWrapValidatorHandler[Self]) -> Self:
        config = build(drop_retired_fields("PostgresConfig", data))
        report = ValidationReport("PostgresConfig")
        checks: tuple[Callable[[PostgresConfig], Iterator[ConfigurationError]], ...] = (
            _url_errors,
            _pool_errors,
            _keepalive_errors,
            _schema_errors,
        )
        for check in checks:
            for error in check(config):
                report.add(error)
        raise_collected(report)
        return config


def _url_errors(config: PostgresConfig) -> Iterator[ConfigurationError]:
    database = config.database_url.get_secret_value()
    session = None if config.session_database_url is None else config.session_database_url.get_secret_value()
    error = database_url_error(database, "database_url")
    if error is not None:
        yield error
    error = None if session is None else database_url_error(session, "session_database_url")
    if error is not None:
        yield error
    if config.pgbouncer_transaction_mode and session is None:
        yield ConfigurationError(
            "pgbouncer_transaction_mode needs session_database_url",
            code=ErrorCode.BROKER_INVALID_URL,
            help_text=f"LISTEN does not work through a pooler in transaction mode;\n{_SESSION_HELP}",
        )
    elif config.pgbouncer_transaction_mode and session is not None and same_database_url(session, database):
        yield ConfigurationError(
            "pgbouncer_transaction_mode is set, but session_database_url is the same as database_url",
            code=ErrorCode.BROKER_INVALID_URL,
            help_text=_SESSION_HELP,
        )


def _pool_errors(config: PostgresConfig) -> Iterator[ConfigurationError]:
    for field, minimum in _POOL_MINIMUM.items():
        value = getattr(config, field)
        if value < minimum:
            yield ConfigurationError(
                f"{field} is {value}; it must be at least {minimum}",
                code=ErrorCode.CONFIG_INVALID_BROKER_POOL,
                help_text=f"leave it out for its default, {PostgresConfig.model_fields[field].default}",
            )


def _keepalive_errors(config: PostgresConfig) -> Iterator[ConfigurationError]:
    for field in _KEEPALIVE_FIELDS:
        value = getattr(config, field)
        if config.tcp_keepalives and value < 1:
            yield ConfigurationError(
                f"{field} is {value}; it must be at least 1 while tcp_keepalives is on",
                code=ErrorCode.CONFIG_INVALID_KEEPALIVE,
                help_text="to leave keepalives to the operating system, set tcp_keepalives=False",
            )
    if config.tcp_user_timeout_ms < 0:
        yield ConfigurationError(
            f"tcp_user_timeout_ms is {config.tcp_user_timeout_ms}; it must not be negative",
            code=ErrorCode.CONFIG_INVALID_KEEPALIVE,
            help_text="0 leaves the timeout to the operating system",
        )


def _schema_errors(config: PostgresConfig) -> Iterator[ConfigurationError]:
    name = config.schema_name
    if not _SCHEMA_NAME.fullmatch(name) or name.startswith("pg_"):
        yield ConfigurationError(
            f"schema_name {name!r} cannot be the name of the schema",
            code=ErrorCode.BROKER_INVALID_URL,
            help_text="use a-z, 0-9 and '_', not beginning with a digit or with 'pg_', at most 40 characters",
        )
