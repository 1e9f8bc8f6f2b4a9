"""Growth: what a task costs the database beside a million finished rows, half a million pending ones, or a snapshot
that somebody else holds open, compared with a new database; all four take turns.
"""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import processes, systems
from benchmarks.session import Services, Session, SystemFailedError, session

FRESH = "horsies"
FINISHED = "finished rows"
PENDING = "pending rows"
SNAPSHOT = "open snapshot"
TIMEOUT = 240.0
ROWS_OF_A_CLAIM = 100

BACKENDS = b"""
select pid from pg_stat_activity where datname = current_database() and application_name like 'horsies worker%'
"""
PAUSE = "update horsies.queues set paused = true"
RESUME = "select changed from horsies.resume_queue('default', 'benchmark', null)"


@dataclass(frozen=True, slots=True)
class Growth:
    """How much of each; one round drains `tasks` in each of the four databases."""

    finished: int
    pending: int
    tasks: int
    rounds: int


FULL = Growth(finished=1_000_000, pending=500_000, tasks=20_000, rounds=5)
QUICK = Growth(finished=50_000, pending=25_000, tasks=2_000, rounds=3)


@dataclass(frozen=True, slots=True)
class Drained:
    """Seconds from the first body to the last, and CPU seconds meanwhile."""

    seconds: float
    backend_cpu: float
    server_cpu: float


def measure(services: Services, size: Growth) -> dict[str, dict[str, list[float]]]:
    """By database: rate and CPU seconds per 1,000 tasks, a value per round each, and buffers per claim.

    The tasks of a round are enqueued while the queue is paused and stand before all other rows that are due. The clock
    runs from the first body to the last. `backend_cpu` is that of the worker's sessions, `server_cpu` that of the whole
    server, with the autovacuum that may happen to visit any of the four meanwhile.
    """
    series: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        stages = [
            stack.enter_context(_stage(services, name)) for name in (FRESH, FINISHED, PENDING, SNAPSHOT)
        ]
        _prepare({stage.name: stage for stage in stages}, size)
        stack.enter_context(_open_snapshot(stages[-1]))
        spent = dict.fromkeys((stage.name for stage in stages), 0.0)
        for number in range(size.rounds):
            for stage in stages:
                metrics = series.setdefault(stage.name, {})
                stage.enqueue(size.tasks)
                if number == 0:
                    metrics["buffers_per_claim"] = [stage.buffers_of_claim()]
                drained = stage.drain(size.tasks)
                spent[stage.name] += drained.seconds
                metrics.setdefault("rate", []).append(size.tasks / drained.seconds)
                for name in ("backend_cpu", "server_cpu"):
                    per_1k = getattr(drained, name) / size.tasks * 1000
                    metrics.setdefault(f"{name}_per_1k", []).append(per_1k)
        for stage in stages:
            metrics = series[stage.name]
            metrics["rate_of_all"] = [size.tasks * size.rounds / spent[stage.name]]
            metrics["last_rate"] = [metrics["rate"][-1]]
            stage.enqueue(size.tasks)
            metrics["buffers_per_claim_at_the_end"] = [stage.buffers_of_claim()]
    return series


class _Stage:
    """One database with its warm worker, paused between rounds."""

    def __init__(self, name: str, opened: Session, connection: psycopg.Connection[Any]) -> None:
        self.name = name
        self.connection = connection
        self.url = opened.env["BENCH_DATABASE_URL"]
        self._session = opened

    def pause(self) -> None:
        self._execute(PAUSE)

    def copy(self, table: str, count: int, changed: Mapping[str, str]) -> None:
        """Add rows like the last one, each with an id of its own; `changed`: expressions of columns, by `n`."""
        name = sql.Identifier(table)
        columns = self.connection.execute(
            "select attname from pg_attribute where attrelid = ('horsies.' || %s)::regclass and attnum > 0"
            " and not attisdropped order by attnum",
            [table],
        ).fetchall()
        values: dict[str, sql.Composable] = {row[0]: sql.Identifier(row[0]) for row in columns}
        for column, expression in ({"id": "horsies.new_task_id()"} | dict(changed)).items():
            values[column] = sql.SQL(expression)  # pyright: ignore[reportArgumentType]
        self.connection.execute(
            sql.SQL(
                "insert into horsies.{} ({}) select {} from generate_series(1, {}) n,"
                " (select * from horsies.{} order by sent_at desc limit 1) one"
            ).format(
                name,
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(values.values()),
                count,
                name,
            )
        )

    def enqueue(self, count: int) -> None:
        self._session.services.marks.clear()
        self._session.call("enqueue_bulk", first=0, count=count)

    def drain(self, count: int) -> Drained:
        """Let the worker have what is enqueued."""
        services = self._session.services
        server = services.pid_of(self._session.system)
        backends = [row[0] for row in self.connection.execute(BACKENDS).fetchall()]
        cpu, backend_cpu = processes.tree_cpu([server]), processes.tree_cpu(backends)
        self._execute(RESUME)
        try:
            services.marks.wait(0, count, TIMEOUT)
        except TimeoutError as error:
            raise SystemFailedError(f"{self.name}: {error}, see {self._session.log}") from error
        cpu = processes.tree_cpu([server]) - cpu
        backend_cpu = processes.tree_cpu(backends) - backend_cpu
        self.pause()
        first, last = services.marks.span(0, count)
        return Drained((last - first) / 1e9, backend_cpu, cpu)

    def buffers_of_claim(self) -> float:
        """Shared buffers touched by a claim of 100 rows; it is undone again."""
        known = {
            "_worker": "00000000-0000-4000-8000-000000000000",
            "_hostname": "benchmark",
            "_pids": "{1}",
            "_names": "{executor-1}",
            "_queues": "{default}",
            "_ranks": "{100}",
            "_caps": "{NULL}",
            "_lanes": "{process}",
            "_executors": "{default}",
            "_places": f'{{"{{{",".join(["1"] * ROWS_OF_A_CLAIM)}}}"}}',
        }
        names, types = self._arguments()
        values = [
            known.get(name, "{}" if kind.endswith("[]") else None)
            for name, kind in zip(names, types, strict=True)
        ]
        call = sql.SQL("explain (analyze, buffers, format json) select * from horsies.cycle({})").format(
            sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(kind))  # pyright: ignore[reportArgumentType] - as the catalogue writes it
                for value, kind in zip(values, types, strict=True)
            )
        )
        found: list[float] = []
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(b"update horsies.queues set paused = false")
            for _ in range(3):  # the first ones read the catalogue as well
                with self.connection.transaction(force_rollback=True):
                    row = self.connection.execute(call).fetchone()
                assert row is not None
                plan = row[0][0]["Plan"]
                assert plan["Actual Rows"] >= ROWS_OF_A_CLAIM, f"{self.name}: the claim found too few rows"
                found.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        return found[-1]

    def _arguments(self) -> tuple[list[str], list[str]]:
        """Names and types of the cycle's parameters, so that a new one does not break the benchmark."""
        rows = self.connection.execute(
            "select a.name, a.type::regtype::text from pg_proc p,"
            " unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) as a (name, type)"
            " where p.oid = 'horsies.cycle'::regproc"
        ).fetchall()
        return [row[0] for row in rows], [row[1] for row in rows]

    def _execute(self, statement: str) -> None:
        self.connection.execute(statement.encode())


@contextmanager
def _stage(services: Services, name: str) -> Generator[_Stage]:
    system = systems.horsies(name=name)
    with (
        session(system, services, worker=True) as opened,
        psycopg.connect(services.postgres.url(system.database), autocommit=True) as connection,
    ):
        yield _Stage(name, opened, connection)


def _prepare(stages: Mapping[str, _Stage], size: Growth) -> None:
    for stage in stages.values():
        stage.pause()
    stages[FINISHED].copy("task_history", size.finished, {})
    pending = stages[PENDING]
    pending.enqueue(1)  # a real row to copy, behind which nothing is due in this run
    pending.copy(
        "tasks",
        size.pending,
        {
            "priority": "case when n % 2 = 0 then 1 else priority end",
            "enqueued_at": "enqueued_at + interval '1 day'",
        },
    )
    for stage in stages.values():
        stage.connection.execute(b"vacuum analyze")
    stages[FRESH].connection.execute(b"checkpoint")


@contextmanager
def _open_snapshot(stage: _Stage) -> Generator[None]:
    with psycopg.connect(stage.url) as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute(b"select count(*) from horsies.tasks")
        yield
