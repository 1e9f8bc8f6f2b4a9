"""The servers of a run: a durable PostgreSQL and, when installed, a Redis that keeps snapshots only."""

import re
import shutil
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks import processes
from horsies.embedded import EmbeddedServer

STATEMENT = re.compile(r"^bench\|(?P<database>[^|]*)\|LOG:\s+(statement|execute [^:]*):")
REDIS_READY_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    server: EmbeddedServer
    version: str
    log: Path

    @property
    def pid(self) -> int:
        return self.server.pid

    def url(self, database: str = "postgres") -> str:
        return self.server.url(database)

    def execute(self, *statements: str | sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode() if isinstance(statement, str) else statement)

    def fresh_database(self, name: str) -> str:
        """Drop and create the database; its URL. Ends with a checkpoint, so that runs start alike."""
        identifier = sql.Identifier(name)
        self.execute(
            sql.SQL("drop database if exists {} with (force)").format(identifier),
            sql.SQL("create database {}").format(identifier),
            "checkpoint",
        )
        return self.url(name)

    def log_statements(self, database: str) -> None:
        """From now on, new connections to this database have every statement logged."""
        name = sql.Identifier(database)
        self.execute(sql.SQL("alter database {} set log_statement = 'all'").format(name))

    def logged_statements(self, database: str) -> int:
        with self.log.open(errors="replace") as lines:
            found = (STATEMENT.match(line) for line in lines)
            return sum(1 for match in found if match and match["database"] == database)

    def connections(self, database: str) -> int:
        query = (
            b"select count(*) from pg_stat_activity where datname = %s and backend_type = 'client backend'"
        )
        with psycopg.connect(self.url()) as connection:
            row = connection.execute(query, [database]).fetchone()
        assert row is not None
        return int(row[0])


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server; database 0 is the broker's, 1 the results'."""

    pid: int
    port: int

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def command(self, *words: str) -> str:
        """One command by the plain protocol (no client library needed); the raw answer."""
        request = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 5) as link:
            link.sendall(f"*{len(words)}\r\n{request}".encode())
            answer = link.recv(1 << 16)
            if answer.startswith(b"$"):
                head, _, body = answer.partition(b"\r\n")
                while len(body) < int(head[1:]) + 2:
                    body += link.recv(1 << 16)
                answer = body
        return answer.decode()

    def commands_processed(self) -> int:
        found = re.search(r"total_commands_processed:(\d+)", self.command("INFO", "stats"))
        assert found is not None
        return int(found[1])


@contextmanager
def postgres(directory: Path) -> Generator[Postgres]:
    """A server of the run's own: fsync, synchronous_commit and full_page_writes on, else default settings."""
    options = {"log_line_prefix": "bench|%d|"}
    with EmbeddedServer(directory, durable=True, options=options) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            row = connection.execute(
                "select current_setting('fsync'), current_setting('synchronous_commit'),"
                " current_setting('full_page_writes'), current_setting('server_version')"
            ).fetchone()
        assert row is not None
        if row[:3] != ("on", "on", "on"):
            raise RuntimeError(
                f"the server is not durable: fsync, synchronous_commit, full_page_writes = {row[:3]}"
            )
        yield Postgres(server, row[3], directory / "postgres.log")


@contextmanager
def redis(directory: Path) -> Generator[Redis | None]:
    """Redis with its default settings (snapshots, no append-only file), or None when it is not installed."""
    binary = shutil.which("redis-server")
    if binary is None:
        yield None
        return
    directory.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with processes.running(command, log=directory / "redis.log") as process:
        server = Redis(process.pid, port)
        deadline = time.monotonic() + REDIS_READY_TIMEOUT
        while True:
            try:
                server.command("PING")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield server
