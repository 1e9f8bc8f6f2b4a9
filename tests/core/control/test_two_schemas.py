"""Two installations in one database: the actions of one never reach the other (D-001, D-002)."""

from collections.abc import Iterator

import pytest

from horsies.broker import Broker
from horsies.config import PostgresConfig
from horsies.db.migrate import migrate
from horsies.ids import new_task_id
from horsies.monitoring import RerunSourceLive, RerunTask, cancel_task_sync, rerun_task_sync
from tests.core.control.conftest import Connect
from tests.core.control.looks import Rows, number
from tests.core.cycle_driver import CycleDriver


@pytest.fixture
def other(database_url: str) -> Iterator[Broker]:
    migrate(database_url, "other")
    found = Broker(PostgresConfig(database_url=database_url, schema_name="other"))
    yield found
    found.close()


def test_actions_stay_in_their_schema(other: Broker, rows: Rows, connect: Connect) -> None:
    """D-001: the same id lives in both; pause, cancel, rerun and wake-ups concern one"""
    task_id = new_task_id()
    for schema in ("horsies", "other"):
        rows.execute(f"select {schema}.enqueue('pack', id => %s, idempotency_key => 'k')".encode(), [task_id])
    listener = connect()
    listener.execute('listen "horsies:ctl"')
    listener.execute('listen "horsies:q:default"')
    ours, theirs = CycleDriver(connect()), CycleDriver(connect(), schema="other")

    assert other.pause_queue("default").unwrap().changed
    assert theirs.claim().ids == []
    assert ours.claim().ids == [task_id]
    assert other.resume_queue("default").unwrap().changed
    source = RerunTask(task_id, None)
    assert rerun_task_sync(other, source).unwrap() == RerunSourceLive(task_id)
    assert cancel_task_sync(other, task_id).unwrap().stopped
    assert number(rows, "select count(*) from other.task_history") == 1
    assert number(rows, "select count(*) from horsies.tasks where status = 'RUNNING'") == 1
    assert list(listener.notifies(timeout=0.1)) == []
