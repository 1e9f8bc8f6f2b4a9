"""What the machine and PostgreSQL allow, by psycopg and plain SQL: the figures that the ratios refer to."""

import random
import sys
import time
import uuid
from dataclasses import dataclass

import psycopg

from benchmarks import processes
from benchmarks.marks import Marks, from_environment
from benchmarks.session import ROOT, Services

DATABASE = "bench_floors"
CHANNEL = "bench_floors"
READY = 0  # slot that the listening process marks once it listens
BATCH = 100

TABLES = """
create table tasks (
    id uuid primary key, queue text not null, name text not null, args text not null,
    status smallint not null default 0, result text,
    enqueued_at timestamptz not null default clock_timestamp()
);
create index on tasks (queue, enqueued_at, id) where status = 0;
create table history (like tasks);
"""
INSERT = b"insert into tasks (id, queue, name, args) values (%s, 'default', 'noop', %s)"
INSERT_MANY = (
    b"insert into tasks (id, queue, name, args)"
    b" select id, 'default', 'noop', args from unnest(%s::uuid[], %s::text[]) as r(id, args)"
)
FILL = (
    b"insert into tasks (id, queue, name, args)"
    b" select gen_random_uuid(), 'default', 'noop', format('{\"n\": %%s}', n) from generate_series(1, %s) n"
)
CLAIM_ONE = b"""
update tasks set status = 1 where id = (
    select id from tasks where queue = 'default' and status = 0
    order by enqueued_at, id limit 1 for update skip locked
) returning id, args
"""
FINISH_ONE = b"update tasks set status = 2, result = %s where id = %s"
CYCLE = b"""
with ended as (delete from tasks where id = any(%s::uuid[]) returning *),
moved as (insert into history select * from ended),
next as materialized (
    select id from tasks where queue = 'default' and status = 0
    order by enqueued_at, id limit %s for update skip locked
)
update tasks set status = 1 where id in (select id from next) returning id, args
"""
NOTIFY = b"select pg_notify('bench_floors', %s)"
INSERT_AND_NOTIFY = (
    b"with row as (insert into tasks (id, queue, name, args) values (%s, 'default', 'noop', '{}'))"
    b" select pg_notify('bench_floors', %s)"
)


@dataclass(frozen=True, slots=True)
class Floors:
    """Floors of one run, measured in a database of their own."""

    services: Services

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(self.services.postgres.fresh_database(DATABASE), autocommit=True)
        connection.execute(TABLES.encode())
        return connection

    def drain(self, count: int) -> dict[str, float]:
        """Tasks/s on one connection without any body: one by one, then in cycles of 100."""
        with self._connect() as connection, connection.cursor() as cursor:
            singles = min(count, 2000)
            cursor.execute(FILL, [count + singles])
            connection.execute(b"analyze tasks")
            began = time.perf_counter()
            for _ in range(singles):
                row = cursor.execute(CLAIM_ONE, prepare=True).fetchone()
                assert row is not None
                cursor.execute(FINISH_ONE, ["1", row[0]], prepare=True)
            single_rate = singles / (time.perf_counter() - began)
            ended: list[uuid.UUID] = []
            done = 0
            began = time.perf_counter()
            while rows := cursor.execute(CYCLE, [ended, BATCH], prepare=True).fetchall():
                ended = [row[0] for row in rows]
                done += len(rows)
            return {"rate": single_rate, "cycle_rate": done / (time.perf_counter() - began)}

    def latency(self, count: int, gap_ms: tuple[float, float]) -> dict[str, list[int]]:
        """Delays (ns) from the statement's beginning to another process's receipt of its NOTIFY."""
        marks = self.services.marks
        marks.clear()
        with self._connect() as connection, connection.cursor() as cursor:
            url = self.services.postgres.url(DATABASE)
            env = {**self.services.environment_base(), "BENCH_DATABASE_URL": url}
            log = self.services.directory / "floors.log"
            with processes.running([sys.executable, "-m", "benchmarks.floors"], log=log, env=env, cwd=ROOT):
                marks.wait(READY, 1, 30)
                plain, with_insert = list[int](), list[int]()
                for n in range(1, count + 1):
                    began = time.time_ns()
                    cursor.execute(NOTIFY, [str(n)], prepare=True)
                    plain.append(_received(marks, n, began, gap_ms))
                for n in range(count + 1, 2 * count + 1):
                    began = time.time_ns()
                    cursor.execute(INSERT_AND_NOTIFY, [uuid.uuid4(), str(n)], prepare=True)
                    with_insert.append(_received(marks, n, began, gap_ms))
        return {"notify": plain, "insert_notify": with_insert}


def _received(marks: Marks, n: int, began: int, gap_ms: tuple[float, float]) -> int:
    marks.wait(n, 1, 30, poll=0.0005)
    time.sleep(random.uniform(*gap_ms) / 1000)
    return marks[n] - began


def listen(url: str, marks: Marks) -> None:
    """The other process of the ping-pong: mark every notification until it is stopped."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"listen {CHANNEL}".encode())
        marks.mark(READY)
        for notification in connection.notifies():
            marks.mark(int(notification.payload))


if __name__ == "__main__":
    import os

    listen(os.environ["BENCH_DATABASE_URL"], from_environment())
