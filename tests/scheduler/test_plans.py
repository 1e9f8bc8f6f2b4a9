"""What a tick costs among 10,000 schedules: it reads what is due, by index."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from horsies.db.drive import drive_on
from horsies.db.effects import Op
from horsies.ops.schedules import due_schedules, fire_slot, pass_slots, seconds_to_next
from horsies.sql import Statements
from tests.scheduler.conftest import MakeStage
from tests.scheduler.stage import HOUR, NOON, Stage, every_hour

SCHEDULES = 10_000
DUE = 100


class Plans:
    """Runs operations on a connection that tells the plan of every statement, of those inside functions too."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._texts: list[str] = []
        for setting in (
            "load 'auto_explain'",
            "set auto_explain.log_min_duration = 0",
            "set auto_explain.log_nested_statements = on",
            "set auto_explain.log_analyze = on",
            "set auto_explain.log_buffers = on",
            "set auto_explain.log_format = 'json'",
            "set client_min_messages = log",
        ):
            connection.execute(setting.encode())
        connection.add_notice_handler(lambda diagnostic: self._texts.append(diagnostic.message_primary or ""))

    def run[R](self, op: Op[R]) -> R:
        self._texts.clear()
        return drive_on(self._connection, Statements("horsies"), op)

    def scans(self, table: str) -> list[dict[str, Any]]:
        """Every scan of a table in what was run last."""
        plans = [json.loads(text[text.index("{") :])["Plan"] for text in self._texts if "{" in text]
        found = [node for plan in plans for node in nodes(plan) if node.get("Relation Name") == table]
        return [node for node in found if node["Node Type"].endswith("Scan")]

    def kinds(self) -> set[str]:
        return set(re.findall(r'"Node Type": "([\w ]+)"', "".join(self._texts)))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    """10,000 schedules, 100 of them due at NOON; 200 more would be, were they not paused or disabled."""
    names = [f"s{n:05}" for n in range(SCHEDULES)]
    stage = make_stage(*(every_hour(name, task_name="other", kwargs={"n": 1}) for name in names))
    await stage.begin()
    stage.place(NOON, names[:DUE] + names[-200:])
    stage.ask("update horsies.schedules set paused = true where name = any (%s)", names[-100:])
    stage.ask("update horsies.schedules set enabled = false where name = any (%s)", names[-200:-100])
    return stage


@pytest.fixture
def plans(stage: Stage) -> Iterator[Plans]:
    with closing(psycopg.connect(stage.url, autocommit=True)) as connection:
        yield Plans(connection)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_tick_reads_what_is_due(stage: Stage, plans: Plans, analyzed: bool) -> None:
    """08 section 6: only due rows, oldest first, by the index; none is read and thrown away, none is sorted."""
    if analyzed:
        stage.ask("vacuum analyze horsies.schedules")
    assert len(plans.run(due_schedules(NOON))) == DUE
    (scan,) = plans.scans("schedules")
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "schedules_due")
    assert (scan["Actual Rows"], scan.get("Rows Removed by Filter", 0)) == (DUE, 0)
    assert scan["Shared Hit Blocks"] + scan["Shared Read Blocks"] < 4 * DUE
    assert "Sort" not in plans.kinds()


@pytest.mark.parametrize("analyzed", [False, True])
async def test_the_next_due_time_is_one_probe(stage: Stage, plans: Plans, analyzed: bool) -> None:
    """S-067: how long to wait costs one row."""
    if analyzed:
        stage.ask("vacuum analyze horsies.schedules")
    assert plans.run(seconds_to_next(NOON)) == 3600.0
    (scan,) = plans.scans("schedules")
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "schedules_due")
    assert (scan["Actual Rows"], scan.get("Rows Removed by Filter", 0)) == (1, 0)


async def test_a_slot_reads_its_own_row(stage: Stage, plans: Plans) -> None:
    """S-043: firing and passing go by the primary key, over and over."""
    for due, send in zip((await stage.due(NOON))[:8], stage.sends, strict=False):
        plans.run(fire_slot(due, send.task_at(NOON), NOON, NOON + HOUR, 0, NOON))
        scans = plans.scans("schedules")
        assert [scan["Node Type"] for scan in scans] == ["Index Scan"] * 2
        assert {scan["Index Name"] for scan in scans} == {"schedules_pkey"}
    for due in (await stage.due(NOON))[:8]:
        plans.run(pass_slots(due, NOON + HOUR, 1, None, NOON))
        assert {scan["Node Type"] for scan in plans.scans("schedules")} == {"Index Scan"}


async def test_a_tick_fires_the_due_ones_only(stage: Stage) -> None:
    """S-060, S-058, S-002: 100 of 10,000."""
    await stage.tick(NOON)
    assert sum(stage.metrics.fired.values()) == DUE
    assert len(stage.tasks()) == DUE
    assert await stage.due(NOON) == []
