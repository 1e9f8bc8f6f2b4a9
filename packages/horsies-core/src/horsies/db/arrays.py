"""PostgreSQL array literals, built directly: a batch passes some thousand values, and psycopg's list adapter looks at
each one several times (0.7 µs against 0.1 µs a value).
"""

from collections.abc import Iterable


def plain(values: Iterable[object]) -> str:
    """An array of values whose text needs no quotes: numbers, ids."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array of any texts."""
    return "{" + ",".join(map(_quoted, values)) + "}"


def rows(values: Iterable[Iterable[str | float]]) -> str:
    """An array of a composite type; each value is the fields of one row, texts and numbers."""
    return texts(
        "(" + ",".join(_quoted(v) if isinstance(v, str) else str(v) for v in row) + ")" for row in values
    )


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
