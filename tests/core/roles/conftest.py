"""A database whose schema belongs to a role without login, and logins for each part."""

from collections.abc import Iterator

import psycopg
import pytest

from horsies.db.migrate import apply_migrations
from tests.core.task_rows import TaskRows
from tests.fixtures.roles import make_role, role_name


@pytest.fixture
def owned_url(empty_database_url: str) -> str:
    """The URL of the superuser of a database that an owner without login has made the schema in (D-075)."""
    owner = role_name("owner")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        make_role(connection, owner, "nologin")
        connection.execute(f'create schema horsies authorization "{owner}"'.encode())
        connection.execute(f'set role "{owner}"'.encode())
        apply_migrations(connection, "horsies")
    return empty_database_url


@pytest.fixture
def rows(owned_url: str) -> Iterator[TaskRows]:
    """The tables, as the superuser sees them."""
    found = TaskRows(owned_url)
    yield found
    found.close()
