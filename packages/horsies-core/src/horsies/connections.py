"""The caller's own connection for a transactional enqueue: psycopg's, or what other libraries wrap around it.

SQLAlchemy and Django are recognised by what their objects offer, never by import: most programs have neither.
"""

import inspect
from typing import Any, TypeGuard, cast

import psycopg

_ACCEPTED = (
    "pass a psycopg Connection or AsyncConnection, a SQLAlchemy Connection or Session (or their async forms) on the"
    " psycopg driver, or Django's connection"
)


class UnusableConnectionError(ValueError):
    """The object given as `connection=` leads to no psycopg connection of the kind needed, or to an unfit one."""


def connection_problem(connection: object, *, is_async: bool) -> str | None:
    """Tell from the kind of object alone, without touching it, whether it can serve.

    Args:
        connection: What the caller gave.
        is_async: Whether an async method was called.

    Returns:
        The complaint, or `None`.
    """
    kind = type(connection).__name__
    if _is_async(connection) or _is_async_wrapper(connection):
        return None if is_async else f"connection is async ({kind}); use the _async method with it"
    if _is_sync(connection) or _is_sync_wrapper(connection):
        return f"connection is not async ({kind}); use the method without _async" if is_async else None
    return f"connection cannot be a {kind}; {_ACCEPTED}"


def unwrap(connection: object) -> psycopg.Connection[Any]:
    """The psycopg connection below, its wrapper told that a transaction is open.

    Raises:
        UnusableConnectionError: There is another driver below, or the object is no connection after all.
        psycopg.Error: The wrapper had to connect first and could not.
    """
    if _is_sync(connection):
        return connection
    try:
        found = _below(cast("Any", connection))
    except psycopg.Error:
        raise
    except Exception as error:  # each library has exceptions of its own
        raise _as_failure(error) from error
    if _is_sync(found):
        return found
    raise UnusableConnectionError(_other_driver(found))


async def unwrap_async(connection: object) -> psycopg.AsyncConnection[Any]:
    """As `unwrap`, for the async kinds."""
    if _is_async(connection):
        return connection
    try:
        found = await _below_async(cast("Any", connection))
    except psycopg.Error:
        raise
    except Exception as error:
        raise _as_failure(error) from error
    if _is_async(found):
        return found
    raise UnusableConnectionError(_other_driver(found))


def unfit_encoding(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
) -> UnusableConnectionError:
    """What to say of a connection that has no code for a character it was to send."""
    encoding = connection.info.parameter_status("client_encoding")
    return UnusableConnectionError(
        f"connection cannot carry every text: its client_encoding {encoding} lacks a character; let it be UTF8"
    )


def _below(wrapper: Any) -> object:
    if hasattr(wrapper, "ensure_connection"):  # Django connects at the first use
        wrapper.ensure_connection()
        return wrapper.connection
    if hasattr(wrapper, "get_bind"):  # a SQLAlchemy session
        wrapper = wrapper.connection()
    if not wrapper.in_transaction():  # else SQLAlchemy would not commit what it did not see begin
        wrapper.begin()
    return wrapper.connection.driver_connection


async def _below_async(wrapper: Any) -> object:
    if hasattr(wrapper, "get_bind"):
        wrapper = await wrapper.connection()
    if not wrapper.in_transaction():
        await wrapper.begin()
    return (await wrapper.get_raw_connection()).driver_connection


def _as_failure(error: Exception) -> Exception:
    """What a library raised, as psycopg raised it to the library."""
    for cause in (getattr(error, "orig", None), error.__cause__):
        if isinstance(cause, psycopg.Error):
            return cause
    return UnusableConnectionError(f"connection cannot be used: {type(error).__name__}: {error}")


def _is_sync(connection: object) -> TypeGuard[psycopg.Connection[Any]]:
    return isinstance(connection, psycopg.Connection)


def _is_async(connection: object) -> TypeGuard[psycopg.AsyncConnection[Any]]:
    return isinstance(connection, psycopg.AsyncConnection)


def _is_async_wrapper(connection: object) -> bool:
    return _is_session(connection, is_async=True) or _offers(
        connection, "sync_connection", "get_raw_connection"
    )


def _is_sync_wrapper(connection: object) -> bool:
    return (
        _is_session(connection, is_async=False)
        or _offers(connection, "exec_driver_sql", "in_transaction", "connection")
        or _is_django(connection)
    )


def _is_session(connection: object, *, is_async: bool) -> bool:
    if not _offers(connection, "get_bind", "connection"):
        return False
    return inspect.iscoroutinefunction(getattr(type(connection), "connection", None)) is is_async


def _is_django(connection: object) -> bool:
    # django.db.connection is a proxy whose class has none of the attributes it passes on.
    return any(kind.__module__.startswith("django.") for kind in type(connection).__mro__) and hasattr(
        connection, "ensure_connection"
    )


def _offers(connection: object, *names: str) -> bool:
    """Asks the class, since reading a property of an object may connect or raise."""
    kind = type(connection)
    return all(hasattr(kind, name) or name in getattr(connection, "__dict__", ()) for name in names)


def _other_driver(found: object) -> str:
    return f"connection leads to a {type(found).__module__}.{type(found).__name__}, not to psycopg 3; {_ACCEPTED}"
