"""Databases for tests: a migrated template made once on a server, a copy of it for each test."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import LiteralString, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from pydantic import SecretStr

from horsies.app import Horsies
from horsies.broker import Broker
from horsies.db.migrate import migrate
from horsies.sql import Statements
from horsies.urls import libpq_url

_FILE_COPY_SINCE = 150_000


class DatabaseTemplate:
    """A migrated database that is copied for each test, on one server.

    Processes that use the same prefix share the template; the first one that needs it makes it. Use it as a
    context manager, or close it.

    Example:
        with DatabaseTemplate("postgresql://postgres@127.0.0.1/postgres", prefix="shop_test") as template:
            with template.copy() as url:
                ...
    """

    def __init__(self, server_url: str, *, prefix: str, schema: str = "horsies") -> None:
        """Connect to the server.

        Args:
            server_url: URL of a database of it, for a role that may create databases.
            prefix: What the names of all databases made here begin with.
            schema: The schema of horsies in them.

        Raises:
            psycopg.Error: The server cannot be reached.
        """
        self.server_url = libpq_url(server_url)
        self.prefix = prefix
        self._schema = schema
        self._statements = Statements(schema)
        self._is_made = False
        self._connection: psycopg.Connection[TupleRow] = psycopg.connect(self.server_url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the databases stay."""
        self._connection.close()

    @property
    def name(self) -> str:
        """The template's name."""
        return f"{self.prefix}_template"

    def ensure(self) -> str:
        """Make the template if it is not there; its name."""
        name = self.name
        if self._is_made:
            return name
        params = {"name": name}
        self._connection.execute(self._statements["hold_name"], params)
        try:
            if self._connection.execute(self._statements["database_exists"], params).fetchone() is None:
                unfinished = f"{name}_new"
                self._drop(unfinished)
                self._execute("create database {}", unfinished)
                migrate(self.url(unfinished), self._schema)
                self._execute("alter database {} rename to {}", unfinished, name)
        finally:
            self._connection.execute(self._statements["release_name"], params)
        self._is_made = True
        return name

    @contextmanager
    def copy(self) -> Generator[str]:
        """A copy of the template for the time of the block; its URL."""
        with self._made_from(self.ensure()) as url:
            yield url

    @contextmanager
    def empty(self) -> Generator[str]:
        """A database without anything for the time of the block; its URL."""
        with self._made_from("template0") as url:
            yield url

    def drop_all(self) -> None:
        """Drop every database whose name begins with the prefix."""
        query = self._statements["databases_beginning"]
        for (name,) in self._connection.execute(query, {"prefix": self.prefix}).fetchall():
            self._drop(str(name))

    def url(self, database: str) -> str:
        """The URL of a database of the server."""
        return urlsplit(self.server_url)._replace(path=f"/{database}").geturl()

    @contextmanager
    def _made_from(self, source: str) -> Generator[str]:
        name = f"{self.prefix}_{uuid.uuid4().hex[:12]}"
        # Copying files takes 15 ms; the default since 15 writes every page to the log first.
        by_file = self._connection.info.server_version >= _FILE_COPY_SINCE
        self._execute(
            "create database {} template {} strategy file_copy"
            if by_file
            else "create database {} template {}",
            name,
            source,
        )
        try:
            yield self.url(name)
        finally:
            self._drop(name)

    def _drop(self, name: str) -> None:
        if self._connection.info.server_version < 130_000:
            # There is no "force" yet; whoever is connected keeps the database from being dropped.
            self._execute("drop database if exists {}", name)
            return
        self._execute("drop database if exists {} with (force)", name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def on_database(app: Horsies, database_url: str) -> Generator[Horsies]:
    """Put an app on another database for the time of the block: the tests' own, instead of the configured one.

    Args:
        app: The app; the rest of its configuration stays.
        database_url: URL of a database with the schema of horsies in it, or an empty one.

    Example:
        with on_database(app, url):
            resize.send(7)
            drain(app)
    """
    other = app.config.broker.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "session_database_url": None,
            "pgbouncer_transaction_mode": False,
        }
    )
    broker = Broker(other)
    before = app.swap_broker(broker)
    try:
        yield app
    finally:
        app.swap_broker(before)
        broker.close()
