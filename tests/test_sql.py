"""Every statement: unique, used, and accepted by the real schema."""

import re
from pathlib import Path

import psycopg
import pytest

from horsies.sql import Statements

ROOT = Path(__file__).parent.parent
NAMES = Statements("horsies").names()
_PLACEHOLDER = re.compile(rb"%\((\w+)\)s")
_NO_PREPARE = re.compile(rb"^\s*(create|set|alter)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_prepares_on_the_real_schema(name: str, database_url: str) -> None:
    """D-002: each names its schema, so it prepares with an empty search path."""
    statement = Statements("horsies")[name]
    if _NO_PREPARE.match(statement):
        pytest.skip("DDL and SET cannot be prepared; migrations run in every test database")
    names = list(dict.fromkeys(_PLACEHOLDER.findall(statement)))
    text = _PLACEHOLDER.sub(lambda match: b"$%d" % (names.index(match[1]) + 1), statement).replace(
        b"%%", b"%"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set search_path = ''")
        connection.execute(b"prepare it as " + text)


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_used(name: str) -> None:
    used = [path for path in (ROOT / "packages").rglob("src/**/*.py") if f'"{name}"' in path.read_text()]
    assert used


def test_two_schemas_share_nothing_in_their_statements() -> None:
    """D-001."""
    other = Statements("elsewhere")
    assert all(b'"horsies"' not in other[name] for name in other.names())


@pytest.mark.parametrize("name", ["", "Horsies", "pg_x", "a-b", "1a", "x" * 41, 'a"b'])
def test_what_is_no_schema_name_is_refused(name: str) -> None:
    """D-001."""
    with pytest.raises(ValueError, match="schema name"):
        Statements(name)
