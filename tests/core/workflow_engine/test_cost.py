"""What a node's end costs: rows read, whatever the size of its workflow and whatever the planner believes about it."""

import pytest

from tests.core.cycle_driver import Claim
from tests.core.workflow_engine.engine import Engine, N, ok, plan

TABLES = ("workflows", "workflow_nodes", "workflow_edges", "tasks")


def rows_read(engine: Engine) -> int:
    """By this session so far, of all tables of workflows; to be compared within a transaction only."""
    ((found,),) = engine.select(
        "select sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::integer from pg_stat_xact_user_tables"
        " where relname = any (%s)",
        [list(TABLES)],
    )
    number: int = found
    return number


def rows_per_node(engine: Engine, width: int) -> float:
    """Of a fan-out into so many nodes, joined again by one."""
    names = [f"n{i}" for i in range(width)]
    flow = engine.start(
        plan(N("root"), *(N(name, ["root"]) for name in names), N("last", names), output="last")
    )
    claims: list[Claim] = []
    with engine.connection.transaction():
        before = rows_read(engine)
        while engine.status(flow) == "RUNNING":
            claims = engine.worker.cycle(completed=tuple(claims), result=ok(1), places=50).claimed
        return (rows_read(engine) - before) / (width + 2)


@pytest.mark.parametrize("statistics", ["none", "of empty tables"])
def test_the_cost_of_an_end_does_not_grow_with_the_workflow(engine: Engine, statistics: str) -> None:
    """ARCHITECTURE 6, W-44: at most 1.5 times as much for a fan of 1,000 as for one of 50, also where the tables were
    empty when they were last looked at."""
    if statistics != "none":
        for table in TABLES:
            engine.connection.execute(f"vacuum analyze horsies.{table}".encode())
    small = rows_per_node(engine, 50)
    assert rows_per_node(engine, 1_000) <= 1.5 * small


def rows_of_one_end(engine: Engine, width: int) -> tuple[int, int]:
    """Of one node's end among so many beside it, and of the claim of another one."""
    names = [f"n{i}" for i in range(width)]
    engine.start(plan(*(N(name) for name in names), N("last", names), output="last"))
    first, second = engine.worker.claim(2).claimed
    engine.complete(first)
    with engine.connection.transaction():
        before = rows_read(engine)
        engine.complete(second)
        between = rows_read(engine)
        assert len(engine.worker.claim(1).claimed) == 1
        return between - before, rows_read(engine) - between


def test_an_end_never_reads_the_whole_workflow(engine: Engine) -> None:
    """ARCHITECTURE 6, W-44: with fifty nodes beside it and with a thousand, the very same number of rows, and few."""
    small = rows_of_one_end(engine, 50)
    engine.connection.execute("delete from horsies.tasks")
    assert rows_of_one_end(engine, 1_000) == small
    assert sum(small) <= 20


def test_finished_workflows_cost_nothing(engine: Engine) -> None:
    """An end reads its own workflow only, however many there are."""
    before = rows_per_node(engine, 50)
    for _ in range(20):
        rows_per_node(engine, 50)
    assert rows_per_node(engine, 50) <= 1.1 * before
