"""What a failed statement means: the database is away, the slot is tried again, or it never will work."""

import psycopg

_SERVER_SIDE = ("08", "57P")


def is_outage(error: Exception) -> bool:
    """Whether the connection failed, so that the next statement would fail too."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_SERVER_SIDE)


def is_permanent(error: Exception) -> bool:
    """Whether the database would refuse the same row again: what is wrong is its content."""
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError)
