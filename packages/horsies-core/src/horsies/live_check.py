"""The live phase of `Horsies.check`: whether the configured URLs answer, and the session URL really notifies."""

import time
import uuid

from horsies.broker import Broker
from horsies.channels import channel_name
from horsies.db.connect import OwnedConnection, connect
from horsies.db.drive import execute
from horsies.db.listener import Listener
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError, HorsiesError
from horsies.transient import DATABASE_FAILURES, reason

_LONGEST_S = 10.0
NOTICE_LIMIT_S = 10.0
"""How long a notification may be on its way."""


def check_live(broker: Broker) -> list[HorsiesError]:
    """Connect to each configured URL; then send a notification through the database URL to the session URL.

    Returns:
        HRS-211 for each URL that does not answer; HRS-203 for a session URL that hears nothing.
    """
    errors = [error for session in _urls(broker) if (error := _check_answer(broker, session)) is not None]
    if errors:
        return errors
    try:
        return [] if _is_heard(broker) else [_deaf(broker)]
    except DATABASE_FAILURES as error:
        return [_unreachable(broker, True, error)]


def _urls(broker: Broker) -> tuple[bool, ...]:
    return (False,) if broker.config.session_database_url is None else (False, True)


def _check_answer(broker: Broker, session: bool) -> HorsiesError | None:
    try:
        connection = _connect(broker, session=session)
        try:
            execute(connection, broker.statements["select_one"], {})
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
            if not subscription.wait_ready(_LONGEST_S):
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
    timeout = min(_LONGEST_S, float(broker.config.pool_timeout))
    return connect(broker.conninfo(session=session), timeout=timeout, prepare=False)


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
