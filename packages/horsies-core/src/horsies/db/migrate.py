"""The schema's versions: create it, bring it up to date, tell what state it is in (11-database §6).

A migration is a folder `sql/migrations/NNNN_expand_<name>` or `NNNN_contract_<name>`; its parts run in order in one
transaction, which also records it, so a failure leaves the last complete version.
"""

import hashlib
import time
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from horsies import sql
from horsies.db.connect import connect
from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import HorsiesError

EXPECTED_VERSION = 1
"""The schema version that this release was built for."""

LOCK_TRIES = 12
"""How often a lock that DDL needs is asked for; each time for 10 s at most (D-066)."""
LOCK_PAUSE_S = 0.5
CONNECT_LIMIT_S = 30.0


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
    with connect(conninfo, timeout=CONNECT_LIMIT_S, prepare=False) as connection:
        return apply_migrations(connection, schema)


def apply_migrations(connection: psycopg.Connection[Any], schema: str) -> SchemaStatus:
    """As `migrate`, on an autocommit connection that keeps its session.

    Raises:
        SchemaError: also for a role that may not do what is needed, and for an applied migration that was changed.
    """
    statements = sql.Statements(schema)
    status = probe(connection, statements)
    tries = LOCK_TRIES
    while status.state in (SchemaState.ABSENT, SchemaState.BEHIND):
        try:
            _apply_next(connection, statements)
        except psycopg.errors.InsufficientPrivilege as error:
            raise unusable(status, schema, reason=str(error).splitlines()[0]) from error
        except psycopg.errors.LockNotAvailable:
            tries -= 1
            if not tries:
                raise
            time.sleep(LOCK_PAUSE_S)  # what queued up behind this one's lock request goes first
        status = probe(connection, statements)
    if status.state is not SchemaState.MATCH:
        raise unusable(status, schema)
    return status


def probe(connection: psycopg.Connection[Any], statements: sql.Statements) -> SchemaStatus:
    """The state of the installation: one small query, no DDL (D-061).

    Raises:
        SchemaError: the role may not read the installation.
    """
    try:
        with connection.transaction() if _in_transaction(connection) else nullcontext():
            row = connection.execute(statements["schema_version"]).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return judge(None, None)
    except psycopg.errors.InsufficientPrivilege as error:
        message = f"the role may not use the schema {statements.schema!r}: {str(error).splitlines()[0]}"
        advice = f"its owner gives the right: select {statements.schema}.grant_role('<role>', 'producer')"
        raise SchemaError(message, code=ErrorCode.BROKER_INIT_FAILED, help_text=advice) from error
    return judge(*(row or (None, None)))


def changed_migrations(connection: psycopg.Connection[Any], statements: sql.Statements) -> list[int]:
    """Versions that were applied from another text than the one shipped here (D-067)."""
    shipped = {migration.version: migration.checksum for migration in migrations()}
    applied = connection.execute(statements["applied_migrations"]).fetchall()
    return [version for version, checksum in applied if shipped.get(version, checksum) != checksum]


def unusable(status: SchemaStatus, schema: str, reason: str | None = None) -> SchemaError:
    """The error for a state in which nothing can be done; `reason` tells why this program could not change it."""
    versions = f"stored version {status.stored}, expected {EXPECTED_VERSION}"
    message = f"the database's schema {schema!r} is {status.state}: {versions}"
    if reason is not None:
        message += f"; it cannot be brought up to date: {reason}"
    if status.state is SchemaState.AHEAD:
        advice = "install newer horsies packages: the database was upgraded for them"
    else:
        command = "init" if status.state is SchemaState.ABSENT else "upgrade"
        advice = f"run `horsies db {command}` with a role that may change the schema"
    return SchemaError(message, code=ErrorCode.BROKER_INIT_FAILED, help_text=advice)


def _apply_next(connection: psycopg.Connection[Any], statements: sql.Statements) -> None:
    """One migration in one transaction, unless somebody else has applied it meanwhile."""
    with connection.transaction():
        connection.execute(statements["limit_lock_waits"])
        connection.execute(statements["lock_migrations"])
        status = probe(connection, statements)
        if status.state not in (SchemaState.ABSENT, SchemaState.BEHIND):
            return
        if status.state is SchemaState.BEHIND and (changed := changed_migrations(connection, statements)):
            raise SchemaError(
                f"the schema {statements.schema!r} is not upgraded: migration {changed[0]} was applied from"
                " another text than the one this release has",
                code=ErrorCode.BROKER_INIT_FAILED,
                help_text="find out who changed it; a database that was made by a development version is made anew",
            )
        pending = [m for m in migrations() if m.version > (status.stored or 0)]
        if not pending or pending[0].kind != "expand":
            raise unusable(status, statements.schema, reason="the next step is a contract migration")
        _apply(connection, statements, pending[0])


def _in_transaction(connection: psycopg.Connection[Any]) -> bool:
    return connection.info.transaction_status != TransactionStatus.IDLE


def _apply(connection: psycopg.Connection[Any], statements: sql.Statements, migration: Migration) -> None:
    if migration.version == 1:
        if connection.execute(statements["schema_exists"]).fetchone() == (False,):
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
