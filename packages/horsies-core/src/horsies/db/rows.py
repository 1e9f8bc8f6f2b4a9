"""Between Python's values and PostgreSQL's: the driver's adapters in a set of the library's own, so that those which a
program registers with psycopg for itself stay out of it, and rows made from a result of libpq by the driver's own
transformer, which is compiled, with a type checkers understand.
"""

import json
from typing import Any, Protocol, cast

import psycopg
from psycopg import adapt, postgres
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row
from psycopg.types.array import register_all_arrays
from psycopg.types.json import set_json_loads

from horsies.db.effects import Row


class RowLoader(Protocol):
    """What is used of the driver's transformer."""

    def set_pgresult(self, result: PGresult) -> None:
        """The result that `load_rows` reads."""
        ...

    def load_rows(self, row0: int, row1: int, make_row: type[tuple[Any, ...]]) -> list[Row]:
        """Rows from `row0` up to, not including, `row1`."""
        ...


class _TextLoader(adapt.Loader):
    """Text as `str` on a connection without an encoding (SQL_ASCII) too, where psycopg gives bytes."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


def _defaults() -> AdaptersMap:
    adapters = AdaptersMap()
    postgres.register_default_types(adapters.types)
    postgres.register_default_adapters(adapters)
    register_all_arrays(adapters)
    # Without a function of their own the loaders of JSON take whichever the program has set for all.
    set_json_loads(json.loads, adapters)
    return adapters


def _for_callers() -> AdaptersMap:
    adapters = AdaptersMap(ADAPTERS)
    adapters.register_loader("text", _TextLoader)
    return adapters


ADAPTERS = _defaults()
"""Those that psycopg has by default."""
_CALLERS = _for_callers()


class CallersCursor(psycopg.Cursor[Row]):
    """A cursor for the library's statements on a caller's connection; uses and changes none of its settings.

    The statements' answers are text of ASCII characters only, whatever the encoding of the connection.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """The library's."""
        return _CALLERS


class CallersAsyncCursor(psycopg.AsyncCursor[Row]):
    """The same for event loops."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """The library's."""
        return _CALLERS


def row_loader(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> RowLoader:
    """A loader for the results of one connection, with the connection's adapters."""
    transformer: Any = adapt.Transformer
    return cast("RowLoader", transformer(connection))


def rows_of(loader: RowLoader, result: PGresult) -> list[Row]:
    """The rows of a result as tuples of Python values."""
    loader.set_pgresult(result)
    return loader.load_rows(0, result.ntuples, tuple)


def dumped(value: object) -> bytes | None:
    """A parameter as the adapters write it as text: dates, lists and the like."""
    transformer: Any = adapt.Transformer
    written = transformer(ADAPTERS).get_dumper(value, adapt.PyFormat.TEXT).dump(value)
    return None if written is None else bytes(written)
