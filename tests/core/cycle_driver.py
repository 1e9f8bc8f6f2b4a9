"""A worker as the database sees it: claims and finishes with the worker's own statement, but runs nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from horsies.db import arrays
from horsies.sql import Statements

OK = '{"__h_task_result__":true,"ok":null,"err":null}'
"""The stored result of a task that returned None."""

_PREFETCH = sql.SQL(
    "update {}.tasks set status = 'CLAIMED', worker_id = %s, claimed_at = now(),"
    " claim_generation = claim_generation + 1, worker_hostname = 'host'"
    " where id = any (%s::uuid[]) and status = 'PENDING'"
    " returning id::text, claim_generation, task_name, queue_name, executor, kwargs, options, timeout_ms,"
    " retry_count, max_retries"
)


type Marks = dict[tuple[str, str, int], tuple[float, str]]
"""By queue, executor and priority the due time (seconds since 1970) and id that a claim has got to."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A row as its worker gets it."""

    id: str
    generation: int
    task_name: str
    queue_name: str
    executor: str
    kwargs: str | None
    options: str | None
    timeout_ms: int | None
    retry_count: int
    max_retries: int | None
    workflow_id: str | None = None
    trace_context: str | None = None


@dataclass(slots=True)
class Answer:
    """What one cycle said."""

    claimed: list[Claim] = field(default_factory=list[Claim])
    prefetched: list[Claim] = field(default_factory=list[Claim])
    started: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    expired: list[Claim] = field(default_factory=list[Claim])
    retried: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    busy: list[str] = field(default_factory=list[str])
    due_s: float | None = None
    again: bool = False
    walked_s: float = 0.0
    marks: Marks = field(default_factory=dict[tuple[str, str, int], tuple[float, str]])

    @property
    def ids(self) -> list[str]:
        """The claimed ids, in order."""
        return [claim.id for claim in self.claimed]


class CycleDriver:
    """One worker on one connection; `queues`: name to (rank, cap)."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        queues: Mapping[str, tuple[int, int | None]] | None = None,
        *,
        schema: str = "horsies",
        cluster_cap: int | None = None,
    ) -> None:
        self.worker_id = str(uuid4())
        self._connection = connection
        self._schema = schema
        self._statement = Statements(schema)["cycle"]
        served = sorted((queues or {"default": (100, None)}).items(), key=lambda item: (item[1][0], item[0]))
        self._constant: dict[str, object] = {
            "worker": self.worker_id,
            "hostname": "host",
            "pids": "{11}",
            "names": "{executor-1}",
            "queues": arrays.texts(name for name, _ in served),
            "ranks": arrays.plain(rank for _, (rank, _) in served),
            "caps": arrays.plain("NULL" if cap is None else cap for _, (_, cap) in served),
            "cluster_cap": cluster_cap,
            "freed": "{}",
        }

    def claim(self, places: int = 1, *, now: datetime | None = None) -> Answer:
        """Claim for so many free places of any kind."""
        return self.cycle(places=places, now=now)

    def complete(self, *claims: Claim, result: str = OK, now: datetime | None = None) -> Answer:
        """These ended COMPLETED."""
        return self.cycle(completed=claims, result=result, now=now)

    def fail(
        self,
        claim: Claim,
        error_code: str = "BROKEN",
        *,
        status: str = "FAILED",
        retry_s: float | None = None,
        max_retries: int | None = None,
        now: datetime | None = None,
    ) -> Answer:
        """This one ended otherwise; with `retry_s` it is to run again."""
        end = _end(claim, status, failed(error_code)) | {
            "error_code": error_code,
            "message": "it broke",
            "outcome": "FAILED",
            "retry_s": retry_s,
            "max_retries": max_retries,
        }
        return self.cycle(ended=[end], now=now)

    def hand_back(self, *claims: Claim, now: datetime | None = None) -> Answer:
        """These did not begin."""
        return self.cycle(back=claims, now=now)

    def prefetch(self, *ids: str) -> list[Claim]:
        """Hold PENDING rows as CLAIMED, beyond what runs."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(
                _PREFETCH.format(sql.Identifier(self._schema)),
                [self.worker_id, list(ids)],
            )
            return [Claim(*row) for row in cursor.fetchall()]

    def cycle(
        self,
        *,
        completed: tuple[Claim, ...] = (),
        result: str = OK,
        ended: Sequence[Mapping[str, object]] = (),
        back: tuple[Claim, ...] = (),
        places: int | Sequence[int] = 0,
        starts: Sequence[Claim] = (),
        spans: str | None = None,
        now: datetime | None = None,
    ) -> Answer:
        """One round trip; what belongs to a workflow goes its own way.

        Places are a number of free ones, or one by one: 1 free, -1 behind another row, 0 to be held.
        """
        spots = [1] * places if isinstance(places, int) else list(places)
        node_ends = [_end(claim, "COMPLETED", result) for claim in completed if claim.workflow_id]
        node_ends += [dict(end) for end in ended if end["workflow_id"]]
        node_backs = [_fence(claim) for claim in back if claim.workflow_id]
        ends = [end for end in ended if not end["workflow_id"]]
        completed = tuple(claim for claim in completed if not claim.workflow_id)
        back = tuple(claim for claim in back if not claim.workflow_id)
        params = self._constant | {
            "workflows": arrays.plain({end["workflow_id"] for end in node_ends + node_backs}),
            "node_ends": json.dumps(node_ends) if node_ends else None,
            "node_backs": json.dumps(node_backs) if node_backs else None,
            "ids": arrays.plain(claim.id for claim in completed),
            "generations": arrays.plain(claim.generation for claim in completed),
            "results": arrays.texts(result for _ in completed),
            "run_us": arrays.plain(1000 for _ in completed),
            "ran_at": arrays.plain(1 for _ in completed),
            "ends": json.dumps(ends) if ends else None,
            "back_ids": arrays.plain(claim.id for claim in back),
            "back_generations": arrays.plain(claim.generation for claim in back),
            "lanes": "{any}" if spots else "{}",
            "executors": arrays.texts(["default,process,thread,async"] if spots else []),
            "places": arrays.texts([arrays.plain(spots)] if spots else []),
            "spans": spans,
            "starts": json.dumps([_fence(claim) | {"place": 1} for claim in starts]) if starts else None,
            "now": now,
        }
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(self._statement, params)
            return _answer(cursor.fetchall())


def failed(error_code: str) -> str:
    """The stored result of a task that failed."""
    return json.dumps({"__h_task_result__": True, "ok": None, "err": {"error_code": error_code}})


def _fence(claim: Claim) -> dict[str, object]:
    return {"id": claim.id, "generation": claim.generation, "workflow_id": claim.workflow_id}


def _end(claim: Claim, status: str, result: str) -> dict[str, object]:
    return _fence(claim) | {
        "status": status,
        "result": result,
        "run_us": 1000,
        "pid": 11,
        "name": "executor-1",
    }


def _answer(rows: list[tuple[Any, ...]]) -> Answer:
    answer = Answer()
    for tag, *columns, seconds, workflow_id, trace_context in rows:
        match tag:
            case "claimed":
                answer.claimed.append(Claim(*[*columns, workflow_id, trace_context]))
            case "prefetched":
                answer.prefetched.append(Claim(*[*columns, workflow_id, trace_context]))
            case "started":
                answer.started.append(columns[0])
            case "expired" if columns[2] is None:
                answer.late.append(columns[0])
            case "expired":
                answer.expired.append(Claim(*[*columns, workflow_id, trace_context]))
            case "retried":
                answer.retried.append(columns[0])
            case "lost":
                answer.lost.append(columns[0])
            case "busy":
                answer.busy.append(columns[0])
            case "due":
                answer.due_s = seconds if answer.due_s is None else min(answer.due_s, seconds)
            case "again":
                answer.again = True
            case "walk":
                answer.walked_s = seconds
            case "mark":
                answer.marks[columns[3], columns[4], columns[9]] = (seconds, columns[0])
            case _:
                raise AssertionError(f"unexpected row of the cycle: {tag}")
    return answer
