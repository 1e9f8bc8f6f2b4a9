"""A real worker and a real scheduler with the rights of their parts, and no others (D-071, D-072, D-075)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import APP
from tests.acceptance.scheduling import beats, scheduler
from tests.core.task_rows import TaskRows
from tests.fixtures.roles import as_role
from tests.helpers import eventually, running_module

ROOT = Path(__file__).parent.parent.parent
WAIT_MS = 30_000
OLD_DAY = "task_history_standard_30d_20200101"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def rows(database_url: str) -> Iterator[TaskRows]:
    """The tables, as the owner sees them."""
    found = TaskRows(database_url)
    yield found
    found.close()


def test_a_worker_needs_no_more_than_its_part(
    basic: Any, rows: TaskRows, database_url: str, tmp_path: Path
) -> None:
    """D-071, D-061: results, retries, a crash, queues reported, a missing day made, an old one dropped."""
    rows.execute("select horsies.ensure_history_partition('standard_30d', '2020-01-01')")
    today = rows.execute("select to_char(now() at time zone 'UTC', 'YYYYMMDD') as day")[0]["day"]
    rows.execute(f"drop table horsies.task_history_standard_30d_{today}")
    environment = {"ACCEPTANCE_DATABASE_URL": as_role(database_url, "worker")}
    with running_module("horsies_worker", f"{APP}:app", environment=environment, directory=ROOT) as worker:
        worker.wait_for("ready:", 60)
        keyed = basic.noop.with_options(idempotency_key="k")
        assert keyed.send(7).unwrap().get(WAIT_MS).ok_value == 7, worker.output
        assert basic.die_once.send(str(tmp_path)).unwrap().get(WAIT_MS).ok_value == "survived"
        assert basic.anoop.send(8).unwrap().get(WAIT_MS).ok_value == 8
        gone = f"select to_regclass('horsies.{OLD_DAY}') is null as gone"
        eventually(lambda: rows.execute(gone)[0]["gone"], 30)
        assert worker.stop() == 0, worker.output
    assert "permission denied" not in worker.output
    assert rows.execute("select state from horsies.workers") == [{"state": "stopped"}]
    assert len(rows.execute("select name from horsies.queues")) == 6


def test_a_scheduler_needs_no_more_than_its_part(rows: TaskRows, database_url: str) -> None:
    """D-072, D-061."""
    with scheduler(as_role(database_url, "scheduler"), beats(1)) as process:
        eventually(lambda: len(rows.live()) >= 2, 30)
        assert process.stop() == 0, process.output
    assert "permission denied" not in process.output
    (schedule,) = rows.execute("select run_count from horsies.schedules")
    assert schedule["run_count"] == len(rows.live())
