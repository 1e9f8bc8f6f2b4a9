"""Programs with a transaction of their own, each with the database library it uses: what they pass as `connection=`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import django
import psycopg
from django.conf import settings
from django.db import connection as django_connection
from django.db import connections as django_connections
from django.db import transaction as django_transaction
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool


@dataclass(frozen=True, slots=True)
class Caller:
    """A program inside a transaction.

    Attributes:
        connection: What it passes to `with_options(connection=...)`.
        execute: Runs a statement of its own.
        commit: Ends the transaction; the next one begins by itself.
        rollback: Likewise.
    """

    connection: Any
    execute: Callable[[str], object]
    commit: Callable[[], object]
    rollback: Callable[[], object]


@dataclass(frozen=True, slots=True)
class AsyncCaller:
    """The same in an event loop."""

    connection: Any
    execute: Callable[[str], Awaitable[object]]
    commit: Callable[[], Awaitable[object]]
    rollback: Callable[[], Awaitable[object]]


def alchemy_url(url: str) -> str:
    """The URL as SQLAlchemy names this driver."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def engine(url: str, **options: Any) -> Generator[Engine]:
    """A SQLAlchemy engine that keeps no connection."""
    found = create_engine(alchemy_url(url), poolclass=NullPool, **options)
    yield found
    found.dispose()


@asynccontextmanager
async def async_engine(url: str) -> AsyncGenerator[AsyncEngine]:
    """As `engine`."""
    found = create_async_engine(alchemy_url(url), poolclass=NullPool)
    yield found
    await found.dispose()


@contextmanager
def psycopg_caller(url: str) -> Generator[Caller]:
    """Plain psycopg."""
    with psycopg.connect(url) as connection:
        yield Caller(
            connection, lambda sql: connection.execute(sql.encode()), connection.commit, connection.rollback
        )


@contextmanager
def psycopg_block_caller(url: str) -> Generator[Caller]:
    """An autocommit connection of psycopg with explicit transactions."""
    with psycopg.connect(url, autocommit=True) as connection:

        def begin() -> None:
            connection.execute("begin")

        def end(statement: bytes) -> None:
            connection.execute(statement)
            begin()

        begin()
        yield Caller(
            connection,
            lambda sql: connection.execute(sql.encode()),
            lambda: end(b"commit"),
            lambda: end(b"rollback"),
        )


@contextmanager
def core_caller(url: str) -> Generator[Caller]:
    """SQLAlchemy's Connection."""
    with engine(url) as found, found.connect() as connection:
        yield Caller(
            connection, lambda sql: connection.execute(text(sql)), connection.commit, connection.rollback
        )


@contextmanager
def session_caller(url: str) -> Generator[Caller]:
    """SQLAlchemy's Session."""
    with engine(url) as found, Session(found) as session:
        yield Caller(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)


@contextmanager
def scoped_session_caller(url: str) -> Generator[Caller]:
    """The registry of sessions that web programs use."""
    with engine(url) as found:
        session = scoped_session(sessionmaker(found))
        yield Caller(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)
        session.remove()


@contextmanager
def django_database(url: str) -> Generator[None]:
    """Django's default database is this one for the time of the block."""
    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}},
            USE_TZ=True,
            LOGGING_CONFIG=None,
        )
        django.setup()
    parts = urlsplit(url)
    django_connections.settings["default"].update(
        NAME=parts.path.strip("/"),
        USER=parts.username,
        PASSWORD=parts.password or "",
        HOST=parts.hostname,
        PORT=str(parts.port),
    )
    fresh: Any = django_connections
    fresh["default"] = fresh.create_connection("default")
    yield
    django_connection.close()


@contextmanager
def django_caller(url: str) -> Generator[Caller]:
    """Django, in `transaction.atomic` blocks."""

    def execute(sql: str) -> None:
        with django_connection.cursor() as cursor:
            cursor.execute(sql)

    with django_database(url):
        atomic: Any = django_transaction.atomic()
        atomic.__enter__()

        def end(rollback: bool) -> None:
            django_transaction.set_rollback(rollback)
            atomic.__exit__(None, None, None)
            atomic.__enter__()

        yield Caller(django_connection, execute, lambda: end(False), lambda: end(True))
        django_transaction.set_rollback(True)
        atomic.__exit__(None, None, None)


@asynccontextmanager
async def psycopg_async_caller(url: str) -> AsyncGenerator[AsyncCaller]:
    """Plain psycopg."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield AsyncCaller(
            connection, lambda sql: connection.execute(sql.encode()), connection.commit, connection.rollback
        )


@asynccontextmanager
async def async_core_caller(url: str) -> AsyncGenerator[AsyncCaller]:
    """SQLAlchemy's AsyncConnection."""
    async with async_engine(url) as found, found.connect() as connection:
        yield AsyncCaller(
            connection, lambda sql: connection.execute(text(sql)), connection.commit, connection.rollback
        )


@asynccontextmanager
async def async_session_caller(url: str) -> AsyncGenerator[AsyncCaller]:
    """SQLAlchemy's AsyncSession."""
    async with async_engine(url) as found, AsyncSession(found) as session:
        yield AsyncCaller(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)


@asynccontextmanager
async def async_scoped_session_caller(url: str) -> AsyncGenerator[AsyncCaller]:
    """The registry of async sessions."""
    async with async_engine(url) as found:
        session = async_scoped_session(async_sessionmaker(found), scopefunc=lambda: None)
        yield AsyncCaller(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)
        await session.remove()


CALLERS = [
    psycopg_caller,
    psycopg_block_caller,
    core_caller,
    session_caller,
    scoped_session_caller,
    django_caller,
]
ASYNC_CALLERS = [
    psycopg_async_caller,
    async_core_caller,
    async_session_caller,
    async_scoped_session_caller,
]
