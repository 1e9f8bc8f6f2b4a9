"""The live phase of `Horsies.check`: whether the configured URLs answer, and the session URL really notifies.

It creates and changes nothing (C-043); what it finds out about schema and server is advice.
"""

import time
import uuid
from collections.abc import Iterator

from horsies.broker import Broker
from horsies.channels import channel_name
from horsies.db.connect import OwnedConnection, connect
from horsies.db.drive import execute
from horsies.db.listener import Listener
from horsies.db.migrate import EXPECTED_VERSION, SchemaState, SchemaStatus, probe
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError
from horsies.transient import DATABASE_FAILURES, reason

ANSWER_LIMIT_S = 8.0
"""How long a host may take to answer, all URLs together."""
OLDEST_SERVER = 12
NOTICE_LIMIT_S = 10.0
"""How long a notification may be on its way."""


def check_live(broker: Broker) -> tuple[list[HorsiesError], list[str]]:
    """Connect to each configured URL; then send a notification through the database URL to the session URL.

    Returns:
        Errors: HRS-211 for each URL that does not answer; HRS-203 for a session URL that hears nothing. And warnings:
        about the schema's state and the server's version.
    """
    warnings: list[str] = []
    errors = [
        error for session in _urls(broker) if (error := _check_answer(broker, session, warnings)) is not None
    ]
    if not errors:
        try:
            errors += [] if _is_heard(broker) else [_deaf(broker)]
        except DATABASE_FAILURES as error:
            errors.append(_unreachable(broker, True, error))
    return errors, warnings


def server_warnings(server_version: int) -> Iterator[str]:
    """What there is to say about a server of this version, as libpq gives it: 180001 is 18.1."""
    if server_version < OLDEST_SERVER * 10_000:
        shown = f"{server_version // 10_000}.{server_version % 10_000}"
        yield f"the server is PostgreSQL {shown}; horsies needs {OLDEST_SERVER} or newer"


def schema_warnings(schema: str, status: SchemaStatus) -> Iterator[str]:
    """What there is to say about a schema in this state."""
    if status.state is SchemaState.ABSENT:
        yield (
            f"the schema {schema!r} is not there yet; a worker creates it when it starts, "
            "if its role may create schemas"
        )
    elif status.state is not SchemaState.MATCH:
        advice = {
            SchemaState.BEHIND: "a worker of this version brings it up to date when it starts",
            SchemaState.AHEAD: "install the newer horsies packages that it was made by",
        }
        yield (
            f"the schema {schema!r} is {status.state}: version {status.stored} is stored, this program works with "
            f"{EXPECTED_VERSION}; {advice.get(status.state, 'see its record in schema_migrations')}"
        )


def _urls(broker: Broker) -> tuple[bool, ...]:
    return (False,) if broker.config.session_database_url is None else (False, True)


def _check_answer(broker: Broker, session: bool, warnings: list[str]) -> HorsiesError | None:
    try:
        connection = _connect(broker, session=session)
        try:
            execute(connection, broker.statements["select_one"], {})
            if not session:
                warnings += server_warnings(connection.info.server_version)
                warnings += schema_warnings(broker.schema, probe(connection, broker.statements))
        finally:
            connection.close()
    except DATABASE_FAILURES as error:
        return _unreachable(broker, session, error)
    return None


def _is_heard(broker: Broker) -> bool:
    channel, token = channel_name(broker.schema, "check"), uuid.uuid4().hex
    listener = Listener(lambda: _connect(broker, session=True))
    try:
        with listener.subscribe(channel, token, buffer=1) as subscription:
            if not subscription.wait_ready(ANSWER_LIMIT_S):
                return False
            connection = _connect(broker, session=False)
            try:
                execute(connection, broker.statements["notify"], {"channel": channel, "payload": token})
            finally:
                connection.close()
            deadline = time.monotonic() + NOTICE_LIMIT_S
            while time.monotonic() < deadline:
                # A wake-up alone proves nothing: it also follows a reconnection.
                if subscription.drain():
                    return True
                subscription.wait(deadline - time.monotonic())
            return bool(subscription.drain())
    finally:
        listener.close()


def _connect(broker: Broker, *, session: bool) -> OwnedConnection:
    timeout = min(ANSWER_LIMIT_S / len(_urls(broker)), float(broker.config.pool_timeout))
    pooled = broker.config.pgbouncer_transaction_mode and not session
    return connect(broker.conninfo(session=session), timeout=timeout, prepare=False, pooled=pooled)


def _unreachable(broker: Broker, session: bool, error: BaseException) -> HorsiesError:
    setting = "session_database_url" if session and len(_urls(broker)) > 1 else "database_url"
    return HorsiesError(
        f"{setting} {broker.config.shown_url(session=session)} does not answer: {reason(error)}",
        code=ErrorCode.BROKER_INIT_FAILED,
        help_text="check address, password and that the server runs: psql <url> -c 'select 1'",
    )


def _deaf(broker: Broker) -> HorsiesError:
    setting = "session_database_url" if broker.config.session_database_url is not None else "database_url"
    return ConfigurationError(
        f"{setting} {broker.config.shown_url(session=True)} does not deliver notifications",
        code=ErrorCode.BROKER_INVALID_URL,
        help_text="a pooler in transaction mode swallows them; let session_database_url lead to the server itself,\n"
        "and set pgbouncer_transaction_mode=True if database_url goes through such a pooler",
    )
