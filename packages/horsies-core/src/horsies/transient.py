"""Failures of database calls: which may pass by themselves, and how they are told."""

import psycopg

from horsies.errors.diagnostic import HorsiesError

DATABASE_FAILURES = (psycopg.Error, HorsiesError, OSError)
"""What a database call may raise: the driver's errors, an unusable schema, an embedded server that does not start."""


def is_transient(error: BaseException) -> bool:
    """Whether the same call may work later: the connection was lost or refused, or the pool had none to give."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def reason(error: BaseException) -> str:
    """A failure in one line. What a server adds in further lines may quote a row, and with it arguments."""
    if isinstance(error, HorsiesError):
        return error.message if error.help_text is None else f"{error.message}; {error.help_text}"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
