"""From a result of libpq to rows: the driver's own transformer, which is compiled, with a type checkers understand."""

from typing import Any, Protocol, cast

import psycopg
from psycopg import adapt
from psycopg.pq.abc import PGresult

from horsies.db.effects import Row


class RowLoader(Protocol):
    """What is used of the driver's transformer."""

    def set_pgresult(self, result: PGresult) -> None:
        """The result that `load_rows` reads."""
        ...

    def load_rows(self, row0: int, row1: int, make_row: type[tuple[Any, ...]]) -> list[Row]:
        """Rows from `row0` up to, not including, `row1`."""
        ...


def row_loader(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> RowLoader:
    """A loader for the results of one connection."""
    transformer: Any = adapt.Transformer
    return cast("RowLoader", transformer(connection))


def rows_of(loader: RowLoader, result: PGresult) -> list[Row]:
    """The rows of a result as tuples of Python values."""
    loader.set_pgresult(result)
    return loader.load_rows(0, result.ntuples, tuple)


def dumped(value: object) -> bytes | None:
    """A parameter as the driver's adapters write it as text: dates, lists and the like."""
    transformer: Any = adapt.Transformer
    written = transformer().get_dumper(value, adapt.PyFormat.TEXT).dump(value)
    return None if written is None else bytes(written)
