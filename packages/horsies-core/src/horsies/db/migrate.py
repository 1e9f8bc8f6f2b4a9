"""The schema's versions: create it, bring it up to date, tell what state it is in (11-database §6).

A migration is a folder `sql/migrations/NNNN_expand_<name>` or `NNNN_contract_<name>`; its parts run in order in one
transaction, which also records it, so a failure leaves the last complete version.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import psycopg

from horsies import sql
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError

EXPECTED_VERSION = 1
"""The schema version that this release was built for."""


class SchemaState(StrEnum):
    """How the stored version relates to the expected one."""

    MATCH = "MATCH"
    BEHIND = "BEHIND"
    AHEAD = "AHEAD"
    ABSENT = "ABSENT"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `kind` is 'expand' (safe while older programs run) or 'contract'."""

    version: int
    kind: str
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Tells a shipped migration from one that was changed after it had been applied (D-067)."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """What a probe found; `stored` is None where nothing is installed."""

    state: SchemaState
    stored: int | None


class SchemaError(HorsiesError):
    """The database's schema cannot be used by this program (D-062)."""


@cache
def migrations() -> tuple[Migration, ...]:
    """All shipped migrations, by version."""
    found: list[Migration] = []
    for folder in sql.migration_folders():
        number, kind, name = folder.split("_", 2)
        text = "\n".join(part for _, part in sql.migration_parts(folder))
        found.append(Migration(int(number), kind, name, text))
    return tuple(found)


def judge(stored: int | None, compatible_from: int | None) -> SchemaStatus:
    """The state that a stored version means to this program."""
    if stored is None:
        return SchemaStatus(SchemaState.ABSENT, None)
    if stored < EXPECTED_VERSION:
        return SchemaStatus(SchemaState.BEHIND, stored)
    if stored > EXPECTED_VERSION and (compatible_from or 0) > EXPECTED_VERSION:
        return SchemaStatus(SchemaState.AHEAD, stored)
    return SchemaStatus(SchemaState.MATCH, stored)


def migrate(conninfo: str, schema: str = "horsies") -> SchemaStatus:
    """Create the schema or apply pending expand migrations; safe when many programs start at once (D-063).

    Raises:
        psycopg.Error: the database's own refusal, e.g. a missing privilege.
        SchemaError: the stored schema is newer than this program.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return apply_migrations(connection, schema)


def apply_migrations(connection: psycopg.Connection[Any], schema: str) -> SchemaStatus:
    """As `migrate`, on an autocommit connection that keeps its session."""
    statements = sql.Statements(schema)
    status = probe(connection, statements)
    while status.state in (SchemaState.ABSENT, SchemaState.BEHIND):
        with connection.transaction():
            connection.execute(statements["limit_lock_waits"])
            connection.execute(statements["lock_migrations"])
            status = probe(connection, statements)
            pending = [m for m in migrations() if m.version > (status.stored or 0) and m.kind == "expand"]
            if status.state in (SchemaState.ABSENT, SchemaState.BEHIND) and pending:
                _apply(connection, statements, pending[0])
        status = probe(connection, statements)
    if status.state is not SchemaState.MATCH:
        raise unusable(status, schema)
    return status


def probe(connection: psycopg.Connection[Any], statements: sql.Statements) -> SchemaStatus:
    """The state of the installation: two small queries, no DDL (D-061)."""
    if connection.execute(statements["schema_present"]).fetchone() == (False,):
        return judge(None, None)
    row = connection.execute(statements["schema_version"]).fetchone()
    return judge(*(row or (None, None)))


def unusable(status: SchemaStatus, schema: str) -> SchemaError:
    """The error for a state in which nothing can be done."""
    versions = f"stored version {status.stored}, expected {EXPECTED_VERSION}"
    message = f"the database's schema {schema!r} is {status.state}: {versions}"
    if status.state is SchemaState.AHEAD:
        advice = "install newer horsies packages: the database was upgraded for them"
    else:
        command = "init" if status.state is SchemaState.ABSENT else "upgrade"
        advice = f"run `horsies db {command}` with a role that may change the schema"
    return SchemaError(message, code=ErrorCode.BROKER_INIT_FAILED, help_text=advice)


def _apply(connection: psycopg.Connection[Any], statements: sql.Statements, migration: Migration) -> None:
    if migration.version == 1:
        connection.execute(statements["create_schema"])
        connection.execute(statements["create_migrations_table"])
    connection.execute(sql.render(migration.text, statements.schema).encode())
    connection.execute(
        statements["record_migration"],
        {
            "version": migration.version,
            "name": migration.name,
            "kind": migration.kind,
            "checksum": migration.checksum,
            "compatible_from": 1,
        },
    )
